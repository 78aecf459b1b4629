//! The fetcher and the loader against a server that fails in every way it knows: nothing wrong is
//! ever handed out, nothing that passes is an error while patience lasts.
#![expect(clippy::unwrap_used, reason = "a test ends where anything fails")]

use std::fs;
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use flist::build;
use flist::chunk::Stored;
use flist::image::Image;
use flist::store::{
    self, Client, ClientOptions, FetchError, FetchOptions, Fetcher, LoadError, LoadOptions,
    Location, Mirrors, Patience, StoreError,
};
use flist::trust::Policy;
use tests::http_faults::{Fault, FaultyServer};

/// A folder with an flist of 12 MiB that do not compress, and its packs.
fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    fs::create_dir(&root).unwrap();
    let mut hash = blake3::Hasher::new().finalize_xof();
    for file in 0..12 {
        let mut bytes = vec![0; 1 << 20];
        hash.fill(&mut bytes);
        fs::write(root.join(format!("file-{file}")), bytes).unwrap();
    }
    let source = build::Source::Directory(root);
    build::build(&source, &dir.path().join("x.flist"), &build::Options::default(), &()).unwrap();
    dir
}

fn client() -> Client {
    // Long for a server on loopback, even where other tests keep the machine busy.
    let stall_timeout = Duration::from_secs(2);
    Client::new(ClientOptions { stall_timeout, ..ClientOptions::default() }).unwrap()
}

fn options() -> FetchOptions {
    FetchOptions {
        lookahead: 0,
        along: 0,
        first_wait: Duration::from_millis(5),
        longest_wait: Duration::from_millis(100),
        ..FetchOptions::default()
    }
}

fn image(dir: &Path) -> Arc<Image> {
    let location = Location::Path(dir.join("x.flist"));
    let loaded =
        store::load(&client(), &[location], &Policy::anything(), &LoadOptions::default()).unwrap();
    Arc::new(loaded.image)
}

fn fetcher(dir: &Path, servers: &[&FaultyServer], options: FetchOptions) -> Fetcher {
    let client = client();
    let stores = servers.iter().map(|s| store::open(&client, &Location::Url(s.url("")))).collect();
    Fetcher::new(image(dir), Mirrors::new(stores).unwrap(), options).unwrap()
}

/// Asks for each chunk by itself.
fn ask_all(fetcher: &Fetcher, image: &Image) -> mpsc::Receiver<(u32, Reply)> {
    let (send, receive) = mpsc::channel();
    for number in 0..u32::try_from(image.chunks().len()).unwrap() {
        let send = send.clone();
        fetcher.request(&[number], Box::new(move |reply| drop(send.send((number, reply)))));
    }
    receive
}

type Reply = Result<Vec<Arc<Stored>>, FetchError>;

/// That every chunk comes, once, and is what its pack holds.
fn check_all(dir: &Path, image: &Image, receive: &mpsc::Receiver<(u32, Reply)>) {
    let mut missing: Vec<bool> = image.chunks().iter().map(|_| true).collect();
    while missing.iter().any(|m| *m) {
        let (number, reply) = receive.recv_timeout(Duration::from_secs(60)).unwrap();
        let chunk = &image.chunks()[number as usize];
        let pack = fs::read(dir.join("packs").join(image.pack_of(chunk).unwrap().id.to_string()));
        let (start, len) = (usize::try_from(chunk.offset).unwrap(), chunk.stored_len as usize);
        assert!(reply.unwrap()[0].bytes() == &pack.unwrap()[start..start + len]);
        assert!(std::mem::take(&mut missing[number as usize]), "twice");
    }
}

fn faults() -> Vec<Fault> {
    vec![
        Fault::Hang,
        Fault::HangUp,
        Fault::CutAfter(1000),
        Fault::CutAfter(0),
        Fault::Status(404),
        Fault::Status(403),
        Fault::Status(500),
        Fault::Status(503),
        Fault::RedirectLoop,
        Fault::Redirect("http://127.0.0.1:1/".into()),
        Fault::WrongRange,
        Fault::Short(1),
        Fault::Long(1),
        Fault::WebPage,
    ]
}

