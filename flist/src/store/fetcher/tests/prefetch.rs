//! What is fetched ahead of all readers.

use std::sync::mpsc::Receiver;
use std::time::Instant;

use super::super::prefetch::{Prefetch, STREAMS};
use super::super::state::{Next, Run, State};
use super::*;

/// Starts to prefetch `chunks`; what became of it comes over the channel.
fn prefetch(fetcher: &Fetcher, chunks: impl IntoIterator<Item = u32>) -> Receiver<Prefetched> {
    let (send, receive) = mpsc::channel();
    // A test that has failed already no longer receives.
    let ended = Box::new(move |outcome| {
        let _ = send.send(outcome);
    });
    fetcher.prefetch(chunks.into_iter().collect(), ended);
    receive
}

fn outcome(receive: &Receiver<Prefetched>) -> Prefetched {
    let outcome = receive.recv_timeout(Duration::from_secs(20)).expect("it ended");
    assert!(receive.recv_timeout(Duration::from_secs(20)).is_err(), "it ended twice");
    outcome
}

fn stored(fixture: &Fixture, chunks: std::ops::Range<usize>) -> u64 {
    fixture.image.chunks()[chunks].iter().map(|chunk| u64::from(chunk.stored_len)).sum()
}

#[test]
fn readers_find_it_there() {
    let fixture = Fixture::new(2, 20, 1000);
    let store = fixture.store("a");
    let fetcher = fetcher(&fixture, &[&store], options());
    let ended = prefetch(&fetcher, 0..30);
    let bytes = stored(&fixture, 0..30);
    assert_eq!(outcome(&ended), Prefetched { chunks: 30, bytes, missing: 0 });
    assert_eq!(store.asked().len(), 2, "a request a pack");
    let all: Vec<u32> = (0..30).collect();
    fixture.check(&all, &fetcher.wait(&all).unwrap());
    assert_eq!(store.asked().len(), 2, "nothing is fetched twice");
    assert!(fetcher.held(30).is_none(), "and nothing more");
}

#[test]
fn a_reader_of_something_else_overtakes_it() {
    let fixture = Fixture::new(40, 1, 1000);
    let store = fixture.store("a");
    let options = FetchOptions { connections: 8, ..options() };
    let fetcher = fetcher(&fixture, &[&store], options);
    store.hold(true);
    let ended = prefetch(&fetcher, 0..30);
    store.wait_asked(STREAMS);
    let demand = ask(&fetcher, &[35]);
    store.wait_asked(STREAMS + 1);
    // What is to be prefetched, but was not asked for, is wanted now.
    let soon = ask(&fetcher, &[20]);
    store.wait_asked(STREAMS + 2);
    let asked = asked_chunks(&fixture, &store);
    assert_eq!(asked[STREAMS..], [vec![35], vec![20]]);
    store.hold(false);
    fixture.check(&[35], &take(&demand).unwrap());
    fixture.check(&[20], &take(&soon).unwrap());
    assert_eq!(outcome(&ended).missing, 0);
    assert_eq!(store.asked().len(), 31, "and nothing is fetched twice");
}

#[test]
fn it_is_no_further_ahead_than_the_cache_holds() {
    let fixture = Fixture::new(100, 1, 30_000);
    let store = fixture.store("a");
    let cache_bytes = 20 * 30_000;
    let fetcher = fetcher(&fixture, &[&store], FetchOptions { cache_bytes, ..options() });
    let ended = prefetch(&fetcher, 0..100);
    let mut asked = 0;
    for number in 0..100 {
        fixture.check(&[number], &fetcher.wait(&[number]).unwrap());
        let before = stored(&fixture, 0..number as usize);
        asked = store.asked().len();
        assert!(stored(&fixture, 0..asked) <= before + cache_bytes, "{asked} at {number}");
    }
    assert_eq!(outcome(&ended).missing, 0);
    assert_eq!(asked, 100, "none of what came went before it was read");
}

#[test]
fn all_is_held_where_there_is_just_room_for_it() {
    let fixture = Fixture::new(4, 10, 30_000);
    let store = fixture.store("a");
    let cache_bytes = Fetcher::cache_for_all(&fixture.image);
    let fetcher = fetcher(&fixture, &[&store], FetchOptions { cache_bytes, ..options() });
    // Nobody reads.
    assert_eq!(outcome(&prefetch(&fetcher, 0..40)).missing, 0);
    assert!((0..40).all(|n| fetcher.held(n).is_some()));
}

