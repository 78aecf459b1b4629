//! Real time servers, each in a network namespace of its own and without the right to set a clock.
//! These tests need root, and what `scripts/unpacked` unpacks; without them they fail and say so.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use super::*;
use crate::net::tests::world::Namespace;

/// Where the servers are unpacked.
fn unpacked() -> &'static PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/unpacked");
        let words = ["time-servers", "chrony", "ntpsec"];
        let output = Command::new(script).args(words).output().expect("scripts/unpacked");
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{errors}");
        PathBuf::from(String::from_utf8_lossy(&output.stdout).trim())
    })
}

/// A server, stopped when this is dropped.
struct Server {
    child: Child,
    _folder: tempfile::TempDir,
}

impl Server {
    /// Starts `program` in `namespace`; FOLDER in its words is one of its own, with `file` in it.
    fn start(namespace: &Namespace, program: &str, words: &[&str], file: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("conf"), file).expect("a file");
        let own = folder.path().display().to_string();
        let words = words.iter().map(|word| word.replace("FOLDER", &own));
        let mut command = Command::new("setpriv");
        command.args(["--bounding-set", "-sys_time"]);
        command.arg(unpacked().join("usr/sbin").join(program)).args(words);
        let libraries = std::env::consts::ARCH.to_owned() + "-linux-gnu";
        command.env("LD_LIBRARY_PATH", unpacked().join("usr/lib").join(libraries));
        let child = namespace.enter(|| command.stdout(Stdio::null()).spawn().expect("setpriv"));
        Self { child, _folder: folder }
    }

    fn chrony(namespace: &Namespace, address: Ipv4Addr, more: &[&str]) -> Self {
        let bind = format!("bindaddress {address}");
        let always =
            ["-x", "-d", "-u", "root", "-f", "FOLDER/conf", "allow all", "cmdport 0", &bind];
        let files = ["bindcmdaddress /", "pidfile FOLDER/pid"];
        Self::start(namespace, "chronyd", &[&always[..], &files, more].concat(), "")
    }

    fn ntpsec(namespace: &Namespace, configuration: &str) -> Self {
        let words = ["-n", "-c", "FOLDER/conf", "-p", "FOLDER/pid", "-s", "FOLDER"];
        Self::start(namespace, "ntpd", &words, configuration)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _already_gone = self.child.kill();
        let _status = self.child.wait();
    }
}

/// A namespace with its loopback up.
fn lab() -> Namespace {
    let lab = Namespace::new();
    lab.run("ip link set lo up");
    lab
}

/// Asks until somebody listens there.
fn asked(lab: &Namespace, servers: &[&str]) -> Result<(Told, String), Vec<String>> {
    let servers: Vec<String> = servers.iter().map(|server| (*server).to_owned()).collect();
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        match lab.enter(|| ask(&servers)) {
            Err(why) if why.iter().any(|why| why.contains("refused (")) => {
                assert!(Instant::now() < until, "{why:?}");
                thread::sleep(Duration::from_millis(50));
            }
            answer => return answer,
        }
    }
}

/// That `told` is this machine's time, which is the server's: no answer takes longer than a second.
fn assert_right(told: Told) {
    let difference = told.now().abs_diff(crate::clock::now());
    assert!(difference < PATIENCE, "{difference:?}");
}

#[test]
fn chrony_tells_the_time() {
    let lab = lab();
    let _server = Server::chrony(&lab, Ipv4Addr::LOCALHOST, &["local stratum 8"]);
    let (told, server) = asked(&lab, &["127.0.0.1"]).expect("the time");
    assert_eq!(server, "127.0.0.1");
    assert_right(told);
}

/// The control: the same server, which has nowhere to know the time from.
#[test]
fn a_chrony_that_does_not_know_the_time_says_so() {
    let lab = lab();
    let _server = Server::chrony(&lab, Ipv4Addr::LOCALHOST, &[]);
    let why = asked(&lab, &["127.0.0.1"]).expect_err("it does not know");
    assert_eq!(why, ["127.0.0.1: the server does not know the time itself"]);
    // Another one does, and is asked at once.
    let _knows = Server::chrony(&lab, Ipv4Addr::new(127, 0, 0, 2), &["local stratum 8"]);
    let (told, server) = asked(&lab, &["127.0.0.1", "127.0.0.2"]).expect("the time");
    assert_eq!(server, "127.0.0.2");
    assert_right(told);
}

#[test]
fn ntpsec_tells_the_time_by_ipv6() {
    let lab = lab();
    let _server = Server::ntpsec(&lab, "tos orphan 5 orphanwait 1\ndisable ntp\n");
    let (told, _) = until_known(&lab, "[::1]");
    assert_right(told);
}

/// Asks until the server at `address` has made up its mind, at a pace that ntpd does not take for
/// an attack.
fn until_known(lab: &Namespace, address: &str) -> (Told, String) {
    let until = Instant::now() + Duration::from_secs(30);
    loop {
        match asked(lab, &[address]) {
            Ok(answer) => return answer,
            Err(why) => assert!(Instant::now() < until, "{why:?}"),
        }
        thread::sleep(PATIENCE);
    }
}

#[test]
fn an_ntpsec_that_does_not_know_the_time_says_so() {
    let lab = lab();
    let _server = Server::ntpsec(&lab, "disable ntp\n");
    let why = asked(&lab, &["127.0.0.1"]).expect_err("it does not know");
    assert_eq!(why, ["127.0.0.1: the server does not know the time itself"]);
}
