//! Chunks fetched before anybody wants them, in the order in which they will be needed: what of them
//! to ask for next, and how far ahead of the readers to be.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use super::journal::Asked;
use super::merge::adjacent;
use crate::chunk::Chunk;
use crate::format::MAX_SOON_LEN;

/// Requests under way at a time. Each is a connection with a window of its own, so that together they
/// fill a long link sooner than one would (a server sends some 14 KB before it hears of the first
/// acknowledgement, then twice as much each round trip); and while one is asked, the others send.
pub const STREAMS: usize = 4;

/// Longest request, in stored bytes: what a reader may have to wait for that wants the last chunk of
/// one, and on most ways long against what a round trip could carry. The first is what an flist says is
/// needed soon.
pub(super) const REQUEST: u64 = MAX_SOON_LEN;

/// What became of a prefetch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Prefetched {
    /// Chunks that it was to fetch.
    pub chunks: u64,
    /// Bytes of them, as stored.
    pub bytes: u64,
    /// Chunks that no store has right: a reader that wants one will be told why.
    pub missing: u64,
}

/// Is called once, when all has come that can.
pub type Ended = Box<dyn FnOnce(Prefetched) + Send>;

/// The chunks to be fetched ahead.
#[derive(Default)]
pub(super) struct Prefetch {
    /// In the order of need, each with the stored bytes up to its end.
    order: Vec<(u32, u64)>,
    /// Where in `order` a chunk is.
    places: HashMap<u32, usize>,
    /// The first in `order` that was not asked for.
    next: usize,
    /// What was asked for and did not come, to be asked for first.
    again: VecDeque<u32>,
    /// Stored bytes of `order` up to the furthest chunk that a reader wanted.
    reached: u64,
    /// How many stored bytes to be ahead of that at most: what the cache holds for readers to come.
    budget: u64,
    /// How long a request may be now, and ever: more where a round trip can carry more, so that a link is
    /// not idle between two.
    longest: u64,
    most: u64,
    /// Requests under way.
    running: usize,
    /// Requests that wait for a pack which comes whole.
    aside: usize,
    /// While stores are away: when to ask again, and how long to wait the next time.
    pause: Option<(Instant, Duration)>,
    outcome: Prefetched,
    ended: Option<Ended>,
}

impl Prefetch {
    /// To fetch `numbers` of `chunks`, at most `budget` stored bytes ahead of the readers.
    pub(super) fn new(chunks: &[Chunk], numbers: Vec<u32>, budget: u64, ended: Ended) -> Self {
        let ended = Some(ended);
        let mut prefetch =
            Self { budget, longest: REQUEST, most: REQUEST, ended, ..Self::default() };
        for number in numbers {
            let Some(chunk) = chunks.get(number as usize) else { continue };
            if prefetch.places.insert(number, prefetch.order.len()).is_none() {
                prefetch.outcome.bytes += u64::from(chunk.stored_len);
                prefetch.order.push((number, prefetch.outcome.bytes));
            }
        }
        prefetch.outcome.chunks = prefetch.order.len() as u64;
        prefetch
    }

    /// The same in the place of `other`, some requests of which may be under way.
    pub(super) fn instead_of(self, other: &Self) -> Self {
        Self { running: other.running, aside: other.aside, ..self }
    }

    /// The same with requests of up to so many bytes, where that helps.
    pub(super) fn with_longest(self, most: u64) -> Self {
        Self { longest: self.longest.min(most), most, ..self }
    }

    /// Makes requests longer while an answer's way takes longer than the answer, and shorter again where
    /// that is soon there.
    pub(super) fn answered(&mut self, asked: &Asked) {
        let Some(answered) = asked.answered else { return };
        // A short one says nothing of how a long one goes.
        if asked.bytes < self.longest / 2 {
            return;
        }
        let head = answered.duration_since(asked.began);
        let body = asked.ended.duration_since(answered);
        if head > body {
            self.longest = (self.longest * 2).min(self.most);
        } else if head * 8 < body {
            self.longest = (self.longest / 2).max(REQUEST.min(self.most));
        }
    }

    /// A reader wants this chunk: those before it are needed no more, or were never.
    pub(super) fn reader_at(&mut self, number: u32) {
        let place = self.places.get(&number).and_then(|at| self.order.get(*at));
        self.reached = self.reached.max(place.map_or(0, |(_, bytes)| *bytes));
    }

