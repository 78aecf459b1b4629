//! Stores that are away, wrong, or know no ranges.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::store::testing::logged;

#[test]
fn a_corrupt_mirror_is_left_for_another() {
    let fixture = Fixture::new(1, 10, 1000);
    let (bad, good) = (fixture.store("bad"), fixture.store("good"));
    bad.always(Act::Corrupt(900));
    let fetcher = fetcher(&fixture, &[&bad, &good], FetchOptions { connections: 1, ..options() });
    fixture.check(&[0, 1, 2, 3], &fetcher.wait(&[0, 1, 2, 3]).unwrap());
    let corrupt = fetcher.stats().corrupt;
    assert!(corrupt > 0);
    assert_eq!(bad.asked().len(), 1);
    // From now on the other one is asked first.
    fixture.check(&[7], &fetcher.wait(&[7]).unwrap());
    assert_eq!((bad.asked().len(), fetcher.stats().corrupt), (1, corrupt));
}

#[test]
fn only_what_was_corrupt_is_fetched_again() {
    let fixture = Fixture::new(1, 6, 1000);
    let store = fixture.store("a");
    // Changes the first byte of what is sent, so chunk 0.
    store.script([Act::Corrupt(1 << 20)]);
    let fetcher = fetcher(&fixture, &[&store], FetchOptions { connections: 1, ..options() });
    let all = [0, 1, 2, 3, 4, 5];
    fixture.check(&all, &fetcher.wait(&all).unwrap());
    let asked = asked_chunks(&fixture, &store);
    let first = asked.first().unwrap().clone();
    assert_eq!(*asked.last().unwrap(), first[..1], "{asked:?}");
    assert_eq!(fetcher.stats().corrupt, 1);
}

#[test]
fn corrupt_everywhere_is_an_error_after_some_rounds_and_not_for_ever() {
    let fixture = Fixture::new(1, 3, 1000);
    let (a, b) = (fixture.store("a"), fixture.store("b"));
    for store in [&a, &b] {
        store.script((0..3).map(|_| Act::Corrupt(10)));
    }
    let fetcher = fetcher(&fixture, &[&a, &b], options());
    assert!(matches!(fetcher.wait(&[1]), Err(FetchError::Corrupt { .. })));
    assert_eq!((a.asked().len(), b.asked().len()), (3, 3));
    fixture.check(&[1], &fetcher.wait(&[1]).unwrap());
    assert_eq!(fetcher.stats().corrupt, 6);
}

#[test]
fn corrupt_here_and_away_there_waits() {
    let fixture = Fixture::new(1, 3, 1000);
    let (bad, away) = (fixture.store("bad"), fixture.store("away"));
    bad.always(Act::Corrupt(10));
    away.script((0..20).map(|_| Act::Refuse));
    let fetcher = fetcher(&fixture, &[&bad, &away], options());
    fixture.check(&[1], &fetcher.wait(&[1]).unwrap());
    assert_eq!(away.asked().len(), 21);
}

#[test]
fn an_outage_is_waited_out_and_told_once() {
    for act in [Act::Refuse, Act::Missing, Act::Break(0)] {
        let fixture = Fixture::new(2, 50, 500);
        let name = format!("outage-{act:?}");
        let store = fixture.store(&name);
        store.always(act);
        let fetcher = fetcher(&fixture, &[&store], options());
        let waiting: Vec<_> = (0..100).map(|n| ask(&fetcher, &[n])).collect();
        store.wait_asked(500);
        assert!(waiting.iter().all(|receive| receive.try_recv().is_err()), "an error came");
        assert_eq!(logged(&name).len(), 1, "{:?}", logged(&name));
        store.always(Act::Serve);
        for (number, receive) in (0..).zip(&waiting) {
            fixture.check(&[number], &take(receive).unwrap());
        }
        drop(fetcher);
        let told = logged(&name);
        assert!(told.len() == 2 && told[1].contains("back after"), "{told:?}");
    }
}

#[test]
fn an_outage_counts_as_stalled_time() {
    let fixture = Fixture::new(1, 1, 500);
    let store = fixture.store("stalled");
    store.script([Act::Refuse]);
    let fetcher = fetcher(&fixture, &[&store], options());
    assert_eq!(fetcher.stats().stalled, Duration::ZERO);
    fetcher.wait(&[0]).unwrap();
    let stats = fetcher.stats();
    assert!(stats.stalled > Duration::ZERO && stats.failures == 1, "{stats:?}");
}

#[test]
fn a_pack_that_is_missing_stops_no_reader_of_another() {
    let fixture = Fixture::new(2, 50, 500);
    let store = fixture.store("a");
    let missing = fixture.image.packs()[0].id;
    store.lack(missing, true);
    let fetcher = fetcher(&fixture, &[&store], FetchOptions { connections: 2, ..options() });
    let waiting: Vec<_> = (0..50).map(|n| ask(&fetcher, &[n])).collect();
    store.wait_asked(4);
    for number in 50..100 {
        fixture.check(&[number], &fetcher.wait(&[number]).unwrap());
    }
    assert!(waiting.iter().all(|receive| receive.try_recv().is_err()));
    store.lack(missing, false);
    for (number, receive) in (0..).zip(&waiting) {
        fixture.check(&[number], &take(receive).unwrap());
    }
}