#[test]
fn every_outage_is_waited_out() {
    let dir = folder();
    let image = image(dir.path());
    for fault in faults() {
        let server = FaultyServer::start(dir.path()).unwrap();
        server.fail("packs/", fault.clone());
        let fetcher = fetcher(dir.path(), &[&server], options());
        let receive = ask_all(&fetcher, &image);
        // Failures, not requests: a client that follows redirects has asked often before it gives
        // up, and would find the server well again without having failed.
        let start = Instant::now();
        while fetcher.stats().failures < 10 {
            assert!(start.elapsed() < Duration::from_secs(60), "{fault:?}: {:?}", fetcher.stats());
            thread::sleep(Duration::from_millis(10));
        }
        if let Ok((number, reply)) = receive.try_recv() {
            assert_eq!(fault, Fault::CutAfter(1000), "chunk {number}: {:?}", reply.err());
        }
        server.heal();
        let healed = Instant::now();
        check_all(dir.path(), &image, &receive);
        // A request that hangs was under way when the server got well.
        assert!(healed.elapsed() < Duration::from_secs(10), "{fault:?}: {:?}", healed.elapsed());
        let stats = fetcher.stats();
        assert!(stats.failures > 0 && stats.stalled > Duration::ZERO, "{fault:?}: {stats:?}");
    }
}

#[test]
fn a_mirror_steps_in_for_every_fault() {
    let dir = folder();
    let image = image(dir.path());
    let mut faults = faults();
    faults.push(Fault::Flip(12345));
    for fault in faults {
        let (bad, good) =
            (FaultyServer::start(dir.path()).unwrap(), FaultyServer::start(dir.path()).unwrap());
        bad.fail("packs/", fault.clone());
        let fetcher = fetcher(dir.path(), &[&bad, &good], options());
        let start = Instant::now();
        check_all(dir.path(), &image, &ask_all(&fetcher, &image));
        let stats = fetcher.stats();
        assert_eq!(stats.stalled, Duration::ZERO, "{fault:?}: {stats:?}");
        assert!(stats.failures + stats.corrupt > 0, "{fault:?}: {stats:?}");
        assert!(start.elapsed() < Duration::from_secs(10), "{fault:?}");
    }
}

#[test]
fn a_server_that_stops_and_comes_back() {
    let dir = folder();
    let image = image(dir.path());
    let server = FaultyServer::start(dir.path()).unwrap();
    server.latency(Duration::from_millis(20));
    let cramped = FetchOptions { cache_bytes: 2 << 20, connections: 4, ..options() };
    let fetcher = Arc::new(fetcher(dir.path(), &[&server], cramped));
    thread::scope(|scope| {
        for reader in 0..50_u32 {
            let (fetcher, image) = (&fetcher, &image);
            scope.spawn(move || {
                let chunks = u32::try_from(image.chunks().len()).unwrap();
                for step in 0..10 {
                    let number = (reader * 7919 + step * 104_729) % chunks;
                    let stored = fetcher.wait(&[number]).unwrap();
                    assert_eq!(stored[0].plain_len(), image.chunks()[number as usize].len as usize);
                }
            });
        }
        for _ in 0..3 {
            thread::sleep(Duration::from_millis(100));
            server.stop();
            thread::sleep(Duration::from_millis(300));
            server.restart().unwrap();
        }
    });
    let stats = fetcher.stats();
    assert!(stats.failures > 0 && stats.stalled > Duration::from_millis(100), "{stats:?}");
}

