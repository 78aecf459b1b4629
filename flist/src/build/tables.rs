//! From the tree and where its contents lie to the tables of an image.

use std::collections::HashMap;

use super::error::fit;
use super::pipeline::Extents;
use super::read::Input;
use super::tree::{Node, What};
use super::{BuildError, Options};
use crate::image::{
    Device, Dirent, Inode, Kind, MAX_DEPTH, MAX_FILE_SIZE, MAX_MAJOR, MAX_MINOR, MAX_NAME_LEN,
    MAX_TARGET_LEN, MAX_XATTR_LIST_LEN, MAX_XATTR_NAME_LEN, MAX_XATTR_VALUE_LEN, MAX_XATTRS,
    Tables, Time, XattrSet, type_bits,
};

/// Fills the tables of the image but those of chunks, packs and metadata, which `tables` has.
pub(super) fn fill(
    input: &Input,
    same: &[u32],
    extents: &Extents,
    tables: Tables,
    options: &Options,
) -> Result<Tables, BuildError> {
    let mut maker = Maker {
        input,
        same,
        extents,
        clamp: options.clamp,
        sets: input.tree.xattr_sets(),
        set_numbers: HashMap::from([(0, 0)]),
        depths: Vec::with_capacity(input.walk.order.len()),
        tables: Tables { xattr_sets: vec![XattrSet::new()], ..tables },
    };
    for (met, at) in input.walk.order.iter().zip(0_u32..) {
        let Some(node) = input.tree.node(met.node) else { continue };
        maker.check(at, node)?;
        let inode = maker.inode(at, node)?;
        maker.tables.inodes.push(inode);
        if options.btime {
            let btime = node.btime.ok_or_else(|| BuildError::NoCreationTime(input.path(at)))?;
            maker.tables.btimes.push(clamped(btime, options.clamp));
        }
    }
    Ok(maker.tables)
}

struct Maker<'a> {
    input: &'a Input,
    same: &'a [u32],
    extents: &'a Extents,
    clamp: Option<i64>,
    sets: Vec<&'a XattrSet>,
    /// From the tree's numbers of xattr sets to the image's, which follow the inodes' order.
    set_numbers: HashMap<u32, u32>,
    depths: Vec<u32>,
    tables: Tables,
}

impl Maker<'_> {
    /// What the tables' own checks would refuse too, but without the path.
    fn check(&mut self, at: u32, node: &Node) -> Result<(), BuildError> {
        let parent = self.input.walk.order.get(at as usize).map_or(0, |met| met.dir);
        let depth = match at {
            0 => 0,
            _ => self.depths.get(parent as usize).copied().unwrap_or(0) + 1,
        };
        self.depths.push(depth);
        let no_device = |d: &Device| d.major > MAX_MAJOR || d.minor > MAX_MINOR;
        let why = match &node.what {
            What::Directory(_) if depth > MAX_DEPTH => "the directory is nested too deeply",
            What::Directory(entries) if entries.iter().any(|e| e.name.len() > MAX_NAME_LEN) => {
                "a name in it is longer than 255 bytes"
            }
            What::File(file) if file.size > MAX_FILE_SIZE => "the file is too long",
            What::Symlink(target) if target.is_empty() || target.len() > MAX_TARGET_LEN => {
                "the target of the link is empty or longer than 4095 bytes"
            }
            What::Char(device) | What::Block(device) if no_device(device) => {
                "its device number is out of bounds"
            }
            _ if node.mtime.nsec >= 1_000_000_000 => "its modification time is invalid",
            _ => match self.sets.get(node.xattrs as usize) {
                Some(set) if !fits(set) => "its extended attributes are too many or too long",
                _ => return Ok(()),
            },
        };
        Err(BuildError::Entry { path: self.input.path(at), why })
    }

    fn inode(&mut self, at: u32, node: &Node) -> Result<Inode, BuildError> {
        let kind = self.kind(at, node)?;
        Ok(Inode {
            mode: type_bits(&kind) | node.mode,
            uid: node.uid,
            gid: node.gid,
            xattrs: self.set_number(node.xattrs)?,
            mtime: clamped(node.mtime, self.clamp),
            kind,
        })
    }

    fn kind(&mut self, at: u32, node: &Node) -> Result<Kind, BuildError> {
        Ok(match &node.what {
            What::Directory(entries) => {
                let first = fit(self.tables.dirents.len(), "names")?;
                for entry in entries {
                    let index = self.input.walk.index.get(entry.node as usize);
                    self.tables.dirents.push(Dirent {
                        name_start: fit(self.tables.names.len(), "bytes of names")?,
                        ino: index.map_or(0, |i| i + 1),
                        name_len: u8::try_from(entry.name.len())
                            .ok()
                            .ok_or(BuildError::TooMany("bytes in a name"))?,
                    });
                    self.tables.names.extend_from_slice(&entry.name);
                }
                Kind::Directory { first, count: fit(entries.len(), "names")? }
            }
            What::File(file) => {
                let source = self.same.get(at as usize).copied().unwrap_or(at);
                let own = self.extents.of(source);
                let first = fit(self.tables.extents.len(), "extents")?;
                self.tables.extents.extend_from_slice(own);
                Kind::File { size: file.size, first, count: fit(own.len(), "extents")? }
            }
            What::Symlink(target) => {
                let start = fit(self.tables.targets.len(), "bytes of link targets")?;
                self.tables.targets.extend_from_slice(target);
                Kind::Symlink { start, len: fit(target.len(), "bytes of link targets")? }
            }
            What::Char(device) => Kind::Char(*device),
            What::Block(device) => Kind::Block(*device),
            What::Fifo => Kind::Fifo,
            What::Socket => Kind::Socket,
        })
    }

    fn set_number(&mut self, set: u32) -> Result<u32, BuildError> {
        if let Some(&number) = self.set_numbers.get(&set) {
            return Ok(number);
        }
        let number = fit(self.tables.xattr_sets.len(), "sets of extended attributes")?;
        let attributes = self.sets.get(set as usize).copied().cloned();
        self.tables.xattr_sets.push(attributes.unwrap_or_default());
        self.set_numbers.insert(set, number);
        Ok(number)
    }
}

fn fits(set: &XattrSet) -> bool {
    let names: usize = set.iter().map(|(name, _)| name.len() + 1).sum();
    let each = |(name, value): &(Vec<u8>, Vec<u8>)| {
        (1..=MAX_XATTR_NAME_LEN).contains(&name.len()) && value.len() <= MAX_XATTR_VALUE_LEN
    };
    set.len() <= MAX_XATTRS && names <= MAX_XATTR_LIST_LEN && set.iter().all(each)
}

/// Times later than SOURCE_DATE_EPOCH become it.
fn clamped(time: Time, clamp: Option<i64>) -> Time {
    clamp.map_or(time, |sec| time.min(Time { sec, nsec: 0 }))
}
