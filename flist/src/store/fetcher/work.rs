//! What the threads of a fetcher do: ask one mirror after another, verify what comes, tell who
//! waits, and decide what happens to that which did not come.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::ops::Range;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use super::state::{Next, Run, adjacent};
use super::{FetchError, Patience, Shared};
use crate::chunk::{Chunk, Corrupt};
use crate::image::Pack;
use crate::store::{Body, Store, StoreError, skip};

/// How asking all mirrors went.
#[derive(Default)]
struct Round {
    /// Why the last store that could not be asked could not.
    outage: Option<StoreError>,
    /// What the last wrong bytes were.
    corrupt: Option<Corrupt>,
    /// Something came.
    progress: bool,
    /// Another thread is already taking in the whole pack.
    on_its_way: bool,
}

impl Shared {
    /// Takes run after run until the fetcher is closed.
    pub(super) fn run(&self) {
        let mut state = self.lock();
        while !state.closed {
            let now = Instant::now();
            match state.next(self.image.chunks(), self.options.max_request, now) {
                Next::Run(run) => {
                    drop(state);
                    self.serve(run);
                    state = self.lock();
                }
                Next::Over(outage) => {
                    drop(state);
                    self.log_end(Some(outage));
                    state = self.lock();
                }
                Next::Wait(Some(due)) => {
                    let wait = due.saturating_duration_since(now);
                    let woken = self.work.wait_timeout(state, wait);
                    state = woken.unwrap_or_else(PoisonError::into_inner).0;
                }
                Next::Wait(None) => {
                    state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }

    fn serve(&self, mut run: Run) {
        let round = self.round(&mut run.chunks);
        let now = Instant::now();
        let mut state = self.lock();
        state.returned(&mut run);
        if round.on_its_way {
            state.put_off(run, Duration::from_millis(50), now);
            return self.work.notify_one();
        }
        // A failure ahead of a reader is none: what it does want it will ask for.
        run.chunks.retain(|n| self.chunk(*n).is_some_and(|c| state.keep_if_awaited(&c.id)));
        if run.chunks.is_empty() {
            let ended = state.forget(&run, now);
            drop(state);
            return self.log_end(ended);
        }
        drop(state);
        self.again_or_fail(run, round, now);
    }

    /// Asks all mirrors in turn for `chunks`, from which it takes away what has come.
    fn round(&self, chunks: &mut Vec<u32>) -> Round {
        let mut round = Round::default();
        for (number, store) in self.mirrors.in_turn() {
            let before = chunks.len();
            let result = self.ask(store, chunks, &mut round);
            round.progress |= chunks.len() < before;
            if let Err(error) = result {
                self.counters.failures.add(1);
                round.outage = Some(error);
            }
            if chunks.is_empty() {
                self.mirrors.keep(number, round.outage.as_ref());
            }
            if chunks.is_empty() || round.on_its_way || self.lock().closed {
                break;
            }
        }
        round
    }

    /// Asks one store for `chunks`, from which it takes away what has come.
    fn ask(
        &self,
        store: &dyn Store,
        chunks: &mut Vec<u32>,
        round: &mut Round,
    ) -> Result<(), StoreError> {
        let wanted = chunks.clone();
        for group in wanted.chunk_by(|a, b| adjacent(self.image.chunks(), *a, *b)) {
            let Some((pack, number, span)) = self.span(group) else { continue };
            let mut body = store.open(pack, span.clone())?;
            self.counters.requests.add(1);
            let mut come = HashSet::new();
            let result = if body.remaining() == span {
                self.receive(store, &mut *body, group, &mut come, round)
            } else {
                self.receive_whole(store, &mut *body, number, group, &mut come, round)
            };
            chunks.retain(|n| !come.contains(n));
            result?;
        }
        Ok(())
    }

    /// Where a group of adjacent chunks lies.
    fn span(&self, group: &[u32]) -> Option<(&Pack, u32, Range<u64>)> {
        let first = self.chunk(*group.first()?)?;
        let last = self.chunk(*group.last()?)?;
        Some((self.image.pack_of(first)?, first.pack, first.offset..last.range().end))
    }

    /// Takes in the chunks `numbers`, in the order in which they lie in the pack.
    fn receive(
        &self,
        store: &dyn Store,
        body: &mut dyn Body,
        numbers: &[u32],
        come: &mut HashSet<u32>,
        round: &mut Round,
    ) -> Result<(), StoreError> {
        for &number in numbers {
            let Some(chunk) = self.chunk(number) else { continue };
            skip(body, chunk.offset)?;
            let bytes = body.read(u64::from(chunk.stored_len))?;
            match chunk.verify(bytes) {
                Ok(stored) => {
                    come.insert(number);
                    self.deliver(chunk, stored);
                }
                Err(corrupt) => {
                    self.counters.corrupt.add(1);
                    let pack = self.image.pack_of(chunk).map(|p| p.id.to_string());
                    let pack = pack.unwrap_or_default();
                    log::warn!("{}: wrong bytes in pack {pack}: {corrupt}", store.name());
                    round.corrupt = Some(corrupt);
                }
            }
        }
        Ok(())
    }

    /// Takes in a pack that a store sends from its beginning, as it does not know ranges: all of
    /// it where the cache can hold it, else up to what is wanted. One thread at a time does so.
    fn receive_whole(
        &self,
        store: &dyn Store,
        body: &mut dyn Body,
        pack: u32,
        group: &[u32],
        come: &mut HashSet<u32>,
        round: &mut Round,
    ) -> Result<(), StoreError> {
        {
            let mut state = self.lock();
            if body.remaining().end > state.cache.limit() {
                drop(state);
                return self.receive(store, body, group, come, round);
            }
            // Another thread may have taken it in since this one asked.
            let here = |n: &&u32| self.chunk(**n).is_some_and(|c| !state.is_wanted(&c.id));
            come.extend(group.iter().filter(here));
            if come.len() == group.len() {
                return Ok(());
            }
            if !state.whole.insert(pack) {
                round.on_its_way = true;
                return Ok(());
            }
        }
        let all = self.all_with(pack, group);
        let result = self.receive(store, body, &all, come, round);
        self.lock().whole.remove(&pack);
        result
    }

    /// The chunks of a pack in the order in which they lie in it, those of `group` in any case.
    /// Where others overlap, as in no image that a builder makes, one of them is left out.
    fn all_with(&self, pack: u32, group: &[u32]) -> Vec<u32> {
        let span = self.span(group).map(|(_, _, span)| span).unwrap_or_default();
        let numbered = (0_u32..).zip(self.image.chunks()).filter(|(_, c)| c.pack == pack);
        let mut all: Vec<_> = numbered
            .map(|(n, c)| (c.range(), n))
            .filter(|(r, n)| group.contains(n) || r.end <= span.start || r.start >= span.end)
            .collect();
        all.sort_by_key(|(range, _)| range.start);
        let mut end = 0;
        all.retain(|(range, _)| {
            let apart = range.start >= end;
            end = if apart { range.end } else { end };
            apart
        });
        all.into_iter().map(|(_, number)| number).collect()
    }

    /// A verified chunk is here: into the cache with it, and to all who wait.
    fn deliver(&self, chunk: &Chunk, stored: crate::chunk::Stored) {
        self.counters.chunks.add(1);
        self.counters.bytes.add(u64::from(chunk.stored_len));
        let stored = Arc::new(stored);
        let waiters = {
            let mut state = self.lock();
            if state.hurry(Instant::now()) {
                self.work.notify_all();
            }
            state.arrived(chunk.id, &stored)
        };
        for waiter in waiters {
            if let Some(complete) = waiter.request.fill(waiter.slot, &stored) {
                complete();
            }
        }
    }

    /// Some chunks of a run that readers wait for did not come.
    fn again_or_fail(&self, mut run: Run, round: Round, now: Instant) {
        let Round { outage, corrupt, progress, .. } = round;
        let error = match (outage, corrupt) {
            (Some(error), _) => {
                run.rounds = if progress { 0 } else { run.rounds.saturating_add(1) };
                let patient = match self.options.patience {
                    Patience::Forever => true,
                    Patience::Rounds(most) => run.rounds < most,
                };
                if patient && !progress && self.lock().trouble(&mut run, now) {
                    log::warn!("{error}; reads wait, it is tried again");
                }
                (!patient).then_some(FetchError::Store(error))
            }
            (None, Some(corrupt)) => {
                run.rounds = run.rounds.saturating_add(1);
                run.corrupt_rounds = run.corrupt_rounds.saturating_add(1);
                let enough = run.corrupt_rounds >= self.options.corrupt_rounds;
                enough.then_some(FetchError::Corrupt { corrupt })
            }
            // Neither came nor failed: the round was cut short as the fetcher was closed.
            (None, None) => None,
        };
        match error {
            Some(error) => self.fail(&run, &error, now),
            None => {
                let wait = if progress { Duration::ZERO } else { self.wait(run.rounds) };
                self.lock().put_off(run, wait, now);
                self.work.notify_one();
            }
        }
    }

    /// All who wait for what is left of a run get an error.
    fn fail(&self, run: &Run, error: &FetchError, now: Instant) {
        let mut state = self.lock();
        let ids = run.chunks.iter().filter_map(|n| self.chunk(*n)).map(|c| c.id);
        let waiters: Vec<_> = ids.flat_map(|id| state.give_up(&id)).collect();
        let ended = state.forget(run, now);
        drop(state);
        self.log_end(ended);
        waiters.into_iter().for_each(|waiter| waiter.request.fail(error.clone()));
    }

    /// How long to wait after so many failed rounds: doubling, bounded, and half of it by chance,
    /// so that many nodes do not come back to a server all at once.
    fn wait(&self, rounds: u32) -> Duration {
        let doublings = rounds.saturating_sub(1).min(16);
        let full = self.options.first_wait.saturating_mul(1 << doublings);
        let full = full.min(self.options.longest_wait);
        let chance = RandomState::new().hash_one(rounds) % 1024;
        full / 2 + (full / 2).mul_f64(f64::from(u16::try_from(chance).unwrap_or(0)) / 1024.0)
    }

    fn log_end(&self, outage: Option<Duration>) {
        if let Some(lasted) = outage {
            let names = self.mirrors.names().join(", ");
            log::warn!("{names}: back after {:.1} s", lasted.as_secs_f64());
        }
    }
}
