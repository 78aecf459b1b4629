//! Gets chunks from stores: each once however many readers wait for it, neighbours in one
//! request, verified before anybody sees them, and again and again while a store is away.
//!
//! A reader hands over which chunks it wants and a function to call; it is never blocked. A fixed
//! number of threads, one a connection, take the oldest chunk wanted and what is wanted beside it.
//! What fails is put back with a time to try again, so that no thread sleeps on it.

mod along;
mod journal;
mod lookahead;
mod merge;
mod prefetch;
mod receive;
mod request;
mod state;
mod stats;
mod work;

#[cfg(test)]
mod tests;

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::cache::room_for;
use super::{Mirrors, StoreError};
use crate::chunk::{Chunk, Corrupt, Stored};
use crate::image::Image;
use journal::Kept;
pub use journal::{Asked, Journal, Reason};
use prefetch::Prefetch;
pub use prefetch::{Ended, Prefetched, STREAMS as PREFETCHES};
use request::{Request, Waiter};
use state::{State, Wanted};
use stats::Counters;
pub use stats::Stats;

/// Stack of a thread in bytes. The root daemon locks its memory, so what is never used counts.
const STACK: usize = 256 << 10;

/// What a reader has called when its chunks are there or can't be had.
///
/// It runs on a thread that fetches, or on the reader's own if nothing had to be fetched, and
/// keeps that connection waiting meanwhile: decompress and reply, but do not wait for a fetch.
pub type Done = Box<dyn FnOnce(Result<Vec<Arc<Stored>>, FetchError>) + Send>;

/// Why a reader does not get its chunks.
#[derive(Debug, Clone, thiserror::Error)]
pub enum FetchError {
    /// Every mirror serves bytes that are not the chunk's, repeatedly.
    #[error("every store serves wrong bytes: {corrupt}; publish the image's packs again")]
    Corrupt {
        /// What was wrong the last time.
        corrupt: Corrupt,
    },
    /// The stores can't be asked, and patience is at its end.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The image has no chunk of that number.
    #[error("the image has no chunk {0}")]
    NoChunk(u32),
    /// The fetcher has been closed.
    #[error("the image is being closed")]
    Closed,
}

/// What to do while no store answers as it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// Wait until one does: for mounted images, whose readers must never see an outage.
    Forever,
    /// Give up after so many rounds over all mirrors.
    Rounds(u32),
}

/// How a fetcher works.
#[derive(Debug, Clone)]
pub struct FetchOptions {
    /// Requests under way at a time.
    pub connections: usize,
    /// The most the memory cache holds, in bytes.
    pub cache_bytes: u64,
    /// The longest range asked for at once; a single chunk may be longer.
    pub max_request: u64,
    /// Most chunks to be fetched ahead of a reader that goes in order; 0: none.
    pub lookahead: u32,
    /// Most bytes asked for along with what a reader waits for, as they lie behind it, where an answer's
    /// way is long; 0: none.
    pub along: u64,
    /// What to do about outages.
    pub patience: Patience,
    /// The wait after a first failure; it doubles with each further one.
    pub first_wait: Duration,
    /// The longest wait.
    pub longest_wait: Duration,
    /// Rounds over all mirrors that may end in nothing but wrong bytes.
    pub corrupt_rounds: u32,
    /// Whether a [`Journal`] is kept.
    pub journal: bool,
}

impl Default for FetchOptions {
    fn default() -> Self {
        Self {
            connections: 16,
            cache_bytes: 64 << 20,
            max_request: 4 << 20,
            lookahead: 16,
            along: 384 << 10,
            patience: Patience::Forever,
            first_wait: Duration::from_millis(100),
            longest_wait: Duration::from_secs(4),
            corrupt_rounds: 3,
            journal: false,
        }
    }
}

/// Hands out verified chunks of one image.
pub struct Fetcher {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    image: Arc<Image>,
    mirrors: Mirrors,
    options: FetchOptions,
    state: Mutex<State>,
    work: Condvar,
    counters: Counters,
    journal: Kept,
}

impl Fetcher {
    /// Starts the threads. Nothing is fetched yet.
    ///
    /// # Errors
    /// When a thread can't be started.
    pub fn new(image: Arc<Image>, mirrors: Mirrors, options: FetchOptions) -> io::Result<Self> {
        let connections = options.connections.max(1);
        let state = Mutex::new(State::new(&options));
        let (work, counters) = (Condvar::new(), Counters::default());
        let journal = Kept::new(options.journal);
        let shared = Arc::new(Shared { image, mirrors, options, state, work, counters, journal });
        // If one can't be started, dropping this ends those that were.
        let mut fetcher = Self { shared, threads: Vec::with_capacity(connections) };
        for number in 0..connections {
            let shared = Arc::clone(&fetcher.shared);
            let name = format!("fetch-{number}");
            let builder = thread::Builder::new().name(name).stack_size(STACK);
            fetcher.threads.push(builder.spawn(move || shared.run())?);
        }
        Ok(fetcher)
    }

    /// What the memory cache must hold, in bytes, for all of `image` to be in it.
    pub fn cache_for_all(image: &Image) -> u64 {
        room_for(image.chunks())
    }

