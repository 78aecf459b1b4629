//! A fetcher over scripted stores.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use super::state::{adjacent, merge};
use super::*;
use crate::store::Store;
use crate::store::testing::{Act, Fixture, Scripted, options};

fn fetcher(fixture: &Fixture, stores: &[&Arc<Scripted>], options: FetchOptions) -> Fetcher {
    let stores = stores.iter().map(|s| Arc::clone(*s) as Arc<dyn Store>).collect();
    Fetcher::new(Arc::clone(&fixture.image), Mirrors::new(stores).unwrap(), options).unwrap()
}

/// Asks for `chunks`; what comes is sent, with `tag`.
fn ask<T: Send + 'static>(
    fetcher: &Fetcher,
    chunks: &[u32],
    tag: T,
) -> mpsc::Receiver<(T, Result<Vec<Arc<Stored>>, FetchError>)> {
    let (send, receive) = mpsc::channel();
    fetcher.request(chunks, Box::new(move |result| send.send((tag, result)).unwrap()));
    receive
}

fn take<T>(receive: &mpsc::Receiver<T>) -> T {
    receive.recv_timeout(Duration::from_secs(20)).expect("called back")
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
