//! Requests over io_uring, where the kernel offers it (Linux 6.14 with `fuse.enable_uring=1`): each
//! CPU's go to a thread on that CPU, by one system call for an answer and the next request.

mod answer;
mod wire;

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use fuser::InitFlags;
use rustix::process::{Resource, getrlimit};
use rustix::thread::{CpuSet, sched_setaffinity};
use uring::{Queue, Shape, Stopper};
use zerocopy::{FromBytes, IntoBytes};

use super::server::{CONGESTED, MAX_BACKGROUND, MAX_REQUEST, Server, wanted};
use crate::fs::Fs;
use wire::{InHeader, InitIn, InitOut, OutHeader};

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

/// The protocol's version that this speaks, the first with io_uring.
const MAJOR: u32 = 7;
const MINOR: u32 = 42;
/// The shortest buffer that the kernel lets `/dev/fuse` be read with.
const MIN_BUFFER: usize = 8192;
/// `enum fuse_opcode`.
const FORGET: u32 = 2;
const INIT: u32 = 26;
const INTERRUPT: u32 = 36;
const BATCH_FORGET: u32 = 42;

/// Rings that the kernel has not been told of.
pub(super) struct Rings {
    queues: Vec<Started>,
    shape: Shape,
    ended: Receiver<io::Result<()>>,
    end: Sender<io::Result<()>>,
}

/// A queue's thread, which waits for what it shall serve.
struct Started {
    begin: Sender<Arc<Server>>,
    registered: Receiver<io::Result<()>>,
    stopper: Stopper,
}

/// A mount whose requests come over io_uring.
pub(super) struct Session {
    device: OwnedFd,
    rings: Rings,
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
    (entries >= MIN_ENTRIES).then_some(Shape { entries, payload: MAX_REQUEST as usize, keep })
}

/// How many CPUs a list such as `0-3,6` has.
fn count(list: &str) -> Option<u32> {
    list.trim().split(',').try_fold(0_u32, |sum, range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        sum.checked_add(last.checked_sub(first)?.checked_add(1)?)
    })
}

impl Rings {
    /// Sets up a queue for each CPU that there may be, and tries it.
    ///
    /// # Errors
    /// Where that is not possible, for whatever reason: nothing is left of it then.
    pub(super) fn new(device: &OwnedFd) -> io::Result<Self> {
        let few = |what: &str| io::Error::other(format!("there is not enough {what}"));
        let unknown = || io::Error::other(format!("{POSSIBLE} has no list of CPUs"));
        let queues = count(&fs::read_to_string(POSSIBLE)?).ok_or_else(unknown)?;
        let info = rustix::system::sysinfo();
        let memory = info.totalram.saturating_mul(u64::from(info.mem_unit));
        let shape = shape(queues, memory).ok_or_else(|| few("memory"))?;
        // Half of what the process may open is left for connections.
        let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        let numbers = u16::try_from(queues).ok().filter(|&q| u64::from(q) * 4 <= files);
        let numbers = 0..numbers.ok_or_else(|| few("open files"))?;
        let (end, ended) = channel();
        let starting = numbers.map(|n| start(device, n, shape, end.clone())).collect::<Vec<_>>();
        let waited = |starting: io::Result<Receiver<io::Result<Started>>>| gone(starting?.recv())?;
        let queues = starting.into_iter().map(waited).collect::<io::Result<_>>()?;
        Ok(Self { queues, shape, ended, end })
    }

    /// Comes to terms with the kernel about a mount just made, and has its requests come.
    ///
    /// # Errors
    /// When it does not want to. The mount is of no use then, nor the device.
    pub(super) fn begin(self, fs: Arc<Fs>, device: OwnedFd) -> io::Result<Session> {
        handshake(&fs, &device, self.shape)?;
        let server = Arc::new(Server { fs, no_open: true, no_opendir: true });
        for queue in &self.queues {
            gone(queue.begin.send(Arc::clone(&server)))?;
        }
        // All of them, as the kernel can't unmount while one registers (6.18 then waits for ever).
        let registered = self.queues.iter().map(|q| gone(q.registered.recv()).flatten());
        registered.collect::<Vec<_>>().into_iter().collect::<io::Result<()>>()?;
        log::debug!("{} queues of {} entries", self.queues.len(), self.shape.entries);
        Ok(Session { device, rings: self })
    }
}

impl Drop for Rings {
    fn drop(&mut self) {
        // Those that serve end with the mount; those that do not, now.
        for queue in &self.queues {
            queue.stopper.stop();
        }
    }
}

/// Starts the thread of queue `number`, and says where it tells how that went.
fn start(
    device: &OwnedFd,
    number: u16,
    shape: Shape,
    end: Sender<io::Result<()>>,
) -> io::Result<Receiver<io::Result<Started>>> {
    let device = device.try_clone()?;
    let (started, starting) = channel();
    let thread = thread::Builder::new().name(format!("fuse-{number}"));
    thread.spawn(move || {
        let mut cpu = CpuSet::new();
        cpu.set(usize::from(number));
        // A CPU that is not there yet has no requests either.
        let _ = sched_setaffinity(None, &cpu);
        let mut queue = match Queue::new(device.as_fd(), number, shape) {
            Ok(queue) => queue,
            Err(error) => return drop(started.send(Err(error))),
        };
        // The ring has it.
        drop(device);
        let (begin, begun) = channel();
        let (register, registered) = channel();
        let stopper = queue.stopper();
        if started.send(Ok(Started { begin, registered, stopper })).is_err() {
            return;
        }
        // Else the rings are given up.
        let Ok(server) = begun.recv() else { return };
        let result = queue.register();
        let serves = result.is_ok();
        if register.send(result).is_ok() && serves {
            let served = queue.serve(|request| answer::answer(&server, request));
            // Nobody may listen any more.
            let _ = end.send(served);
        }
    })?;
    Ok(starting)
}

