//! One ring of io_uring: commands go in, completions come out.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::ptr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use rustix::io::Errno;
use rustix::io_uring::{
    IORING_OFF_SQ_RING, IORING_OFF_SQES, IoringEnterFlags, IoringOp, IoringRegisterOp,
    IoringRestrictionOp, IoringSetupFlags, IoringSqeFlags, io_uring_enter, io_uring_params,
    io_uring_register, io_uring_setup,
};

use crate::memory::Map;

/// Commands that can be given at once.
const COMMANDS: u32 = 64;
/// `IORING_FEAT_NO_IOWAIT` and `IORING_ENTER_NO_IOWAIT` (Linux 6.15): who waits for a request does not
/// wait for a disk. Without it an idle machine seems to be busy with those.
const CAN_IDLE: u32 = 1 << 17;
const IDLE: u32 = 1 << 7;
/// The files of a ring, in this order.
const DEVICE: i32 = 0;
const BELL: i32 = 1;

/// `struct io_uring_sqe`, of the size that FUSE's commands take.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Command {
    opcode: u8,
    flags: u8,
    priority: u16,
    file: i32,
    subcommand: u32,
    padding: u32,
    address: u64,
    len: u32,
    op_flags: u32,
    token: u64,
    unused: u64,
    /// `struct fuse_uring_cmd_req`: flags, the request that is answered, and the queue.
    fuse: [u64; 10],
}
const _: () = assert!(size_of::<Command>() == 128);

/// `struct io_uring_cqe`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Completion {
    token: u64,
    result: i32,
    flags: u32,
}
const _: () = assert!(size_of::<Completion>() == 16);

/// `struct io_uring_restriction`.
#[repr(C)]
struct Restriction {
    kind: u16,
    value: u8,
    unused: [u8; 13],
}
const _: () = assert!(size_of::<Restriction>() == 16);

/// FUSE's commands.
#[derive(Clone, Copy)]
pub(crate) enum Fuse {
    /// Gives an entry to the kernel: where two iovecs of its memory are.
    Register(u64),
    /// Answers the request of that number in an entry, and gives the entry back.
    Commit(u64),
}

/// A ring that can do two things: FUSE's commands on a device, and reading an eventfd.
pub(crate) struct Ring {
    file: OwnedFd,
    shared: Map,
    commands: Map,
    offsets: Offsets,
    /// How to wait.
    waiting: IoringEnterFlags,
    /// Commands given so far, and those of them that the kernel was not told of.
    tail: u32,
    untold: u32,
}

/// Where the kernel laid what in the shared memory.
struct Offsets {
    tail: usize,
    mask: u32,
    completions_head: usize,
    completions_tail: usize,
    completions_mask: u32,
    completions: usize,
}

impl Ring {
    /// A ring for `device`, with room for so many completions. It is for the thread that
    /// [`begins`](Self::begin).
    pub(crate) fn new(
        device: BorrowedFd<'_>,
        bell: BorrowedFd<'_>,
        completions: u32,
    ) -> io::Result<Self> {
        let mut params = io_uring_params::default();
        params.flags = IoringSetupFlags::SQE128
            | IoringSetupFlags::CQSIZE
            | IoringSetupFlags::SUBMIT_ALL
            | IoringSetupFlags::NO_SQARRAY
            | IoringSetupFlags::R_DISABLED
            | IoringSetupFlags::SINGLE_ISSUER
            | IoringSetupFlags::DEFER_TASKRUN;
        params.cq_entries = completions.max(COMMANDS);
        // SAFETY: no flag refers to another file.
        let file = unsafe { io_uring_setup(COMMANDS, &mut params)? };
        let (sq, cq) = (params.sq_off, params.cq_off);
        let (sq_len, cq_len) = (params.sq_entries as usize, params.cq_entries as usize);
        let shared_len = cq.cqes as usize + cq_len * size_of::<Completion>();
        let shared = Map::shared(file.as_fd(), IORING_OFF_SQ_RING, shared_len)?;
        let commands = Map::shared(file.as_fd(), IORING_OFF_SQES, sq_len * size_of::<Command>())?;
        let offsets = Offsets {
            tail: sq.tail as usize,
            mask: params.sq_entries.wrapping_sub(1),
            completions_head: cq.head as usize,
            completions_tail: cq.tail as usize,
            completions_mask: params.cq_entries.wrapping_sub(1),
            completions: cq.cqes as usize,
        };
        let idle = if params.features.bits() & CAN_IDLE > 0 { IDLE } else { 0 };
        let waiting = IoringEnterFlags::GETEVENTS | IoringEnterFlags::from_bits_retain(idle);
        let ring = Self { file, shared, commands, offsets, waiting, tail: 0, untold: 0 };
        ring.restrict(device, bell)?;
        Ok(ring)
    }

