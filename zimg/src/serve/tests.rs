//! The whole server over real sockets on loopback, spoken to byte by byte.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::symlink;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::connection::Limits;
use super::server::Server;
use super::tree::Tree;

const HEX: &str = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262";

const PATIENT: Limits = Limits {
    clients: 1000,
    idle: Duration::from_secs(20),
    head: Duration::from_secs(20),
    stall: Duration::from_secs(20),
};

/// A server of a directory with `a.flist` (1000 bytes), `packs/<HEX>` (8 MiB), `empty`, and
/// `dir/inner`; beside the directory lies `secret`.
struct Running {
    dir: tempfile::TempDir,
    address: SocketAddr,
    stop: Option<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| u8::try_from((i * 7 + i / 251) % 256).unwrap()).collect()
}

impl Running {
    fn start() -> Self {
        Self::with(PATIENT)
    }

    fn with(limits: Limits) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        fs::create_dir_all(root.join("packs")).unwrap();
        fs::create_dir(root.join("dir")).unwrap();
        fs::write(dir.path().join("secret"), "secret").unwrap();
        fs::write(root.join("a.flist"), pattern(1000)).unwrap();
        fs::write(root.join("packs").join(HEX), pattern(8 << 20)).unwrap();
        fs::write(root.join("empty"), "").unwrap();
        fs::write(root.join("dir/inner"), "inner").unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = Server::new(listener, Tree::open(&root).unwrap(), limits, true).unwrap();
        let (watch, stop) = rustix::pipe::pipe().unwrap();
        let thread = thread::spawn(move || server.run(watch.as_fd()).unwrap());
        Self { dir, address, stop: Some(stop), thread: Some(thread) }
    }

    fn client(&self) -> Client {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Client { stream, buffer: Vec::new() }
    }

    fn get(&self, target: &str, fields: &str) -> Answer {
        self.client().ask("GET", target, fields)
    }

    /// Ends the server and waits for that.
    fn end(&mut self) {
        self.stop = None;
        self.thread.take().unwrap().join().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.thread.is_some() {
            self.end();
        }
    }
}

struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (n, value) = line.split_once(": ")?;
            n.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

impl Client {
    fn send(&mut self, bytes: &str) {
        self.stream.write_all(bytes.as_bytes()).unwrap();
    }

    fn ask(&mut self, method: &str, target: &str, fields: &str) -> Answer {
        self.send(&format!("{method} {target} HTTP/1.1\r\nHost: x\r\n{fields}\r\n"));
        self.answer(method == "HEAD")
    }

    fn more(&mut self) -> usize {
        let mut piece = [0; 65536];
        let count = self.stream.read(&mut piece).unwrap();
        self.buffer.extend_from_slice(&piece[..count]);
        count
    }

