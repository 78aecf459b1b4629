//! What a fetcher has done, in numbers.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Figures since the fetcher began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Requests to stores that were answered.
    pub requests: u64,
    /// Stored bytes of chunks that came and were right.
    pub bytes: u64,
    /// Chunks that came and were right.
    pub chunks: u64,
    /// Chunks that were asked for and held in memory already.
    pub hits: u64,
    /// Chunks asked for that were on their way already.
    pub joined: u64,
    /// Chunks fetched ahead of a reader.
    pub ahead: u64,
    /// Requests to stores that failed.
    pub failures: u64,
    /// Chunks that came and were wrong.
    pub corrupt: u64,
    /// How long readers waited for stores that were away.
    pub stalled: Duration,
}

#[derive(Default)]
pub(super) struct Counters {
    pub(super) requests: Counter,
    pub(super) bytes: Counter,
    pub(super) chunks: Counter,
    pub(super) hits: Counter,
    pub(super) joined: Counter,
    pub(super) ahead: Counter,
    pub(super) failures: Counter,
    pub(super) corrupt: Counter,
}

#[derive(Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Counters {
    pub(super) fn snapshot(&self, stalled: Duration) -> Stats {
        Stats {
            requests: self.requests.get(),
            bytes: self.bytes.get(),
            chunks: self.chunks.get(),
            hits: self.hits.get(),
            joined: self.joined.get(),
            ahead: self.ahead.get(),
            failures: self.failures.get(),
            corrupt: self.corrupt.get(),
            stalled,
        }
    }
}
