//! A queue: a ring, its entries, and the answers that are ready.

use std::io;
use std::mem;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::event::{EventfdFlags, eventfd};

use crate::memory::Map;
use crate::ring::{Fuse, Ring};

/// `struct fuse_uring_req_header`: the request's header, whose place the answer's takes; what the
/// operation is asked; and the number to answer by, with the length of what follows elsewhere.
const HEADER_LEN: usize = 288;
const OPERATION: usize = 128;
const NUMBER: usize = 264;
const PAYLOAD_LEN: usize = 272;
/// Of the request's header, its operation and number; of the answer's, the error.
const OPCODE: usize = 4;
const ERROR: usize = 4;
const UNIQUE: usize = 8;
const ANSWER_LEN: usize = 16;

/// `FUSE_READ`, which may take milliseconds to decompress.
const READ: u32 = 15;
const EIO: u16 = 5;
/// What is kept of an entry's memory in any case: names come there.
const PAGE: usize = 4096;
/// From one header to the next.
const HEADER_STEP: usize = 320;
/// What marks the bell among the entries.
const BELL: u64 = u64::MAX;

/// How large a queue is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// How many requests may be under way at once.
    pub entries: u32,
    /// The longest answer, in bytes, as agreed upon with the kernel.
    pub payload: usize,
    /// How many bytes of memory may stay taken by long answers that were given.
    pub keep: usize,
}

/// What the threads share that answer requests.
struct Shared {
    memory: Map,
    shape: Shape,
    answers: Mutex<Answers>,
    bell: OwnedFd,
}

#[derive(Default)]
struct Answers {
    /// The entries that are answered.
    ready: Vec<u32>,
    /// The queue's thread waits, so that it must be woken.
    asleep: bool,
    /// No request comes any more.
    stop: bool,
}

impl Shared {
    fn new(shape: Shape) -> io::Result<Self> {
        let len = shape.entries as usize;
        let len = len.checked_mul(shape.payload).and_then(|l| l.checked_add(start(shape.entries)));
        let memory = Map::zeros(len.ok_or(io::ErrorKind::OutOfMemory)?)?;
        let bell = eventfd(0, EventfdFlags::CLOEXEC)?;
        Ok(Self { memory, shape, answers: Mutex::default(), bell })
    }

    fn answers(&self) -> MutexGuard<'_, Answers> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ring_bell(&self) {
        // The counter is read each time, so it can't be full.
        let _ = rustix::io::write(&self.bell, &1_u64.to_ne_bytes());
    }

    fn header(&self, entry: u32) -> *mut u8 {
        self.memory.at(PAGE + entry as usize * HEADER_STEP, HEADER_LEN)
    }

    fn payload_at(&self, entry: u32) -> usize {
        start(self.shape.entries) + entry as usize * self.shape.payload
    }

    fn payload(&self, entry: u32) -> *mut u8 {
        self.memory.at(self.payload_at(entry), self.shape.payload)
    }
}

/// Where payloads start: behind the bell's page and the headers.
fn start(entries: u32) -> usize {
    (PAGE + entries as usize * HEADER_STEP).next_multiple_of(PAGE)
}

/// A queue of requests, for the thread that [`registers`](Self::register) it.
pub struct Queue {
    ring: Ring,
    shared: Arc<Shared>,
    number: u16,
    /// How many entries the kernel has.
    given: u32,
    /// The kernel waits for the bell.
    listening: bool,
    stopped: bool,
    /// Which entries are being answered: emptied with each turn.
    answered: Vec<u32>,
    /// How much memory each entry's payload has taken, and all beyond their first page.
    taken: Vec<usize>,
    taken_in_all: usize,
}

/// Ends a queue, from any thread.
#[derive(Clone)]
pub struct Stopper(Arc<Shared>);

impl Stopper {
    /// To be called once no request comes any more, as the mount is no more.
    pub fn stop(&self) {
        self.0.answers().stop = true;
        self.0.ring_bell();
    }
}