    /// Whether a request may be made now.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.running < STREAMS
            && self.pause.is_none_or(|(until, _)| until <= now)
            && (!self.again.is_empty() || self.is_near())
    }

    fn is_near(&self) -> bool {
        let next = self.order.get(self.next);
        next.is_some_and(|(_, bytes)| *bytes <= self.reached.saturating_add(self.budget))
    }

    /// When stores that are away are asked again, if anything is left to ask for.
    pub(super) fn due(&self) -> Option<Instant> {
        let left = !self.again.is_empty() || self.is_near();
        self.pause.filter(|_| left && self.running < STREAMS).map(|(until, _)| until)
    }

    /// The chunks of the next request: those that `is_lacking`, as far as they are adjacent and no
    /// longer than a request may be. Empty if none is left.
    pub(super) fn request(
        &mut self,
        chunks: &[Chunk],
        is_lacking: impl Fn(&Chunk) -> bool,
    ) -> Vec<u32> {
        let (mut request, mut bytes) = (Vec::new(), 0);
        while let Some(number) = self.peek() {
            let Some(chunk) = chunks.get(number as usize).filter(|chunk| is_lacking(chunk)) else {
                self.pass();
                if request.is_empty() {
                    continue;
                }
                break;
            };
            let goes_on = request.last().is_none_or(|last| adjacent(chunks, *last, number));
            bytes += u64::from(chunk.stored_len);
            if !goes_on || bytes > self.longest && !request.is_empty() {
                break;
            }
            request.push(number);
            self.pass();
        }
        self.running += usize::from(!request.is_empty());
        request
    }

    fn peek(&self) -> Option<u32> {
        let first = self.order.get(self.next).filter(|_| self.is_near()).map(|(number, _)| *number);
        self.again.front().copied().or(first)
    }

    fn pass(&mut self) {
        if self.again.pop_front().is_none() {
            self.next += 1;
        }
    }

    /// A request has ended. Of its chunks, `lost` can't be had, and `left` may be had later: after
    /// `pause`, which grows from one failure to the next.
    pub(super) fn returned(&mut self, left: Vec<u32>, lost: u64, first: Duration, now: Instant) {
        self.running -= 1;
        self.outcome.missing += lost;
        if left.is_empty() {
            self.pause = None;
            return;
        }
        left.into_iter().rev().for_each(|number| self.again.push_front(number));
        let wait = self.pause.map_or(first, |(_, wait)| wait);
        self.pause = Some((now + wait, (wait * 2).min(LONGEST_PAUSE)));
    }

    /// A request waits for a pack that comes whole: another may be made meanwhile.
    pub(super) fn set_aside(&mut self) {
        self.running -= 1;
        self.aside += 1;
    }

    /// That request waits no more.
    pub(super) fn resume(&mut self) {
        self.aside -= 1;
        self.running += 1;
    }

    /// What to call now that all has come that can: once.
    pub(super) fn over(&mut self) -> Option<(Ended, Prefetched)> {
        let under_way = self.running + self.aside > 0;
        let over = !under_way && self.again.is_empty() && self.next == self.order.len();
        let ended = self.ended.take_if(|_| over)?;
        Some((ended, self.outcome))
    }
}