    /// The chunk, if it is held in memory.
    pub fn held(&self, chunk: u32) -> Option<Arc<Stored>> {
        let shared = &*self.shared;
        let mut state = shared.lock();
        let stored = state.held(shared.chunk(chunk)?, chunk)?;
        shared.counters.hits.add(1);
        shared.look_ahead(&mut state, &[chunk]);
        Some(stored)
    }

    /// Fetches `chunks`, in that order, ahead of all readers: as far ahead of those as the cache holds,
    /// and whenever there is nothing that a reader waits for. Calls `ended` once no more will come.
    /// While stores are away it waits. In place of what was still to be prefetched before, if anything.
    /// From then on nothing is asked for along with what readers wait for; see [`Fetcher::take_along`].
    pub fn prefetch(&self, chunks: Vec<u32>, ended: Ended) {
        let mut state = self.shared.lock();
        let all = self.shared.image.chunks();
        let limit = state.cache.limit();
        // The rest of the cache is for what readers want besides, unless all has room.
        let budget = if room_for(all) <= limit { limit } else { limit / 4 * 3 };
        let most = self.shared.options.max_request;
        let new = Prefetch::new(all, chunks, budget, ended).with_longest(most);
        state.prefetch = new.instead_of(&state.prefetch);
        state.along.pause(true);
        self.shared.work.notify_all();
    }

    /// What was prefetched says no more what readers will want: from now on what lies behind that may be
    /// asked for along with it again.
    pub fn take_along(&self) {
        self.shared.lock().along.pause(false);
    }

    /// Gets `chunks` and calls `done`, once, with them in that order. Does not block.
    pub fn request(&self, chunks: &[u32], done: Done) {
        let shared = &*self.shared;
        if let Some(&number) = chunks.iter().find(|n| shared.chunk(**n).is_none()) {
            return done(Err(FetchError::NoChunk(number)));
        }
        if chunks.is_empty() {
            return done(Ok(Vec::new()));
        }
        let request = Request::new(chunks.len(), done);
        let mut complete = None;
        {
            let mut state = shared.lock();
            if state.closed {
                drop(state);
                return request.fail(FetchError::Closed);
            }
            for (slot, &number) in chunks.iter().enumerate() {
                let Some(chunk) = shared.chunk(number) else { continue };
                let waiter = Waiter { request: Arc::clone(&request), slot };
                match state.want(chunk, number, waiter) {
                    Wanted::Held(stored) => {
                        shared.counters.hits.add(1);
                        complete = request.fill(slot, &stored);
                    }
                    Wanted::Joined => shared.counters.joined.add(1),
                    Wanted::New => shared.work.notify_one(),
                }
            }
            shared.look_ahead(&mut state, chunks);
        }
        if let Some(complete) = complete {
            complete();
        }
    }

    /// As [`request`](Fetcher::request), but waits for the chunks.
    ///
    /// # Errors
    /// [`FetchError`] when they can't be had.
    pub fn wait(&self, chunks: &[u32]) -> Result<Vec<Arc<Stored>>, FetchError> {
        let (send, receive) = mpsc::sync_channel(1);
        self.request(
            chunks,
            Box::new(move |result| {
                // The receiver is there until it has this.
                let _ = send.send(result);
            }),
        );
        receive.recv().unwrap_or(Err(FetchError::Closed))
    }

    /// Figures since the start.
    pub fn stats(&self) -> Stats {
        let stalled = self.shared.lock().stalled(Instant::now());
        self.shared.counters.snapshot(stalled)
    }

    /// What was asked and waited for until now, where a journal is kept; it is kept no longer.
    pub fn journal(&self) -> Journal {
        self.shared.journal.take()
    }

    /// What messages call the stores.
    pub fn stores(&self) -> Vec<&str> {
        self.shared.mirrors.names()
    }
}

impl Drop for Fetcher {
    /// Ends the threads; what still waits is told [`FetchError::Closed`].
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.work.notify_all();
        self.shared.mirrors.shutdown();
        for thread in self.threads.drain(..) {
            // The last owner may be a reader's function that runs on one of these threads.
            if thread.thread().id() != thread::current().id() && thread.join().is_err() {
                log::error!("a thread that fetches chunks has panicked");
            }
        }
        let waiters = self.shared.lock().abandon();
        waiters.into_iter().for_each(|waiter| waiter.request.fail(FetchError::Closed));
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn chunk(&self, number: u32) -> Option<&Chunk> {
        self.image.chunks().get(number as usize)
    }

    /// Notes what a reader wants, and queues what it will want next.
    fn look_ahead(&self, state: &mut State, chunks: &[u32]) {
        if state.prefetch.is_due(Instant::now()) {
            // A reader has come further, and so may what is fetched ahead of all.
            self.work.notify_one();
        }
        let (Some(&first), Some(&last)) = (chunks.iter().min(), chunks.iter().max()) else {
            return;
        };
        let profiled = self.image.profiled();
        for number in state.lookahead.note(first, last) {
            // What follows the profile is no more likely to be wanted than anything else.
            if profiled.contains(&last) && !profiled.contains(&number) {
                break;
            }
            let Some(chunk) = self.chunk(number) else { break };
            if state.want_ahead(chunk, number) {
                self.counters.ahead.add(1);
                self.work.notify_one();
            }
        }
    }
}
