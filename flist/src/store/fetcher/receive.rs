//! Takes in what a store sends: each chunk verified as it arrives, then handed to all who wait.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use super::Shared;
use crate::chunk::{Chunk, Corrupt, Stored};
use crate::image::Pack;
use crate::store::{Body, Store, StoreError, skip};

/// What has come of what a store was asked for.
#[derive(Default)]
pub(super) struct Answer {
    /// Numbers of the chunks that came and were right.
    pub(super) come: HashSet<u32>,
    /// What was wrong with the last one that was not.
    pub(super) corrupt: Option<Corrupt>,
    /// Another thread is already taking in the whole pack.
    pub(super) on_its_way: bool,
    /// When it began.
    pub(super) began: Option<Instant>,
    /// Stored bytes of the chunks that came and were right.
    pub(super) bytes: u64,
}

impl Shared {
    /// Asks `store` for a group of adjacent chunks and takes them in.
    pub(super) fn receive(
        &self,
        store: &dyn Store,
        group: &[u32],
        answer: &mut Answer,
    ) -> Result<(), StoreError> {
        let Some((pack, number, span)) = self.span(group) else { return Ok(()) };
        let mut body = store.open(pack, span.clone())?;
        answer.began = Some(Instant::now());
        self.counters.requests.add(1);
        if body.remaining() == span {
            return group.iter().try_for_each(|n| self.take(store, &mut *body, *n, answer));
        }
        if !self.claim(number, group, answer) {
            return Ok(());
        }
        let result = self.receive_whole(store, &mut *body, number, group, answer);
        self.lock().whole.remove(&number);
        result
    }

    /// Where a group of adjacent chunks lies.
    fn span(&self, group: &[u32]) -> Option<(&Pack, u32, Range<u64>)> {
        let first = self.chunk(*group.first()?)?;
        let last = self.chunk(*group.last()?)?;
        Some((self.image.pack_of(first)?, first.pack, first.offset..last.range().end))
    }

    /// Takes in one chunk; passes over what comes before it.
    fn take(
        &self,
        store: &dyn Store,
        body: &mut dyn Body,
        number: u32,
        answer: &mut Answer,
    ) -> Result<(), StoreError> {
        let Some(chunk) = self.chunk(number) else { return Ok(()) };
        skip(body, chunk.offset)?;
        match chunk.verify(body.read(u64::from(chunk.stored_len))?) {
            Ok(stored) => {
                answer.come.insert(number);
                answer.bytes += u64::from(chunk.stored_len);
                self.deliver(chunk, stored);
            }
            Err(corrupt) => {
                self.counters.corrupt.add(1);
                let pack = self.image.pack_of(chunk).map(|p| p.id.to_string());
                let pack = pack.unwrap_or_default();
                log::warn!("{}: wrong bytes in pack {pack}: {corrupt}", store.name());
                answer.corrupt = Some(corrupt);
            }
        }
        Ok(())
    }

    /// Whether this thread is to take in a whole pack that a store sends. Not if another has done
    /// so since this one asked, and one thread at a time.
    fn claim(&self, pack: u32, group: &[u32], answer: &mut Answer) -> bool {
        let mut state = self.lock();
        let here = |n: &&u32| self.chunk(**n).is_some_and(|c| !state.is_wanted(&c.id));
        answer.come.extend(group.iter().filter(here));
        if answer.come.len() == group.len() {
            return false;
        }
        let claimed = state.whole.insert(pack);
        answer.on_its_way = !claimed;
        claimed
    }

    /// Takes in a pack that a store sends from its beginning, as it does not know ranges: all of
    /// it where the cache can hold it, else what is wanted by the time it comes past.
    fn receive_whole(
        &self,
        store: &dyn Store,
        body: &mut dyn Body,
        pack: u32,
        group: &[u32],
        answer: &mut Answer,
    ) -> Result<(), StoreError> {
        let all = self.all_with(pack, group);
        let mut left = &all[..];
        let keep_all = body.remaining().end <= self.lock().cache.limit();
        loop {
            let next = if keep_all { 0 } else { self.first_wanted(left) };
            let Some((number, rest)) = left.get(next..).and_then(<[u32]>::split_first) else {
                return Ok(());
            };
            self.take(store, body, *number, answer)?;
            left = rest;
        }
    }

    /// Index of the first of these chunks that is wanted.
    fn first_wanted(&self, numbers: &[u32]) -> usize {
        let state = self.lock();
        let wanted = |n: &u32| self.chunk(*n).is_some_and(|c| state.is_wanted(&c.id));
        numbers.iter().position(wanted).unwrap_or(numbers.len())
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
    fn deliver(&self, chunk: &Chunk, stored: Stored) {
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
                self.journal.waited(waiter.request.began);
                complete();
            }
        }
    }
}
