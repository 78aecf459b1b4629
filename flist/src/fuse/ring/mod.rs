//! Requests over io_uring, where the kernel offers it (Linux 6.14 with `fuse.enable_uring=1`): each
//! CPU's go to a thread on that CPU, by one system call for an answer and the next request.

mod answer;
mod wire;

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
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
    queues: Vec<Queue>,
    shape: Shape,
}

/// A mount whose requests come over io_uring.
pub(super) struct Session {
    device: OwnedFd,
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
    (entries >= MIN_ENTRIES).then_some(Shape { entries, payload: MAX_REQUEST as usize, keep })
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
        let info = rustix::system::sysinfo();
        let shape = shape(cpus.into(), info.totalram.saturating_mul(u64::from(info.mem_unit)));
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
    pub(super) fn begin(self, fs: Arc<Fs>, device: OwnedFd) -> io::Result<Session> {
        let Self { queues, shape } = self;
        handshake(&fs, &device, shape)?;
        let server = Arc::new(Server { fs, no_open: true, no_opendir: true });
        let stoppers = queues.iter().map(Queue::stopper).collect();
        let session = Session { device, stoppers, progress: Arc::default() };
        let threads = queues.len();
        for (cpu, queue) in queues.into_iter().enumerate() {
            let (server, progress) = (Arc::clone(&server), Arc::clone(&session.progress));
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
        progress.tell(queue.serve(|request| answer::answer(server, request)));
    }
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
    let pages = MAX_REQUEST as usize / page_size::get();
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
        let threads = self.stoppers.len();
        let progress = Arc::clone(&self.progress);
        thread::Builder::new().name("fuse-rest".into()).spawn(move || {
            let result = discard(&self.device);
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
