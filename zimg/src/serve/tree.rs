//! The served directory: opens what lies beneath it and nothing else, whatever links say.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::plan::Facts;
use super::response::Status;

/// The directory, held open: renaming it changes nothing.
pub(super) struct Tree {
    root: OwnedFd,
}

/// What a path led to.
pub(super) enum Found {
    File(File, Facts),
    Directory(Vec<Entry>),
}

/// A line of a directory's page.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry {
    pub(super) name: Vec<u8>,
    pub(super) directory: bool,
    pub(super) len: u64,
}

impl Tree {
    /// Opens `dir`, whatever links lead to it.
    pub(super) fn open(dir: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self { root: rustix::fs::open(dir, flags, Mode::empty())? })
    }

    /// Finds `path` (relative, without `..`). Links are followed as long as they stay inside.
    pub(super) fn find(&self, path: &[u8]) -> Result<Found, Status> {
        let path = if path.is_empty() { b"." } else { path };
        // Not blocking, for the case that it is a fifo.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let inside = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        let open = || {
            rustix::fs::openat2(&self.root, OsStr::from_bytes(path), flags, Mode::empty(), inside)
        };
        let opened = loop {
            match open() {
                // Something was renamed meanwhile, so the kernel could not be sure.
                Err(Errno::AGAIN | Errno::INTR) => {}
                result => break result,
            }
        };
        look(opened.map_err(status)?)
    }
}

fn look(opened: OwnedFd) -> Result<Found, Status> {
    let stat = rustix::fs::fstat(&opened).map_err(status)?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => {
            let len = u64::try_from(stat.st_size).map_err(|_negative| Status::InternalError)?;
            let nanos =
                i64::try_from(stat.st_mtime_nsec).map_err(|_negative| Status::InternalError)?;
            Ok(Found::File(File::from(opened), Facts { len, seconds: stat.st_mtime, nanos }))
        }
        FileType::Directory => entries(&opened).map(Found::Directory).map_err(status),
        _ => Err(Status::Forbidden),
    }
}

fn entries(dir: &OwnedFd) -> Result<Vec<Entry>, Errno> {
    let mut entries = Vec::new();
    for entry in rustix::fs::Dir::read_from(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let stat = match rustix::fs::statat(dir, name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => continue,
            Err(error) => return Err(error),
        };
        entries.push(Entry {
            name: name.to_bytes().to_vec(),
            directory: FileType::from_raw_mode(stat.st_mode) == FileType::Directory,
            len: u64::try_from(stat.st_size).unwrap_or(0),
        });
    }
    entries.sort_unstable();
    Ok(entries)
}

/// The one table from what the system says to what the client hears.
fn status(error: Errno) -> Status {
    match error {
        Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG => Status::NotFound,
        Errno::ACCESS | Errno::PERM | Errno::XDEV | Errno::LOOP | Errno::NXIO => Status::Forbidden,
        Errno::MFILE | Errno::NFILE | Errno::NOMEM => Status::Unavailable,
        _ => Status::InternalError,
    }
}
