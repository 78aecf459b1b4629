//! Requests over io_uring, where the kernel offers it (Linux 6.14 with `fuse.enable_uring=1`): each
//! CPU's go to a thread on that CPU, by one system call for an answer and the next request.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;

use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};
use rustix::thread::{CpuSet, sched_setaffinity};
use uring::{Queue, Shape, Stopper};

use super::Counts;
use super::answer::{self, answer};
use super::device;
use super::handshake::{MAX_ANSWER, MAX_BACKGROUND, handshake};
use super::server::Server;
use super::wire::feature;
use crate::fs::Fs;

/// Says Y where the kernel offers it. It can be changed at any time, for mounts to come.
pub(super) const OFFERED: &str = "/sys/module/fuse/parameters/enable_uring";
/// Which CPUs there are or may be.
const POSSIBLE: &str = "/sys/devices/system/cpu/possible";

/// Requests that a queue takes at once. Reads that wait for the network stay in it, so it has room for
/// all that the kernel sends in the background, and for others beside.
const MAX_ENTRIES: u32 = MAX_BACKGROUND as u32 + FOREGROUND;
/// With fewer, what waits for the network would be in the way of what need not.
const MIN_ENTRIES: u32 = 256;
/// Room for what programs wait for themselves.
const FOREGROUND: u32 = 64;
/// An entry takes so many bytes, most of them the kernel's, and a queue beside them, its thread included.
const ENTRY_COST: u64 = 1024;
const QUEUE_COST: u64 = 64 << 10;
/// The part of the machine's memory that all queues may take, and again for their buffers.
const MEMORY_PART: u64 = 128;
/// More memory for buffers than this gains a queue nothing.
const MAX_KEEP: u64 = 8 << 20;

/// What else it takes: with one of these two the kernel tells of the first.
const NEEDED: u64 = feature::OVER_IO_URING | feature::INIT_EXT | feature::MAX_PAGES;

/// Rings that the kernel has not been told of.
pub(super) struct Rings {
    queues: Vec<Queue>,
    shape: Shape,
}

/// A mount whose requests come over io_uring.
pub(super) struct Session {
    device: Arc<OwnedFd>,
    server: Arc<Server>,
    stoppers: Vec<Stopper>,
    progress: Arc<Progress>,
}

/// How far the threads have come.
#[derive(Default)]
struct Progress {
    told: Mutex<Told>,
    change: Condvar,
}

#[derive(Default)]
struct Told {
    times: usize,
    error: Option<io::Error>,
}

impl Progress {
    fn tell(&self, result: io::Result<()>) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.times += 1;
        told.error = told.error.take().or(result.err());
        self.change.notify_all();
    }

    /// Waits until it was told so often, or, if so asked, of an error.
    fn wait(&self, times: usize, or_error: bool) -> io::Result<()> {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let more = |told: &mut Told| told.times < times && !(or_error && told.error.is_some());
        let mut told = self.change.wait_while(told, more).unwrap_or_else(PoisonError::into_inner);
        told.error.take().map_or(Ok(()), Err)
    }
}

/// Whether the kernel says that it would send requests this way.
pub(super) fn offered() -> bool {
    fs::read(OFFERED).is_ok_and(|value| value.starts_with(b"Y"))
}

/// How large each of so many queues is on a machine of so many bytes of memory, if that suffices.
fn shape(queues: u32, memory: u64) -> Option<Shape> {
    let share = memory / MEMORY_PART / u64::from(queues.max(1));
    let entries = share.checked_sub(QUEUE_COST)? / ENTRY_COST;
    let entries = u32::try_from(entries).unwrap_or(MAX_ENTRIES).min(MAX_ENTRIES);
    let keep = usize::try_from(share.min(MAX_KEEP)).unwrap_or(0);
    (entries >= MIN_ENTRIES).then_some(Shape { entries, payload: MAX_ANSWER as usize, keep })
}

/// How many CPUs a list such as `0-3` has. No kernel is known that leaves numbers out.
fn count(list: &str) -> Option<u16> {
    list.trim().rsplit('-').next()?.parse::<u16>().ok()?.checked_add(1)
}

impl Rings {
    /// Sets up a queue for each CPU that there may be.
    ///
    /// # Errors
    /// Where that is not possible, for whatever reason: nothing is left of it then.
    pub(super) fn new(device: &OwnedFd) -> io::Result<Self> {
        let cpus = count(&fs::read_to_string(POSSIBLE)?);
        let cpus = cpus.ok_or_else(|| io::Error::other("the number of CPUs is unknown"))?;
        let shape = shape(cpus.into(), crate::memory());
        let shape = shape.ok_or_else(|| io::Error::other("there is not enough memory"))?;
        // Half of what the process may open is left for connections.
        let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        if u64::from(cpus) * 4 > files {
            return Err(io::Error::other("not enough files may be open"));
        }
        let queue = |number| Queue::new(device.as_fd(), number, shape);
        Ok(Self { queues: (0..cpus).map(queue).collect::<io::Result<_>>()?, shape })
    }

