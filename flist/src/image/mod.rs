//! An image: tables that have been validated as a whole. Whoever holds an [`Image`] may follow any
//! index in it; every walk ends, every read is answered from within the content space.

#[cfg(any(test, feature = "testing"))]
pub mod arbitrary;
mod limits;
mod tables;
mod validate;

pub use limits::*;
pub use tables::{Device, Dirent, Extent, Ino, Inode, Kind, Pack, ROOT, Tables, Time, XattrSet};
pub use validate::Invalid;
#[cfg(feature = "build")]
pub(crate) use validate::type_bits;

use crate::chunk::Chunk;

/// Validated, immutable tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    tables: Tables,
    /// Hard-link counts as stat(2) shows them, by inode index.
    nlinks: Vec<u32>,
    /// The parent of each directory, by inode index; 0 for what is no directory.
    parents: Vec<Ino>,
    /// Where each chunk begins in the content space, and last where the space ends.
    starts: Vec<u64>,
}

/// A piece of a file's contents: `len` bytes at `file_offset`, which lie at `chunk_offset` in
/// chunk number `chunk` once that is decompressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// Where in the file.
    pub file_offset: u64,
    /// Index of the chunk.
    pub chunk: u32,
    /// Where in the chunk.
    pub chunk_offset: u32,
    /// How many bytes, never 0.
    pub len: u32,
}

impl Image {
    /// All tables.
    pub fn tables(&self) -> &Tables {
        &self.tables
    }

    /// How many inodes there are; they are numbered `1..=inode_count()`.
    pub fn inode_count(&self) -> u32 {
        u32::try_from(self.tables.inodes.len()).unwrap_or(u32::MAX)
    }

    /// The inode of that number.
    pub fn inode(&self, ino: Ino) -> Option<&Inode> {
        self.tables.inodes.get(index(ino)?)
    }

    /// Its hard-link count as stat(2) shows it: for a directory 2 and one for each subdirectory.
    pub fn nlink(&self, ino: Ino) -> u32 {
        index(ino).and_then(|i| self.nlinks.get(i)).copied().unwrap_or(0)
    }

    /// The directory that holds directory `ino`; the root's is the root.
    pub fn parent(&self, ino: Ino) -> Option<Ino> {
        index(ino).and_then(|i| self.parents.get(i)).copied().filter(|&p| p != 0)
    }

    /// When the inode was created, if the build recorded it.
    pub fn btime(&self, ino: Ino) -> Option<Time> {
        self.tables.btimes.get(index(ino)?).copied()
    }

    /// The entries of a directory in name order; `None` where `ino` is none.
    pub fn entries(&self, ino: Ino) -> Option<&[Dirent]> {
        match self.inode(ino)?.kind {
            Kind::Directory { first, count } => slice(&self.tables.dirents, first, count),
            _ => None,
        }
    }

    /// The name of a dirent of this image.
    pub fn name(&self, dirent: &Dirent) -> &[u8] {
        slice(&self.tables.names, dirent.name_start, u32::from(dirent.name_len)).unwrap_or_default()
    }

    /// The entry `name` of directory `dir`.
    pub fn lookup(&self, dir: Ino, name: &[u8]) -> Option<Ino> {
        let entries = self.entries(dir)?;
        let at = entries.binary_search_by(|e| self.name(e).cmp(name)).ok()?;
        entries.get(at).map(|e| e.ino)
    }

    /// The inode at `path`, names separated by `/`, from the root; links are not followed.
    pub fn resolve(&self, path: &[u8]) -> Option<Ino> {
        path.split(|&b| b == b'/').filter(|n| !n.is_empty() && *n != b".").try_fold(
            ROOT,
            |dir, name| match name {
                b".." => self.parent(dir),
                _ => self.lookup(dir, name),
            },
        )
    }

    /// A path from the root to `ino`, the first that a walk meets. Goes through whole tables: for
    /// messages.
    pub fn path(&self, ino: Ino) -> Option<Vec<u8>> {
        self.paths(&[ino]).pop().flatten()
    }

    /// The same for several, in one pass.
    pub fn paths(&self, inos: &[Ino]) -> Vec<Option<Vec<u8>>> {
        // By inode: the directory that first names it, and the dirent there.
        let mut named = vec![None; self.tables.inodes.len()];
        for dir in ROOT..=self.inode_count() {
            for entry in self.entries(dir).unwrap_or_default() {
                if let Some(first @ None) = index(entry.ino).and_then(|i| named.get_mut(i)) {
                    *first = Some((dir, entry));
                }
            }
        }
        let path = |ino: &Ino| {
            let mut names = Vec::new();
            let mut at = *ino;
            while at != ROOT {
                let (dir, entry) = (*named.get(index(at)?)?)?;
                names.push(self.name(entry));
                at = dir;
            }
            let path = names.iter().rev().flat_map(|name| [b"/", *name].concat());
            Some(if names.is_empty() { b"/".to_vec() } else { path.collect() })
        };
        inos.iter().map(path).collect()
    }

