//! Attributes of inodes and of the whole, as stat(2) and statfs(2) show them; data and holes.

use super::{Fs, FsError};
use crate::image::{Device, Ino, Kind, Time};

/// The unit of `blocks` in stat(2), whatever the block size.
const STAT_BLOCK: u64 = 512;

/// The block size shown: what is read at once is the kernel's matter, not the image's.
pub(super) const BLOCK: u32 = 4096;

/// Attributes of an inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attr {
    /// The inode.
    pub ino: Ino,
    /// Type and permissions.
    pub mode: u32,
    /// Hard links, for a directory 2 and one for each subdirectory.
    pub nlink: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Device number; 0:0 for what is no device.
    pub rdev: Device,
    /// Size in bytes.
    pub size: u64,
    /// Data in units of 512 bytes; holes do not count.
    pub blocks: u64,
    /// Preferred unit of reading.
    pub block_size: u32,
    /// Time of last modification, and of last access and change, which can't be later.
    pub mtime: Time,
    /// When it was created, if the build recorded it.
    pub btime: Option<Time>,
}

/// Name and value of an extended attribute.
pub type Xattr = (Vec<u8>, Vec<u8>);

/// An entry of a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The inode it names.
    pub ino: Ino,
    /// Its name.
    pub name: &'a [u8],
    /// The offset that continues behind it.
    pub next: u64,
}

/// Figures of the whole file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Statfs {
    /// Size of a block.
    pub block_size: u32,
    /// Blocks in all: those of the distinct contents. None is free.
    pub blocks: u64,
    /// Inodes in all. None is free.
    pub files: u64,
    /// Longest name.
    pub name_len: u32,
}

/// What a seek looks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whence {
    /// The first byte of data at or behind the offset.
    Data,
    /// The first byte of a hole at or behind the offset; the end of the file is one.
    Hole,
}

impl Fs {
    /// The attributes of `ino`.
    ///
    /// # Errors
    /// [`FsError::NoSuchInode`].
    pub fn attr(&self, ino: Ino) -> Result<Attr, FsError> {
        let image = &self.image;
        let inode = image.inode(ino).ok_or(FsError::NoSuchInode(u64::from(ino)))?;
        let rdev = match inode.kind {
            Kind::Char(device) | Kind::Block(device) => device,
            _ => Device { major: 0, minor: 0 },
        };
        Ok(Attr {
            ino,
            mode: inode.mode,
            nlink: image.nlink(ino),
            uid: inode.uid,
            gid: inode.gid,
            rdev,
            size: image.size(ino),
            blocks: image.data_len(ino).div_ceil(STAT_BLOCK),
            block_size: BLOCK,
            mtime: inode.mtime,
            btime: image.btime(ino),
        })
    }

    /// The figures of the whole.
    pub fn statfs(&self) -> Statfs {
        Statfs {
            block_size: BLOCK,
            blocks: self.image.content_len().div_ceil(u64::from(BLOCK)),
            files: u64::from(self.image.inode_count()),
            name_len: 255,
        }
    }

    /// Where the next data or hole of file `ino` is at or behind `offset`, as lseek(2) says it.
    ///
    /// # Errors
    /// [`FsError::NoOffset`] behind the end, or where no more data comes; those of a read.
    pub fn seek(&self, ino: Ino, offset: u64, whence: Whence) -> Result<u64, FsError> {
        if offset >= self.file_size(ino)? {
            return Err(FsError::NoOffset(ino));
        }
        let extents = self.image.extents(ino).unwrap_or_default();
        let from = extents.partition_point(|e| e.file_offset + e.len <= offset);
        let rest = extents.get(from..).unwrap_or_default();
        match whence {
            Whence::Data => {
                let next = rest.first().ok_or(FsError::NoOffset(ino))?;
                Ok(next.file_offset.max(offset))
            }
            // Extents may touch: what lies elsewhere in the content space is no hole for that.
            Whence::Hole => Ok(rest.iter().fold(offset, |at, e| {
                if e.file_offset <= at { e.file_offset + e.len } else { at }
            })),
        }
    }
}
