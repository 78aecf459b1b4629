//! What a fetcher knows under its one lock, held only for table look-ups: the memory cache, the
//! chunks wanted and by whom, in which order to get them, and what to try again when.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::FetchOptions;
use super::along::Along;
use super::journal::Reason;
use super::lookahead::Lookahead;
use super::merge::{adjacent, merge};
use super::prefetch::{Ended, Prefetch, Prefetched};
use super::request::Waiter;
use crate::chunk::{Chunk, Stored};
use crate::id::ChunkId;
use crate::store::cache::Cache;

pub(super) struct State {
    pub(super) cache: Cache,
    pub(super) lookahead: Lookahead,
    /// No more is fetched.
    pub(super) closed: bool,
    /// What is fetched ahead of all readers.
    pub(super) prefetch: Prefetch,
    /// What is fetched along with what a reader wants.
    pub(super) along: Along,
    /// Packs that a store is sending whole.
    pub(super) whole: HashSet<u32>,
    flights: HashMap<ChunkId, Flight>,
    /// Chunks readers wait for, oldest first; some may be taken or here already.
    demand: VecDeque<u32>,
    /// Chunks readers may want soon.
    ahead: VecDeque<u32>,
    /// What failed, by the time to try again.
    later: BTreeMap<(Instant, u64), Run>,
    serial: u64,
    ahead_running: usize,
    ahead_most: usize,
    troubled: usize,
    trouble_since: Option<Instant>,
    trouble_before: Duration,
}

/// A chunk that is wanted and not here.
struct Flight {
    waiters: Vec<Waiter>,
    /// Some thread, or the list of what to try again, has it.
    taken: bool,
    /// A reader is sure to come for it.
    prefetch: bool,
}

/// Chunks to be got by one thread.
pub(super) struct Run {
    /// Their numbers, ascending.
    pub(super) chunks: Vec<u32>,
    /// Rounds over all mirrors that failed one after the other.
    pub(super) rounds: u32,
    /// Rounds in which all stores answered, with wrong bytes.
    pub(super) corrupt_rounds: u32,
    ahead: bool,
    /// A request of the prefetch, which counts it until it has returned.
    prefetch: bool,
    troubled: bool,
    failed_at: Instant,
    wait: Duration,
}

impl Run {
    fn new(chunks: Vec<u32>, now: Instant) -> Self {
        Self {
            chunks,
            rounds: 0,
            corrupt_rounds: 0,
            ahead: false,
            prefetch: false,
            troubled: false,
            failed_at: now,
            wait: Duration::ZERO,
        }
    }

    /// What it is for.
    pub(super) fn reason(&self) -> Reason {
        match self {
            Self { prefetch: true, .. } => Reason::Prefetch,
            Self { ahead: true, .. } => Reason::Ahead,
            _ => Reason::Read,
        }
    }
}

/// What a thread does next.
pub(super) enum Next {
    Run(Run),
    /// Say that an outage is over that lasted so long.
    Over(Duration),
    /// Say that the prefetch is over.
    Prefetched(Ended, Prefetched),
    /// Wait for something to do, no longer than until then.
    Wait(Option<Instant>),
}

/// What became of a chunk that a reader wants.
pub(super) enum Wanted {
    Held(Arc<Stored>),
    Joined,
    New,
}

/// Most chunks queued to be fetched ahead of readers.
const AHEAD: usize = 256;

impl State {
    pub(super) fn new(options: &FetchOptions) -> Self {
        Self {
            cache: Cache::new(options.cache_bytes),
            lookahead: Lookahead::new(options.lookahead),
            closed: false,
            prefetch: Prefetch::default(),
            // Little in comparison to what is kept, as most of it may be in vain.
            along: Along::new(options.along.min(options.cache_bytes / 64)),
            whole: HashSet::new(),
            flights: HashMap::new(),
            demand: VecDeque::new(),
            ahead: VecDeque::new(),
            later: BTreeMap::new(),
            serial: 0,
            ahead_running: 0,
            // Demand goes first: it always finds a connection that no prefetch holds.
            ahead_most: options.connections / 2,
            troubled: 0,
            trouble_since: None,
            trouble_before: Duration::ZERO,
        }
    }

