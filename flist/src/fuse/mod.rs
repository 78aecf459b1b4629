//! The FUSE server: mounts a file system and answers the kernel until it is unmounted. No thread
//! that answers the kernel ever waits for the network, and no dead mount is left behind.

mod answer;
mod counts;
mod device;
mod errno;
mod fusermount;
mod handshake;
mod kernel;
mod lookout;
mod readahead;
mod ring;
mod server;
#[cfg(test)]
mod tests;
mod wire;

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use rustix::io::Errno;

use crate::fs::Fs;
pub use counts::Counts;
use kernel::Target;
pub use readahead::Readahead;

/// How to mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountOptions {
    /// Let all users in, as the permissions in the image say, not only who mounts.
    pub allow_other: bool,
    /// Honour setuid, setgid and file capabilities.
    pub suid: bool,
    /// Honour device nodes.
    pub dev: bool,
    /// How many threads answer the kernel.
    pub threads: usize,
    /// How much the kernel reads ahead, in KiB; it takes root to raise it.
    pub readahead_kib: u32,
}

impl Default for MountOptions {
    fn default() -> Self {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        Self {
            allow_other: false,
            suid: false,
            dev: false,
            threads: cores.clamp(MIN_THREADS, MAX_THREADS),
            readahead_kib: READAHEAD_KIB,
        }
    }
}

/// Read in order from 50 ms away, a file comes at 5 MB/s with the kernel's own 128 KiB, 37 with
/// 1 MiB, 131 with 4: enough for links of 100 Mbit/s at that distance and 1 Gbit/s at 10 ms. More
/// costs more where it hurts: each fault of a mapped file reads as much around it.
pub const READAHEAD_KIB: u32 = 1024;

/// The same while a profile is recorded, and while a boot follows one: what is read ahead then is what
/// was read ahead when it was recorded, and so is in it. With other figures a boot of Debian that reads
/// 11.5 MB by its profile reads 4 MB and more beside it.
pub const PROFILED_READAHEAD_KIB: u32 = 128;

/// Decompressing threads leave one for what is answered from tables.
const MIN_THREADS: usize = 4;
/// Beyond this the kernel's one queue is what they would wait for.
const MAX_THREADS: usize = 16;

/// Why nothing was mounted.
#[derive(Debug, thiserror::Error)]
pub enum MountError {
    /// There is no such directory, or it can't be reached.
    #[error("{}: {error}", dir.display())]
    Directory {
        /// Where to mount.
        dir: PathBuf,
        /// What the kernel said.
        error: io::Error,
    },
    /// The server of what is mounted there has ended, without unmounting.
    #[error("{dir}: a dead mount is in the way; take it off with `umount {dir}`", dir = .0.display())]
    Dead(PathBuf),
    /// What is there is no directory.
    #[error("{}: not a directory", .0.display())]
    NotDirectory(PathBuf),
    /// The kernel has no FUSE.
    #[error("/dev/fuse is missing: load the kernel's module with `modprobe fuse`")]
    NoDevice,
    /// `/dev/fuse` is there but can't be opened.
    #[error("/dev/fuse can't be opened: {0}")]
    Device(io::Error),
    /// Only root may call mount(2), and there is no helper for others.
    #[error(
        "only root may mount without the program fusermount3: run this as root, or install the \
         package fuse3"
    )]
    NoFusermount,
    /// fusermount3 refused.
    #[error("fusermount3: {0}")]
    Fusermount(String),
    /// mount(2) refused.
    #[error("mounting on {} failed: {error}", dir.display())]
    Refused {
        /// Where to mount.
        dir: PathBuf,
        /// What the kernel said.
        error: io::Error,
    },
    /// The kernel and the server did not come to terms.
    #[error("the kernel's FUSE can't be talked to: {0}")]
    Handshake(io::Error),
}

/// Why something is still mounted.
#[derive(Debug, thiserror::Error)]
pub enum UnmountError {
    /// Files or directories in it are in use.
    #[error("{}: in use; close what is open below it, or `fuser -vm` it to find out", .0.display())]
    Busy(PathBuf),
    /// The kernel or fusermount3 refused for another reason.
    #[error("{}: {why}", dir.display())]
    Refused {
        /// Where it is mounted.
        dir: PathBuf,
        /// What was said.
        why: String,
    },
}

/// A mounted file system. Dropping it unmounts by force: whoever waits for a read gets an error.
/// Detached before, it goes on until the last file in it is closed, or the program ends.
#[derive(Debug)]
pub struct Mounted {
    target: Arc<Target>,
    server: Option<JoinHandle<io::Result<()>>>,
    readahead: Option<Readahead>,
    counts: Arc<Counts>,
    transport: Transport,
}

/// Unmounts from any thread, such as the one that waits for signals.
#[derive(Debug, Clone)]
pub struct Unmounter(Arc<Target>);

/// How requests come from the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Transport {
    /// By reading `/dev/fuse`.
    Device,
    /// Over io_uring, where the kernel offers that.
    Rings,
}

/// Mounts `fs` on directory `dir`, read-only, and answers until it is unmounted.
///
/// # Errors
/// [`MountError`]; nothing is mounted then.
pub fn mount(fs: Arc<Fs>, dir: &Path, options: &MountOptions) -> Result<Mounted, MountError> {
    if ring::offered() {
        match mount_over(Transport::Rings, Arc::clone(&fs), dir, options) {
            // Too late for the other on the same mount.
            Err(MountError::Handshake(why)) => log::debug!("{}: no io_uring: {why}", dir.display()),
            result => return result,
        }
    }
    mount_over(Transport::Device, fs, dir, options)
}