    fn answer(&mut self, head_only: bool) -> Answer {
        let end = loop {
            if let Some(at) = self.buffer.windows(4).position(|w| w == b"\r\n\r\n") {
                break at + 4;
            }
            assert_ne!(self.more(), 0, "closed before an answer: {:?}", self.buffer);
        };
        let head = String::from_utf8(self.buffer.drain(..end).collect()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut answer = Answer { status, head, body: Vec::new() };
        let len = answer.field("content-length").map_or(0, |len| len.parse().unwrap());
        let len = if head_only || status == 304 { 0 } else { len };
        while self.buffer.len() < len {
            assert_ne!(self.more(), 0, "closed amid a body");
        }
        answer.body = self.buffer.drain(..len).collect();
        answer
    }

    fn is_closed(&mut self) -> bool {
        self.buffer.is_empty() && self.more() == 0
    }
}

#[test]
fn a_file_whole_and_in_part() {
    let server = Running::start();
    let bytes = pattern(1000);
    let whole = server.get("/a.flist", "");
    assert_eq!((whole.status, &whole.body), (200, &bytes));
    assert_eq!(whole.field("content-type"), Some("application/octet-stream"));
    assert_eq!(whole.field("accept-ranges"), Some("bytes"));
    for (range, expected, field) in [
        ("0-0", &bytes[..1], "bytes 0-0/1000"),
        ("0-999", &bytes[..], "bytes 0-999/1000"),
        ("10-19", &bytes[10..20], "bytes 10-19/1000"),
        ("999-5000", &bytes[999..], "bytes 999-999/1000"),
        ("990-", &bytes[990..], "bytes 990-999/1000"),
        ("-10", &bytes[990..], "bytes 990-999/1000"),
        ("-5000", &bytes[..], "bytes 0-999/1000"),
    ] {
        let part = server.get("/a.flist", &format!("Range: bytes={range}\r\n"));
        assert_eq!((part.status, part.body.as_slice()), (206, expected), "{range}");
        assert_eq!(part.field("content-range"), Some(field), "{range}");
    }
    for range in ["0-1,5-6", "5-4", "x"] {
        let whole = server.get("/a.flist", &format!("Range: bytes={range}\r\n"));
        assert_eq!((whole.status, &whole.body), (200, &bytes), "{range}");
        assert_eq!(whole.field("content-range"), None, "{range}");
    }
}

#[test]
fn beyond_the_end_is_416() {
    let server = Running::start();
    let mut client = server.client();
    for (target, range, field) in [
        ("/a.flist", "1000-", "bytes */1000"),
        ("/a.flist", "99999999999999999999-", "bytes */1000"),
        ("/a.flist", "-0", "bytes */1000"),
        ("/empty", "0-", "bytes */0"),
    ] {
        let answer = client.ask("GET", target, &format!("Range: bytes={range}\r\n"));
        assert_eq!(answer.status, 416, "{target} {range}");
        assert_eq!(answer.field("content-range"), Some(field), "{target} {range}");
    }
    assert_eq!(client.ask("GET", "/empty", "").body, b"");
}

#[test]
fn heads_have_no_body() {
    let server = Running::start();
    let mut client = server.client();
    let head = client.ask("HEAD", "/a.flist", "");
    assert_eq!((head.status, head.field("content-length")), (200, Some("1000")));
    assert_eq!(client.ask("HEAD", "/none", "").status, 404);
    assert_eq!(client.ask("HEAD", "/", "").status, 200);
    // Had any of them a body, this would read it.
    assert_eq!(client.ask("GET", "/dir/inner", "").body, b"inner");
}

#[test]
fn a_hundred_requests_on_one_connection() {
    let server = Running::start();
    let bytes = pattern(8 << 20);
    let mut client = server.client();
    for i in 0..100 {
        let first = i * 80_000;
        let fields = format!("Range: bytes={first}-{}\r\n", first + 69_999);
        let answer = client.ask("GET", &format!("/packs/{HEX}"), &fields);
        assert_eq!(answer.status, 206);
        assert_eq!(answer.field("connection"), Some("keep-alive"));
        assert!(answer.body == bytes[first..first + 70_000], "request {i}");
    }
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let server = Running::start();
    let mut client = server.client();
    let requests: String = (0..50)
        .map(|i| format!("GET /a.flist HTTP/1.1\r\nHost: x\r\nRange: bytes={i}-{i}\r\n\r\n"))
        .collect();
    client.send(&requests);
    let bytes = pattern(1000);
    for byte in &bytes[..50] {
        assert_eq!(client.answer(false).body, [*byte]);
    }
    // And one that comes a byte at a time, after empty lines.
    for byte in "\r\n\r\nGET /dir/inner HTTP/1.1\r\nHost: x\r\n\r\n".chars() {
        client.send(&byte.to_string());
    }
    assert_eq!(client.answer(false).body, b"inner");
}

#[test]
fn a_body_ends_the_connection() {
    let server = Running::start();
    let mut client = server.client();
    client.send("GET /dir/inner HTTP/1.1\r\nHost: x\r\nContent-Length: 42\r\n\r\n");
    client.send("GET /secret HTTP/1.1\r\nHost: x\r\n\r\n");
    let answer = client.answer(false);
    assert_eq!((answer.status, answer.field("connection")), (200, Some("close")));
    assert!(client.is_closed());
}

#[test]
fn caching() {
    let server = Running::start();
    let pack = server.get(&format!("/packs/{HEX}"), "");
    assert_eq!(pack.field("etag"), Some(format!("\"{HEX}\"").as_str()));
    assert_eq!(pack.field("cache-control"), Some("public, max-age=31536000, immutable"));
    let flist = server.get("/a.flist", "");
    let tag = format!("If-None-Match: {}\r\n", flist.field("etag").unwrap());
    let since = format!("If-Modified-Since: {}\r\n", flist.field("last-modified").unwrap());
    let mut client = server.client();
    for fields in [&tag, &since] {
        let answer = client.ask("GET", "/a.flist", fields);
        assert_eq!((answer.status, answer.field("content-length")), (304, None));
    }
    fs::write(server.dir.path().join("root/a.flist"), "changed").unwrap();
    let changed = client.ask("GET", "/a.flist", &tag);
    assert_eq!((changed.status, changed.body.as_slice()), (200, &b"changed"[..]));
}

#[test]
fn nothing_outside_is_served() {
    let server = Running::start();
    let root = server.dir.path().join("root");
    symlink("../secret", root.join("up")).unwrap();
    symlink(server.dir.path().join("secret"), root.join("absolute")).unwrap();
    symlink("..", root.join("parent")).unwrap();
    symlink("/proc/self/root", root.join("magic")).unwrap();
    symlink("up", root.join("twice")).unwrap();
    symlink("loop", root.join("loop")).unwrap();
    symlink("dir/../a.flist", root.join("inside")).unwrap();
    for target in [
        "/../secret",
        "/..%2fsecret",
        "/%2e%2e/secret",
        "/dir/../../secret",
        "/up",
        "/absolute",
        "/parent/secret",
        "/parent/",
        "/magic/etc/passwd",
        "/twice",
        "/loop",
    ] {
        let answer = server.get(target, "");
        assert_eq!(answer.status, 403, "{target}");
        assert!(!answer.body.windows(6).any(|w| w == b"secret"), "{target}");
    }
    assert_eq!(server.get("//secret", "").status, 404);
    assert_eq!(server.get("/secret", "").status, 404);
    // The control: a link that stays inside works.
    assert_eq!(server.get("/inside", "").body, pattern(1000));
}

#[test]
fn what_is_no_file() {
    let server = Running::start();
    let root = server.dir.path().join("root");
    let fifo = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, root.join("fifo"), fifo, 0o644.into(), 0).unwrap();
    let long = format!("/{}", "x".repeat(300));
    for (target, status) in [
        ("/none", 404),
        ("/a.flist/", 404),
        ("/a.flist/x", 404),
        (long.as_str(), 404),
        ("/fifo", 403),
        ("/%00", 400),
        ("/%zz", 400),
        ("/dir", 301),
        ("/dir/", 200),
    ] {
        assert_eq!(server.get(target, "").status, status, "{target}");
    }
    assert_eq!(server.get("//dir", "").field("location"), Some("/dir/"));
    let page = String::from_utf8(server.get("/", "").body).unwrap();
    assert!(page.contains("<a href=\"./a.flist\">a.flist</a>  1000"), "{page}");
}

