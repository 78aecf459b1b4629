//! The kernel's numbers and structures (`linux/fuse.h`) that requests and their answers are made of.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::fs::{Attr, Entry, Statfs};
use crate::image::Device;

/// The protocol's version that this speaks, the first with io_uring. What an older kernel has not is
/// not agreed upon.
pub(super) const MAJOR: u32 = 7;
pub(super) const MINOR: u32 = 42;
/// The shortest buffer that the kernel lets `/dev/fuse` be read with. What is longer, such as an ioctl's
/// data, it refuses itself.
pub(super) const MIN_BUFFER: usize = 8192;
/// An image never changes: what the kernel has learnt stays true. (136 years, in seconds.)
const FOREVER: u64 = u32::MAX as u64;

/// `enum fuse_opcode`.
pub(super) mod op {
    pub(crate) const LOOKUP: u32 = 1;
    pub(crate) const FORGET: u32 = 2;
    pub(crate) const GETATTR: u32 = 3;
    pub(crate) const SETATTR: u32 = 4;
    pub(crate) const READLINK: u32 = 5;
    pub(crate) const SYMLINK: u32 = 6;
    pub(crate) const MKNOD: u32 = 8;
    pub(crate) const MKDIR: u32 = 9;
    pub(crate) const UNLINK: u32 = 10;
    pub(crate) const RMDIR: u32 = 11;
    pub(crate) const RENAME: u32 = 12;
    pub(crate) const LINK: u32 = 13;
    pub(crate) const OPEN: u32 = 14;
    pub(crate) const READ: u32 = 15;
    pub(crate) const WRITE: u32 = 16;
    pub(crate) const STATFS: u32 = 17;
    pub(crate) const RELEASE: u32 = 18;
    pub(crate) const SETXATTR: u32 = 21;
    pub(crate) const GETXATTR: u32 = 22;
    pub(crate) const LISTXATTR: u32 = 23;
    pub(crate) const REMOVEXATTR: u32 = 24;
    pub(crate) const INIT: u32 = 26;
    pub(crate) const OPENDIR: u32 = 27;
    pub(crate) const READDIR: u32 = 28;
    pub(crate) const RELEASEDIR: u32 = 29;
    pub(crate) const CREATE: u32 = 35;
    pub(crate) const INTERRUPT: u32 = 36;
    pub(crate) const BATCH_FORGET: u32 = 42;
    pub(crate) const FALLOCATE: u32 = 43;
    pub(crate) const READDIRPLUS: u32 = 44;
    pub(crate) const RENAME2: u32 = 45;
    pub(crate) const LSEEK: u32 = 46;
    pub(crate) const COPY_FILE_RANGE: u32 = 47;
    pub(crate) const TMPFILE: u32 = 51;
}

/// What kernel and server may agree upon: `FUSE_ASYNC_READ` and those that follow.
pub(super) mod feature {
    pub(crate) const ASYNC_READ: u64 = 1;
    pub(crate) const EXPORT_SUPPORT: u64 = 1 << 4;
    pub(crate) const DO_READDIRPLUS: u64 = 1 << 13;
    pub(crate) const NO_OPEN_SUPPORT: u64 = 1 << 17;
    pub(crate) const PARALLEL_DIROPS: u64 = 1 << 18;
    pub(crate) const POSIX_ACL: u64 = 1 << 20;
    pub(crate) const MAX_PAGES: u64 = 1 << 22;
    pub(crate) const CACHE_SYMLINKS: u64 = 1 << 23;
    pub(crate) const NO_OPENDIR_SUPPORT: u64 = 1 << 24;
    pub(crate) const INIT_EXT: u64 = 1 << 30;
    pub(crate) const NO_EXPORT_SUPPORT: u64 = 1 << 38;
    pub(crate) const OVER_IO_URING: u64 = 1 << 41;
}

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

/// `struct fuse_out_header`.
#[derive(IntoBytes, Immutable)]
#[repr(C)]
pub(super) struct OutHeader {
    pub(super) len: u32,
    pub(super) error: i32,
    pub(super) unique: u64,
}

/// `struct fuse_init_in`; old kernels end it behind `flags`.
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

/// `struct fuse_open_out`.
#[derive(IntoBytes, Immutable)]
#[repr(C)]
pub(super) struct OpenOut {
    pub(super) handle: u64,
    pub(super) flags: u32,
    pub(super) padding: u32,
}

impl OpenOut {
    /// That what the kernel keeps of the file, or the listing of the directory, stays true.
    pub(super) const KEEP: Self = Self { handle: 0, flags: 1 << 1 | 1 << 3, padding: 0 };
}

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
        Self { valid: FOREVER, valid_nanoseconds: 0, padding: 0, attr: attr.into() }
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
        let (ino, valid) = (u64::from(attr.ino), FOREVER);
        let attr = attr.into();
        Self { ino, generation: 0, valid, attr_valid: valid, nanoseconds: [0; 2], attr }
    }
}

/// `struct fuse_entry_out` of a name that there is not, which stays so.
pub(super) fn no_entry() -> [u8; size_of::<EntryOut>()] {
    const VALID: usize = std::mem::offset_of!(EntryOut, valid);
    let mut bytes = [0; size_of::<EntryOut>()];
    bytes[VALID..VALID + 8].copy_from_slice(&FOREVER.to_ne_bytes());
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

/// As the kernel's new_encode_dev does.
fn encode_device(Device { major, minor }: Device) -> u32 {
    (minor & 0xff) | (major << 8) | ((minor & !0xff) << 12)
}

const _: () = {
    assert!(size_of::<InHeader>() == 40 && size_of::<OutHeader>() == 16);
    assert!(size_of::<OpenOut>() == 16 && size_of::<AttrOut>() == 104);
    assert!(size_of::<EntryOut>() == 128 && size_of::<Dirent>() == 24);
    assert!(size_of::<XattrSize>() == 8);
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_as_the_kernel_encodes_them() {
        assert_eq!(encode_device(Device { major: 8, minor: 1 }), 0x801);
        assert_eq!(encode_device(Device { major: 0xfff, minor: 0xf_ffff }), 0xffff_ffff);
        assert_eq!(encode_device(Device { major: 259, minor: 256 }), 0x11_0300);
    }
}