#[test]
fn what_came_before_a_break_is_kept() {
    let fixture = Fixture::new(1, 8, 1000);
    let store = fixture.store("a");
    store.always(Act::Break(1100));
    let fetcher = fetcher(&fixture, &[&store], FetchOptions { connections: 1, ..options() });
    let all: Vec<u32> = (0..8).collect();
    fixture.check(&all, &fetcher.wait(&all).unwrap());
    let asked = asked_chunks(&fixture, &store);
    assert!(asked.windows(2).all(|w| w[0].is_empty() || w[0][0] < w[1][0]), "{asked:?}");
}

#[test]
fn patience_may_end() {
    let fixture = Fixture::new(1, 4, 1000);
    let (a, b) = (fixture.store("a"), fixture.store("b"));
    for store in [&a, &b] {
        store.always(Act::Refuse);
    }
    let options = FetchOptions { patience: Patience::Rounds(3), ..options() };
    let fetcher = fetcher(&fixture, &[&a, &b], options);
    let error = fetcher.wait(&[2]).unwrap_err();
    assert!(matches!(error, FetchError::Store(StoreError::Unreachable { .. })), "{error}");
    assert_eq!((a.asked().len(), b.asked().len()), (3, 3));
    b.always(Act::Serve);
    fixture.check(&[2], &fetcher.wait(&[2]).unwrap());
}

#[test]
fn a_store_without_ranges_sends_a_pack_once() {
    let fixture = Fixture::new(2, 30, 500);
    let store = fixture.store("a");
    store.always(Act::Whole);
    let fetcher = fetcher(&fixture, &[&store], options());
    let waiting: Vec<_> = (0..60).rev().map(|n| (n, ask(&fetcher, &[n]))).collect();
    for (number, receive) in &waiting {
        fixture.check(&[*number], &take(receive).unwrap());
    }
    let stats = fetcher.stats();
    assert_eq!(stats.chunks, 60, "each pack came once: {stats:?}");
    for number in 0..60 {
        assert!(fetcher.held(number).is_some());
    }
}

#[test]
fn a_store_without_ranges_and_little_memory() {
    let fixture = Fixture::new(1, 30, 500);
    let store = fixture.store("a");
    store.always(Act::Whole);
    let fetcher = fetcher(&fixture, &[&store], FetchOptions { cache_bytes: 2000, ..options() });
    for number in [29, 3, 17] {
        fixture.check(&[number], &fetcher.wait(&[number]).unwrap());
    }
    assert_eq!(fetcher.stats().chunks, 3, "what nobody wants is not taken in");
    store.hold(true);
    let waiting: Vec<_> = (0..29).rev().map(|n| (n, ask(&fetcher, &[n]))).collect();
    store.hold(false);
    for (number, receive) in &waiting {
        fixture.check(&[*number], &take(receive).unwrap());
    }
    let requests = fetcher.stats().requests;
    assert!(requests < 3 + 10, "{requests}: one answer is for all who wait by then");
}

#[test]
fn a_failure_ahead_is_silent() {
    let fixture = Fixture::new(1, 100, 500);
    let store = fixture.store("ahead-fails");
    let fetcher = fetcher(&fixture, &[&store], FetchOptions { lookahead: 8, ..options() });
    for number in 0..3 {
        fetcher.wait(&[number]).unwrap();
    }
    // What is ahead of the reader fails or has come; then the reader wants it.
    store.script([Act::Refuse]);
    for number in 3..100 {
        fixture.check(&[number], &fetcher.wait(&[number]).unwrap());
    }
}

#[test]
fn a_hundred_readers_at_random_over_two_bad_mirrors() {
    let fixture = Arc::new(Fixture::new(4, 50, 600));
    let (a, b) = (fixture.store("crowd-a"), fixture.store("crowd-b"));
    for (store, seed) in [(&a, 1), (&b, 2)] {
        store.script((0..400).map(|n| match (n * 7 + seed) % 9 {
            0 => Act::Refuse,
            1 => Act::Break(700),
            2 => Act::Corrupt(997),
            3 => Act::Missing,
            _ => Act::Serve,
        }));
    }
    let options = FetchOptions {
        connections: 8,
        cache_bytes: 30_000,
        lookahead: 4,
        corrupt_rounds: 1000,
        ..options()
    };
    let fetcher = Arc::new(fetcher(&fixture, &[&a, &b], options));
    let replies = Arc::new(AtomicUsize::new(0));
    thread::scope(|scope| {
        for reader in 0..100_u32 {
            let (fixture, fetcher, replies) = (&fixture, &fetcher, &replies);
            scope.spawn(move || {
                for step in 0..20_u32 {
                    let first = (reader * 7919 + step * 104_729) % 197;
                    let numbers: Vec<u32> = (first..first + step % 4).collect();
                    fixture.check(&numbers, &fetcher.wait(&numbers).unwrap());
                    replies.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(replies.load(Ordering::Relaxed), 2000);
    let stats = fetcher.stats();
    assert!(stats.corrupt > 0 && stats.failures > 0 && stats.joined > 0, "{stats:?}");
}