#[test]
fn it_waits_for_stores_that_are_away() {
    let fixture = Fixture::new(3, 10, 1000);
    let store = fixture.store("a");
    store.always(Act::Refuse);
    let fetcher = fetcher(&fixture, &[&store], options());
    let ended = prefetch(&fetcher, 0..30);
    store.wait_asked(12);
    assert!(ended.try_recv().is_err());
    store.always(Act::Serve);
    assert_eq!(outcome(&ended).missing, 0);
    assert!((0..30).all(|n| fetcher.held(n).is_some()));
}

#[test]
fn what_is_wrong_everywhere_is_missing_and_no_endless_work() {
    let fixture = Fixture::new(1, 10, 1000);
    let store = fixture.store("a");
    // Changes the first byte of what is sent.
    store.script([Act::Corrupt(1 << 20)]);
    let fetcher = fetcher(&fixture, &[&store], options());
    assert_eq!(outcome(&prefetch(&fetcher, 0..10)).missing, 1);
    assert_eq!(store.asked().len(), 1);
    // Who reads it has it tried again.
    fixture.check(&[0, 1], &fetcher.wait(&[0, 1]).unwrap());
}

#[test]
fn a_store_that_knows_no_ranges_sends_each_pack_once() {
    let fixture = Fixture::new(2, 10, 100_000);
    let store = fixture.store("a");
    store.always(Act::Whole);
    let fetcher = fetcher(&fixture, &[&store], options());
    let ended = prefetch(&fetcher, 0..20);
    fixture.check(&[7, 3], &fetcher.wait(&[7, 3]).unwrap());
    assert_eq!(outcome(&ended).missing, 0);
    assert_eq!(fetcher.stats().chunks, 20, "no chunk came twice");
}

/// What a thread would do now.
fn next(state: &mut State, fixture: &Fixture, now: Instant) -> Option<Run> {
    match state.next(fixture.image.chunks(), u64::MAX, now) {
        Next::Run(run) => Some(run),
        Next::Prefetched(..) => panic!("it is over before all has come"),
        Next::Over(_) | Next::Wait(_) => None,
    }
}

#[test]
fn what_comes_with_a_whole_pack_is_waited_for_and_asked_for_if_it_breaks_off() {
    let fixture = Fixture::new(1, 20, 100_000);
    let chunks = fixture.image.chunks();
    let (mut state, now) = (State::new(&options()), Instant::now());
    state.prefetch = Prefetch::new(chunks, (0..20).collect(), u64::MAX, Box::new(drop));
    let mut first = next(&mut state, &fixture, now).unwrap();
    state.whole.insert(0);
    assert!(next(&mut state, &fixture, now).is_none(), "the second is set aside");
    first.chunks.clear();
    state.returned(&mut first, chunks, false, Duration::ZERO, now);
    assert!(next(&mut state, &fixture, now).is_none(), "all of the first has come");
    // The whole pack broke off: the second is asked for, until it comes.
    state.whole.clear();
    for seconds in 1..4 {
        let now = now + Duration::from_secs(seconds);
        let mut second = next(&mut state, &fixture, now).unwrap();
        state.returned(&mut second, chunks, false, Duration::ZERO, now);
    }
}

#[test]
fn another_prefetch_takes_its_place() {
    let fixture = Fixture::new(40, 1, 1000);
    let store = fixture.store("a");
    let fetcher = fetcher(&fixture, &[&store], options());
    store.hold(true);
    let first = prefetch(&fetcher, 0..20);
    store.wait_asked(2);
    let second = prefetch(&fetcher, 20..40);
    store.hold(false);
    assert_eq!(outcome(&second).chunks, 20);
    assert!(first.recv().is_err(), "the first never ends");
    assert!((20..40).all(|n| fetcher.held(n).is_some()));
}

#[test]
fn dropping_ends_it() {
    let fixture = Fixture::new(40, 1, 1000);
    let store = fixture.store("a");
    let fetcher = fetcher(&fixture, &[&store], options());
    store.hold(true);
    let ended = prefetch(&fetcher, 0..40);
    store.wait_asked(2);
    drop(fetcher);
    assert!(ended.recv().is_err());
    assert!(store.asked().len() < 40);
}
