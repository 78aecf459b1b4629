//! The one place where an error of the file system becomes an errno.

use rustix::io::Errno;

use crate::fs::FsError;

/// What a program that asked the kernel is told.
pub(super) fn errno(error: &FsError) -> Errno {
    match error {
        FsError::NoSuchInode(_) => Errno::STALE,
        FsError::NotDirectory(_) => Errno::NOTDIR,
        FsError::NameTooLong(_) => Errno::NAMETOOLONG,
        FsError::NotSymlink(_) | FsError::NotFile(_) => Errno::INVAL,
        FsError::IsDirectory(_) => Errno::ISDIR,
        FsError::NoXattr(_) => Errno::NODATA,
        FsError::NoOffset(_) => Errno::NXIO,
        FsError::Lost { .. } | FsError::Corrupt { .. } | FsError::ShortChunk(_) => Errno::IO,
        FsError::NoMemory => Errno::NOMEM,
    }
}
