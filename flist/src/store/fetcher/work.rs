//! What the threads of a fetcher do: ask one mirror after another, and decide what happens to
//! that which did not come.

use std::hash::{BuildHasher, RandomState};
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use super::journal::{Asked, Reason};
use super::merge::adjacent;
use super::receive::Answer;
use super::state::{Next, Run};
use super::{FetchError, Patience, Shared};
use crate::chunk::Corrupt;
use crate::store::mirrors::Haste;
use crate::store::{Store, StoreError};

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
    /// The last request.
    last: Option<Asked>,
    /// What it is for.
    reason: Reason,
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
                Next::Prefetched(ended, outcome) => {
                    drop(state);
                    ended(outcome);
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
        let haste = if run.rounds == 0 { Haste::Hasty } else { Haste::Patient };
        let round = Round { reason: run.reason(), ..Round::default() };
        let round = self.round(&mut run.chunks, haste, round);
        let now = Instant::now();
        let mut state = self.lock();
        if round.on_its_way {
            state.left_to_another(run, now);
            return self.work.notify_one();
        }
        if let Some(last) = &round.last {
            state.along.answered(last);
            if last.reason == Reason::Prefetch {
                state.prefetch.answered(last);
            }
        }
        let is_lost = round.outage.is_none() && round.corrupt.is_some();
        state.returned(&mut run, self.image.chunks(), is_lost, self.options.first_wait, now);
        // There may be more to fetch ahead, or an end to be told.
        self.work.notify_one();
        if run.chunks.is_empty() {
            let ended = state.forget(&run, now);
            drop(state);
            return self.log_end(ended);
        }
        drop(state);
        self.again_or_fail(run, round, now);
    }

    /// Asks all mirrors in turn for `chunks`, from which it takes away what has come.
    fn round(&self, chunks: &mut Vec<u32>, haste: Haste, mut round: Round) -> Round {
        for (number, store) in self.mirrors.in_turn(haste) {
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
            let (began, mut answer) = (Instant::now(), Answer::default());
            let result = self.receive(store, group, &mut answer);
            let asked = Asked {
                began,
                answered: answer.began,
                ended: Instant::now(),
                bytes: answer.bytes,
                reason: round.reason,
            };
            self.journal.asked(asked);
            round.last = Some(asked);
            chunks.retain(|n| !answer.come.contains(n));
            round.corrupt = answer.corrupt.or(round.corrupt.take());
            round.on_its_way |= answer.on_its_way;
            result?;
        }
        Ok(())
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
        // Where the stores stay away, those who wait are told why; nothing is back.
        if matches!(error, FetchError::Corrupt { .. }) {
            self.log_end(ended);
        }
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
