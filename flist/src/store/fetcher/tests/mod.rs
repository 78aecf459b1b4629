//! A fetcher over scripted stores.

mod along;
mod faults;
mod prefetch;
mod tamper;

use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use super::*;
use crate::store::Store;
use crate::store::testing::{Act, Fixture, Scripted, options};

fn fetcher(fixture: &Fixture, stores: &[&Arc<Scripted>], options: FetchOptions) -> Fetcher {
    let stores = stores.iter().map(|s| Arc::clone(*s) as Arc<dyn Store>).collect();
    Fetcher::new(Arc::clone(&fixture.image), Mirrors::new(stores).unwrap(), options).unwrap()
}

type Reply = Result<Vec<Arc<Stored>>, FetchError>;

/// Asks for `chunks`; the reply comes over the channel, every time it is called back.
fn ask(fetcher: &Fetcher, chunks: &[u32]) -> mpsc::Receiver<Reply> {
    let (send, receive) = mpsc::channel();
    // A test that has failed already no longer receives.
    fetcher.request(chunks, Box::new(move |result| drop(send.send(result))));
    receive
}

/// The reply, and that there is one only.
fn take(receive: &mpsc::Receiver<Reply>) -> Reply {
    let reply = receive.recv_timeout(Duration::from_secs(20)).expect("called back");
    assert!(receive.recv_timeout(Duration::from_secs(20)).is_err(), "called back twice");
    reply
}

/// Which chunks each request was for.
fn asked_chunks(fixture: &Fixture, store: &Scripted) -> Vec<Vec<u32>> {
    let chunks = || (0_u32..).zip(fixture.image.chunks());
    let of = |(pack, range): (_, std::ops::Range<u64>)| {
        let inside = chunks().filter(|(_, c)| {
            fixture.image.pack_of(c).unwrap().id == pack
                && range.start <= c.offset
                && c.range().end <= range.end
        });
        inside.map(|(n, _)| n).collect()
    };
    store.asked().into_iter().map(of).collect()
}

#[test]
fn chunks_come_in_the_order_asked_for_and_are_held_then() {
    let fixture = Fixture::new(3, 10, 1000);
    let store = fixture.store("a");
    let fetcher = fetcher(&fixture, &[&store], options());
    let numbers = [7, 2, 29, 7, 15];
    fixture.check(&numbers, &fetcher.wait(&numbers).unwrap());
    let asked = store.asked().len();
    fixture.check(&numbers, &fetcher.wait(&numbers).unwrap());
    fixture.check(&[29], &[fetcher.held(29).unwrap()]);
    assert_eq!(store.asked().len(), asked, "all was held");
    assert!(fetcher.held(3).is_none());
    let stats = fetcher.stats();
    assert_eq!((stats.chunks, stats.requests, stats.hits), (4, 4, 6), "{stats:?}");
}

#[test]
fn nothing_and_what_is_not_there() {
    let fixture = Fixture::new(1, 2, 100);
    let store = fixture.store("a");
    let fetcher = fetcher(&fixture, &[&store], options());
    assert!(take(&ask(&fetcher, &[])).unwrap().is_empty());
    assert!(matches!(take(&ask(&fetcher, &[0, 2])), Err(FetchError::NoChunk(2))));
    assert!(fetcher.held(2).is_none());
    assert!(store.asked().is_empty());
}

#[test]
fn a_chunk_is_fetched_once_for_all_who_wait() {
    let same = || vec![7; 500];
    let fixture = Fixture::of(vec![same(), vec![1; 500], vec![2; 500], same()], 2);
    let store = fixture.store("a");
    let fetcher = fetcher(&fixture, &[&store], options());
    store.hold(true);
    let mut waiting: Vec<_> = (0..50).map(|_| (0, ask(&fetcher, &[0]))).collect();
    store.wait_asked(1);
    // The same contents elsewhere in the image.
    waiting.extend((0..50).map(|_| (3, ask(&fetcher, &[3]))));
    store.hold(false);
    for (number, receive) in &waiting {
        fixture.check(&[*number], &take(receive).unwrap());
    }
    assert_eq!(store.asked().len(), 1);
    assert_eq!(fetcher.stats().joined, 99);
}

