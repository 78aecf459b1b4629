//! What lies behind a chunk that a reader wants is asked for along with it, where an answer's way is long:
//! what a system reads lies close together, so that this saves some of the next ways.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use super::journal::Asked;
use crate::chunk::Chunk;

/// An answer that is there sooner comes from near: another request costs little then.
const LONG: Duration = Duration::from_millis(8);

/// How many of the last answers say what the way is like, and how many there must be. The shortest wait
/// of them is the way's, and the highest rate the link's: a connection that is new needs some ways
/// until it is as fast.
const ANSWERS: usize = 8;
const ENOUGH: usize = 4;
/// One that is shorter than this, in bytes, says nothing of the link's rate.
const TELLING: u64 = 32 << 10;

/// How many bytes are taken along in the hope that a reader comes for some of them, at the beginning and
/// ever; and for how many the bytes pay that one came for. A Debian's boot reads half of what it takes
/// along; who reads here and there, next to none.
const HOPE: u64 = 4 << 20;
const MOST_HOPE: u64 = 16 << 20;
const PAYS_FOR: u64 = 4;

/// What requests take along.
#[derive(Default)]
pub(super) struct Along {
    /// The most for one request, in stored bytes.
    most: u64,
    /// Whether what readers will want is known better.
    paused: bool,
    /// Of the last answers, how long each took to come and how many bytes a second came then.
    answers: VecDeque<(Duration, u64)>,
    /// Bytes that may still be taken along.
    hope: u64,
    /// Chunks that were taken along, and that no reader has wanted yet.
    unread: HashSet<u32>,
}

impl Along {
    /// To take along at most so many stored bytes with one request.
    pub(super) fn new(most: u64) -> Self {
        Self { most, hope: HOPE, ..Self::default() }
    }

    /// Takes nothing along while `paused`.
    pub(super) fn pause(&mut self, paused: bool) {
        self.paused = paused;
    }

    /// Notes how a request went.
    pub(super) fn answered(&mut self, asked: &Asked) {
        let Some(answered) = asked.answered.filter(|_| asked.bytes >= TELLING) else { return };
        let body = asked.ended.duration_since(answered).as_micros().max(1);
        let rate = u128::from(asked.bytes) * 1_000_000 / body;
        if self.answers.len() == ANSWERS {
            self.answers.pop_front();
        }
        let head = answered.duration_since(asked.began);
        self.answers.push_back((head, u64::try_from(rate).unwrap_or(u64::MAX)));
    }

    /// How many stored bytes the next request may take along: what the link could have carried while an
    /// answer was on its way.
    pub(super) fn room(&self) -> u64 {
        let head = self.answers.iter().map(|(head, _)| *head).min().unwrap_or_default();
        if self.paused || self.answers.len() < ENOUGH || head < LONG {
            return 0;
        }
        let rate = self.answers.iter().map(|(_, rate)| *rate).max().unwrap_or_default();
        let carried = u128::from(rate) * head.as_millis() / 1000;
        u64::try_from(carried).unwrap_or(u64::MAX).min(self.most).min(self.hope)
    }

    /// A request takes this chunk along, for which there is room.
    pub(super) fn taken(&mut self, number: u32, chunk: &Chunk) {
        self.hope = self.hope.saturating_sub(u64::from(chunk.stored_len));
        self.unread.insert(number);
    }

    /// A reader wants this chunk.
    pub(super) fn reader_at(&mut self, number: u32, chunk: &Chunk) {
        if self.unread.remove(&number) {
            self.hope = (self.hope + PAYS_FOR * u64::from(chunk.stored_len)).min(MOST_HOPE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::ChunkId;

    const MOST: u64 = 384 << 10;

    /// A way where an answer takes so many milliseconds to come, and so many more for 100,000 bytes.
    fn along(head: u64, body: u64) -> Along {
        let mut along = Along::new(MOST);
        (0..ANSWERS).for_each(|_| along.answered(&Asked::within(head, body, 100_000)));
        along
    }

    #[test]
    fn as_much_as_the_way_could_have_carried() {
        for (head, body, room) in [
            (50, 8, MOST),
            (50, 100, 50_000),
            (9, 1000, 900),
            // No far way.
            (7, 1, 0),
            (0, 0, 0),
        ] {
            assert_eq!(along(head, body).room(), room, "{head} ms, {body} ms");
        }
        assert_eq!(Along::new(0).room(), 0);
    }

    #[test]
    fn few_answers_are_not_enough_and_one_slow_one_is_no_slow_way() {
        let mut some = Along::new(MOST);
        for _ in 1..ENOUGH {
            some.answered(&Asked::within(50, 8, 100_000));
            assert_eq!(some.room(), 0);
        }
        some.answered(&Asked::within(50, 8, 100_000));
        assert_eq!(some.room(), MOST);
        let mut far = along(50, 8);
        far.answered(&Asked::within(80, 400, 100_000));
        assert_eq!(far.room(), MOST);
        let mut near = along(1, 8);
        near.answered(&Asked::within(50, 8, 100_000));
        assert_eq!(near.room(), 0);
        // It has become one.
        (0..ANSWERS).for_each(|_| near.answered(&Asked::within(50, 8, 100_000)));
        assert_eq!(near.room(), MOST);
        // Of a short answer, and of none, nothing is learnt.
        near.answered(&Asked::within(0, 0, TELLING - 1));
        near.answered(&Asked { answered: None, ..Asked::within(0, 0, 100_000) });
        assert_eq!(near.room(), MOST);
    }

    #[test]
    fn it_ends_where_nobody_comes_for_it() {
        let len = 100_000;
        let chunk = Chunk { id: ChunkId::of(b""), pack: 0, stored_len: len, len, offset: 0 };
        let mut along = along(50, 8);
        let mut taken = 0;
        while along.room() >= u64::from(len) {
            along.taken(taken, &chunk);
            taken += 1;
        }
        assert!(u64::from(taken * len) <= HOPE, "{taken}");
        // One that is read pays for some more, once.
        let before = along.hope;
        (0..2).for_each(|_| along.reader_at(0, &chunk));
        assert_eq!(along.hope - before, PAYS_FOR * u64::from(len));
        for number in taken..3 * taken {
            along.taken(number, &chunk);
            along.reader_at(number, &chunk);
        }
        assert_eq!(along.hope, MOST_HOPE);
    }

    #[test]
    fn not_while_it_is_paused() {
        let mut along = along(50, 8);
        along.pause(true);
        assert_eq!(along.room(), 0);
        along.pause(false);
        assert_eq!(along.room(), MOST);
    }
}
