//! Compares two trees entry by entry and lists every difference: names, types, modes, owners,
//! times to the nanosecond, hard links, devices, xattrs, link targets, contents.
//!
//! Works by open directories, so no path is too long for it.

mod contents;
mod entry;

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::fmt;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use anyhow::Context;
use rustix::fs::{Dir, FileType, Mode, OFlags};

use entry::Entry;

/// In what two entries may differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Aspect {
    /// It is in one of them alone.
    Presence,
    /// File, directory, symlink, ...
    Type,
    /// The twelve permission bits.
    Mode,
    /// User or group.
    Owner,
    /// Time of modification, to the nanosecond.
    Time,
    /// Length of a file.
    Size,
    /// Bytes of a file.
    Contents,
    /// A file with holes in one tree takes up its full length in the other.
    Holes,
    /// Target of a symlink.
    Target,
    /// Numbers of a device.
    Device,
    /// Names or values of extended attributes, ACLs and capabilities among them.
    Xattrs,
    /// The count of links.
    LinkCount,
    /// Which names are one file.
    LinkGroup,
    /// What readdir says of it is not what stat says.
    Listing,
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Relative to the trees; empty for themselves.
    pub path: Vec<u8>,
    /// In what they differ.
    pub aspect: Aspect,
    /// As it is in the first tree.
    pub left: String,
    /// As it is in the second.
    pub right: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, aspect, left, right } = self;
        write!(f, "{}: {aspect:?}: {left} | {right}", path.escape_ascii())
    }
}

/// All differences of two trees, their roots included, in the order of paths.
///
/// # Errors
/// When something of either can't be read.
pub fn trees(left: &Path, right: &Path) -> anyhow::Result<Vec<Difference>> {
    let mut comparison = Comparison::default();
    let sides = [open_root(left)?, open_root(right)?];
    let mut roots = Vec::new();
    for (side, path) in sides.iter().zip([left, right]) {
        roots.push(Entry::of_root(side).with_context(|| path.display().to_string())?);
    }
    if let [left, right] = roots.as_slice() {
        comparison.attributes(left, right);
    }
    comparison.directories(&sides)?;
    Ok(comparison.differences)
}

/// Fails, with a list, when the trees differ in anything but `ignored`.
///
/// # Errors
/// As [`trees`], and for differences; the error shows the first thirty.
pub fn assert_equal(left: &Path, right: &Path, ignored: &[Aspect]) -> anyhow::Result<()> {
    let mut differences = trees(left, right)?;
    differences.retain(|d| !ignored.contains(&d.aspect));
    let list: Vec<String> = differences.iter().take(30).map(|d| format!("\n  {d}")).collect();
    anyhow::ensure!(
        differences.is_empty(),
        "{} | {}: {} differences{}",
        left.display(),
        right.display(),
        differences.len(),
        list.concat()
    );
    Ok(())
}

fn open_root(path: &Path) -> anyhow::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).with_context(|| path.display().to_string())
}

/// An inode's place in its tree: the path it was first seen at.
type Links = HashMap<(u64, u64), Vec<u8>>;

#[derive(Default)]
struct Comparison {
    path: Vec<u8>,
    links: [Links; 2],
    differences: Vec<Difference>,
}

impl Comparison {
    fn differ(&mut self, aspect: Aspect, left: impl fmt::Display, right: impl fmt::Display) {
        let (left, right) = (left.to_string(), right.to_string());
        self.differences.push(Difference { path: self.path.clone(), aspect, left, right });
    }

    fn same(&mut self, aspect: Aspect, left: &str, right: &str) {
        if left != right {
            self.differ(aspect, left, right);
        }
    }

    /// Compares what two open directories hold.
    fn directories(&mut self, sides: &[OwnedFd; 2]) -> anyhow::Result<()> {
        let [left, right] = sides;
        let (mut lefts, mut rights) = (names(left)?, names(right)?);
        let all: Vec<Vec<u8>> = lefts.keys().chain(rights.keys()).cloned().collect();
        let mut all: Vec<Vec<u8>> = all;
        all.sort();
        all.dedup();
        let parent = self.path.len();
        for name in all {
            if parent > 0 {
                self.path.push(b'/');
            }
            self.path.extend_from_slice(&name);
            let listed = [lefts.remove(&name), rights.remove(&name)];
            let shown = self.path.escape_ascii().to_string();
            self.named(sides, &name, listed).with_context(|| shown)?;
            self.path.truncate(parent);
        }
        Ok(())
    }