    /// Comes to terms with the kernel about a mount just made, and has its requests come.
    ///
    /// # Errors
    /// When it does not want to. The mount is of no use then, nor the device.
    pub(super) fn begin(
        self,
        fs: Arc<Fs>,
        counts: Arc<Counts>,
        device: OwnedFd,
    ) -> io::Result<Session> {
        let Self { queues, shape } = self;
        let background = u16::try_from(shape.entries.saturating_sub(FOREGROUND));
        let background = background.unwrap_or(u16::MAX).min(MAX_BACKGROUND);
        let server = Arc::new(handshake(fs, counts, &device, NEEDED, background)?);
        let stoppers = queues.iter().map(Queue::stopper).collect();
        let (device, progress) = (Arc::new(device), Arc::default());
        let session = Session { device, server, stoppers, progress };
        let threads = queues.len();
        for (cpu, queue) in queues.into_iter().enumerate() {
            let server = Arc::clone(&session.server);
            let progress = Arc::clone(&session.progress);
            let thread = thread::Builder::new().name(format!("fuse-{cpu}"));
            let started = thread.spawn(move || serve(cpu, queue, &server, &progress));
            if let Err(error) = started {
                session.progress.tell(Err(error));
            }
        }
        // All of them, as the kernel can't unmount while one registers (6.18 then waits for ever).
        session.progress.wait(threads, false)?;
        log::debug!("{threads} queues of {} entries", shape.entries);
        Ok(session)
    }
}

/// What the thread of a queue does. It tells once when requests can come, and once when none does.
fn serve(cpu: usize, mut queue: Queue, server: &Server, progress: &Progress) {
    if cpu < CpuSet::MAX_CPU {
        let mut set = CpuSet::new();
        set.set(cpu);
        // A CPU that is not there yet has no requests either.
        let _ = sched_setaffinity(None, &set);
    }
    let registered = queue.register();
    let serves = registered.is_ok();
    progress.tell(registered);
    if serves {
        progress.tell(queue.serve(|request| answer(server, request)));
    }
}

impl answer::Request for uring::Request {
    type Reply = Self;

    fn header(&self) -> &[u8] {
        self.header()
    }

    fn operation(&self) -> &[u8] {
        self.operation()
    }

    fn payload(&self, _operation_len: usize) -> &[u8] {
        self.payload()
    }

    fn reply(self) -> Self {
        self
    }
}

impl answer::Reply for uring::Request {
    fn give(self, result: Result<&[u8], Errno>) {
        self.answer(|room| {
            let bytes = result.map_err(code)?;
            room.get_mut(..bytes.len()).ok_or(code(Errno::IO))?.copy_from_slice(bytes);
            Ok(bytes.len())
        });
    }

    fn fill(self, most: usize, write: impl FnOnce(&mut [u8]) -> Result<usize, Errno>) {
        self.answer(|room| {
            let most = room.len().min(most);
            write(room.get_mut(..most).unwrap_or_default()).map_err(code)
        });
    }
}

fn code(error: Errno) -> u16 {
    u16::try_from(error.raw_os_error()).unwrap_or_default()
}

impl Session {
    /// Answers until it is unmounted.
    ///
    /// # Errors
    /// When a thread failed. The mount is to be ended then, so that the others end.
    pub(super) fn run(self) -> io::Result<()> {
        let threads = self.stoppers.len();
        let progress = Arc::clone(&self.progress);
        thread::Builder::new().name("fuse-rest".into()).spawn(move || {
            // Of what comes this way still hardly anything needs an answer.
            let result = device::serve(&self.server, &self.device, None);
            self.stop();
            self.progress.tell(result);
        })?;
        progress.wait(2 * threads + 1, true)
    }

    /// To be called once there are no requests, for want of a mount.
    fn stop(&self) {
        self.stoppers.iter().for_each(Stopper::stop);
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // It may never have begun: the mount is ended then.
        self.stop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpus_are_counted() {
        for (list, want) in [("0\n", 1), ("0-1\n", 2), ("0-127", 128)] {
            assert_eq!(count(list), Some(want), "{list}");
        }
        for bad in ["", "\n", "x", "0-", "0-2,4", "0-65535"] {
            assert_eq!(count(bad), None, "{bad}");
        }
    }

    #[test]
    fn queues_take_their_part_of_the_memory() {
        let entries = |queues, mib: u64| shape(queues, mib << 20).map(|s| s.entries);
        assert_eq!(entries(2, 192), Some(704));
        assert_eq!(entries(2, 16 << 10), Some(MAX_ENTRIES));
        assert_eq!(entries(4, 192), Some(320));
        // Not at the price of reads that wait for each other.
        assert_eq!(entries(8, 192), None);
        assert_eq!(entries(64, 0), None);
        for (queues, mib) in [(1, 64), (2, 192), (64, 16 << 10)] {
            let Some(shape) = shape(queues, mib << 20) else { panic!("{queues} on {mib} MiB") };
            let all = u64::from(queues) * (u64::from(shape.entries) * ENTRY_COST + QUEUE_COST);
            assert!(all <= (mib << 20) / MEMORY_PART);
            assert!(shape.keep as u64 * u64::from(queues) <= (mib << 20) / MEMORY_PART);
        }
    }
}
