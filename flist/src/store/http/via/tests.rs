//! Through proxies that do what they should, and what they do else.

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use super::super::client::{Client, ClientOptions};
use super::super::{Http, Store};
use super::*;
use crate::id::PackId;
use crate::image::Pack;
use crate::store::testserver::Server;
use crate::store::{ProxyFault, StoreError, Unreachable};

const BYTES: &[u8] = b"the bytes of a pack";
/// A name that nobody has: only a proxy can know what is meant.
const NOWHERE: &str = "nowhere.invalid";

#[test]
fn a_request_for_a_whole_url() {
    let whole = rewrite(b"GET /a?b HTTP/1.1\r\nHost: h\r\n\r\n", "http://h:8", "X: y\r\n");
    assert_eq!(whole.unwrap(), b"GET http://h:8/a?b HTTP/1.1\r\nX: y\r\nHost: h\r\n\r\n");
    for odd in [&b""[..], b"GET", b"GET /", b"\r\n ", b" \r\n"] {
        // What is none is not taken for one, and harms nobody.
        let _ = rewrite(odd, "http://h", "");
    }
    assert_eq!(rewrite(b"GET /no-end", "http://h", ""), None);
}

#[test]
fn what_stands_before_the_path() {
    for (url, want) in [
        ("http://h/x", "http://h"),
        ("http://ann:pw@h:81/x", "http://h:81"),
        ("http://[fd00::1]:81/x", "http://[fd00::1]:81"),
    ] {
        assert_eq!(prefix(&url.parse().unwrap()), want);
    }
}

#[test]
fn statuses() {
    assert_eq!(status(b"HTTP/1.1 200 OK\r\n\r\n"), Some(200));
    assert_eq!(status(b"HTTP/1.0 407\r\n\r\n"), Some(407));
    for bad in ["", "HTTP/1.1", "HTTP/2 200", "HTTP/1.1 2x0 ", "HTTP/1.1 +20 ", "SSH-2.0-x"] {
        assert_eq!(status(bad.as_bytes()), None, "{bad}");
    }
}

fn store(base: &str, proxy: &str, ca_pem: &str) -> Http {
    let options = ClientOptions {
        ca_pem: ca_pem.into(),
        stall_timeout: Duration::from_secs(5),
        proxies: Proxies::all(proxy.parse().unwrap()),
        ..ClientOptions::default()
    };
    Http::new(Client::new(options).unwrap(), base.to_owned())
}

fn pack() -> Pack {
    Pack { id: PackId::of(BYTES), len: BYTES.len() as u64 }
}

fn fault(error: StoreError) -> ProxyFault {
    match error {
        StoreError::Unreachable { cause: Unreachable::Proxy { fault, .. }, .. } => fault,
        other => panic!("{other:?}"),
    }
}

#[test]
fn http_by_whole_urls_over_one_connection() {
    let proxy = Server::start();
    proxy.put(&format!("http://{NOWHERE}/img/packs/{}", PackId::of(BYTES)), BYTES);
    let address = format!("http://ann:pw@{}", proxy.address);
    let store = store(&format!("http://{NOWHERE}/img/"), &address, "");
    for range in [0..3, 4..9, 0..19] {
        let bytes = store.fetch(&pack(), range.clone()).unwrap();
        let range = usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap();
        assert_eq!(bytes, &BYTES[range]);
    }
    for asked in proxy.asked() {
        assert_eq!((asked.connection, asked.headers["host"].as_str()), (0, NOWHERE));
        assert_eq!(asked.headers["proxy-authorization"], "Basic YW5uOnB3");
    }
}

#[test]
fn a_url_longer_than_the_buffer_is_told() {
    let proxy = Server::start();
    let store =
        store(&format!("http://{NOWHERE}/{}/", "x".repeat(5000)), &proxy.address.to_string(), "");
    assert!(store.fetch(&pack(), 0..3).is_err());
    assert!(proxy.asked().is_empty());
}