    /// The chunk, if it is held, for a reader.
    pub(super) fn held(&mut self, chunk: &Chunk, number: u32) -> Option<Arc<Stored>> {
        let stored = self.cache.get(&chunk.id)?;
        self.reader_at(chunk, number);
        Some(stored)
    }

    fn reader_at(&mut self, chunk: &Chunk, number: u32) {
        self.prefetch.reader_at(number);
        self.along.reader_at(number, chunk);
    }

    /// A reader wants this chunk.
    pub(super) fn want(&mut self, chunk: &Chunk, number: u32, waiter: Waiter) -> Wanted {
        if let Some(stored) = self.held(chunk, number) {
            return Wanted::Held(stored);
        }
        self.reader_at(chunk, number);
        if let Some(flight) = self.flights.get_mut(&chunk.id) {
            let queued_ahead = flight.waiters.is_empty() && !flight.taken;
            flight.waiters.push(waiter);
            if !queued_ahead {
                return Wanted::Joined;
            }
            // It was to be fetched ahead, and can't wait so long any more.
            self.demand.push_back(number);
            return Wanted::New;
        }
        self.flights
            .insert(chunk.id, Flight { waiters: vec![waiter], taken: false, prefetch: false });
        self.demand.push_back(number);
        Wanted::New
    }

    /// A reader may want this chunk soon. Returns whether it has to be fetched.
    pub(super) fn want_ahead(&mut self, chunk: &Chunk, number: u32) -> bool {
        if self.ahead_most == 0 || self.ahead.len() >= AHEAD || !self.is_lacking(chunk) {
            return false;
        }
        self.flights
            .insert(chunk.id, Flight { waiters: Vec::new(), taken: false, prefetch: false });
        self.ahead.push_back(number);
        true
    }

    /// What to do now: what is to be tried again, else what a reader has waited for longest, else
    /// what one may want soon, else what is to be fetched ahead of all.
    pub(super) fn next(&mut self, chunks: &[Chunk], most: u64, now: Instant) -> Next {
        while let Some(first) = self.later.first_entry().filter(|entry| entry.key().0 <= now) {
            let mut run = first.remove();
            if run.prefetch {
                self.prefetch.resume();
            }
            run.chunks.retain(|n| in_table(chunks, *n, |c| self.flights.contains_key(&c.id)));
            if run.chunks.is_empty() {
                if run.prefetch {
                    self.prefetch.returned(Vec::new(), 0, Duration::ZERO, now);
                }
                if let Some(outage) = self.forget(&run, now) {
                    return Next::Over(outage);
                }
            } else if let Some(run) = self.unless_on_its_way(chunks, run, now) {
                return Next::Run(run);
            }
        }
        while let Some(number) = self.demand.pop_front() {
            if let Some(mut run) = self.gather(chunks, number, most, now) {
                self.take_along(chunks, &mut run, most);
                return Next::Run(run);
            }
        }
        while self.ahead_running < self.ahead_most {
            let Some(number) = self.ahead.pop_front() else { break };
            if let Some(run) = self.gather(chunks, number, most, now) {
                self.ahead_running += 1;
                return Next::Run(Run { ahead: true, ..run });
            }
        }
        if let Some(run) = self.next_prefetch(chunks, now) {
            return Next::Run(run);
        }
        if let Some((ended, outcome)) = self.prefetch.over() {
            return Next::Prefetched(ended, outcome);
        }
        let later = self.later.first_key_value().map(|(&(due, _), _)| due);
        Next::Wait(later.into_iter().chain(self.prefetch.due()).min())
    }

