//! The kernel's structures (`linux/fuse.h`) that requests over io_uring and their answers are made of.

use fuser::INodeNo;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::super::attr::encode_device;
use super::super::server::FOREVER;
use crate::fs::{Attr, Entry, Statfs};

/// `struct fuse_in_header`.
#[derive(FromBytes, KnownLayout, Immutable)]
#[repr(C)]
pub(super) struct InHeader {
    pub(super) len: u32,
    pub(super) opcode: u32,
    pub(super) unique: u64,
    pub(super) ino: u64,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) pid: u32,
    pub(super) padding: u32,
}

impl InHeader {
    pub(super) fn ino(&self) -> INodeNo {
        INodeNo(self.ino)
    }
}

/// `struct fuse_out_header`.
#[derive(IntoBytes, Immutable)]
#[repr(C)]
pub(super) struct OutHeader {
    pub(super) len: u32,
    pub(super) error: i32,
    pub(super) unique: u64,
}

/// `struct fuse_init_in`.
#[derive(FromBytes, KnownLayout, Immutable)]
#[repr(C)]
pub(super) struct InitIn {
    pub(super) major: u32,
    pub(super) minor: u32,
    pub(super) max_readahead: u32,
    pub(super) flags: u32,
    pub(super) flags2: u32,
}

/// `struct fuse_init_out`.
#[derive(IntoBytes, Immutable)]
#[repr(C)]
pub(super) struct InitOut {
    pub(super) major: u32,
    pub(super) minor: u32,
    pub(super) max_readahead: u32,
    pub(super) flags: u32,
    pub(super) max_background: u16,
    pub(super) congested: u16,
    pub(super) max_write: u32,
    pub(super) time_granularity: u32,
    pub(super) max_pages: u16,
    pub(super) unused: u16,
    pub(super) flags2: u32,
    pub(super) rest: [u32; 7],
}
const _: () = assert!(size_of::<InitOut>() == 64);

/// The beginning of `struct fuse_read_in`: what is read, a file or a directory.
#[derive(FromBytes, KnownLayout, Immutable)]
#[repr(C)]
pub(super) struct ReadIn {
    pub(super) handle: u64,
    pub(super) offset: u64,
    pub(super) size: u32,
}

/// The beginning of `struct fuse_lseek_in`.
#[derive(FromBytes, KnownLayout, Immutable)]
#[repr(C)]
pub(super) struct SeekIn {
    pub(super) handle: u64,
    pub(super) offset: i64,
    pub(super) whence: i32,
}

/// `struct fuse_getxattr_in`, and `struct fuse_getxattr_out`.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub(super) struct XattrSize {
    pub(super) size: u32,
    pub(super) padding: u32,
}

/// `struct fuse_attr`.
#[derive(IntoBytes, Immutable)]
#[repr(C)]
pub(super) struct Attributes {
    ino: u64,
    size: u64,
    blocks: u64,
    times: [i64; 3],
    nanoseconds: [u32; 3],
    mode: u32,
    nlink: u32,
    uid: u32,
    gid: u32,
    rdev: u32,
    block_size: u32,
    flags: u32,
}
const _: () = assert!(size_of::<Attributes>() == 88);

impl From<&Attr> for Attributes {
    fn from(attr: &Attr) -> Self {
        Self {
            ino: u64::from(attr.ino),
            size: attr.size,
            blocks: attr.blocks,
            times: [attr.mtime.sec; 3],
            nanoseconds: [attr.mtime.nsec; 3],
            mode: attr.mode,
            nlink: attr.nlink,
            uid: attr.uid,
            gid: attr.gid,
            rdev: encode_device(attr.rdev),
            block_size: attr.block_size,
            flags: 0,
        }
    }
}

/// `struct fuse_attr_out`.
#[derive(IntoBytes, Immutable)]
#[repr(C)]
pub(super) struct AttrOut {
    valid: u64,
    valid_nanoseconds: u32,
    padding: u32,
    attr: Attributes,
}

impl From<&Attr> for AttrOut {
    fn from(attr: &Attr) -> Self {
        Self { valid: FOREVER.as_secs(), valid_nanoseconds: 0, padding: 0, attr: attr.into() }
    }
}

/// `struct fuse_entry_out`.
#[derive(IntoBytes, Immutable)]
#[repr(C)]
pub(super) struct EntryOut {
    ino: u64,
    generation: u64,
    valid: u64,
    attr_valid: u64,
    nanoseconds: [u32; 2],
    attr: Attributes,
}

impl From<&Attr> for EntryOut {
    fn from(attr: &Attr) -> Self {
        let (ino, valid) = (u64::from(attr.ino), FOREVER.as_secs());
        let attr = attr.into();
        Self { ino, generation: 0, valid, attr_valid: valid, nanoseconds: [0; 2], attr }
    }
}

/// `struct fuse_entry_out` of a name that there is not, which stays so.
pub(super) fn no_entry() -> [u8; size_of::<EntryOut>()] {
    let mut bytes = [0; size_of::<EntryOut>()];
    bytes[16..24].copy_from_slice(&FOREVER.as_secs().to_ne_bytes());
    bytes
}

/// `struct fuse_dirent`, but for the name.
#[derive(IntoBytes, Immutable)]
#[repr(C)]
pub(super) struct Dirent {
    ino: u64,
    next: u64,
    name_len: u32,
    kind: u32,
}

impl Dirent {
    pub(super) fn new(entry: &Entry<'_>, attr: &Attr) -> Self {
        let name_len = u32::try_from(entry.name.len()).unwrap_or_default();
        Self {
            ino: u64::from(entry.ino),
            next: entry.next,
            name_len,
            kind: (attr.mode & 0o170_000) >> 12,
        }
    }
}

/// `struct fuse_statfs_out`.
#[derive(IntoBytes, Immutable)]
#[repr(C)]
pub(super) struct StatfsOut {
    blocks: u64,
    free: [u64; 2],
    files: u64,
    free_files: u64,
    block_size: u32,
    name_len: u32,
    fragment_size: u32,
    rest: [u32; 7],
}
const _: () = assert!(size_of::<StatfsOut>() == 80);

impl From<Statfs> for StatfsOut {
    fn from(s: Statfs) -> Self {
        Self {
            blocks: s.blocks,
            free: [0; 2],
            files: s.files,
            free_files: 0,
            block_size: s.block_size,
            name_len: s.name_len,
            fragment_size: s.block_size,
            rest: [0; 7],
        }
    }
}