/// Mounts with requests to come so, or over `/dev/fuse` where there can be no rings.
fn mount_over(
    transport: Transport,
    fs: Arc<Fs>,
    dir: &Path,
    options: &MountOptions,
) -> Result<Mounted, MountError> {
    let failed = |error| match Errno::from_io_error(&error) {
        // The latter where it dies just now.
        Some(Errno::NOTCONN | Errno::CONNABORTED) => MountError::Dead(dir.to_owned()),
        _ => MountError::Directory { dir: dir.to_owned(), error },
    };
    let dir = dir.canonicalize().map_err(failed)?;
    if !dir.metadata().map_err(failed)?.is_dir() {
        return Err(MountError::NotDirectory(dir));
    }
    let (device, target) = kernel::mount(&dir, options)?;
    let target = Arc::new(target);
    let mounted = serve(transport, fs, device, options, Arc::clone(&target)).map_err(|error| {
        target.abort();
        MountError::Handshake(error)
    })?;
    let how = match mounted.transport {
        Transport::Device => "/dev/fuse",
        Transport::Rings => "io_uring",
    };
    log::debug!("{}: requests come over {how}", mounted.dir().display());
    Ok(mounted)
}

fn serve(
    transport: Transport,
    fs: Arc<Fs>,
    device: OwnedFd,
    options: &MountOptions,
    target: Arc<Target>,
) -> io::Result<Mounted> {
    let rings = match transport {
        Transport::Device => None,
        Transport::Rings => {
            let refused = |why: &io::Error| log::debug!("no io_uring: {why}");
            ring::Rings::new(&device).inspect_err(refused).ok()
        }
    };
    let transport = if rings.is_some() { transport } else { Transport::Device };
    let counts = Arc::<Counts>::default();
    let counted = Arc::clone(&counts);
    let run: Box<dyn FnOnce() -> io::Result<()> + Send> = match rings {
        Some(rings) => {
            let session = rings.begin(fs, counted, device)?;
            Box::new(|| session.run())
        }
        None => {
            let session = device::Session::begin(fs, counted, device, options.threads)?;
            Box::new(|| session.run())
        }
    };
    target.identify();
    let serve = {
        let target = Arc::clone(&target);
        move || {
            let result = run();
            // It is unmounted already, unless the server failed.
            target.abort();
            result
        }
    };
    let server = Some(thread::Builder::new().name("fuse".into()).spawn(serve)?);
    let readahead = target.device().and_then(Readahead::of);
    if let Some(readahead) = &readahead {
        readahead.set(options.readahead_kib);
    }
    Ok(Mounted { target, server, readahead, counts, transport })
}

impl Mounted {
    /// A handle to unmount with.
    pub fn unmounter(&self) -> Unmounter {
        Unmounter(Arc::clone(&self.target))
    }

    /// How much the kernel reads ahead, to be changed later: for who may, and once.
    pub fn take_readahead(&mut self) -> Option<Readahead> {
        self.readahead.take()
    }

    /// How often the kernel has asked since.
    pub fn counts(&self) -> Arc<Counts> {
        Arc::clone(&self.counts)
    }

    /// The canonical path of the mount.
    pub fn dir(&self) -> &Path {
        self.target.dir()
    }

    /// Waits until it is unmounted, by an [`Unmounter`] or by others, and nobody uses it any more.
    ///
    /// # Errors
    /// When the server failed; the mount is detached then.
    pub fn wait(mut self) -> io::Result<()> {
        self.join()
    }

    /// Unmounts and waits until that is done.
    ///
    /// # Errors
    /// [`UnmountError`]; it stays mounted then.
    pub fn unmount(&mut self) -> Result<(), UnmountError> {
        self.target.unmount()?;
        let dir = self.dir().to_owned();
        self.join().map_err(|error| UnmountError::Refused { dir, why: error.to_string() })
    }

    fn join(&mut self) -> io::Result<()> {
        let Some(server) = self.server.take() else { return Ok(()) };
        server.join().unwrap_or_else(|_| Err(io::Error::other("the FUSE server panicked")))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if self.server.as_ref().is_none_or(JoinHandle::is_finished) {
            return;
        }
        // Where it can't be ended, users of files keep the server, and it ends with them.
        if self.target.abort()
            && let Err(error) = self.join()
        {
            log::warn!("{}: {error}", self.dir().display());
        }
    }
}

impl Unmounter {
    /// Unmounts if nobody uses it.
    ///
    /// # Errors
    /// [`UnmountError::Busy`] while in use; it stays mounted and served.
    pub fn unmount(&self) -> Result<(), UnmountError> {
        self.0.unmount()
    }

    /// Takes the mount away from its directory; who uses files in it goes on until they close.
    ///
    /// # Errors
    /// [`UnmountError::Refused`].
    pub fn detach(&self) -> Result<(), UnmountError> {
        self.0.detach()
    }

    /// Unmounts whatever happens: whoever waits for a read gets an error. It can do nothing about
    /// a mount that is detached already, or that an ordinary user made, but end the program.
    pub fn abort(&self) {
        self.0.abort();
    }
}