    /// Compares the entries of one name.
    fn named(
        &mut self,
        sides: &[OwnedFd; 2],
        name: &[u8],
        listed: [Option<Listed>; 2],
    ) -> anyhow::Result<()> {
        let name = OsStr::from_bytes(name);
        let [Some(left), Some(right)] = listed else {
            let word = |l: &Option<Listed>| if l.is_some() { "there" } else { "missing" };
            self.differ(Aspect::Presence, word(&listed[0]), word(&listed[1]));
            return Ok(());
        };
        let entries = [Entry::at(&sides[0], name)?, Entry::at(&sides[1], name)?];
        for (listed, entry) in [left, right].iter().zip(&entries) {
            self.listing(listed, entry);
        }
        let [left, right] = &entries;
        self.attributes(left, right);
        self.link_group(&entries);
        match (left.kind, right.kind) {
            (FileType::RegularFile, FileType::RegularFile) => {
                let files = [entry::open(&sides[0], name)?, entry::open(&sides[1], name)?];
                if left.size == right.size
                    && let Some(at) = contents::first_difference(&files, left.size)?
                {
                    self.differ(Aspect::Contents, format!("differ from byte {at} on"), "");
                }
            }
            (FileType::Directory, FileType::Directory) => {
                let inner = [entry::open_dir(&sides[0], name)?, entry::open_dir(&sides[1], name)?];
                self.directories(&inner)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn attributes(&mut self, left: &Entry, right: &Entry) {
        self.same(Aspect::Type, &format!("{:?}", left.kind), &format!("{:?}", right.kind));
        self.same(Aspect::Mode, &format!("{:04o}", left.mode), &format!("{:04o}", right.mode));
        self.same(Aspect::Owner, &left.owner(), &right.owner());
        self.same(Aspect::Time, &left.time(), &right.time());
        self.same(Aspect::Device, &left.device(), &right.device());
        self.same(Aspect::LinkCount, &left.links.to_string(), &right.links.to_string());
        self.same(
            Aspect::Target,
            &left.target.escape_ascii().to_string(),
            &right.target.escape_ascii().to_string(),
        );
        if left.kind == FileType::RegularFile && right.kind == FileType::RegularFile {
            self.same(Aspect::Size, &left.size.to_string(), &right.size.to_string());
            if left.is_sparse() != right.is_sparse() {
                let used = |e: &Entry| format!("{} bytes used of {}", e.used, e.size);
                self.differ(Aspect::Holes, used(left), used(right));
            }
        }
        self.xattrs(&left.xattrs, &right.xattrs);
    }

    fn xattrs(&mut self, left: &BTreeMap<Vec<u8>, Vec<u8>>, right: &BTreeMap<Vec<u8>, Vec<u8>>) {
        let shown = |value: Option<&Vec<u8>>| match value {
            Some(value) if value.len() > 100 => format!("{} bytes", value.len()),
            Some(value) => value.escape_ascii().to_string(),
            None => "missing".to_owned(),
        };
        for name in left.keys().chain(right.keys().filter(|name| !left.contains_key(*name))) {
            let values = (left.get(name), right.get(name));
            if values.0 != values.1 {
                let word = |value| format!("{}={}", name.escape_ascii(), shown(value));
                self.differ(Aspect::Xattrs, word(values.0), word(values.1));
            }
        }
    }

    /// The trees are walked in one order, so the same group has its first name in both.
    fn link_group(&mut self, entries: &[Entry; 2]) {
        let mut firsts = Vec::new();
        for (links, entry) in self.links.iter_mut().zip(entries) {
            let one = entry.kind == FileType::Directory || entry.links == 1;
            let first = if one {
                &self.path
            } else {
                links.entry(entry.identity).or_insert_with(|| self.path.clone())
            };
            firsts.push(format!("same as {}", first.escape_ascii()));
        }
        if let [left, right] = firsts.as_slice() {
            self.same(Aspect::LinkGroup, left, right);
        }
    }

    fn listing(&mut self, listed: &Listed, entry: &Entry) {
        let kind_is_good = listed.kind == FileType::Unknown || listed.kind == entry.kind;
        if !kind_is_good || listed.ino != entry.identity.1 {
            let stat = format!("stat: {:?} {}", entry.kind, entry.identity.1);
            self.differ(
                Aspect::Listing,
                format!("readdir: {:?} {}", listed.kind, listed.ino),
                stat,
            );
        }
    }
}

/// What readdir says.
struct Listed {
    kind: FileType,
    ino: u64,
}

fn names(dir: &OwnedFd) -> anyhow::Result<BTreeMap<Vec<u8>, Listed>> {
    let mut names = BTreeMap::new();
    for entry in Dir::read_from(dir)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes().to_vec();
        if matches!(name.as_slice(), b"." | b"..") {
            continue;
        }
        let listed = Listed { kind: entry.file_type(), ino: entry.ino() };
        let shown = name.escape_ascii().to_string();
        anyhow::ensure!(names.insert(name, listed).is_none(), "{shown} is listed twice");
    }
    Ok(names)
}