    /// The next request of the prefetch, if one is due.
    fn next_prefetch(&mut self, chunks: &[Chunk], now: Instant) -> Option<Run> {
        while self.prefetch.is_due(now) {
            let (cache, flights) = (&self.cache, &self.flights);
            let is_lacking = |c: &Chunk| !cache.contains(&c.id) && !flights.contains_key(&c.id);
            let numbers = self.prefetch.request(chunks, is_lacking);
            if numbers.is_empty() {
                return None;
            }
            for chunk in numbers.iter().filter_map(|number| chunks.get(*number as usize)) {
                let flight = Flight { waiters: Vec::new(), taken: true, prefetch: true };
                self.flights.insert(chunk.id, flight);
            }
            let run = Run { prefetch: true, ..Run::new(numbers, now) };
            if let Some(run) = self.unless_on_its_way(chunks, run, now) {
                return Some(run);
            }
        }
        None
    }

    /// The chunk, unless it is taken or here already, with the wanted ones beside it.
    fn gather(&mut self, chunks: &[Chunk], number: u32, most: u64, now: Instant) -> Option<Run> {
        let wanted = |n| {
            in_table(chunks, n, |c| self.flights.get(&c.id).is_some_and(|flight| !flight.taken))
        };
        if !wanted(number) {
            return None;
        }
        let run = merge(chunks, number, most, wanted);
        // The same contents may lie in two places of a run.
        let numbers = run.filter(|n| {
            let flight = chunks.get(*n as usize).and_then(|c| self.flights.get_mut(&c.id));
            flight.is_some_and(|flight| !std::mem::replace(&mut flight.taken, true))
        });
        let run = Run::new(numbers.collect(), now);
        self.unless_on_its_way(chunks, run, now)
    }

    /// Adds to a run that readers wait for what lies behind it, as far as there is room.
    fn take_along(&mut self, chunks: &[Chunk], run: &mut Run, most: u64) {
        let len =
            |number: &u32| chunks.get(*number as usize).map_or(0, |c| u64::from(c.stored_len));
        let asked: u64 = run.chunks.iter().map(len).sum();
        let mut room = self.along.room().min(most.saturating_sub(asked));
        let Some(last) = run.chunks.last().copied() else { return };
        for number in last.saturating_add(1).. {
            let Some(chunk) = chunks.get(number as usize) else { break };
            let Some(rest) = room.checked_sub(u64::from(chunk.stored_len)) else { break };
            if !self.is_lacking(chunk) || !adjacent(chunks, number - 1, number) {
                break;
            }
            room = rest;
            let flight = Flight { waiters: Vec::new(), taken: true, prefetch: false };
            self.flights.insert(chunk.id, flight);
            self.along.taken(number, chunk);
            run.chunks.push(number);
        }
    }

    /// The run, unless a store is already sending its whole pack: then it is set aside.
    fn unless_on_its_way(&mut self, chunks: &[Chunk], run: Run, now: Instant) -> Option<Run> {
        let pack = run.chunks.first().and_then(|n| chunks.get(*n as usize)).map(|c| c.pack);
        if pack.is_some_and(|pack| self.whole.contains(&pack)) {
            self.set_aside(run, now);
            return None;
        }
        Some(run)
    }

    /// Looks again later at a run whose pack another thread is getting whole.
    fn set_aside(&mut self, run: Run, now: Instant) {
        if run.prefetch {
            self.prefetch.set_aside();
        }
        self.put_off(run, Duration::from_millis(50), now);
    }

    /// Tries again later.
    pub(super) fn put_off(&mut self, mut run: Run, wait: Duration, now: Instant) {
        (run.failed_at, run.wait) = (now, wait);
        self.serial += 1;
        self.later.insert((now + wait, self.serial), run);
    }

    /// A thread is done with a run, for now at least: what is left of it and `is_lost` can't be had.
    /// Keeps what readers wait for. What was only fetched ahead is none of its failures: what a
    /// reader does want it will ask for, and a prefetch asks again by itself, first after `wait`.
    pub(super) fn returned(
        &mut self,
        run: &mut Run,
        chunks: &[Chunk],
        is_lost: bool,
        wait: Duration,
        now: Instant,
    ) {
        self.ahead_running -= usize::from(std::mem::take(&mut run.ahead));
        let mut dropped = Vec::new();
        run.chunks.retain(|number| {
            let awaited = in_table(chunks, *number, |c| self.keep_if_awaited(&c.id));
            if !awaited {
                dropped.push(*number);
            }
            awaited
        });
        if std::mem::take(&mut run.prefetch) {
            let lost = if is_lost { std::mem::take(&mut dropped).len() } else { 0 };
            self.prefetch.returned(dropped, lost as u64, wait, now);
        }
    }

