//! A server sees what is asked of it while an flist is on its way.

use std::time::{Duration, Instant};

use super::*;
use crate::format;
use crate::id::RootHash;
use crate::store::load::{LoadOptions, Loaded, load};
use crate::store::testing::{Fixture, contents, options};
use crate::store::testserver::{Asked, Server, Stream};
use crate::store::{ClientOptions, Fetcher, Mirrors};
use crate::trust::Policy;

/// Chunks of the profile, all in the first pack.
const PROFILED: u32 = 5;

/// How long to wait for what must come.
const LIMIT: Duration = Duration::from_secs(20);

/// How much of the flist comes at first.
const PART: usize = 1 << 10;

fn fixture() -> Fixture {
    Fixture::by_profile((0..20).map(|n| contents(n, 3000)).collect(), 10, PROFILED)
}

/// A server of `fixture`, and what tells of each request. Of the flist it sends a part, and the rest once
/// it was asked for something else, which is what it returns, or after `wait`.
fn serve(fixture: &Fixture, wait: Duration) -> (Server, Receiver<Option<Asked>>) {
    let server = Server::start();
    let flist = format::encode(&fixture.image).unwrap();
    assert!(flist.len() > PART, "{}", flist.len());
    for (id, bytes) in &fixture.packs {
        server.put(&format!("/packs/{id}"), bytes.clone());
    }
    let (seen, server_too) = (mpsc::channel(), server.clone());
    let send = seen.0;
    server.then(move |_, stream| {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", flist.len());
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(&flist[..PART]).unwrap();
        let end = Instant::now() + wait;
        let other = loop {
            match server_too.asked().into_iter().find(|asked| asked.path != "/a.flist") {
                None if Instant::now() < end => thread::yield_now(),
                other => break other,
            }
        };
        stream.write_all(&flist[PART..]).unwrap();
        send.send(other).is_ok()
    });
    (server, seen.1)
}

fn loaded(server: &Server, packs: Option<Packs>) -> Loaded {
    let stall_timeout = Duration::from_secs(2);
    let client = Client::new(ClientOptions { stall_timeout, ..ClientOptions::default() }).unwrap();
    let location = Location::Url(server.url("/a.flist"));
    let options = LoadOptions { packs, tries: 1, ..LoadOptions::default() };
    load(&client, &[location], &Policy::anything(), &options).unwrap()
}

/// What the server was asked of packs.
fn asked(server: &Server) -> Vec<(String, Option<(usize, usize)>)> {
    let of_packs = server.asked().into_iter().filter(|asked| asked.path != "/a.flist");
    of_packs.map(|asked| (asked.path.clone(), asked.range())).collect()
}

/// Fetches the profile of `loaded`, and checks what a reader gets. Returns how many requests that took.
fn fetch(fixture: &Fixture, mut loaded: Loaded) -> u64 {
    let client = Client::new(ClientOptions::default()).unwrap();
    let begun = loaded.begun.take().unwrap();
    let store = store::open(&client, begun.location());
    let store = begun.before(store);
    let mirrors = Mirrors::new(vec![store]).unwrap();
    let fetcher = Fetcher::new(Arc::new(loaded.image), mirrors, options()).unwrap();
    let (send, ended) = mpsc::channel();
    let profile: Vec<u32> = (0..PROFILED).collect();
    fetcher.prefetch(profile.clone(), Box::new(move |outcome| send.send(outcome).unwrap()));
    ended.recv_timeout(LIMIT).unwrap();
    fixture.check(&profile, &fetcher.wait(&profile).unwrap());
    fetcher.stats().requests
}

/// The pack's path, and the first and last byte of the profile in it.
fn first(fixture: &Fixture) -> (String, Option<(usize, usize)>) {
    let soon = Soon::of(&fixture.image).unwrap();
    let end = usize::try_from(soon.range.end).unwrap();
    (format!("/packs/{}", soon.pack.id), Some((0, end - 1)))
}

#[test]
fn it_is_asked_for_before_the_flist_is_there_and_once() {
    let fixture = fixture();
    let (server, seen) = serve(&fixture, LIMIT);
    let loaded = loaded(&server, Some(Packs::Beside));
    let early = seen.recv().unwrap().expect("nothing was asked while the flist came");
    assert_eq!((early.path.clone(), early.range()), first(&fixture));
    assert_eq!(fetch(&fixture, loaded), 1);
    assert_eq!(asked(&server), [first(&fixture)]);
}

#[test]
fn unless_nobody_wants_it() {
    let fixture = fixture();
    let (server, seen) = serve(&fixture, Duration::from_millis(50));
    assert!(loaded(&server, None).begun.is_none());
    assert!(seen.recv().unwrap().is_none());
    let (server, _seen) = serve(&Fixture::new(2, 10, 3000), Duration::from_millis(50));
    assert!(loaded(&server, Some(Packs::Beside)).begun.is_none(), "without a profile");
    assert_eq!(asked(&server), []);
}

#[test]
fn elsewhere() {
    let (fixture, packs) = (fixture(), Server::start());
    for (id, bytes) in &fixture.packs {
        packs.put(&format!("/there/packs/{id}"), bytes.clone());
    }
    let (server, _seen) = serve(&fixture, Duration::from_millis(50));
    let place = Location::Url(packs.url("/there/"));
    let loaded = loaded(&server, Some(Packs::At(place.clone())));
    assert_eq!(loaded.begun.as_ref().unwrap().location(), &place);
    assert_eq!(fetch(&fixture, loaded), 1);
    assert_eq!((asked(&server), asked(&packs).len()), (vec![], 1));
}

/// What the server does with the first request for a pack.
type Fault = fn(&Asked, &mut dyn Stream) -> bool;

#[test]
fn what_fails_or_is_wrong_is_asked_for_again() {
    let faults: [(&str, Fault); 5] = [
        ("it says no", |_, to| {
            to.write_all(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n").is_ok()
        }),
        ("it hangs up", |_, _| false),
        ("it says nothing", |_, _| true),
        ("it breaks off", |asked, to| {
            let (first, last) = asked.range().unwrap();
            let head = "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes";
            let len = last + 1 - first;
            write!(to, "{head} {first}-{last}/*\r\nContent-Length: {len}\r\n\r\nxyz").unwrap();
            false
        }),
        ("it serves other bytes", |asked, to| {
            let (first, last) = asked.range().unwrap();
            let head = "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes";
            let len = last + 1 - first;
            write!(to, "{head} {first}-{last}/*\r\nContent-Length: {len}\r\n\r\n").unwrap();
            to.write_all(&vec![0; len]).is_ok()
        }),
    ];
    for (fault, act) in faults {
        let fixture = fixture();
        let (server, _seen) = serve(&fixture, LIMIT);
        server.then(act);
        let loaded = loaded(&server, Some(Packs::Beside));
        assert_eq!(loaded.root_hash, RootHash::of(&format::encode(&fixture.image).unwrap()));
        fetch(&fixture, loaded);
        assert!(asked(&server).len() > 1, "{fault}");
    }
}
