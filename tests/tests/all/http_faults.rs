//! The faulty server itself: right without rules, wrong in just the way a rule says, asked by curl.
#![expect(clippy::unwrap_used, reason = "a test ends where anything fails")]

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Output};
use std::thread;
use std::time::{Duration, Instant};

use tests::http_faults::{Fault, FaultyServer};

/// A server of `x.flist` (1000 bytes) and `packs/p` (1 MiB).
fn server() -> (tempfile::TempDir, FaultyServer) {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("packs")).unwrap();
    fs::write(dir.path().join("x.flist"), pattern(1000)).unwrap();
    fs::write(dir.path().join("packs/p"), pattern(1 << 20)).unwrap();
    let server = FaultyServer::start(dir.path()).unwrap();
    (dir, server)
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| u8::try_from((i * 7 + i / 251) % 256).unwrap()).collect()
}

fn curl(arguments: &[&str]) -> Output {
    Command::new("curl").args(["-sS", "--max-time", "10"]).args(arguments).output().unwrap()
}

/// Head and body.
fn ask(server: &FaultyServer, path: &str, range: &str) -> (String, Vec<u8>) {
    let url = server.url(path);
    let more: &[&str] = if range.is_empty() { &[] } else { &["-r", range] };
    let out = curl(&[&["-i", &url], more].concat()).stdout;
    let end = out.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
    (String::from_utf8(out[..end].to_vec()).unwrap(), out[end..].to_vec())
}

#[test]
fn right_without_rules() {
    let (_dir, server) = server();
    let (head, body) = ask(&server, "packs/p", "10-19");
    assert!(
        head.starts_with("HTTP/1.1 206 ") && head.contains("bytes 10-19/1048576\r\n"),
        "{head}"
    );
    assert_eq!(body, pattern(1 << 20)[10..20]);
    assert!(ask(&server, "packs/p", "").1 == pattern(1 << 20));
    assert!(ask(&server, "packs/p", "1048570-").1 == pattern(1 << 20)[1_048_570..]);
    assert!(ask(&server, "packs/p", "1048576-").0.starts_with("HTTP/1.1 416 "));
    assert!(ask(&server, "none", "").0.starts_with("HTTP/1.1 404 "));
    assert!(curl(&["-f", "-I", &server.url("x.flist")]).status.success());
    let up = curl(&["--path-as-is", "-f", &server.url("../../etc/passwd")]);
    assert_eq!(up.status.code(), Some(22));
}

#[test]
fn requests_are_recorded() {
    let (_dir, server) = server();
    let url = server.url("packs/p");
    curl(&["-r", "0-99", &url, &url]);
    curl(&[&server.url("x.flist")]);
    assert_eq!((server.count("packs/"), server.count("")), (2, 3));
    assert_eq!((server.connections(), server.bytes()), (2, 1200));
    let first = server.requests().remove(0);
    assert_eq!((first.method.as_str(), first.path.as_str()), ("GET", "/packs/p"));
    assert_eq!((first.range, first.status, first.sent), (Some(0..100), Some(206), 100));
    server.forget();
    assert_eq!((server.count(""), server.connections(), server.bytes()), (0, 0, 0));
    curl(&[&server.url("x.flist")]);
    assert_eq!(server.bytes(), 1000);
}

#[test]
fn rules_are_for_their_pattern_and_count() {
    let (_dir, server) = server();
    let status = |path| ask(&server, path, "").0[9..12].to_owned();
    server.fail_next(2, "packs/", Fault::Status(503));
    assert_eq!([status("x.flist"), status("packs/p")], ["200", "503"]);
    assert_eq!([status("packs/p"), status("packs/p")], ["503", "200"]);
    server.fail("x.flist", Fault::None);
    server.fail("", Fault::Status(500));
    assert_eq!([status("x.flist"), status("packs/p")], ["200", "500"]);
    server.heal();
    assert_eq!(status("packs/p"), "200");
}

