//! An image: the validated tables of an flist. Whatever holds an [`Image`] may index without fear.

use crate::chunk::Chunk;
use crate::id::PackId;

/// Inode number; the root is 1. Numbers are dense: an image of n inodes has 1..=n.
pub type Ino = u32;

/// The root directory.
pub const ROOT: Ino = 1;

/// A pack file of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pack {
    /// Names the file: `packs/<id>`.
    pub id: PackId,
    /// Its length in bytes.
    pub len: u64,
}

/// Attributes every inode has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attr {
    /// Type and permissions, as in `st_mode` of stat(2).
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Modification time: seconds since 1970, negative before.
    pub mtime: i64,
    /// Nanoseconds of the modification time, below 1,000,000,000.
    pub mtime_nsec: u32,
    /// Index into the xattr sets; 0 is the empty set.
    pub xattrs: u32,
}

/// A run of a file's bytes that lies in the content space. Bytes in no extent are a hole: zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Where in the file.
    pub file_offset: u64,
    /// Where in the content space.
    pub content_offset: u64,
    /// How many bytes, never 0.
    pub len: u64,
}