#[test]
fn neighbours_are_merged_and_the_oldest_wish_goes_first() {
    let fixture = Fixture::new(2, 10, 1000);
    let store = fixture.store("a");
    let fetcher = fetcher(&fixture, &[&store], FetchOptions { connections: 1, ..options() });
    store.hold(true);
    let first = ask(&fetcher, &[0]);
    store.wait_asked(1);
    // 9 and 10 are neighbours in the content space, but lie in different packs.
    let wishes: [&[u32]; 5] = [&[3], &[6, 8], &[15], &[7], &[9, 10]];
    let waiting: Vec<_> = wishes.iter().map(|w| ask(&fetcher, w)).collect();
    store.hold(false);
    fixture.check(&[0], &take(&first).unwrap());
    for (wish, receive) in wishes.iter().zip(&waiting) {
        fixture.check(wish, &take(receive).unwrap());
    }
    let expected = [vec![0], vec![3], vec![6, 7, 8, 9], vec![15], vec![10]];
    assert_eq!(asked_chunks(&fixture, &store), expected);
}

#[test]
fn a_request_has_a_longest_length() {
    let fixture = Fixture::new(1, 30, 3000);
    let store = fixture.store("a");
    let options = FetchOptions { max_request: 10_000, connections: 1, ..options() };
    let fetcher = fetcher(&fixture, &[&store], options);
    let all: Vec<u32> = (0..30).collect();
    fixture.check(&all, &fetcher.wait(&all).unwrap());
    assert!(store.asked().iter().all(|(_, range)| range.end - range.start <= 10_000));
    assert!(asked_chunks(&fixture, &store).iter().any(|run| run.len() > 2));
}

#[test]
fn what_is_held_is_answered_while_all_connections_hang() {
    let fixture = Fixture::new(1, 100, 500);
    let store = fixture.store("a");
    let fetcher = fetcher(&fixture, &[&store], options());
    fetcher.wait(&[0, 1]).unwrap();
    store.hold(true);
    let hanging: Vec<_> = (2..100).map(|n| ask(&fetcher, &[n])).collect();
    store.wait_asked(2);
    fixture.check(&[1, 0], &take(&ask(&fetcher, &[1, 0])).unwrap());
    assert!(fetcher.held(0).is_some());
    store.hold(false);
    for (number, receive) in (2..).zip(&hanging) {
        fixture.check(&[number], &take(receive).unwrap());
    }
}

#[test]
fn little_memory_is_enough() {
    let fixture = Fixture::new(2, 20, 1000);
    let store = fixture.store("a");
    for cache_bytes in [0, 5000] {
        let fetcher = fetcher(&fixture, &[&store], FetchOptions { cache_bytes, ..options() });
        let all: Vec<u32> = (0..40).chain(0..40).collect();
        fixture.check(&all, &fetcher.wait(&all).unwrap());
        let held: Vec<_> = (0..40).filter_map(|n| fetcher.held(n)).collect();
        let bytes: usize = held.iter().map(|s| s.bytes().len()).sum();
        assert!(bytes as u64 <= cache_bytes, "{bytes} of {cache_bytes}");
        assert_eq!(held.is_empty(), cache_bytes == 0);
    }
}

#[test]
fn a_reader_in_order_finds_its_chunks_ahead() {
    let fixture = Fixture::new(2, 100, 500);
    let store = fixture.store("a");
    let fetcher = fetcher(&fixture, &[&store], FetchOptions { lookahead: 8, ..options() });
    for number in 0..200 {
        fixture.check(&[number], &fetcher.wait(&[number]).unwrap());
    }
    let stats = fetcher.stats();
    assert!(stats.ahead > 150 && stats.requests < 120, "{stats:?}");
    assert_eq!(stats.chunks, 200, "none twice: {stats:?}");
}

#[test]
fn demand_finds_a_connection_that_nothing_ahead_holds() {
    let fixture = Fixture::new(1, 200, 500);
    let store = fixture.store("a");
    let options = FetchOptions { lookahead: 8, connections: 2, ..options() };
    let fetcher = fetcher(&fixture, &[&store], options);
    fetcher.wait(&[0, 1, 2, 3, 4, 5]).unwrap();
    store.hold(true);
    // A reader in order, so far in memory: first one chunk is fetched ahead, then one more.
    (0..5).for_each(|n| assert!(fetcher.held(n).is_some()));
    store.wait_asked(2);
    assert!(fetcher.held(5).is_some());
    assert_eq!(fetcher.stats().ahead, 2);
    let demand = ask(&fetcher, &[150]);
    store.wait_asked(3);
    let asked = asked_chunks(&fixture, &store);
    assert_eq!(asked[1..], [vec![6], vec![150]]);
    store.hold(false);
    fixture.check(&[150], &take(&demand).unwrap());
}