impl Queue {
    /// Queue `number` for an opened `/dev/fuse`.
    ///
    /// # Errors
    /// Where the kernel has no io_uring, not all of it, forbids it, or has no memory for it.
    pub fn new(device: BorrowedFd<'_>, number: u16, shape: Shape) -> io::Result<Self> {
        let shared = Arc::new(Shared::new(shape)?);
        let ring = Ring::new(device, shared.bell.as_fd(), shape.entries.saturating_add(1))?;
        Ok(Self {
            ring,
            shared,
            number,
            given: 0,
            listening: false,
            stopped: false,
            answered: Vec::new(),
            taken: vec![0; shape.entries as usize],
            taken_in_all: 0,
        })
    }

    /// What ends it.
    pub fn stopper(&self) -> Stopper {
        Stopper(Arc::clone(&self.shared))
    }

    /// Gives all entries to the kernel, once it has agreed to send requests this way. They come to this
    /// thread.
    ///
    /// # Errors
    /// When it does not take them; whether it will send requests is unknown then.
    pub fn register(&mut self) -> io::Result<()> {
        let iovecs: Vec<[u64; 4]> = (0..self.shared.shape.entries)
            .map(|entry| {
                let payload = self.shared.shape.payload as u64;
                let (header, body) = (self.shared.header(entry), self.shared.payload(entry));
                [header.addr() as u64, HEADER_LEN as u64, body.addr() as u64, payload]
            })
            .collect();
        self.ring.begin()?;
        self.listen()?;
        for (entry, pair) in (0_u32..).zip(&iovecs) {
            self.given += 1;
            let pair = pair.as_ptr().expose_provenance() as u64;
            self.ring.fuse(self.number, u64::from(entry), Fuse::Register(pair))?;
        }
        self.ring.enter(0)?;
        // What is taken is done only once a request comes, and requests come only to those who wait.
        match self.ring.done() {
            None => Ok(()),
            Some((_, result)) => Err(io::Error::from_raw_os_error(result.saturating_neg())),
        }
    }