/// A proxy that opens tunnels to the one server it knows, under whatever name. What it was asked
/// for is kept.
fn tunnel_to(server: std::net::SocketAddr) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let keep = Arc::clone(&asked);
    thread::spawn(move || {
        for client in listener.incoming() {
            let (mut client, keep) = (client.unwrap(), Arc::clone(&keep));
            thread::spawn(move || {
                let mut reader = BufReader::new(client.try_clone().unwrap());
                let mut head = String::new();
                while !head.ends_with("\r\n\r\n") {
                    reader.read_line(&mut head).unwrap();
                }
                keep.lock().unwrap().push(head);
                let mut server = TcpStream::connect(server).unwrap();
                let mut back = server.try_clone().unwrap();
                client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").unwrap();
                thread::spawn(move || io::copy(&mut back, &mut client));
                drop(io::copy(&mut reader, &mut server));
            });
        }
    });
    (address, asked)
}

#[test]
fn https_by_a_tunnel() {
    let ca = crate::store::http::tls::tests::ca("ours");
    let server = crate::store::http::tls::tests::server(&ca, NOWHERE, |_| {});
    let (proxy, asked) = tunnel_to(server.address);
    let url = format!("https://{NOWHERE}/");
    let store = store(&url, &format!("http://ann@{proxy}"), &ca.pem());
    for _ in 0..2 {
        assert_eq!(store.fetch(&pack(), 4..9).unwrap(), b"bytes");
    }
    let asked = asked.lock().unwrap();
    let want = format!(
        "CONNECT {NOWHERE}:443 HTTP/1.1\r\nHost: {NOWHERE}:443\r\nProxy-Authorization: Basic YW5uOg==\r\n\r\n"
    );
    assert_eq!(*asked, [want]);
}

#[test]
fn what_proxies_say_is_told_as_theirs() {
    let answers: HashMap<u16, &str> =
        [(407, "PASSWORD"), (403, "rules"), (502, "log"), (503, "log")].into();
    for (status, advice) in answers {
        let proxy = Server::start();
        let address = proxy.address.to_string();
        let answer = format!("HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n");
        for scheme in ["http", "https"] {
            if (scheme, status) == ("http", 403) {
                // The server's as likely as the proxy's.
                continue;
            }
            proxy.send(answer.clone(), false);
            let store = store(&format!("{scheme}://{NOWHERE}/"), &address, "");
            let error = store.fetch(&pack(), 0..3).unwrap_err();
            assert!(error.advice().contains(advice), "{error}");
            assert!(
                error.fact().contains(&format!("the proxy http://{address} answers")),
                "{error}"
            );
            assert_eq!(error.may_pass(), status >= 500, "{error}");
            assert!(matches!(fault(error), ProxyFault::Status(told) if told == status));
        }
    }
}

#[test]
fn a_proxy_that_is_away_or_none() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let label = "x".repeat(64);
    for (proxy, words) in [
        (format!("127.0.0.1:{port}"), "connection refused"),
        (format!("{label}:1"), "has no address"),
    ] {
        for scheme in ["http", "https"] {
            let store = store(&format!("{scheme}://{NOWHERE}/"), &proxy, "");
            let error = store.fetch(&pack(), 0..3).unwrap_err();
            let fact = error.fact();
            assert!(fact.contains(&format!("the proxy http://{proxy}: ")), "{fact}");
            assert!(fact.contains(words) && error.may_pass(), "{fact}");
            assert!(matches!(fault(error), ProxyFault::Away(_)));
        }
    }
    for answer in ["SSH-2.0-OpenSSH_9\r\n\r\n", "", "HTTP/1.1 OK\r\n\r\n"] {
        let server = Server::start();
        server.send(answer, false);
        let store = store(&format!("https://{NOWHERE}/"), &server.address.to_string(), "");
        let error = store.fetch(&pack(), 0..3).unwrap_err();
        assert!(matches!(fault(error), ProxyFault::NotOne(_)), "{answer}");
    }
}

#[test]
fn hosts_that_are_excepted_are_asked_directly() {
    let server = Server::start();
    server.put(&format!("/packs/{}", PackId::of(BYTES)), BYTES);
    let proxies = Proxies {
        except: vec!["127.0.0.1".to_owned()],
        ..Proxies::all("nowhere.invalid".parse().unwrap())
    };
    let options = ClientOptions { proxies, ..ClientOptions::default() };
    let store = Http::new(Client::new(options).unwrap(), server.url("/"));
    assert_eq!(store.fetch(&pack(), 4..9).unwrap(), b"bytes");
}
