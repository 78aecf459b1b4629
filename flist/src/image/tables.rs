//! The flat tables an image consists of, as the decoder fills and the builder makes them.
//! Nothing here is trusted: [`Image::new`](super::Image::new) checks all of it.

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

/// A point in time, exact to the nanosecond.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Time {
    /// Seconds since 1970, negative before.
    pub sec: i64,
    /// Nanoseconds after `sec`, below 1,000,000,000.
    pub nsec: u32,
}

/// One inode. Inodes stand in the order in which a walk of the directories, in inode order and
/// each in name order, first meets them; so number n + 1 is the inode at index n.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inode {
    /// Type and permissions, as `st_mode` of stat(2); the type agrees with `kind`.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Index into the xattr sets; set 0 is the empty one.
    pub xattrs: u32,
    /// Modification time.
    pub mtime: Time,
    /// What it is, and where its rows in the other tables are.
    pub kind: Kind,
}

/// What an inode is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A directory with `count` dirents from index `first` on, in name order.
    Directory {
        /// Index of the first dirent.
        first: u32,
        /// How many.
        count: u32,
    },
    /// A regular file of `size` bytes with `count` extents from index `first` on, in file order.
    File {
        /// Length in bytes, holes included.
        size: u64,
        /// Index of the first extent.
        first: u32,
        /// How many.
        count: u32,
    },
    /// A symbolic link whose target is `targets[start..start + len]`.
    Symlink {
        /// Offset into the targets.
        start: u32,
        /// Length of the target in bytes.
        len: u32,
    },
    /// A character device.
    Char(Device),
    /// A block device.
    Block(Device),
    /// A named pipe.
    Fifo,
    /// A Unix socket.
    Socket,
}

/// A device number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Device {
    /// Major number, below 2^12.
    pub major: u32,
    /// Minor number, below 2^20.
    pub minor: u32,
}

/// A name in a directory: `names[name_start..name_start + name_len]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dirent {
    /// Offset into the names.
    pub name_start: u32,
    /// The inode it names.
    pub ino: Ino,
    /// Length of the name in bytes, never 0.
    pub name_len: u8,
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

/// The extended attributes of an inode: names and values, in strictly ascending name order.
pub type XattrSet = Vec<(Vec<u8>, Vec<u8>)>;

/// All tables of an image. Fields may hold anything; see [`Image::new`](super::Image::new).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tables {
    /// Inode n is at index n - 1.
    pub inodes: Vec<Inode>,
    /// Directory by directory, in inode order; a directory's in name order.
    pub dirents: Vec<Dirent>,
    /// The names, one after the other in dirent order.
    pub names: Vec<u8>,
    /// File by file, in inode order; a file's in file order.
    pub extents: Vec<Extent>,
    /// The targets of the symbolic links, one after the other in inode order.
    pub targets: Vec<u8>,
    /// Distinct sets; index 0 is the empty set.
    pub xattr_sets: Vec<XattrSet>,
    /// The content space, chunk after chunk.
    pub chunks: Vec<Chunk>,
    /// How many chunks, from the first, a boot reads: what a profile said, in its order. A hint.
    pub profiled: u32,
    /// The packs the chunks lie in.
    pub packs: Vec<Pack>,
    /// Creation times, one an inode, or none at all (`zimg build --btime`).
    pub btimes: Vec<Time>,
    /// Image metadata: key and value in the order given; a key may come more than once.
    pub meta: Vec<(String, String)>,
}
