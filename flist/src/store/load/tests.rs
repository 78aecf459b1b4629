//! Loading from a server and from files.

mod channel;
mod trust;

use super::*;
use crate::format;
use crate::store::testing::Fixture;
use crate::store::testserver::Server;
use crate::store::{ClientOptions, Stage};

fn client() -> Client {
    let stall_timeout = Duration::from_millis(300);
    Client::new(ClientOptions { stall_timeout, ..ClientOptions::default() }).unwrap()
}

fn options() -> LoadOptions {
    let first_wait = Duration::from_millis(1);
    LoadOptions { first_wait, longest_wait: first_wait, ..LoadOptions::default() }
}

fn flist() -> Vec<u8> {
    format::encode(&Fixture::new(2, 10, 100).image).unwrap()
}

fn url(server: &Server, path: &str) -> Location {
    Location::Url(server.url(path))
}

fn from(location: &Location, policy: &Policy) -> Result<Loaded, LoadError> {
    load(&client(), std::slice::from_ref(location), policy, &options())
}

#[test]
fn the_flist_of_the_right_hash() {
    let (server, bytes) = (Server::start(), flist());
    server.put("/a.flist", bytes.clone());
    let hash = RootHash::of(&bytes);
    let loaded = from(&url(&server, "/a.flist"), &Policy::of_hash(hash)).unwrap();
    assert_eq!((loaded.root_hash, loaded.len, loaded.tries), (hash, bytes.len() as u64, 1));
    assert_eq!(loaded.image, *Fixture::new(2, 10, 100).image);

    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &bytes).unwrap();
    let path = Location::Path(file.path().into());
    assert_eq!(from(&path, &Policy::anything()).unwrap().root_hash, hash);
}

#[test]
fn another_flist_is_refused_with_both_hashes() {
    let (server, bytes) = (Server::start(), flist());
    server.put("/a.flist", bytes.clone());
    let want = RootHash::of(b"another");
    let error = from(&url(&server, "/a.flist"), &Policy::of_hash(want)).unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, LoadError::WrongHash { .. }), "{text}");
    for part in [want.to_string(), RootHash::of(&bytes).to_string(), server.url("/a.flist")] {
        assert!(text.contains(&part), "{text}");
    }
    assert_eq!(server.asked().len(), 1, "asking again makes it no other");
}

#[test]
fn a_web_page_is_no_wrong_hash() {
    let server = Server::start();
    server.put("/a.flist", "<!doctype html><p>Please log in");
    for policy in [&Policy::of_hash(RootHash::of(b"x")), &Policy::anything()] {
        let error = from(&url(&server, "/a.flist"), policy).unwrap_err();
        let page = matches!(&error, LoadError::Format { error: FormatError::NotAnFlist(_), .. });
        assert!(page && error.to_string().contains("HTML"), "{error}");
    }
}

#[test]
fn half_an_flist_is_no_wrong_hash() {
    let (server, mut bytes) = (Server::start(), flist());
    let hash = RootHash::of(&bytes);
    bytes.truncate(bytes.len() / 2);
    server.put("/a.flist", bytes);
    let error = from(&url(&server, "/a.flist"), &Policy::of_hash(hash)).unwrap_err();
    assert!(error.to_string().contains("is cut short"), "{error}");
}

#[test]
fn a_damaged_flist_without_a_hash() {
    let (server, mut bytes) = (Server::start(), flist());
    bytes.truncate(bytes.len() / 2);
    server.put("/a.flist", bytes);
    let error = from(&url(&server, "/a.flist"), &Policy::anything()).unwrap_err();
    assert!(matches!(error, LoadError::Format { .. }), "{error}");
}

#[test]
fn what_is_missing_is_not_asked_for_again() {
    let server = Server::start();
    let error = from(&url(&server, "/a.flist"), &Policy::anything()).unwrap_err();
    assert!(matches!(error, LoadError::Store { error: StoreError::Missing { .. }, tries: 1 }));
    assert_eq!(server.asked().len(), 1);
    let error = from(&Location::Path("/nonexistent/a.flist".into()), &Policy::anything());
    let error = error.unwrap_err();
    assert!(matches!(error, LoadError::Store { error: StoreError::Missing { .. }, .. }));
    assert!(error.to_string().contains("/nonexistent/a.flist"), "{error}");
}

const BUSY: &str = "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n";

