//! What must hold before tables become an [`Image`].

use super::limits::*;
use super::tables::{Dirent, Ino, Inode, Kind, ROOT, Tables, Time};
use super::{Image, slice};
use crate::chunk::MAX_CHUNK_LEN;

/// Why tables are no image: the table, the row, and the rule that is broken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// A row breaks a rule.
    #[error("{table} {row}: {rule}")]
    Row {
        /// Which table.
        table: &'static str,
        /// Which row: inode numbers from 1, all else from 0.
        row: u64,
        /// What must hold.
        rule: &'static str,
    },
    /// A table breaks a rule as a whole.
    #[error("{table}: {rule}")]
    Table {
        /// Which table.
        table: &'static str,
        /// What must hold.
        rule: &'static str,
    },
}

type Check<T = ()> = Result<T, Invalid>;

fn row(table: &'static str, row: usize, ok: bool, rule: &'static str) -> Check {
    if ok { Ok(()) } else { Err(Invalid::Row { table, row: row as u64, rule }) }
}

fn table(table: &'static str, ok: bool, rule: &'static str) -> Check {
    if ok { Ok(()) } else { Err(Invalid::Table { table, rule }) }
}

impl Image {
    /// Checks all tables and takes them.
    ///
    /// # Errors
    /// [`Invalid`] names the first row found that breaks a rule.
    pub fn new(tables: Tables) -> Result<Self, Invalid> {
        sizes(&tables)?;
        packs(&tables)?;
        let starts = chunks(&tables)?;
        xattrs(&tables)?;
        metadata(&tables)?;
        inodes(&tables)?;
        names(&tables)?;
        extents(&tables, starts.last().copied().unwrap_or(0))?;
        let (parents, nlinks) = tree(&tables)?;
        Ok(Self { tables, nlinks, parents, starts })
    }
}

/// No table is longer than its limit.
fn sizes(t: &Tables) -> Check {
    let within = |name, len: usize, max: usize| table(name, len <= max, "too many rows");
    within("inodes", t.inodes.len(), MAX_INODES)?;
    within("dirents", t.dirents.len(), MAX_INODES)?;
    within("names", t.names.len(), MAX_NAMES_LEN)?;
    within("extents", t.extents.len(), MAX_EXTENTS)?;
    within("targets", t.targets.len(), MAX_TARGETS_LEN)?;
    within("xattr sets", t.xattr_sets.len(), MAX_XATTR_SETS)?;
    within("chunks", t.chunks.len(), MAX_CHUNKS)?;
    within("packs", t.packs.len(), MAX_PACKS)?;
    table(
        "profile",
        t.profiled as usize <= t.chunks.len(),
        "it has no more chunks than there are",
    )?;
    within("metadata", t.meta.len(), MAX_META)?;
    let btimes = t.btimes.is_empty() || t.btimes.len() == t.inodes.len();
    table("creation times", btimes, "there is one for each inode, or none")?;
    t.btimes.iter().enumerate().try_for_each(|(i, time)| nanoseconds("creation time", i, time))
}

fn packs(t: &Tables) -> Check {
    t.packs.iter().enumerate().try_for_each(|(i, pack)| {
        row("pack", i, pack.len > 0 && pack.len <= MAX_PACK_LEN, "its length is out of bounds")
    })
}

/// Every chunk lies in its pack. Returns where each begins in the content space, and its end.
fn chunks(t: &Tables) -> Check<Vec<u64>> {
    let mut starts = Vec::with_capacity(t.chunks.len() + 1);
    let mut at = 0_u64;
    for (i, chunk) in t.chunks.iter().enumerate() {
        starts.push(at);
        let len = chunk.len > 0 && chunk.len <= MAX_CHUNK_LEN;
        row("chunk", i, len, "its length is out of bounds")?;
        let stored = chunk.stored_len > 0 && chunk.stored_len <= chunk.len;
        row("chunk", i, stored, "its stored length is out of bounds")?;
        let Some(pack) = t.packs.get(chunk.pack as usize) else {
            return row("chunk", i, false, "there is no such pack").map(|()| starts);
        };
        let end = chunk.offset.checked_add(u64::from(chunk.stored_len));
        row("chunk", i, end.is_some_and(|e| e <= pack.len), "it reaches beyond its pack")?;
        at += u64::from(chunk.len);
    }
    starts.push(at);
    Ok(starts)
}

