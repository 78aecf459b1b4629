//! The HTTP store against a server that does what servers do.

use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::sync::{Barrier, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use super::*;
use crate::id::PackId;
use crate::store::testserver::{Server, Stream};
use crate::store::{Stage, Unreachable};

const LEN: u64 = 100_000;

/// A server that holds one pack, a store on it, and the pack.
struct Setup {
    server: Server,
    store: Http,
    pack: Pack,
    bytes: Vec<u8>,
}

fn setup() -> Setup {
    let quick = ClientOptions { stall_timeout: Duration::from_millis(300), ..Default::default() };
    setup_with(Server::start(), quick)
}

fn setup_with(server: Server, options: ClientOptions) -> Setup {
    let bytes = crate::store::testing::contents(0, usize::try_from(LEN).unwrap());
    let pack = Pack { id: PackId::of(&bytes), len: LEN };
    server.put(&format!("/img/packs/{}", pack.id), bytes.clone());
    let store = Http::new(Client::new(options).unwrap(), server.url("/img/"));
    Setup { server, store, pack, bytes }
}

impl Setup {
    fn fetch(&self, range: Range<u64>) -> Result<Vec<u8>, StoreError> {
        self.store.fetch(&self.pack, range)
    }

    fn slice(&self, range: Range<u64>) -> &[u8] {
        &self.bytes[usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()]
    }

    /// The next answer, then the error that makes of a fetch.
    fn error(&self, answer: impl Into<Vec<u8>>) -> StoreError {
        self.server.send(answer, false);
        self.fetch(10..20).unwrap_err()
    }

    #[track_caller]
    fn still_works(&self) {
        assert!(self.fetch(500..900).unwrap() == self.slice(500..900));
    }
}

fn fault(error: StoreError) -> Fault {
    match error {
        StoreError::Protocol { fault, .. } => fault,
        other => panic!("{other}"),
    }
}

fn cause(error: StoreError) -> Unreachable {
    match error {
        StoreError::Unreachable { cause, .. } => cause,
        other => panic!("{other}"),
    }
}

#[test]
fn ranges_over_one_connection() {
    let s = setup();
    for range in [0..1, 5..90_000, LEN - 1..LEN, 0..LEN] {
        assert!(s.fetch(range.clone()).unwrap() == s.slice(range.clone()), "{range:?}");
    }
    let asked = s.server.asked();
    assert_eq!(asked[1].headers["range"], "bytes=5-89999");
    assert_eq!(asked[1].headers["accept-encoding"], "identity");
    assert!(asked[1].headers["user-agent"].starts_with("zimg/"));
    assert!(asked.iter().all(|a| a.connection == 0), "{asked:?}");
}

#[test]
fn a_range_left_unread_costs_no_more_than_its_connection() {
    let s = setup();
    drop(s.store.open(&s.pack, 0..90_000).unwrap());
    s.still_works();
}

#[test]
fn a_server_that_ignores_ranges() {
    let s = setup();
    let whole = |s: &Setup| {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {LEN}\r\n\r\n");
        s.server.send([head.as_bytes(), &s.bytes].concat(), true);
    };
    whole(&s);
    assert!(s.fetch(777..80_000).unwrap() == s.slice(777..80_000));
    whole(&s);
    assert_eq!(s.store.open(&s.pack, 777..888).unwrap().remaining(), 0..LEN);
    s.still_works();
}

#[test]
fn a_chunked_answer() {
    let s = setup();
    let head = format!(
        "HTTP/1.1 206 Partial\r\nContent-Range: bytes 10-19/{LEN}\r\n\
         Transfer-Encoding: chunked\r\n\r\n4\r\n"
    );
    let answer =
        [head.as_bytes(), s.slice(10..14), b"\r\n6\r\n", s.slice(14..20), b"\r\n0\r\n\r\n"];
    s.server.send(answer.concat(), true);
    assert!(s.fetch(10..20).unwrap() == s.slice(10..20));
    s.still_works();
}

#[test]
fn another_range_than_asked_for() {
    let s = setup();
    for range in ["bytes 10-20/100000", "bytes 9-18/100000", "bytes 10-19/99999", "x", ""] {
        let answer = format!(
            "HTTP/1.1 206 P\r\nContent-Range: {range}\r\nContent-Length: 10\r\n\r\n0123456789"
        );
        let fault = fault(s.error(answer));
        assert!(matches!(fault, Fault::OtherContent { .. }), "{range}: {fault}");
    }
    let none = fault(s.error("HTTP/1.1 206 P\r\nContent-Length: 10\r\n\r\n0123456789"));
    assert!(matches!(none, Fault::OtherContent { .. }), "{none}");
    let len = "HTTP/1.1 206 P\r\nContent-Range: bytes 10-19/100000\r\nContent-Length: 9\r\n\r\n";
    assert!(matches!(fault(s.error(len)), Fault::OtherContent { .. }));
    let many = "HTTP/1.1 206 P\r\nContent-Type: multipart/byteranges; boundary=x\r\n\
                Content-Length: 10\r\n\r\n0123456789";
    assert!(fault(s.error(many)).to_string().contains("multipart"));
    s.still_works();
}

#[test]
fn a_web_page_is_called_one() {
    let s = setup();
    for head in ["Content-Length: 6\r\n\r\n", "Connection: close\r\n\r\n"] {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Type: text/HTML\r\n{head}<html>");
        let error = s.error(head).to_string();
        assert!(error.contains("a web page instead of the file"), "{error}");
        assert!(error.contains(&s.server.url("/img/packs/")), "{error}");
    }
}

#[test]
fn statuses() {
    let s = setup();
    let answer =
        |status: &str| s.error(format!("HTTP/1.1 {status} Words\r\nContent-Length: 4\r\n\r\nbody"));
    for gone in ["404", "410"] {
        let error = answer(gone);
        assert!(matches!(error, StoreError::Missing { .. }) && !error.may_pass(), "{error}");
    }
    for (status, passes) in [
        ("403", false),
        ("500", true),
        ("503", true),
        ("429", true),
        ("304", false),
        ("204", false),
    ] {
        let error = answer(status);
        let same =
            matches!(&error, StoreError::Status { status: s, .. } if s.to_string() == status);
        assert!(same && error.may_pass() == passes, "{error}");
        assert!(error.to_string().contains(status), "{error}");
    }
    assert!(fault(answer("416")).to_string().contains("no bytes 10-19"));
    s.still_works();
}

#[test]
fn an_encoded_body() {
    let s = setup();
    let answer = "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 100000\r\n\r\n";
    assert_eq!(fault(s.error(answer)), Fault::Encoded("gzip".into()));
}

#[test]
fn a_body_cut_off() {
    let s = setup();
    let head = "HTTP/1.1 206 P\r\nContent-Range: bytes 10-19/100000\r\nContent-Length: 10\r\n\r\n";
    let error = s.error(format!("{head}0123"));
    assert!(error.may_pass());
    assert_eq!(fault(error), Fault::Short { got: 4, want: 10 });
    let chunked = "HTTP/1.1 206 P\r\nContent-Range: bytes 10-19/100000\r\n\
                   Transfer-Encoding: chunked\r\n\r\n4\r\n0123\r\n0\r\n\r\n";
    assert_eq!(fault(s.error(chunked)), Fault::Short { got: 4, want: 10 });
    s.still_works();
}

#[test]
fn a_connection_that_closes_before_the_answer_is_replaced() {
    let s = setup();
    s.still_works();
    // An idle connection that dies just as it is used again.
    s.server.then(|_, _| false);
    s.still_works();
    // And so once too often.
    (0..3).for_each(|_| s.server.then(|_, _| false));
    assert!(matches!(cause(s.fetch(1..2).unwrap_err()), Unreachable::Dropped(_)));
    assert_eq!(s.server.asked().len(), 1 + 2 + 3);
    s.still_works();
}

#[test]
fn connections_that_were_made_before_are_used() {
    const COUNT: usize = 3;
    let s = setup();
    // None is answered before all have come, so each comes over a connection of its own.
    let all = Arc::new(Barrier::new(COUNT));
    for _ in 0..COUNT {
        let all = Arc::clone(&all);
        s.server.then(move |_, stream| {
            all.wait();
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {LEN}\r\n\r\n");
            stream.write_all(head.as_bytes()).is_ok()
        });
    }
    let url = s.server.url("/img/an.flist");
    thread::scope(|scope| (0..COUNT).for_each(|_| drop(scope.spawn(|| s.store.client.head(&url)))));
    let before = s.server.asked();
    thread::scope(|scope| (0..COUNT).for_each(|_| drop(scope.spawn(|| s.still_works()))));
    assert_eq!(before.len(), COUNT);
    assert!(s.server.asked().iter().all(|asked| asked.connection < COUNT));
}

#[test]
fn a_connection_closed_while_idle_is_not_used() {
    let s = setup();
    let answer = "HTTP/1.1 206 P\r\nContent-Range: bytes 10-19/100000\r\n\
                  Content-Length: 10\r\n\r\n0123456789";
    s.server.send(answer, false);
    s.fetch(10..20).unwrap();
    thread::sleep(Duration::from_millis(20));
    s.still_works();
    assert_eq!(s.server.asked().len(), 2, "nothing was sent in vain");
}

#[test]
fn silence_before_the_answer() {
    let s = setup();
    let start = Instant::now();
    s.server.then(|_, _| {
        thread::sleep(Duration::from_secs(2));
        false
    });
    let cause = cause(s.fetch(1..2).unwrap_err());
    assert!(matches!(cause, Unreachable::TimedOut { stage: Stage::Answer, .. }), "{cause}");
    assert!(start.elapsed() < Duration::from_secs(2));
    s.still_works();
}

const TEN: &str = "HTTP/1.1 206 P\r\nContent-Range: bytes 0-9999/100000\r\n\
                   Content-Length: 10000\r\n\r\n0123456789";

fn dribble(stream: &mut dyn Stream) -> bool {
    (0..200).all(|_| {
        thread::sleep(Duration::from_millis(10));
        stream.write_all(b"x").and_then(|()| stream.flush()).is_ok()
    })
}

#[test]
fn a_body_that_stalls_or_trickles() {
    let s = setup();
    let stall = |_: &mut dyn Stream| {
        thread::sleep(Duration::from_secs(2));
        false
    };
    for act in [stall, dribble] {
        s.server.then(move |_, stream| stream.write_all(TEN.as_bytes()).is_ok() && act(stream));
        let start = Instant::now();
        let cause = cause(s.fetch(0..10_000).unwrap_err());
        assert!(matches!(cause, Unreachable::TimedOut { stage: Stage::Body, .. }), "{cause}");
        assert!(start.elapsed() < Duration::from_secs(2));
    }
    s.still_works();
}

#[test]
fn a_body_may_take_longer_than_a_stall() {
    let s = setup();
    let bytes = s.slice(0..10_000).to_vec();
    s.server.then(move |_, stream| {
        let head = TEN.trim_end_matches("0123456789");
        stream.write_all(head.as_bytes()).is_ok()
            && bytes.chunks(250).all(|part| {
                thread::sleep(Duration::from_millis(20));
                stream.write_all(part).is_ok()
            })
    });
    let start = Instant::now();
    assert!(s.fetch(0..10_000).unwrap() == s.slice(0..10_000));
    assert!(start.elapsed() > Duration::from_millis(600));
}

#[test]
fn more_bytes_than_announced() {
    let s = setup();
    let body = |s: &Setup| [TEN.as_bytes(), &s.bytes[10..10_000], b"and more"].concat();
    s.server.send(body(&s), true);
    assert_eq!(s.fetch(0..10_000).unwrap().len(), 10_000);
    s.still_works();
}

#[test]
fn not_http() {
    let s = setup();
    for nonsense in ["SSH-2.0-OpenSSH_9.2\r\n\r\n", "\x15\x03\x01", "HTTP/1.1 abc\r\n\r\n"] {
        s.server.send(nonsense, false);
        s.server.send(nonsense, false);
        s.server.send(nonsense, false);
        let error = s.fetch(1..2).unwrap_err();
        let plain = matches!(
            error,
            StoreError::Protocol { fault: Fault::Http(_), .. }
                | StoreError::Unreachable { cause: Unreachable::Dropped(_), .. }
        );
        assert!(plain, "{error}");
    }
}

fn redirect(to: &str) -> String {
    format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n")
}

#[test]
fn redirects_are_followed_with_the_range() {
    let s = setup();
    s.server.put("/elsewhere", s.bytes.clone());
    s.server.send(redirect("/elsewhere"), true);
    assert!(s.fetch(3..9).unwrap() == s.slice(3..9));
    assert_eq!(s.server.asked()[1].headers["range"], "bytes=3-8");
    s.server.send(redirect("/nowhere"), true);
    let error = s.fetch(3..9).unwrap_err().to_string();
    assert!(error.contains("redirected to http://") && error.contains("/nowhere"), "{error}");
}

#[test]
fn redirects_come_to_an_end() {
    let s = setup();
    for _ in 0..6 {
        s.server.send(redirect("/round"), true);
    }
    assert_eq!(fault(s.fetch(1..2).unwrap_err()), Fault::Redirects);
    assert_eq!(s.server.asked().len(), 6);
    for to in ["file:///etc/passwd", "ftp://x/y", "gopher:x", ":::"] {
        s.server.send(redirect(to), true);
        // What looks like a path is one of this server.
        let error = s.fetch(1..2).unwrap_err();
        let plain = matches!(error, StoreError::Protocol { .. } | StoreError::Missing { .. });
        assert!(plain, "{to}: {error}");
    }
    s.still_works();
}

#[test]
fn nobody_listens() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("http://127.0.0.1:{port}/");
    let store = Http::new(Client::new(ClientOptions::default()).unwrap(), url);
    let error = store.fetch(&setup().pack, 1..2).unwrap_err();
    let StoreError::Unreachable { addresses, cause: Unreachable::Refused, .. } = &error else {
        panic!("{error}");
    };
    assert_eq!(addresses[..], [IpAddr::V4(Ipv4Addr::LOCALHOST)]);
    assert!(error.to_string().contains("connection refused"), "{error}");
}

#[test]
fn a_name_that_can_be_none() {
    // A label is at most 63 bytes long: no name server is asked.
    let url = format!("http://{}/", "x".repeat(64));
    let store = Http::new(Client::new(ClientOptions::default()).unwrap(), url);
    let error = store.fetch(&setup().pack, 1..2).unwrap_err();
    assert!(matches!(cause(error), Unreachable::Name { host, .. } if host.len() == 64));
}

#[test]
fn shutting_down_ends_what_waits_and_not_what_comes() {
    let mut s = setup_with(Server::start(), ClientOptions::default());
    let (send, waits) = mpsc::channel();
    s.server.then(move |_, _| {
        send.send(()).unwrap();
        thread::sleep(Duration::from_secs(30));
        false
    });
    s.store.base = s.server.url("/img");
    let start = Instant::now();
    thread::scope(|scope| {
        let fetch = scope.spawn(|| s.fetch(1..2));
        waits.recv().unwrap();
        // The second try, on the fresh connections, may be served.
        s.store.shutdown();
        drop(fetch.join().unwrap());
    });
    assert!(start.elapsed() < Duration::from_secs(10));
    s.still_works();
}