    /// A thread leaves a run to another that is getting all of its pack.
    pub(super) fn left_to_another(&mut self, mut run: Run, now: Instant) {
        self.ahead_running -= usize::from(std::mem::take(&mut run.ahead));
        self.set_aside(run, now);
    }

    /// A chunk is here. Returns who waits for it.
    pub(super) fn arrived(&mut self, id: ChunkId, stored: &Arc<Stored>) -> Vec<Waiter> {
        let flight = self.flights.remove(&id);
        let unread = flight.as_ref().is_some_and(|f| f.prefetch && f.waiters.is_empty());
        self.cache.insert(id, Arc::clone(stored), !unread);
        flight.map(|flight| flight.waiters).unwrap_or_default()
    }

    /// A store has answered as it should: what failed before is tried again at once, or soon
    /// where it has only just failed. Returns whether that has changed when.
    pub(super) fn hurry(&mut self, now: Instant) -> bool {
        let mut sooner = false;
        for ((due, serial), run) in std::mem::take(&mut self.later) {
            let soon = due.min(now.max(run.failed_at + run.wait / 8));
            sooner |= soon < due;
            self.later.insert((soon, serial), run);
        }
        sooner
    }

    /// Whether the chunk is neither here nor on its way, nor asked for.
    fn is_lacking(&self, chunk: &Chunk) -> bool {
        !self.cache.contains(&chunk.id) && !self.flights.contains_key(&chunk.id)
    }

    /// Whether the chunk is wanted and not here.
    pub(super) fn is_wanted(&self, id: &ChunkId) -> bool {
        self.flights.contains_key(id)
    }

    /// Whether anybody waits for the chunk; if not, it is no longer wanted.
    fn keep_if_awaited(&mut self, id: &ChunkId) -> bool {
        let awaited = self.flights.get(id).is_some_and(|flight| !flight.waiters.is_empty());
        if !awaited {
            self.flights.remove(id);
        }
        awaited
    }

    /// The chunk can't be had. Returns who waits for it.
    pub(super) fn give_up(&mut self, id: &ChunkId) -> Vec<Waiter> {
        self.flights.remove(id).map(|flight| flight.waiters).unwrap_or_default()
    }

    /// Nothing can be had any more. Returns all who wait.
    pub(super) fn abandon(&mut self) -> Vec<Waiter> {
        self.flights.drain().flat_map(|(_, flight)| flight.waiters).collect()
    }

    /// Notes that readers wait because of an outage. Returns whether it has just begun.
    pub(super) fn trouble(&mut self, run: &mut Run, now: Instant) -> bool {
        if std::mem::replace(&mut run.troubled, true) {
            return false;
        }
        self.troubled += 1;
        if self.trouble_since.is_some() {
            return false;
        }
        self.trouble_since = Some(now);
        true
    }

    /// The run has ended, well or not. Returns how long the outage was that ends with it.
    pub(super) fn forget(&mut self, run: &Run, now: Instant) -> Option<Duration> {
        if !run.troubled {
            return None;
        }
        self.troubled -= 1;
        if self.troubled > 0 {
            return None;
        }
        let lasted = now.saturating_duration_since(self.trouble_since.take()?);
        self.trouble_before += lasted;
        Some(lasted)
    }

    /// For how long, in all, readers have waited because of outages.
    pub(super) fn stalled(&self, now: Instant) -> Duration {
        let current = self.trouble_since.map(|since| now.saturating_duration_since(since));
        self.trouble_before + current.unwrap_or_default()
    }
}

fn in_table(chunks: &[Chunk], number: u32, test: impl FnOnce(&Chunk) -> bool) -> bool {
    chunks.get(number as usize).is_some_and(test)
}