fn xattrs(t: &Tables) -> Check {
    let empty_first = t.xattr_sets.first().is_some_and(Vec::is_empty);
    table("xattr sets", empty_first, "the first is the empty one")?;
    let mut all = 0_usize;
    for (i, set) in t.xattr_sets.iter().enumerate() {
        let check = |ok, rule| row("xattr set", i, ok, rule);
        check(i == 0 || !set.is_empty(), "only the first is empty")?;
        check(set.len() <= MAX_XATTRS, "it has too many attributes")?;
        check(set.windows(2).all(|w| matches!(w, [a, b] if a.0 < b.0)), "names ascend")?;
        for (name, value) in set {
            let len = !name.is_empty() && name.len() <= MAX_XATTR_NAME_LEN;
            check(len, "the length of a name is out of bounds")?;
            check(!name.contains(&0), "a name holds no zero byte")?;
            check(value.len() <= MAX_XATTR_VALUE_LEN, "a value is too long")?;
            all += name.len() + value.len();
        }
        let list: usize = set.iter().map(|(name, _)| name.len() + 1).sum();
        check(list <= MAX_XATTR_LIST_LEN, "its names together are too long")?;
    }
    table("xattr sets", all <= MAX_XATTRS_LEN, "together they are too long")
}

fn metadata(t: &Tables) -> Check {
    t.meta.iter().enumerate().try_for_each(|(i, (key, value))| {
        row("metadata", i, !key.is_empty(), "a key is not empty")?;
        let len = key.len() <= MAX_META_LEN && value.len() <= MAX_META_LEN;
        row("metadata", i, len, "key or value is too long")
    })
}

fn nanoseconds(name: &'static str, i: usize, time: &Time) -> Check {
    row(name, i, time.nsec < 1_000_000_000, "nanoseconds are below 1,000,000,000")
}

/// Inodes claim the rows of the other tables one after the other, none twice and none left out.
fn inodes(t: &Tables) -> Check {
    let root = matches!(t.inodes.first(), Some(Inode { kind: Kind::Directory { .. }, .. }));
    table("inodes", root, "the first is the root, a directory")?;
    let (mut dirents, mut extents, mut targets) = (0_u64, 0_u64, 0_u64);
    for (i, inode) in t.inodes.iter().enumerate() {
        let check = |ok, rule| row("inode", i + 1, ok, rule);
        check(inode.mode == (type_bits(&inode.kind) | inode.mode & 0o7777), "mode has its type")?;
        check((inode.xattrs as usize) < t.xattr_sets.len(), "there is no such xattr set")?;
        nanoseconds("inode", i + 1, &inode.mtime)?;
        match inode.kind {
            Kind::Directory { first, count } => {
                check(u64::from(first) == dirents, "its entries follow the last directory's")?;
                dirents += u64::from(count);
            }
            Kind::File { size, first, count } => {
                check(size <= MAX_FILE_SIZE, "the file is too long")?;
                check(u64::from(first) == extents, "its extents follow the last file's")?;
                extents += u64::from(count);
            }
            Kind::Symlink { start, len } => {
                check(u64::from(start) == targets, "its target follows the last link's")?;
                let bounds = 1..=MAX_TARGET_LEN;
                check(bounds.contains(&(len as usize)), "its target's length is out of bounds")?;
                targets += u64::from(len);
                let target = slice(&t.targets, start, len);
                check(target.is_some_and(|t| !t.contains(&0)), "its target has no zero byte")?;
            }
            Kind::Char(device) | Kind::Block(device) => {
                let fits = device.major <= MAX_MAJOR && device.minor <= MAX_MINOR;
                check(fits, "its device number is out of bounds")?;
            }
            Kind::Fifo | Kind::Socket => {}
        }
    }
    table("dirents", dirents == t.dirents.len() as u64, "each is in a directory")?;
    table("extents", extents == t.extents.len() as u64, "each is in a file")?;
    table("targets", targets == t.targets.len() as u64, "each byte is in a link's target")
}

/// The file type bits of `st_mode`, as in inode(7).
pub(crate) fn type_bits(kind: &Kind) -> u32 {
    match kind {
        Kind::Socket => 0o140_000,
        Kind::Symlink { .. } => 0o120_000,
        Kind::File { .. } => 0o100_000,
        Kind::Block(_) => 0o060_000,
        Kind::Directory { .. } => 0o040_000,
        Kind::Char(_) => 0o020_000,
        Kind::Fifo => 0o010_000,
    }
}