    /// Whatever happens to this process, its rings can do no more than serve the mount: of the calls
    /// that a filter of system calls refuses, many could be had by rings as well.
    fn restrict(&self, device: BorrowedFd<'_>, bell: BorrowedFd<'_>) -> io::Result<()> {
        let only = |kind: IoringRestrictionOp, value| Restriction {
            kind: kind as u16,
            value,
            unused: [0; 13],
        };
        let fixed = IoringSqeFlags::FIXED_FILE.bits();
        let files = [device.as_raw_fd(), bell.as_raw_fd()];
        let restrictions = [
            only(IoringRestrictionOp::SqeOp, IoringOp::UringCmd as u8),
            only(IoringRestrictionOp::SqeOp, IoringOp::Read as u8),
            only(IoringRestrictionOp::SqeFlagsAllowed, fixed),
            only(IoringRestrictionOp::SqeFlagsRequired, fixed),
        ];
        self.register(IoringRegisterOp::RegisterFiles, &files)?;
        self.register(IoringRegisterOp::RegisterRestrictions, &restrictions)
    }

    /// From now on this thread, and no other, may use it.
    pub(crate) fn begin(&self) -> io::Result<()> {
        self.register::<u8>(IoringRegisterOp::RegisterEnableRings, &[])
    }

    fn register<T>(&self, what: IoringRegisterOp, values: &[T]) -> io::Result<()> {
        let (start, len) = match values {
            [] => (ptr::null(), 0),
            values => (values.as_ptr().cast(), u32::try_from(values.len()).unwrap_or(0)),
        };
        // SAFETY: `values` are what these operations read, and they read them now.
        unsafe { io_uring_register(&self.file, what, start, len)? };
        Ok(())
    }

    /// Has a command of FUSE done for entry `token` of queue `queue`.
    ///
    /// # Errors
    /// When the kernel takes no commands.
    pub(crate) fn fuse(&mut self, queue: u16, token: u64, fuse: Fuse) -> io::Result<()> {
        let mut command = Command {
            opcode: IoringOp::UringCmd as u8,
            flags: IoringSqeFlags::FIXED_FILE.bits(),
            file: DEVICE,
            token,
            ..Command::default()
        };
        match fuse {
            Fuse::Register(iovecs) => {
                (command.subcommand, command.address, command.len) = (1, iovecs, 2);
            }
            Fuse::Commit(request) => (command.subcommand, command.fuse[1]) = (2, request),
        }
        command.fuse[2] = u64::from_ne_bytes(padded(queue));
        self.give(command)
    }

    /// Has eight bytes read from the bell once it was rung, to `address`.
    pub(crate) fn await_bell(&mut self, token: u64, address: u64) -> io::Result<()> {
        self.give(Command {
            opcode: IoringOp::Read as u8,
            flags: IoringSqeFlags::FIXED_FILE.bits(),
            file: BELL,
            address,
            len: 8,
            token,
            ..Command::default()
        })
    }

    fn give(&mut self, command: Command) -> io::Result<()> {
        if self.untold > self.offsets.mask {
            self.enter(0)?;
        }
        let slot = (self.tail & self.offsets.mask) as usize;
        let size = size_of::<Command>();
        let place: *mut Command = self.commands.at(slot * size, size).cast();
        // SAFETY: the kernel has taken what was there before: it was told of it, and takes at once.
        unsafe { place.write(command) };
        self.tail = self.tail.wrapping_add(1);
        self.untold += 1;
        self.number(self.offsets.tail).store(self.tail, Ordering::Release);
        Ok(())
    }

    /// Tells the kernel of all commands, and waits for so many completions.
    ///
    /// # Errors
    /// When the kernel takes no commands.
    pub(crate) fn enter(&mut self, wait: u32) -> io::Result<()> {
        let flags = if wait > 0 { self.waiting } else { IoringEnterFlags::empty() };
        loop {
            // SAFETY: commands point to the memory of entries, which is there as long as this, and to
            // iovecs that are there until this has returned.
            match unsafe { io_uring_enter(&self.file, self.untold, wait, flags) } {
                Ok(told) => self.untold = self.untold.saturating_sub(told),
                Err(Errno::INTR) => continue,
                // Memory is short for a moment.
                Err(Errno::AGAIN | Errno::NOMEM) => thread::sleep(Duration::from_millis(5)),
                Err(error) => return Err(error.into()),
            }
            if self.untold == 0 {
                return Ok(());
            }
        }
    }