/// A thread that has ended says nothing.
fn gone<T, E>(result: Result<T, E>) -> io::Result<T> {
    result.map_err(|_gone| io::Error::other("a thread has ended"))
}

fn handshake(fs: &Fs, device: &OwnedFd, shape: Shape) -> io::Result<()> {
    let mut buffer = [0; MIN_BUFFER];
    let len = rustix::io::retry_on_intr(|| rustix::io::read(device, &mut buffer))?;
    let bad = || io::Error::other("the kernel's greeting is not understood");
    let (header, rest) = InHeader::read_from_prefix(buffer.get(..len).unwrap_or_default())
        .map_err(|_short| bad())?;
    let (init, _) = InitIn::read_from_prefix(rest).map_err(|_short| bad())?;
    if header.opcode != INIT || init.major != MAJOR {
        return Err(bad());
    }
    let offered = InitFlags::from_bits_retain(u64::from(init.flags) | u64::from(init.flags2) << 32);
    let needed =
        InitFlags::FUSE_OVER_IO_URING | InitFlags::FUSE_INIT_EXT | InitFlags::FUSE_MAX_PAGES;
    if !offered.contains(needed) {
        return Err(io::Error::other("the kernel does not offer io_uring"));
    }
    let flags = (wanted(fs, offered) | needed).bits();
    let background = u16::try_from(shape.entries.saturating_sub(FOREGROUND)).unwrap_or(u16::MAX);
    let background = background.min(MAX_BACKGROUND);
    let pages = MAX_REQUEST as usize / rustix::param::page_size();
    let half = |bits: u64| u32::try_from(bits & u64::from(u32::MAX)).unwrap_or_default();
    let agreed = InitOut {
        major: MAJOR,
        minor: MINOR,
        max_readahead: init.max_readahead,
        flags: half(flags),
        max_background: background,
        congested: CONGESTED.min(background / 4 * 3),
        // Nothing is written; the least there is.
        max_write: 4096,
        time_granularity: 1,
        max_pages: u16::try_from(pages.max(1)).unwrap_or(1),
        unused: 0,
        flags2: half(flags >> 32),
        rest: [0; 7],
    };
    reply(device, header.unique, 0, agreed.as_bytes())
}

fn reply(device: &OwnedFd, unique: u64, error: i32, body: &[u8]) -> io::Result<()> {
    let len = size_of::<OutHeader>() + body.len();
    let header = OutHeader { len: u32::try_from(len).unwrap_or_default(), error, unique };
    let bytes = [header.as_bytes(), body].concat();
    rustix::io::write(device, &bytes)?;
    Ok(())
}

impl Session {
    /// Answers until it is unmounted.
    ///
    /// # Errors
    /// When a thread failed. The mount is to be ended then, so that the others end.
    pub(super) fn run(self) -> io::Result<()> {
        let Self { device, rings } = self;
        let stoppers: Vec<Stopper> = rings.queues.iter().map(|q| q.stopper.clone()).collect();
        let end = rings.end.clone();
        thread::Builder::new().name("fuse-rest".into()).spawn(move || {
            let result = discard(&device);
            // Without a mount there are no requests.
            stoppers.iter().for_each(Stopper::stop);
            // Nobody may listen any more.
            let _ = end.send(result);
        })?;
        let threads = rings.queues.len() + 1;
        rings.ended.iter().take(threads).collect()
    }
}

/// Reads what comes over `/dev/fuse` still, until the mount is no more: that inodes are forgotten, and
/// that who asked waits no longer, both of which need no answer.
fn discard(device: &OwnedFd) -> io::Result<()> {
    use rustix::io::Errno;
    let mut buffer = [0; MIN_BUFFER];
    loop {
        let len = match rustix::io::read(device, &mut buffer) {
            Ok(len) => len,
            Err(Errno::NODEV) => return Ok(()),
            Err(Errno::INTR | Errno::AGAIN | Errno::NOENT) => continue,
            Err(error) => return Err(error.into()),
        };
        let Ok((header, _)) = InHeader::read_from_prefix(buffer.get(..len).unwrap_or_default())
        else {
            continue;
        };
        if !matches!(header.opcode, FORGET | BATCH_FORGET | INTERRUPT) {
            log::debug!("request {} came over /dev/fuse", header.opcode);
            // It is as good as any: there is none of which the kernel would do so.
            reply(device, header.unique, -Errno::NOSYS.raw_os_error(), &[])?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpus_are_counted() {
        for (list, want) in [("0\n", 1), ("0-1\n", 2), ("0-3,6,8-9", 7), ("0-127", 128)] {
            assert_eq!(count(list), Some(want), "{list}");
        }
        for bad in ["", "\n", "x", "3-1", "0-", "0-4294967295"] {
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