/// Names lie one after the other in the table and are names.
fn names(t: &Tables) -> Check {
    let mut at = 0_u64;
    for (i, dirent) in t.dirents.iter().enumerate() {
        let check = |ok, rule| row("dirent", i, ok, rule);
        check(u64::from(dirent.name_start) == at, "its name follows the last one")?;
        at += u64::from(dirent.name_len);
        let name = name_of(t, dirent);
        check(name.is_some(), "its name reaches beyond the names")?;
        let name = name.unwrap_or_default();
        check(!name.is_empty() && name != b"." && name != b"..", "its name is no name")?;
        check(!name.contains(&0) && !name.contains(&b'/'), "its name holds a zero byte or a /")?;
    }
    table("names", at == t.names.len() as u64, "each byte is in a name")
}

fn name_of<'a>(t: &'a Tables, dirent: &Dirent) -> Option<&'a [u8]> {
    slice(&t.names, dirent.name_start, u32::from(dirent.name_len))
}

/// A file's extents ascend, do not overlap, and lie within the file and the content space.
fn extents(t: &Tables, content_len: u64) -> Check {
    for inode in &t.inodes {
        let Kind::File { size, first, count } = inode.kind else { continue };
        let mut end = 0_u64;
        for (extent, i) in slice(&t.extents, first, count).unwrap_or_default().iter().zip(first..) {
            let check = |ok, rule| row("extent", i as usize, ok, rule);
            check(extent.len > 0, "it is not empty")?;
            check(extent.file_offset >= end, "it begins behind the one before")?;
            let in_file = extent.file_offset.checked_add(extent.len).filter(|&e| e <= size);
            check(in_file.is_some(), "it lies within the file")?;
            let in_space = extent.content_offset.checked_add(extent.len);
            let fits = in_space.is_some_and(|e| e <= content_len);
            check(fits, "it lies within the content space")?;
            end = in_file.unwrap_or(end);
        }
    }
    Ok(())
}

/// A walk of the directories in inode order meets every inode, each first under the next number.
/// So the tree has no cycle, nothing is out of reach, and no directory has two names.
fn tree(t: &Tables) -> Check<(Vec<Ino>, Vec<u32>)> {
    let count = t.inodes.len();
    let (mut parents, mut nlinks, mut depths) =
        (vec![0; count], vec![0_u32; count], vec![0; count]);
    let mut met = 1_usize;
    set(&mut parents, 0, ROOT);
    set(&mut nlinks, 0, 2);
    for (dir, inode) in t.inodes.iter().enumerate() {
        let Kind::Directory { first, count } = inode.kind else { continue };
        row("inode", dir + 1, dir < met, "no directory before it names it")?;
        let depth: u32 = depths.get(dir).copied().unwrap_or(0) + 1;
        let mut last: Option<&[u8]> = None;
        for (dirent, i) in slice(&t.dirents, first, count).unwrap_or_default().iter().zip(first..) {
            let check = |ok, rule| row("dirent", i as usize, ok, rule);
            let name = name_of(t, dirent).unwrap_or_default();
            check(last.is_none_or(|l| l < name), "names ascend in a directory, none twice")?;
            last = Some(name);
            let child = (dirent.ino as usize).wrapping_sub(1);
            let Some(named) = t.inodes.get(child) else {
                return check(false, "there is no such inode").map(|()| Default::default());
            };
            let directory = matches!(named.kind, Kind::Directory { .. });
            check(child <= met, "inodes are numbered in the order of the walk")?;
            if child == met {
                met += 1;
                set(&mut depths, child, depth);
            } else {
                check(!directory, "a directory has one name only")?;
            }
            if directory {
                check(depth <= MAX_DEPTH, "the directory is too deep")?;
                let own = u32::try_from(dir + 1).unwrap_or(u32::MAX);
                set(&mut parents, child, own);
                set(&mut nlinks, child, 2);
                bump(&mut nlinks, dir);
            } else {
                bump(&mut nlinks, child);
            }
        }
    }
    table("inodes", met == count, "each has a name")?;
    Ok((parents, nlinks))
}

fn set(column: &mut [u32], i: usize, value: u32) {
    if let Some(cell) = column.get_mut(i) {
        *cell = value;
    }
}

fn bump(column: &mut [u32], i: usize) {
    if let Some(cell) = column.get_mut(i) {
        *cell += 1;
    }
}

#[cfg(test)]
mod tests;
