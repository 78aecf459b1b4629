//! What requests ask of an [`Fs`], in numbers as the kernel has them and errors as programs see them.

use std::sync::Arc;

use rustix::io::Errno;

use super::Counts;
use super::errno::errno;
use crate::fs::{Attr, Entry, Fs, FsError, Whence};
use crate::image::Ino;

/// Of lseek(2); the kernel answers the others itself.
const SEEK_DATA: i32 = 3;
const SEEK_HOLE: i32 = 4;

/// Answers requests.
pub(super) struct Server {
    pub(super) fs: Arc<Fs>,
    pub(super) counts: Arc<Counts>,
    /// The kernel understands ENOSYS to an open as "never ask again".
    pub(super) no_open: bool,
    /// The same of directories.
    pub(super) no_opendir: bool,
}

impl Server {
    pub(super) fn ino(&self, ino: u64) -> Result<Ino, Errno> {
        self.fs.ino(ino).map_err(|e| errno(&e))
    }

    pub(super) fn entry(&self, dir: u64, name: &[u8]) -> Result<Option<Attr>, Errno> {
        let found = self.fs.lookup(self.ino(dir)?, name).map_err(|e| errno(&e))?;
        found.map(|ino| self.fs.attr(ino).map_err(|e| errno(&e))).transpose()
    }

    pub(super) fn attr(&self, ino: u64) -> Result<Attr, Errno> {
        self.fs.attr(self.ino(ino)?).map_err(|e| errno(&e))
    }

    pub(super) fn target(&self, ino: u64) -> Result<&[u8], Errno> {
        self.fs.readlink(self.ino(ino)?).map_err(|e| errno(&e))
    }

    /// Goes through a directory from `offset` on, until `add` has no room for more.
    pub(super) fn list(
        &self,
        dir: u64,
        offset: u64,
        mut add: impl FnMut(&Entry<'_>, &Attr) -> bool,
    ) -> Result<(), Errno> {
        let failed = |e: FsError| errno(&e);
        for entry in self.fs.entries(self.ino(dir)?, offset).map_err(failed)? {
            if add(&entry, &self.fs.attr(entry.ino).map_err(failed)?) {
                break;
            }
        }
        Ok(())
    }

    /// Reads `size` bytes of a file. `done` is called with them, or with what to tell who asked: at
    /// once, or by who fetched them.
    pub(super) fn read(
        &self,
        ino: u64,
        offset: u64,
        size: u32,
        done: impl FnOnce(Result<&[u8], Errno>) + Send + 'static,
    ) {
        let ino = match self.ino(ino) {
            Ok(ino) => ino,
            Err(error) => return done(Err(error)),
        };
        let image = Arc::clone(self.fs.image());
        // The reply goes with the fetch, if there is one; this thread goes on.
        self.fs.read(ino, offset, size as usize, move |result| {
            done(result.map_err(|error| {
                let path = image.path(ino).unwrap_or_default();
                log::error!("{}: {error}", String::from_utf8_lossy(&path));
                errno(&error)
            }));
        });
    }

    pub(super) fn xattr(&self, ino: u64, name: &[u8]) -> Result<&[u8], Errno> {
        self.fs.xattr(self.ino(ino)?, name).map_err(|e| errno(&e))
    }

    /// The names of the attributes, each with a final zero.
    pub(super) fn xattr_names(&self, ino: u64, by_root: bool) -> Result<Vec<u8>, Errno> {
        let mut names = Vec::new();
        for (name, _) in self.fs.xattrs(self.ino(ino)?).map_err(|e| errno(&e))? {
            // Other file systems too show these only to who may read them.
            if by_root || !name.starts_with(b"trusted.") {
                names.extend_from_slice(name);
                names.push(0);
            }
        }
        Ok(names)
    }

    pub(super) fn seek(&self, ino: u64, offset: i64, whence: i32) -> Result<i64, Errno> {
        let whence = match whence {
            SEEK_DATA => Whence::Data,
            SEEK_HOLE => Whence::Hole,
            _ => return Err(Errno::INVAL),
        };
        let offset = u64::try_from(offset).map_err(|_negative| Errno::NXIO)?;
        let at = self.fs.seek(self.ino(ino)?, offset, whence).map_err(|e| errno(&e))?;
        i64::try_from(at).map_err(|_too_far| Errno::OVERFLOW)
    }
}
