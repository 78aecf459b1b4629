//! What the kernel is told of an [`Fs`], whichever way it asks, and the crate fuser as one of these:
//! only this module, `requests` and `attr` know more of it than numbers. The other is `ring`.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use fuser::{
    Config, Errno, Generation, INodeNo, InitFlags, KernelConfig, ReplyXattr, Session, SessionACL,
};

use super::MountOptions;
use super::errno::errno;
use crate::fs::{Attr, Entry, Fs, FsError, Whence};
use crate::image::Ino;

/// An image never changes: what the kernel has learnt stays true. (136 years.)
pub(super) const FOREVER: Duration = Duration::from_secs(u32::MAX as u64);
/// Inode numbers are never reused.
pub(super) const GENERATION: Generation = Generation(0);
/// Longest read, so longest request: 256 pages, the most the kernel allows by default.
pub(super) const MAX_REQUEST: u32 = 1 << 20;
/// Reads the kernel keeps going in the background. Many, as they may all wait for the network
/// while the next could be answered from memory.
pub(super) const MAX_BACKGROUND: u16 = 1024;
/// With so many going the kernel no longer reads ahead of need.
pub(super) const CONGESTED: u16 = 256;

/// Of lseek(2); the kernel answers the others itself.
const SEEK_DATA: i32 = 3;
const SEEK_HOLE: i32 = 4;

/// What makes the kernel ask less. Each is used if it has it. Every listing brings attributes, not
/// only those the kernel expects to need them (`READDIRPLUS_AUTO`): a walk that stats takes two
/// thirds of the time, one that does not takes no longer.
const WANTED: [InitFlags; 6] = [
    InitFlags::FUSE_ASYNC_READ,
    InitFlags::FUSE_PARALLEL_DIROPS,
    InitFlags::FUSE_CACHE_SYMLINKS,
    InitFlags::FUSE_DO_READDIRPLUS,
    InitFlags::FUSE_NO_OPEN_SUPPORT,
    InitFlags::FUSE_NO_OPENDIR_SUPPORT,
];

/// Which of the features that are `offered` make the kernel ask less, or right. What an old kernel
/// lacks it does without.
pub(super) fn wanted(fs: &Fs, offered: InitFlags) -> InitFlags {
    let mut wanted = WANTED.into_iter().collect::<InitFlags>();
    // Overlayfs looks for the origin of a file that was written to by its handle, and from Linux
    // 6.16 on takes what it finds for stale (ESTALE) from the second look on, if the kernel had
    // forgotten it meanwhile. So handles are not offered (possible from 6.9 on), or always good.
    wanted |= if offered.contains(InitFlags::FUSE_NO_EXPORT_SUPPORT) {
        InitFlags::FUSE_NO_EXPORT_SUPPORT
    } else {
        InitFlags::FUSE_EXPORT_SUPPORT
    };
    if fs.has_acls() {
        wanted |= InitFlags::FUSE_POSIX_ACL;
    }
    wanted & offered
}

/// Comes to terms with the kernel about a mount just made.
pub(super) fn handshake(
    fs: Arc<Fs>,
    device: OwnedFd,
    options: &MountOptions,
) -> io::Result<Session<Server>> {
    let mut config = Config::default();
    config.n_threads = Some(options.threads.max(1));
    config.clone_fd = true;
    config.acl = SessionACL::All;
    let server = Server { fs, no_open: false, no_opendir: false };
    Session::from_fd(server, device, SessionACL::All, config)
}

/// Answers requests.
pub(super) struct Server {
    pub(super) fs: Arc<Fs>,
    /// The kernel understands ENOSYS to an open as "never ask again".
    pub(super) no_open: bool,
    /// The same of directories.
    pub(super) no_opendir: bool,
}

impl Server {
    /// Agrees with the kernel on what makes it ask less.
    pub(super) fn agree(&mut self, config: &mut KernelConfig) -> io::Result<()> {
        // All of these were offered.
        let _ = config.add_capabilities(wanted(&self.fs, config.capabilities()));
        let has = |flag| config.capabilities().contains(flag);
        self.no_open = has(InitFlags::FUSE_NO_OPEN_SUPPORT);
        self.no_opendir = has(InitFlags::FUSE_NO_OPENDIR_SUPPORT);
        let bad = |near| io::Error::other(format!("fuser allows {near} only"));
        config.set_max_write(MAX_REQUEST).map_err(bad)?;
        config.set_max_background(MAX_BACKGROUND).map_err(|near| bad(near.into()))?;
        config.set_congestion_threshold(CONGESTED).map_err(|near| bad(near.into()))?;
        Ok(())
    }

    pub(super) fn ino(&self, ino: INodeNo) -> Result<Ino, FsError> {
        self.fs.ino(ino.0)
    }

    pub(super) fn entry(&self, dir: INodeNo, name: &[u8]) -> Result<Option<Attr>, FsError> {
        let found = self.fs.lookup(self.ino(dir)?, name)?;
        found.map(|ino| self.fs.attr(ino)).transpose()
    }

    pub(super) fn attr(&self, ino: INodeNo) -> Result<Attr, FsError> {
        self.fs.attr(self.ino(ino)?)
    }

    pub(super) fn list(
        &self,
        dir: INodeNo,
        offset: u64,
        mut add: impl FnMut(&Entry<'_>, &Attr) -> bool,
    ) -> Result<(), FsError> {
        for entry in self.fs.entries(self.ino(dir)?, offset)? {
            if add(&entry, &self.fs.attr(entry.ino)?) {
                break;
            }
        }
        Ok(())
    }

    /// Reads `size` bytes of a file. `done` is called with them, or with what to tell who asked: at
    /// once, or by who fetched them.
    pub(super) fn read_file(
        &self,
        ino: INodeNo,
        offset: u64,
        size: u32,
        done: impl FnOnce(Result<&[u8], Errno>) + Send + 'static,
    ) {
        let ino = match self.ino(ino) {
            Ok(ino) => ino,
            Err(error) => return done(Err(errno(&error))),
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

    /// The names of the attributes, each with a final zero.
    pub(super) fn xattr_names(&self, ino: INodeNo, by_root: bool) -> Result<Vec<u8>, FsError> {
        let mut names = Vec::new();
        for (name, _) in self.fs.xattrs(self.ino(ino)?)? {
            // Other file systems too show these only to who may read them.
            if by_root || !name.starts_with(b"trusted.") {
                names.extend_from_slice(name);
                names.push(0);
            }
        }
        Ok(names)
    }

    pub(super) fn seek_file(&self, ino: INodeNo, offset: i64, whence: i32) -> Result<i64, Errno> {
        let whence = match whence {
            SEEK_DATA => Whence::Data,
            SEEK_HOLE => Whence::Hole,
            _ => return Err(Errno::EINVAL),
        };
        let offset = u64::try_from(offset).map_err(|_negative| Errno::ENXIO)?;
        let at = self.ino(ino).and_then(|ino| self.fs.seek(ino, offset, whence));
        i64::try_from(at.map_err(|e| errno(&e))?).map_err(|_too_far| Errno::EOVERFLOW)
    }
}

/// Answers a question about xattrs: `size` 0 asks how long the answer is.
pub(super) fn reply_xattr(reply: ReplyXattr, size: u32, value: Result<&[u8], FsError>) {
    let value = match value {
        Ok(value) => value,
        Err(error) => return reply.error(errno(&error)),
    };
    match u32::try_from(value.len()) {
        Ok(len) if size == 0 => reply.size(len),
        Ok(len) if len <= size => reply.data(value),
        Ok(_) | Err(_) => reply.error(Errno::ERANGE),
    }
}