    /// The token and the result of a command that is done, if one is.
    pub(crate) fn done(&mut self) -> Option<(u64, i32)> {
        let head = self.number(self.offsets.completions_head).load(Ordering::Relaxed);
        let tail = self.number(self.offsets.completions_tail).load(Ordering::Acquire);
        if head == tail {
            return None;
        }
        let (slot, size) =
            ((head & self.offsets.completions_mask) as usize, size_of::<Completion>());
        let place = self.shared.at(self.offsets.completions + slot * size, size);
        // SAFETY: the kernel wrote it before the tail, and writes there again once the head has gone on.
        let completion: Completion = unsafe { place.cast::<Completion>().read() };
        let next = head.wrapping_add(1);
        self.number(self.offsets.completions_head).store(next, Ordering::Release);
        Some((completion.token, completion.result))
    }

    fn number(&self, offset: usize) -> &AtomicU32 {
        // SAFETY: there is a u32 of the kernel's, aligned, which both change as atomics.
        unsafe { AtomicU32::from_ptr(self.shared.at(offset, 4).cast()) }
    }
}

/// The queue's number, with what pads it to eight bytes.
fn padded(queue: u16) -> [u8; 8] {
    let [a, b] = queue.to_ne_bytes();
    [a, b, 0, 0, 0, 0, 0, 0]
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;
    use std::path::Path;

    use rustix::event::{EventfdFlags, eventfd};

    use super::*;

    /// A ring, where the kernel has those that FUSE takes.
    fn ring(device: &File, bell: &OwnedFd, completions: u32) -> Option<Ring> {
        let ring = Ring::new(device.as_fd(), bell.as_fd(), completions);
        // As old as one that lacks them. A newer one must have them.
        if !Path::new("/sys/module/fuse/parameters/enable_uring").exists() {
            let why = "SKIPPED: the kernel has no FUSE over io_uring (CONFIG_FUSE_IO_URING)";
            writeln!(std::io::stderr(), "{why}").unwrap();
            return None;
        }
        let ring = ring.unwrap();
        ring.begin().unwrap();
        Some(ring)
    }

    /// The result of the one command that was given.
    fn result(ring: &mut Ring) -> i32 {
        ring.enter(1).unwrap();
        let (token, result) = ring.done().unwrap();
        assert_eq!((token, ring.done()), (7, None));
        result
    }

    #[test]
    fn a_ring_does_what_it_is_for_and_nothing_else() {
        let device = File::open("/dev/zero").unwrap();
        let bell = eventfd(3, EventfdFlags::CLOEXEC).unwrap();
        let Some(mut ring) = ring(&device, &bell, 8) else { return };
        let mut read = [0_u8; 8];
        let address = read.as_mut_ptr().expose_provenance() as u64;
        ring.await_bell(7, address).unwrap();
        assert_eq!(result(&mut ring), 8);
        assert_eq!(read, 3_u64.to_ne_bytes());
        // This comes as far as the device, which knows no such commands.
        ring.fuse(0, 7, Fuse::Commit(1)).unwrap();
        assert_eq!(result(&mut ring), -Errno::OPNOTSUPP.raw_os_error());
        let fixed = IoringSqeFlags::FIXED_FILE.bits();
        for (opcode, flags) in [
            (IoringOp::Nop, fixed),
            (IoringOp::Write, fixed),
            (IoringOp::Openat, 0),
            (IoringOp::Socket, 0),
            // Files that are not its own.
            (IoringOp::Read, 0),
            (IoringOp::UringCmd, 0),
            (IoringOp::Read, fixed | IoringSqeFlags::ASYNC.bits()),
        ] {
            let opcode = opcode as u8;
            ring.give(Command { opcode, flags, token: 7, ..Command::default() }).unwrap();
            assert_eq!(result(&mut ring), -Errno::ACCESS.raw_os_error(), "{opcode} {flags}");
        }
        let later = ring.register(IoringRegisterOp::RegisterFiles, &[bell.as_raw_fd()]);
        assert_eq!(later.unwrap_err().raw_os_error(), Some(Errno::ACCESS.raw_os_error()));
    }

    #[test]
    fn more_commands_than_there_is_room_for_are_told_of_in_turns() {
        let device = File::open("/dev/zero").unwrap();
        let bell = eventfd(1, EventfdFlags::CLOEXEC).unwrap();
        let Some(mut ring) = ring(&device, &bell, 4 * COMMANDS) else { return };
        for turn in 0..5 {
            for token in 0..u64::from(2 * COMMANDS + 3) {
                ring.fuse(1, token, Fuse::Commit(1)).unwrap();
            }
            ring.enter(2 * COMMANDS + 3).unwrap();
            for token in 0..u64::from(2 * COMMANDS + 3) {
                let want = Some((token, -Errno::OPNOTSUPP.raw_os_error()));
                assert_eq!(ring.done(), want, "{turn}");
            }
            assert_eq!(ring.done(), None);
        }
    }
}