#[test]
fn what_may_pass_is_tried_a_few_times() {
    let server = Server::start();
    server.put("/a.flist", flist());
    server.send(BUSY, true);
    server.send(BUSY, true);
    assert_eq!(from(&url(&server, "/a.flist"), &Policy::anything()).unwrap().tries, 3);

    (0..3).for_each(|_| server.send(BUSY, true));
    let error = from(&url(&server, "/a.flist"), &Policy::anything()).unwrap_err();
    assert!(matches!(error, LoadError::Store { tries: 3, .. }), "{error}");
    assert!(error.to_string().contains("503") && error.to_string().contains("3 times"));
}

#[test]
fn until_the_deadline_and_no_longer() {
    let server = Server::start();
    server.put("/a.flist", flist());
    (0..40).for_each(|_| server.send(BUSY, true));
    let within = |time| LoadOptions { deadline: Some(Instant::now() + time), ..options() };
    let location = [url(&server, "/a.flist")];
    let long = within(Duration::from_secs(30));
    let loaded = load(&client(), &location, &Policy::anything(), &long).unwrap();
    assert_eq!(loaded.tries, 41);

    (0..100_000).for_each(|_| server.send(BUSY, true));
    let start = Instant::now();
    let short = within(Duration::from_millis(200));
    load(&client(), &location, &Policy::anything(), &short).unwrap_err();
    assert!(start.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_slow_body_ends_at_the_deadline() {
    let server = Server::start();
    server.then(|_, stream| {
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n";
        stream.write_all(head.as_bytes()).is_ok()
            && (0..300).all(|_| {
                thread::sleep(Duration::from_millis(20));
                stream.write_all(&[0; 1000]).is_ok()
            })
    });
    let deadline = Some(Instant::now() + Duration::from_millis(500));
    let start = Instant::now();
    let options = LoadOptions { deadline, ..options() };
    let location = [url(&server, "/a.flist")];
    let error = load(&client(), &location, &Policy::anything(), &options).unwrap_err();
    let LoadError::Store { error: StoreError::Unreachable { cause, .. }, .. } = error else {
        panic!("{error}");
    };
    assert!(matches!(cause, Unreachable::TimedOut { stage: Stage::Body, .. }), "{cause}");
    assert!(start.elapsed() < Duration::from_secs(3));
}

#[test]
fn too_long_to_be_one() {
    let server = Server::start();
    let limit = LoadOptions { max_len: 1000, ..options() };
    let location = [url(&server, "/a.flist")];
    let try_it = || match load(&client(), &location, &Policy::anything(), &limit).unwrap_err() {
        LoadError::Store { error: StoreError::Protocol { fault, .. }, .. } => fault,
        other => panic!("{other}"),
    };
    server.put("/a.flist", vec![0; 1001]);
    assert_eq!(try_it(), Fault::TooLong { limit: 1000 });
    server.then(|_, stream| {
        let endless = |stream: &mut dyn crate::store::testserver::Stream| {
            (0..1_000_000).all(|_| stream.write_all(&[b'x'; 5000]).is_ok())
        };
        stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n").is_ok() && endless(stream)
    });
    assert_eq!(try_it(), Fault::TooLong { limit: 1000 });

    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), [0; 1001]).unwrap();
    assert!(matches!(read_file(file.path(), 1000), Err(StoreError::Protocol { .. })));
    assert_eq!(read_file(file.path(), 1001).unwrap().len(), 1001);
}

#[test]
fn mirrors_in_turn() {
    let (bad, good, bytes) = (Server::start(), Server::start(), flist());
    bad.put("/a.flist", "something else");
    good.put("/a.flist", bytes.clone());
    let mirrors = [
        Location::Url("http://127.0.0.1:1/a.flist".into()),
        url(&bad, "/a.flist"),
        url(&good, "/a.flist"),
    ];
    let hash = &Policy::of_hash(RootHash::of(&bytes));
    let loaded = load(&client(), &mirrors, hash, &options()).unwrap();
    assert_eq!((loaded.location, loaded.tries), (mirrors[2].clone(), 1));
    let error = load(&client(), &mirrors[..2], hash, &options()).unwrap_err();
    assert!(error.to_string().contains("refused"), "the first one's: {error}");
    assert!(matches!(load(&client(), &[], hash, &options()), Err(LoadError::Store { .. })));
}