    /// Has `handle` take each request, until the queue is stopped and the kernel has nothing of it
    /// any more. It may answer later, from any thread, and should not wait.
    ///
    /// # Errors
    /// When the kernel takes no answers.
    pub fn serve(&mut self, mut handle: impl FnMut(Request)) -> io::Result<()> {
        while self.given > 0 || !self.stopped {
            self.commit(true)?;
            self.ring.enter(1)?;
            self.shared.answers().asleep = false;
            self.give_back();
            while let Some((token, result)) = self.ring.done() {
                if token == BELL {
                    self.listening = false;
                    self.stopped = self.shared.answers().stop;
                    if !self.stopped {
                        self.listen()?;
                    }
                } else if let Ok(entry) = u32::try_from(token) {
                    self.given = self.given.saturating_sub(1);
                    // Else the entry is gone, as the mount is.
                    if result == 0 {
                        self.hand_over(entry, &mut handle)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn hand_over(&mut self, entry: u32, handle: &mut impl FnMut(Request)) -> io::Result<()> {
        let request = Request { shared: Arc::clone(&self.shared), entry, answered: false };
        if request.number(OPCODE) == READ && !self.shared.answers().ready.is_empty() {
            self.commit(false)?;
            self.ring.enter(0)?;
            self.give_back();
        }
        handle(request);
        Ok(())
    }

    fn listen(&mut self) -> io::Result<()> {
        let place = self.shared.memory.at(0, 8).expose_provenance() as u64;
        self.ring.await_bell(BELL, place)?;
        self.listening = true;
        Ok(())
    }

    /// Gives the entries that are answered back to the kernel; who answers others from now on wakes
    /// this thread, if it is about to sleep.
    fn commit(&mut self, to_sleep: bool) -> io::Result<()> {
        {
            let mut answers = self.shared.answers();
            mem::swap(&mut answers.ready, &mut self.answered);
            answers.asleep = to_sleep;
        }
        if self.stopped {
            self.answered.clear();
        }
        for &entry in &self.answered {
            let header = self.shared.header(entry);
            // SAFETY: an entry that is answered is this thread's until the kernel is given it.
            let (number, len): (u64, u32) = unsafe {
                (
                    header.add(NUMBER).cast::<u64>().read(),
                    header.add(PAYLOAD_LEN).cast::<u32>().read(),
                )
            };
            if let Some(taken) = self.taken.get_mut(entry as usize) {
                let more = (len as usize).next_multiple_of(PAGE).saturating_sub(PAGE.max(*taken));
                *taken = PAGE.max(*taken) + more;
                self.taken_in_all += more;
            }
            self.given += 1;
            self.ring.fuse(self.number, u64::from(entry), Fuse::Commit(number))?;
        }
        Ok(())
    }

    /// Gives back the memory of long answers that the kernel has taken, once it is too much. A request
    /// may be in the entry by now, but none of those that count is longer than a page.
    fn give_back(&mut self) {
        for entry in self.answered.drain(..) {
            let Some(taken) = self.taken.get_mut(entry as usize) else { continue };
            if self.taken_in_all <= self.shared.shape.keep || *taken <= PAGE {
                continue;
            }
            let (from, len) = (self.shared.payload_at(entry) + PAGE, *taken - PAGE);
            // Where that is not possible it stays taken.
            if self.shared.memory.give_back(from, len).is_ok() {
                self.taken_in_all = self.taken_in_all.saturating_sub(len);
                *taken = PAGE;
            }
        }
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // What the kernel may still write to stays, for ever: only after a failure.
        if self.given > 0 || self.listening {
            mem::forget(Arc::clone(&self.shared));
        }
    }
}

/// A request, and room for its answer. One that is dropped is answered by an error (EIO).
pub struct Request {
    shared: Arc<Shared>,
    entry: u32,
    answered: bool,
}

impl Request {
    /// `struct fuse_in_header`, and zeros.
    pub fn header(&self) -> &[u8] {
        self.part(0, OPERATION)
    }

    /// What the operation is asked, a structure of its own.
    pub fn operation(&self) -> &[u8] {
        self.part(OPERATION, OPERATION)
    }

    /// What comes behind that: a name.
    pub fn payload(&self) -> &[u8] {
        let len = (self.number(PAYLOAD_LEN) as usize).min(self.shared.shape.payload);
        // SAFETY: the entry is this request's alone, so nobody writes there while this is borrowed.
        unsafe { std::slice::from_raw_parts(self.shared.payload(self.entry), len) }
    }

    /// Answers with what `fill` writes, which says how long that is, or by the errno it gives.
    pub fn answer(mut self, fill: impl FnOnce(&mut [u8]) -> Result<usize, u16>) {
        let (place, len) = (self.shared.payload(self.entry), self.shared.shape.payload);
        // SAFETY: the entry is this request's alone, which nobody borrows as it is taken here; the
        // memory is zeros or what was written before.
        let room = unsafe { std::slice::from_raw_parts_mut(place, len) };
        let result = fill(room);
        self.finish(result.and_then(|written| if written <= len { Ok(written) } else { Err(EIO) }));
    }

    fn finish(&mut self, result: Result<usize, u16>) {
        let (len, errno) = match result {
            Ok(len) => (len, 0),
            Err(errno) => (0, i32::from(errno)),
        };
        let len = u32::try_from(len).unwrap_or(0);
        let header = self.shared.header(self.entry);
        let total = u32::try_from(ANSWER_LEN).unwrap_or(0) + len;
        // SAFETY: the entry is this request's alone, and these are within its header. The number at
        // `UNIQUE` is the request's own.
        unsafe {
            header.cast::<u32>().write(total);
            header.add(ERROR).cast::<i32>().write(-errno);
            header.add(PAYLOAD_LEN).cast::<u32>().write(len);
        }
        const { assert!(UNIQUE + 8 == ANSWER_LEN) };
        self.answered = true;
        let mut answers = self.shared.answers();
        answers.ready.push(self.entry);
        let wake = mem::take(&mut answers.asleep);
        drop(answers);
        if wake {
            self.shared.ring_bell();
        }
    }

    fn number(&self, at: usize) -> u32 {
        let bytes = self.part(at, 4).try_into();
        bytes.map(u32::from_ne_bytes).unwrap_or_default()
    }

    fn part(&self, at: usize, len: usize) -> &[u8] {
        assert!(at + len <= HEADER_LEN, "beyond the header");
        // SAFETY: the entry is this request's alone, so nobody writes there while this is borrowed.
        unsafe { std::slice::from_raw_parts(self.shared.header(self.entry).add(at), len) }
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        if !self.answered {
            self.finish(Err(EIO));
        }
    }
}