#[test]
fn a_server_that_ignores_ranges_sends_each_pack_once() {
    let dir = folder();
    let image = image(dir.path());
    let server = FaultyServer::start(dir.path()).unwrap();
    server.fail("packs/", Fault::IgnoreRange);
    let fetcher = fetcher(dir.path(), &[&server], options());
    check_all(dir.path(), &image, &ask_all(&fetcher, &image));
    assert_eq!(fetcher.stats().chunks, image.chunks().len() as u64);
    assert_eq!(fetcher.stats().failures, 0);
}

#[test]
fn a_flipped_byte_everywhere_is_an_error_and_never_data() {
    let dir = folder();
    let image = image(dir.path());
    let server = FaultyServer::start(dir.path()).unwrap();
    server.fail("packs/", Fault::Flip(0));
    // One chunk a request, so that each holds the flipped byte.
    let fetcher = fetcher(dir.path(), &[&server], FetchOptions { max_request: 1, ..options() });
    for (_, reply) in ask_all(&fetcher, &image).iter().take(image.chunks().len()) {
        let error = reply.err();
        assert!(matches!(error, Some(FetchError::Corrupt { .. })), "{error:?}");
    }
    assert_eq!(fetcher.stats().corrupt, 3 * image.chunks().len() as u64);
    server.heal();
    check_all(dir.path(), &image, &ask_all(&fetcher, &image));
}

#[test]
fn patience_that_ends_names_the_fault() {
    let dir = folder();
    for (fault, words) in [
        (Fault::Hang, "no answer within"),
        (Fault::HangUp, "the connection broke"),
        (Fault::Status(404), "is not there: HTTP status 404"),
        (Fault::Status(503), "HTTP 503"),
        (Fault::RedirectLoop, "too many redirects"),
        (Fault::WrongRange, "Content-Range"),
        (Fault::CutAfter(10), "ends after 10 of"),
        (Fault::WebPage, "a web page instead of the file"),
    ] {
        let server = FaultyServer::start(dir.path()).unwrap();
        server.fail("packs/", fault.clone());
        let bounded = FetchOptions { patience: Patience::Rounds(2), ..options() };
        let error = fetcher(dir.path(), &[&server], bounded).wait(&[0]).unwrap_err();
        let text = error.to_string();
        assert!(text.contains(words) && text.contains(&server.url("packs/")), "{fault:?}: {text}");
    }
}

#[test]
fn an_flist_behind_every_fault() {
    let dir = folder();
    let image = image(dir.path());
    let quick = LoadOptions { first_wait: Duration::from_millis(1), ..LoadOptions::default() };
    // An flist is not asked for by range.
    for fault in faults().into_iter().filter(|fault| *fault != Fault::WrongRange) {
        let server = FaultyServer::start(dir.path()).unwrap();
        let location = [Location::Url(server.url("x.flist"))];
        server.fail("x.flist", fault.clone());
        let load = || store::load(&client(), &location, &Policy::anything(), &quick);
        match load().map(|loaded| loaded.len).unwrap_err() {
            LoadError::Store { error, .. } => assert!(!error.to_string().is_empty()),
            LoadError::Format { error, .. } => {
                let damage = matches!(fault, Fault::Short(_) | Fault::Long(_) | Fault::WebPage);
                assert!(damage, "{fault:?}: {error}");
            }
            other => panic!("{fault:?}: {other}"),
        }
        server.heal();
        assert_eq!(load().unwrap().image, *image, "{fault:?}");
    }
    let server = FaultyServer::start(dir.path()).unwrap();
    server.fail_next(2, "x.flist", Fault::Status(503));
    let location = [Location::Url(server.url("x.flist"))];
    assert_eq!(store::load(&client(), &location, &Policy::anything(), &quick).unwrap().tries, 3);
    server.stop();
    let error = store::load(&client(), &location, &Policy::anything(), &quick).unwrap_err();
    let refused =
        matches!(&error, LoadError::Store { error: StoreError::Unreachable { .. }, tries: 3 });
    assert!(refused && error.to_string().contains("refused"), "{error}");
}