#[test]
fn any_name_can_be_asked_for() {
    use std::os::unix::ffi::OsStrExt;
    let server = Running::start();
    let name = std::ffi::OsStr::from_bytes(b"\xff %\n:\"");
    fs::write(server.dir.path().join("root").join(name), "odd").unwrap();
    assert_eq!(server.get("/%ff%20%25%0A:%22", "").body, b"odd");
    let page = String::from_utf8(server.get("/", "").body).unwrap();
    assert!(page.contains("href=\"./%FF%20%25%0A%3A%22\""), "{page}");
}

#[test]
fn bad_requests_are_told_and_hung_up_on() {
    let server = Running::start();
    let long = format!("GET / HTTP/1.1\r\nHost: x\r\nA: {}\r\n\r\n", "b".repeat(20_000));
    let many = format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", "A: b\r\n".repeat(5_000));
    for (request, status) in [
        ("nonsense\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("POST /a.flist HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", 405),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        (&long, 431),
        (&many, 431),
    ] {
        let mut client = server.client();
        client.send(request);
        let answer = client.answer(false);
        assert_eq!(answer.status, status, "{:?}", &request[..20.min(request.len())]);
        assert_eq!(answer.field("connection"), Some("close"));
        assert!(client.is_closed());
    }
    assert_eq!(server.get("/dir/inner", "").status, 200);
}

#[test]
fn slow_clients_block_nobody_and_are_hung_up_on() {
    let ms = Duration::from_millis;
    let server = Running::with(Limits { idle: ms(400), head: ms(400), ..PATIENT });
    let mut dribbling: Vec<Client> = (0..20).map(|_| server.client()).collect();
    for client in &mut dribbling {
        client.send("GET / HT");
    }
    // One that takes nothing of a big answer.
    let mut deaf = server.client();
    deaf.send(&format!("GET /packs/{HEX} HTTP/1.1\r\nHost: x\r\n\r\n"));
    let started = Instant::now();
    assert_eq!(server.get("/dir/inner", "").body, b"inner");
    assert!(started.elapsed() < ms(300), "{:?}", started.elapsed());
    for client in &mut dribbling {
        assert_eq!(client.answer(false).status, 408);
        assert!(client.is_closed());
    }
    // One that says nothing at all is hung up on without a word.
    assert!(server.client().is_closed());
    assert!(deaf.answer(false).body == pattern(8 << 20));
}

#[test]
fn a_client_that_stalls_is_let_go() {
    let ms = Duration::from_millis;
    let server = Running::with(Limits { stall: ms(300), ..PATIENT });
    let big = fs::File::create(server.dir.path().join("root/big")).unwrap();
    big.set_len(1 << 30).unwrap();
    let mut client = server.client();
    client.send("GET /big HTTP/1.1\r\nHost: x\r\n\r\n");
    thread::sleep(ms(2000));
    // What was in flight still comes, then the end: far from all of it.
    let mut sum = 0_u64;
    let mut piece = vec![0; 1 << 20];
    while let Ok(count @ 1..) = client.stream.read(&mut piece) {
        sum += u64::try_from(count).unwrap();
    }
    assert!(sum > 0 && sum < 512 << 20, "{sum}");
}

#[test]
fn two_hundred_clients_at_once() {
    let server = Running::start();
    let mut clients: Vec<Client> = (0..200).map(|_| server.client()).collect();
    let bytes = pattern(8 << 20);
    for _ in 0..2 {
        for (i, client) in clients.iter_mut().enumerate() {
            let (first, last) = (i * 1000, i * 1000 + 39_999);
            client.send(&format!(
                "GET /packs/{HEX} HTTP/1.1\r\nHost: x\r\nRange: bytes={first}-{last}\r\n\r\n"
            ));
        }
        for (i, client) in clients.iter_mut().enumerate().rev() {
            assert!(client.answer(false).body == bytes[i * 1000..i * 1000 + 40_000], "client {i}");
        }
    }
}

#[test]
fn too_many_are_told_to_come_again() {
    let server = Running::with(Limits { clients: 3, ..PATIENT });
    let mut served: Vec<Client> = (0..3).map(|_| server.client()).collect();
    for client in &mut served {
        assert_eq!(client.ask("GET", "/dir/inner", "").status, 200);
    }
    let mut refused = server.client();
    let answer = refused.ask("GET", "/dir/inner", "");
    assert_eq!((answer.status, answer.field("retry-after")), (503, Some("1")));
    assert!(refused.is_closed());
    // Beyond those who are told, nobody is listened to, and the others have their answers.
    let crowd: Vec<Client> = (0..100).map(|_| server.client()).collect();
    assert!(server.client().is_closed());
    assert_eq!(served[0].ask("GET", "/dir/inner", "").body, b"inner");
    drop((crowd, served));
    let started = Instant::now();
    let served_again = || {
        let mut client = server.client();
        client.send("GET /dir/inner HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let mut answer = String::new();
        // An error is to have been hung up on, as one too many still.
        client.stream.read_to_string(&mut answer).is_ok() && answer.starts_with("HTTP/1.1 200 ")
    };
    while !served_again() {
        assert!(started.elapsed() < Duration::from_secs(10));
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn ending_finishes_what_is_under_way() {
    let mut server = Running::start();
    let mut idle = server.client();
    assert_eq!(idle.ask("GET", "/dir/inner", "").status, 200);
    let mut busy = server.client();
    busy.send(&format!("GET /packs/{HEX} HTTP/1.1\r\nHost: x\r\n\r\n"));
    busy.more();
    let reader = thread::spawn(move || {
        thread::sleep(Duration::from_millis(300));
        busy.answer(false).body
    });
    let started = Instant::now();
    server.end();
    assert!(started.elapsed() >= Duration::from_millis(250), "{:?}", started.elapsed());
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    assert!(reader.join().unwrap() == pattern(8 << 20));
    assert!(idle.is_closed());
    assert!(TcpStream::connect(server.address).is_err());
}