/// The longest wait while stores are away.
const LONGEST_PAUSE: Duration = Duration::from_secs(4);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::ChunkId;

    const LEN: u32 = 100 << 10;

    fn chunks(count: u32) -> Vec<Chunk> {
        let chunk = |n: u32| Chunk {
            id: ChunkId::of(&n.to_le_bytes()),
            pack: n / 10,
            stored_len: LEN,
            len: LEN,
            offset: u64::from(n % 10 * LEN),
        };
        (0..count).map(chunk).collect()
    }

    fn prefetch(chunks: &[Chunk], budget: u64) -> Prefetch {
        let all = (0_u32..).take(chunks.len()).collect();
        Prefetch::new(chunks, all, budget, Box::new(drop))
    }

    #[test]
    fn requests_are_adjacent_and_bounded() {
        let chunks = chunks(13);
        let mut prefetch = prefetch(&chunks, u64::MAX);
        let mut next = || prefetch.request(&chunks, |_| true);
        assert_eq!(next(), [0, 1, 2, 3, 4]);
        assert_eq!(next(), [5, 6, 7, 8, 9]);
        assert_eq!(next(), [10, 11, 12], "another pack");
        assert!(next().is_empty());
    }

    #[test]
    fn requests_grow_while_their_way_takes_longer_than_they_do() {
        let chunks: Vec<Chunk> = (0..90)
            .map(|n| Chunk { pack: 0, offset: u64::from(n * LEN), ..chunks(90)[n as usize] })
            .collect();
        const MOST: u64 = 4 << 20;
        let mut prefetch = prefetch(&chunks, u64::MAX).with_longest(MOST);
        let mut next = |head: u64, body: u64| {
            let len = prefetch.request(&chunks, |_| true).len();
            prefetch.answered(&Asked::within(head, body, len as u64 * u64::from(LEN)));
            len
        };
        // As long as its way, and from there on not; up to the most; a short one does not count.
        assert_eq!([next(150, 150), next(150, 20), next(150, 40), next(150, 80)], [5, 5, 10, 20]);
        assert_eq!([next(150, 149), next(9, 80)], [40, 10], "all that is left");
        assert_eq!(prefetch.longest, MOST);
        for _ in 0..9 {
            prefetch.answered(&Asked::within(9, 80, MOST));
        }
        assert_eq!(prefetch.longest, REQUEST);
    }

    #[test]
    fn what_is_there_is_passed_over() {
        let chunks = chunks(6);
        let mut prefetch = prefetch(&chunks, u64::MAX);
        let lacking = |chunk: &Chunk| ![0, 3].map(|n| chunks[n].id).contains(&chunk.id);
        assert_eq!(prefetch.request(&chunks, lacking), [1, 2]);
        assert_eq!(prefetch.request(&chunks, lacking), [4, 5]);
    }

    #[test]
    fn it_keeps_near_the_readers() {
        let chunks = chunks(10);
        let mut prefetch = prefetch(&chunks, 3 * u64::from(LEN));
        assert_eq!(prefetch.request(&chunks, |_| true), [0, 1, 2]);
        assert!(!prefetch.is_due(Instant::now()));
        prefetch.reader_at(4);
        assert!(prefetch.is_due(Instant::now()));
        assert_eq!(prefetch.request(&chunks, |_| true), [3, 4, 5, 6, 7]);
        prefetch.reader_at(1);
        assert!(!prefetch.is_due(Instant::now()), "readers do not go back");
    }

    #[test]
    fn so_many_at_a_time() {
        let chunks = chunks(50);
        let mut prefetch = prefetch(&chunks, u64::MAX);
        for _ in 0..STREAMS {
            assert!(prefetch.is_due(Instant::now()));
            prefetch.request(&chunks, |_| true);
        }
        assert!(!prefetch.is_due(Instant::now()));
        prefetch.returned(Vec::new(), 0, Duration::ZERO, Instant::now());
        assert!(prefetch.is_due(Instant::now()));
    }

    #[test]
    fn an_outage_is_waited_for_longer_and_longer() {
        let chunks = chunks(3);
        let mut prefetch = prefetch(&chunks, u64::MAX);
        let first = Duration::from_secs(1);
        let mut now = Instant::now();
        for wait in [1, 2, 4, 4] {
            assert_eq!(prefetch.request(&chunks, |_| true), [0, 1, 2]);
            prefetch.returned(vec![0, 1, 2], 0, first, now);
            let due = now + Duration::from_secs(wait);
            assert_eq!(prefetch.due(), Some(due));
            assert!(!prefetch.is_due(now) && prefetch.is_due(due));
            now = due;
        }
        assert!(prefetch.over().is_none());
        assert_eq!(prefetch.request(&chunks, |_| true), [0, 1, 2]);
        prefetch.returned(Vec::new(), 1, first, now);
        let (_, outcome) = prefetch.over().unwrap();
        assert_eq!(outcome, Prefetched { chunks: 3, bytes: 3 * u64::from(LEN), missing: 1 });
        assert!(prefetch.over().is_none(), "once");
    }

    #[test]
    fn what_comes_with_a_whole_pack_is_waited_for() {
        let chunks = chunks(10);
        let mut prefetch = prefetch(&chunks, u64::MAX);
        for _ in 0..2 {
            assert_eq!(prefetch.request(&chunks, |_| true).len(), 5);
        }
        prefetch.set_aside();
        prefetch.returned(Vec::new(), 0, Duration::ZERO, Instant::now());
        assert!(prefetch.over().is_none());
        prefetch.resume();
        prefetch.returned(Vec::new(), 0, Duration::ZERO, Instant::now());
        assert!(prefetch.over().is_some());
    }

    #[test]
    fn nothing_to_fetch_is_over_at_once() {
        assert!(Prefetch::new(&[], vec![7], 0, Box::new(drop)).over().is_some());
        assert!(Prefetch::default().over().is_none(), "there is none");
    }
}