    /// The target of a symbolic link; `None` where `ino` is none.
    pub fn target(&self, ino: Ino) -> Option<&[u8]> {
        match self.inode(ino)?.kind {
            Kind::Symlink { start, len } => slice(&self.tables.targets, start, len),
            _ => None,
        }
    }

    /// The extents of a regular file; `None` where `ino` is none.
    pub fn extents(&self, ino: Ino) -> Option<&[Extent]> {
        match self.inode(ino)?.kind {
            Kind::File { first, count, .. } => slice(&self.tables.extents, first, count),
            _ => None,
        }
    }

    /// The extended attributes of an inode, in name order.
    pub fn xattrs(&self, ino: Ino) -> &[(Vec<u8>, Vec<u8>)] {
        self.inode(ino)
            .and_then(|inode| self.tables.xattr_sets.get(inode.xattrs as usize))
            .map_or(&[], Vec::as_slice)
    }

    /// The chunks of the content space, in its order.
    pub fn chunks(&self) -> &[Chunk] {
        &self.tables.chunks
    }

    /// The chunks that the image's own profile has it fetch first, in that order; none without one.
    pub fn profiled(&self) -> std::ops::Range<u32> {
        0..self.tables.profiled
    }

    /// The packs the chunks refer to.
    pub fn packs(&self) -> &[Pack] {
        &self.tables.packs
    }

    /// The pack a chunk of this image lies in.
    pub fn pack_of(&self, chunk: &Chunk) -> Option<&Pack> {
        self.tables.packs.get(chunk.pack as usize)
    }

    /// Length of the content space in bytes.
    pub fn content_len(&self) -> u64 {
        self.starts.last().copied().unwrap_or(0)
    }

    /// Image metadata in the order given.
    pub fn meta(&self) -> &[(String, String)] {
        &self.tables.meta
    }

    /// The first value of a metadata key.
    pub fn meta_value(&self, key: &str) -> Option<&str> {
        self.tables.meta.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str())
    }

    /// Size as stat(2) shows it: bytes of a file, length of a link's target, for a directory the
    /// sum of its names' lengths, else 0.
    pub fn size(&self, ino: Ino) -> u64 {
        match self.inode(ino).map(|i| &i.kind) {
            Some(Kind::File { size, .. }) => *size,
            Some(Kind::Symlink { len, .. }) => u64::from(*len),
            Some(Kind::Directory { .. }) => {
                self.entries(ino).unwrap_or_default().iter().map(|e| u64::from(e.name_len)).sum()
            }
            _ => 0,
        }
    }

    /// Bytes of a file that are in extents, so no hole.
    pub fn data_len(&self, ino: Ino) -> u64 {
        self.extents(ino).unwrap_or_default().iter().map(|e| e.len).sum()
    }

    /// The pieces of `range` of the regular file `ino`, in file order. What `range` holds beyond
    /// them is holes, or lies behind the end of the file. Empty where `ino` is no file.
    pub fn pieces(&self, ino: Ino, range: std::ops::Range<u64>) -> Vec<Piece> {
        let extents = self.extents(ino).unwrap_or_default();
        let from = extents.partition_point(|e| e.file_offset + e.len <= range.start);
        let mut pieces = Vec::new();
        for extent in extents.get(from..).unwrap_or_default() {
            if extent.file_offset >= range.end {
                break;
            }
            let start = range.start.max(extent.file_offset);
            let end = range.end.min(extent.file_offset + extent.len);
            self.push_pieces(extent, start..end, &mut pieces);
        }
        pieces
    }

    /// The pieces of `range` of a file, all of which lies in `extent`.
    fn push_pieces(&self, extent: &Extent, range: std::ops::Range<u64>, out: &mut Vec<Piece>) {
        let shift = |file: u64| file - extent.file_offset + extent.content_offset;
        let mut chunk = self.starts.partition_point(|&s| s <= shift(range.start)).saturating_sub(1);
        let mut at = range.start;
        while at < range.end {
            let (Some(&begin), Some(&end)) = (self.starts.get(chunk), self.starts.get(chunk + 1))
            else {
                return; // Unreachable: validated extents lie within the content space.
            };
            let len = (range.end - at).min(end - shift(at));
            let (Ok(number), Ok(chunk_offset), Ok(len32)) =
                (u32::try_from(chunk), u32::try_from(shift(at) - begin), u32::try_from(len))
            else {
                return; // Unreachable: chunks are counted in 32 bits and at most 1 MiB long.
            };
            out.push(Piece { file_offset: at, chunk: number, chunk_offset, len: len32 });
            at += len;
            chunk += 1;
        }
    }
}

fn index(ino: Ino) -> Option<usize> {
    (ino as usize).checked_sub(1)
}

fn slice<T>(table: &[T], first: u32, count: u32) -> Option<&[T]> {
    let first = first as usize;
    table.get(first..first.checked_add(count as usize)?)
}

#[cfg(test)]
mod tests;