#[test]
fn dropping_tells_all_who_wait_and_hangs_on_no_wait() {
    let fixture = Fixture::new(1, 20, 500);
    let store = fixture.store("a");
    store.always(Act::Refuse);
    let hour = Duration::from_secs(3600);
    let options = FetchOptions { first_wait: hour, longest_wait: hour, ..options() };
    let fetcher = fetcher(&fixture, &[&store], options);
    let waiting: Vec<_> = (0..20).map(|n| ask(&fetcher, &[n])).collect();
    store.wait_asked(1);
    drop(fetcher);
    for receive in &waiting {
        assert!(matches!(take(receive), Err(FetchError::Closed)));
    }
}

#[test]
fn dropping_ends_what_is_under_way() {
    let fixture = Fixture::new(20, 1, 500);
    let store = fixture.store("a");
    let fetcher = fetcher(&fixture, &[&store], options());
    store.hold(true);
    let waiting: Vec<_> = (0..20).map(|n| ask(&fetcher, &[n])).collect();
    store.wait_asked(4);
    drop(fetcher);
    let replies: Vec<_> = waiting.iter().map(take).collect();
    assert!(replies.iter().any(|r| matches!(r, Err(FetchError::Closed))));
    assert!(store.asked().len() < 10, "no more is asked for once closed");
}

#[test]
fn the_last_owner_may_be_a_reader() {
    let fixture = Fixture::new(1, 2, 500);
    let store = fixture.store("a");
    let fetcher = Arc::new(fetcher(&fixture, &[&store], options()));
    store.hold(true);
    let (send, receive) = mpsc::channel();
    let last = Arc::clone(&fetcher);
    let done: Done = Box::new(move |result| {
        let alone = Arc::strong_count(&last) == 1;
        drop(last);
        send.send((result.is_ok(), alone)).unwrap();
    });
    fetcher.request(&[0], done);
    store.wait_asked(1);
    drop(fetcher);
    store.hold(false);
    assert_eq!(receive.recv_timeout(Duration::from_secs(20)).unwrap(), (true, true));
}

#[test]
fn a_reader_may_ask_from_its_reply() {
    let fixture = Fixture::new(1, 2, 500);
    let store = fixture.store("a");
    let fetcher = Arc::new(fetcher(&fixture, &[&store], options()));
    let (send, receive) = mpsc::channel();
    let again = Arc::clone(&fetcher);
    let done: Done = Box::new(move |_| {
        again.request(&[0, 1], Box::new(move |result| send.send(result).unwrap()));
    });
    fetcher.request(&[0], done);
    fixture.check(&[0, 1], &receive.recv_timeout(Duration::from_secs(20)).unwrap().unwrap());
}

#[test]
fn a_journal_tells_what_was_asked_for_and_who_waited() {
    let fixture = Fixture::new(3, 10, 1000);
    let store = fixture.store("a");
    let options = FetchOptions { journal: true, connections: 1, ..options() };
    let fetcher = fetcher(&fixture, &[&store], options);
    store.script([Act::Refuse]);
    for chunks in [&[3, 25][..], &[3], &[12]] {
        fetcher.wait(chunks).unwrap();
    }
    let journal = fetcher.journal();
    // The last request may not have ended; those before it have. What is refused has no answer, and
    // is asked for again.
    let requests = &journal.requests[..3];
    assert_eq!(requests.iter().filter(|asked| asked.answered.is_some()).count(), 2);
    let stored = [3, 25].map(|n: usize| u64::from(fixture.image.chunks()[n].stored_len));
    assert_eq!(requests.iter().map(|asked| asked.bytes).sum::<u64>(), stored.iter().sum());
    assert!(requests.iter().all(|asked| asked.reason == Reason::Read));
    assert_eq!(journal.stalls.len(), 2, "what is held is not waited for");
    assert!(journal.stalls.iter().all(|(began, ended)| began < ended));

    for chunks in [[14], [28]] {
        fetcher.wait(&chunks).unwrap();
    }
    assert!(fetcher.journal().requests.is_empty(), "it is kept once");
}
