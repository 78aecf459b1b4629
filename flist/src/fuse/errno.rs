//! The one place where an error of the file system becomes an errno.

use fuser::Errno;

use crate::fs::FsError;

/// What a program that asked the kernel is told.
pub(super) fn errno(error: &FsError) -> Errno {
    match error {
        FsError::NoSuchInode(_) => Errno::ESTALE,
        FsError::NotDirectory(_) => Errno::ENOTDIR,
        FsError::NameTooLong(_) => Errno::ENAMETOOLONG,
        FsError::NotSymlink(_) | FsError::NotFile(_) => Errno::EINVAL,
        FsError::IsDirectory(_) => Errno::EISDIR,
        FsError::NoXattr(_) => Errno::ENODATA,
        FsError::NoOffset(_) => Errno::ENXIO,
        FsError::Lost { .. } | FsError::Corrupt { .. } | FsError::ShortChunk(_) => Errno::EIO,
        FsError::NoMemory => Errno::ENOMEM,
    }
}