#[test]
fn every_wrong_answer_is_wrong_so() {
    let (_dir, server) = server();
    let bytes = pattern(1 << 20);
    let with = |fault: Fault| {
        server.heal();
        server.fail("packs/", fault);
        ask(&server, "packs/p", "100-199")
    };
    let (head, body) = with(Fault::IgnoreRange);
    assert!(head.starts_with("HTTP/1.1 200 ") && !head.contains("Content-Range"), "{head}");
    assert!(body == bytes);
    let (head, body) = with(Fault::WrongRange);
    assert!(head.starts_with("HTTP/1.1 206 ") && head.contains("bytes 101-200/"), "{head}");
    assert_eq!(body, bytes[101..201]);
    let (head, body) = with(Fault::Short(10));
    assert!(head.contains("bytes 100-199/") && head.contains("Content-Length: 90\r\n"), "{head}");
    assert_eq!(body, bytes[100..190]);
    let (head, body) = with(Fault::Long(10));
    assert!(head.contains("bytes 100-199/") && head.contains("Content-Length: 110\r\n"), "{head}");
    assert_eq!((&body[..100], &body[100..]), (&bytes[100..200], &b"++++++++++"[..]));
    let (_, body) = with(Fault::Flip(105));
    assert_eq!((body[5], body.len()), (bytes[105] ^ 0x40, 100));
    assert_eq!((&body[..5], &body[6..]), (&bytes[100..105], &bytes[106..200]));
    let (head, body) = with(Fault::WebPage);
    assert!(head.starts_with("HTTP/1.1 200 ") && head.contains("text/html"), "{head}");
    assert!(body.starts_with(b"<!DOCTYPE html>"));
    let (head, body) = with(Fault::Status(404));
    assert!(head.starts_with("HTTP/1.1 404 ") && body == b"404, as scripted\n", "{head}");
}

#[test]
fn connections_break() {
    let (_dir, server) = server();
    let url = server.url("packs/p");
    // curl: 18 is a body cut short, 52 no answer at all, 47 too many redirects.
    server.fail_next(1, "", Fault::CutAfter(300_000));
    let cut = curl(&[&url]);
    assert_eq!((cut.status.code(), cut.stdout.len()), (Some(18), 300_000));
    server.fail_next(1, "", Fault::HangUp);
    assert_eq!(curl(&[&url]).status.code(), Some(52));
    server.fail_next(30, "", Fault::RedirectLoop);
    assert_eq!(curl(&["-L", "--max-redirs", "20", &url]).status.code(), Some(47));
    server.heal();
    server.fail_next(1, "", Fault::Redirect(server.url("x.flist")));
    assert_eq!(curl(&["-L", &url]).stdout, pattern(1000));
}

#[test]
fn what_hangs_ends_with_heal_or_stop() {
    let (_dir, server) = server();
    let url = server.url("x.flist");
    for end in [FaultyServer::heal, FaultyServer::stop] {
        server.fail("", Fault::Hang);
        let client = thread::spawn({
            let url = url.clone();
            move || curl(&[&url]).status.code()
        });
        thread::sleep(Duration::from_millis(500));
        assert!(!client.is_finished());
        end(&server);
        assert_eq!(client.join().unwrap(), Some(52));
        server.heal();
    }
    // 28 is curl's own time limit.
    server.restart().unwrap();
    server.fail("", Fault::Hang);
    assert_eq!(curl(&["--max-time", "0.3", &url]).status.code(), Some(28));
}

#[test]
fn late_answers() {
    let (_dir, server) = server();
    let took = || {
        let started = Instant::now();
        assert!(curl(&["-f", &server.url("x.flist")]).status.success());
        started.elapsed()
    };
    let second = Duration::from_secs(1);
    assert!(took() < second);
    server.latency(Duration::from_millis(200));
    server.fail_next(1, "", Fault::Delay(2 * second));
    assert!(took() >= Duration::from_millis(2200));
    let after = took();
    assert!(after >= Duration::from_millis(200) && after < 2 * second, "{after:?}");
}

#[test]
fn stops_and_is_back_on_its_port() {
    let (dir, server) = server();
    fs::File::create(dir.path().join("packs/big")).unwrap().set_len(64 << 20).unwrap();
    let url = server.url("packs/p");
    let curl_code = |arguments: &[&str]| curl(arguments).status.code();
    let mut client = TcpStream::connect(server.address()).unwrap();
    client.write_all(b"GET /packs/big HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    client.read_exact(&mut [0; 1000]).unwrap();
    // In the middle of a body.
    server.stop();
    server.stop();
    let mut rest = Vec::new();
    // Either way of ending will do: with an error, or without the rest.
    let _ = client.read_to_end(&mut rest);
    assert!(rest.len() < 60 << 20, "{}", rest.len());
    assert_eq!(curl_code(&[&url]), Some(7));
    for _ in 0..20 {
        server.restart().unwrap();
        assert_eq!(curl_code(&["-f", &url]), Some(0));
        server.stop();
        assert_eq!(curl_code(&[&url]), Some(7));
    }
}
