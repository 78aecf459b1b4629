//! What is asked for along with what a reader waits for.

use std::time::Instant;

use super::super::state::{Next, Run, State, Wanted};
use super::*;

/// A reader far away, of packs of twenty chunks of 100,000 bytes each.
struct Reader {
    fixture: Fixture,
    state: State,
    now: Instant,
}

/// Answers have come a long way.
fn far_away(state: &mut State) {
    let asked = Asked::within(50, 10, 100_000);
    (0..8).for_each(|_| state.along.answered(&asked));
}

impl Reader {
    fn new(options: &FetchOptions) -> Self {
        let mut state = State::new(options);
        let now = Instant::now();
        far_away(&mut state);
        Self { fixture: Fixture::new(2, 20, 100_000), state, now }
    }

    /// A reader wants `number`.
    fn want(&mut self, number: u32) -> Wanted {
        let chunk = &self.fixture.image.chunks()[number as usize];
        let request = Request::new(1, Box::new(drop));
        self.state.want(chunk, number, Waiter { request, slot: 0 })
    }

    /// What a thread would ask for now.
    fn next(&mut self) -> Option<Run> {
        match self.state.next(self.fixture.image.chunks(), u64::MAX, self.now) {
            Next::Run(run) => Some(run),
            _ => None,
        }
    }

    fn asks(&mut self, number: u32) -> Vec<u32> {
        assert!(matches!(self.want(number), Wanted::New));
        self.next().unwrap().chunks
    }
}

fn far() -> FetchOptions {
    FetchOptions { along: 384 << 10, ..options() }
}

/// How many chunks from `number` on have room.
fn with_room(fixture: &Fixture, number: u32, room: u64) -> u32 {
    let chunks = &fixture.image.chunks()[number as usize..];
    let ends = chunks.iter().scan(0, |sum, chunk| {
        *sum += u64::from(chunk.stored_len);
        Some(*sum)
    });
    u32::try_from(ends.take_while(|end| *end <= room).count()).unwrap()
}

#[test]
fn what_lies_behind_comes_along_as_far_as_there_is_room() {
    let mut reader = Reader::new(&far());
    let more = with_room(&reader.fixture, 1, 384 << 10);
    assert!(more >= 3, "{more}");
    let asked: Vec<u32> = (0..=more).collect();
    assert_eq!(reader.asks(0), asked);
    assert!(matches!(reader.want(more), Wanted::Joined), "who comes for it waits for that");
    assert!(reader.next().is_none());
    // No further than the pack, and not what is on its way.
    assert_eq!(reader.asks(18), [18, 19]);
    assert_eq!(reader.asks(17), [17]);
}

#[test]
fn not_where_it_was_not_asked_to() {
    let mut reader = Reader::new(&options());
    assert_eq!(reader.asks(0), [0]);
    // Nor where little can be kept.
    let mut reader = Reader::new(&FetchOptions { cache_bytes: 1 << 20, ..far() });
    assert_eq!(reader.asks(0), [0]);
    // Nor more than one request may be.
    let mut reader = Reader::new(&far());
    reader.want(0);
    let chunks = reader.fixture.image.chunks();
    let most = u64::from(chunks[0].stored_len) + u64::from(chunks[1].stored_len);
    let Next::Run(run) = reader.state.next(chunks, most, reader.now) else { panic!() };
    assert_eq!(run.chunks, [0, 1]);
}

#[test]
fn what_is_fetched_ahead_takes_nothing_along() {
    let mut reader = Reader::new(&far());
    let image = Arc::clone(&reader.fixture.image);
    assert!(reader.state.want_ahead(&image.chunks()[0], 0));
    assert_eq!(reader.next().unwrap().chunks, [0]);
}

#[test]
fn not_while_a_profile_is_followed() {
    let fixture = Fixture::new(2, 10, 1000);
    let fetcher = fetcher(&fixture, &[&fixture.store("a")], far());
    let room = || {
        let mut state = fetcher.shared.lock();
        far_away(&mut state);
        state.along.room()
    };
    assert!(room() > 0);
    fetcher.prefetch(vec![5], Box::new(drop));
    assert_eq!(room(), 0);
    fetcher.take_along();
    assert!(room() > 0);
}

#[test]
fn what_came_along_in_vain_is_not_asked_for_again() {
    let mut reader = Reader::new(&far());
    let chunks = Arc::clone(&reader.fixture.image);
    reader.want(0);
    let mut run = reader.next().unwrap();
    assert!(matches!(reader.want(1), Wanted::Joined));
    // None of it came: what readers wait for is left, and the rest is as if never asked for.
    reader.state.returned(&mut run, chunks.chunks(), false, Duration::ZERO, reader.now);
    assert_eq!(run.chunks, [0, 1]);
    assert!(matches!(reader.want(2), Wanted::New));
}
