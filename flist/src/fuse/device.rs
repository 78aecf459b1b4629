//! Requests by reading `/dev/fuse`, answers by writing to it: what every kernel has.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::thread;

use rustix::io::Errno;
use zerocopy::IntoBytes;

use super::Counts;
use super::answer::{self, answer};
use super::handshake::{MAX_ANSWER, MAX_BACKGROUND, handshake};
use super::kernel::open_device;
use super::lookout::{Lookout, Post};
use super::server::Server;
use super::wire::{InHeader, MIN_BUFFER, OutHeader};
use crate::fs::Fs;

/// A mount whose requests are read by several threads.
pub(super) struct Session {
    server: Arc<Server>,
    /// One for each thread: with a queue of its own for what it has not answered yet, it is in no
    /// other's way.
    devices: Vec<Arc<OwnedFd>>,
    /// Where there is a CPU for it, and each thread has its own device, as it may not wait then.
    lookout: Option<Arc<Lookout>>,
}

impl Session {
    /// Comes to terms with the kernel about a mount just made, whose requests so many threads shall read.
    ///
    /// # Errors
    /// When it does not want to. The mount is of no use then, nor the device.
    pub(super) fn begin(
        fs: Arc<Fs>,
        counts: Arc<Counts>,
        device: OwnedFd,
        threads: usize,
    ) -> io::Result<Self> {
        let server = Arc::new(handshake(fs, counts, &device, 0, MAX_BACKGROUND)?);
        let device = Arc::new(device);
        let mut lookout = Lookout::new().map(Arc::new);
        let another = |_| match again(&device) {
            Ok(device) => Arc::new(device),
            Err(why) => {
                log::debug!("/dev/fuse: two threads share a queue: {why}");
                lookout = None;
                Arc::clone(&device)
            }
        };
        let devices = (1..threads).map(another).chain([Arc::clone(&device)]).collect();
        Ok(Self { server, devices, lookout })
    }

    /// Answers until it is unmounted.
    ///
    /// # Errors
    /// When no thread can be started, or all have failed; the first failure.
    pub(super) fn run(self) -> io::Result<()> {
        let mut threads = Vec::new();
        let mut failed = None;
        for (number, device) in self.devices.into_iter().enumerate() {
            let server = Arc::clone(&self.server);
            let lookout = self.lookout.clone();
            let thread = thread::Builder::new().name(format!("fuse-read-{number}"));
            let serve = move || {
                serve(&server, &device, lookout.as_deref())
                    .inspect_err(|error| log::error!("/dev/fuse: {error}"))
            };
            match thread.spawn(serve) {
                Ok(thread) => threads.push(thread),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        let mut served = false;
        for thread in threads {
            let panicked = |_| Err(io::Error::other("a thread panicked"));
            match thread.join().unwrap_or_else(panicked) {
                Ok(()) => served = true,
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        failed.filter(|_| !served).map_or(Ok(()), Err)
    }
}

/// The same mount, opened again.
fn again(device: &OwnedFd) -> io::Result<OwnedFd> {
    let new = open_device()?;
    uring::attach(new.as_fd(), device.as_fd())?;
    Ok(new)
}

/// Answers what `device` has, until the mount is no more.
///
/// # Errors
/// When the kernel has a fault.
pub(super) fn serve(
    server: &Server,
    device: &Arc<OwnedFd>,
    lookout: Option<&Lookout>,
) -> io::Result<()> {
    let mut buffer = [0; MIN_BUFFER];
    let mut post = None;
    loop {
        let len = match rustix::io::read(device, &mut buffer) {
            Ok(len) => len,
            Err(Errno::NODEV) => return Ok(()),
            Err(Errno::AGAIN) => {
                post = post.filter(Post::is_kept);
                continue;
            }
            // Nobody waits for it any more.
            Err(Errno::INTR | Errno::NOENT) => continue,
            Err(error) => return Err(error.into()),
        };
        let bytes = buffer.get(..len).unwrap_or_default();
        let soon = lookout.filter(|lookout| lookout.comes_soon());
        answer(server, Request { device, bytes });
        if let Some(lookout) = lookout {
            lookout.answered();
        }
        post = soon.and_then(|lookout| lookout.keep(post.take(), device));
    }
}

/// Answers request `unique`.
///
/// # Errors
/// When the kernel does not take it, perhaps as nobody waits for it any more.
pub(super) fn reply(
    device: &OwnedFd,
    unique: u64,
    result: Result<&[u8], Errno>,
) -> rustix::io::Result<()> {
    let (bytes, error) = match result {
        Ok(bytes) => (bytes, 0),
        Err(error) => (&[][..], -error.raw_os_error()),
    };
    let len = u32::try_from(size_of::<OutHeader>() + bytes.len());
    let len = len.map_err(|_too_long| Errno::MSGSIZE)?;
    let header = OutHeader { len, error, unique };
    let parts = [IoSlice::new(header.as_bytes()), IoSlice::new(bytes)];
    rustix::io::writev(device, &parts).map(drop)
}

/// A request in a thread's buffer.
struct Request<'a> {
    device: &'a Arc<OwnedFd>,
    bytes: &'a [u8],
}

impl answer::Request for Request<'_> {
    type Reply = Reply;

    fn header(&self) -> &[u8] {
        self.bytes
    }

    fn operation(&self) -> &[u8] {
        self.payload(0)
    }

    fn payload(&self, operation_len: usize) -> &[u8] {
        self.bytes.get(size_of::<InHeader>() + operation_len..).unwrap_or_default()
    }

    fn reply(self) -> Reply {
        const UNIQUE: usize = std::mem::offset_of!(InHeader, unique);
        let unique = self.bytes.get(UNIQUE..).and_then(|bytes| bytes.first_chunk());
        let unique = unique.copied().map(u64::from_ne_bytes);
        Reply { device: Arc::clone(self.device), unique }
    }
}

/// What answers it.
struct Reply {
    device: Arc<OwnedFd>,
    /// Until it is answered.
    unique: Option<u64>,
}

impl answer::Reply for Reply {
    fn give(mut self, result: Result<&[u8], Errno>) {
        let Some(unique) = self.unique.take() else { return };
        match reply(&self.device, unique, result) {
            // Whoever asked is gone, or all of the mount is.
            Ok(()) | Err(Errno::NOENT | Errno::NODEV) => {}
            Err(why) => {
                log::error!("the kernel does not take an answer: {why}");
                // Else whoever asked would wait for ever.
                let _ = reply(&self.device, unique, Err(Errno::IO));
            }
        }
    }

    fn fill(self, most: usize, write: impl FnOnce(&mut [u8]) -> Result<usize, Errno>) {
        let mut room = vec![0; most.min(MAX_ANSWER as usize)];
        let result = write(&mut room);
        self.give(result.map(|len| room.get(..len).unwrap_or_default()));
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if let Some(unique) = self.unique {
            // It was dropped where it should have been answered. Whether that is heard can't be helped.
            let _ = reply(&self.device, unique, Err(Errno::IO));
        }
    }
}
