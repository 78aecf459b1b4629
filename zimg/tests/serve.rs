//! `zimg serve` as a user runs it: the program, its output, its signals, and curl as the client.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where anything fails")]

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::{Duration, Instant};

struct Served {
    child: Child,
    stdout: BufReader<ChildStdout>,
    port: u16,
}

fn zimg(dir: &Path, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_zimg"));
    command.arg("serve").arg(dir).args(more);
    command
}

impl Served {
    fn start(dir: &Path, more: &[&str]) -> Self {
        let mut command = zimg(dir, more);
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("zimg starts");
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut first = String::new();
        stdout.read_line(&mut first).unwrap();
        let port = first.trim_end().strip_suffix('/').unwrap().rsplit(':').next().unwrap();
        Self { port: port.parse().unwrap(), child, stdout }
    }

    /// Sends a signal; gives the exit status, the rest of stdout, and stderr.
    fn end(mut self, signal: &str) -> (Option<i32>, String, String) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
        let started = Instant::now();
        let status = self.child.wait().unwrap();
        assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
        let (mut out, mut log) = (String::new(), String::new());
        self.stdout.read_to_string(&mut out).unwrap();
        self.child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
        (status.code(), out, log)
    }
}

fn curl(arguments: &[&str]) -> Output {
    let output = Command::new("curl").args(["-sS", "--max-time", "20"]).args(arguments).output();
    output.expect("curl is installed")
}

#[test]
fn curl_agrees() {
    let dir = tempfile::tempdir().unwrap();
    let bytes: Vec<u8> = (0..3_000_000_u32).flat_map(u32::to_le_bytes).collect();
    fs::write(dir.path().join("big file"), &bytes).unwrap();
    fs::create_dir(dir.path().join("dir")).unwrap();
    let server = Served::start(dir.path(), &["--listen", "127.0.0.1:0"]);
    let url = format!("http://127.0.0.1:{}/big%20file", server.port);
    assert!(curl(&[&url]).stdout == bytes);
    assert!(curl(&["-r", "1000000-1999999", &url]).stdout == bytes[1_000_000..2_000_000]);
    assert!(curl(&["-r", "-5", &url]).stdout == bytes[bytes.len() - 5..]);
    assert!(curl(&["-C", "11999990", &url]).stdout == bytes[11_999_990..]);
    assert!(curl(&["-I", "-f", &url]).status.success());
    assert!(curl(&["--http1.0", &url]).stdout == bytes);
    assert!(curl(&["-X", "OPTIONS", "-f", &url]).status.code() == Some(22));
    // Twice over one connection.
    let twice = curl(&["-v", "-r", "0-9", &url, &url]);
    assert!(String::from_utf8_lossy(&twice.stderr).to_lowercase().contains("re-using existing"));
    // A redirect to the directory's page.
    let page = curl(&["-L", &format!("http://127.0.0.1:{}/dir", server.port)]);
    assert!(String::from_utf8_lossy(&page.stdout).contains("<h1>/dir/</h1>"));
    // Its own copy of dot segments kept: refused, not resolved.
    let up = format!("http://127.0.0.1:{}/../etc/passwd", server.port);
    assert_eq!(
        curl(&["--path-as-is", "-w", "%{http_code}", "-o", "/dev/null", &up]).stdout,
        b"403"
    );
    // Not modified since, by curl's own date.
    let tag = dir.path().join("tag");
    let tag = tag.to_str().unwrap();
    assert!(curl(&["--etag-save", tag, "-o", "/dev/null", &url]).status.success());
    let again = curl(&["--etag-compare", tag, "-w", "%{http_code}", &url]);
    assert_eq!(again.stdout, b"304");

    let (status, _, log) = server.end("-TERM");
    assert_eq!(status, Some(0));
    let ranged = log.lines().find(|l| l.contains("bytes=1000000-1999999")).unwrap();
    assert!(ranged.contains(" 127.0.0.1:"), "{ranged}");
    assert!(
        ranged.contains(" GET /big%20file bytes=1000000-1999999 206 1000000 ")
            && ranged.ends_with("ms"),
        "{ranged}"
    );
    assert!(log.lines().any(|l| l.contains(" GET /../etc/passwd - 403 ")));
}

#[test]
fn flists_are_announced_and_quiet_is_quiet() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("x.flist"), "").unwrap();
    let server = Served::start(dir.path(), &["--listen", "0.0.0.0:0", "--quiet"]);
    let port = server.port;
    assert!(curl(&["-f", &format!("http://127.0.0.1:{port}/x.flist")]).status.success());
    let (status, out, log) = server.end("-INT");
    assert_eq!((status, log.as_str()), (Some(0), ""));
    // The BLAKE3 of nothing, from its own test vectors.
    let hash = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262";
    assert!(out.contains(&format!(":{port}/x.flist zimg.hash={hash}\n")), "{out}");
}

fn fails(status: i32, command: &mut Command, words: &[&str]) {
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(status), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(words.iter().all(|word| text.contains(word)), "{text}");
}

#[test]
fn what_cannot_be_served_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let path = dir.path();
    fails(1, &mut zimg(path, &["--listen", &taken]), &[&taken, "in use", "--listen"]);
    fails(1, &mut zimg(path, &["--listen", "192.0.2.1:80"]), &["192.0.2.1:80", "no interface"]);
    fails(2, &mut zimg(path, &["--listen", "127.0.0.1:http"]), &["127.0.0.1:http", "ADDRESS:PORT"]);
    fails(1, &mut zimg(&path.join("none"), &[]), &["none", "No such file"]);
    fs::write(path.join("file"), "").unwrap();
    fails(1, &mut zimg(&path.join("file"), &[]), &["file", "Not a directory"]);
}
