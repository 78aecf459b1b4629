//! An HTTP server on loopback that fails as told: what stores and boots are tested against.
//!
//! It serves a directory (an flist beside its packs) with GET, HEAD, keep-alive and Range, shares
//! no code with what it tests, and counts what it was asked. Faults are rules: the first whose
//! pattern is part of the path decides; without one the answer is as it should be.
//!
//! ```no_run
//! # use tests::http_faults::{Fault, FaultyServer};
//! let server = FaultyServer::start("out")?;
//! server.fail_next(3, "packs/", Fault::Status(503));
//! server.fail("debian.flist", Fault::WebPage);
//! server.heal();
//! server.stop();
//! server.restart()?;
//! # Ok::<(), std::io::Error>(())
//! ```

mod answer;

use std::io::{self, BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use answer::{Answer, Request};

/// What goes wrong with an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Nothing: a rule with it shields its pattern from the rules after it.
    None,
    /// The right answer, this much later.
    Delay(Duration),
    /// No answer, the connection held open until `heal` or `stop`, then closed.
    Hang,
    /// No answer, the connection closed.
    HangUp,
    /// The connection is closed after so many bytes of the body, all of which were promised.
    CutAfter(u64),
    /// Another status, with a line of text as body.
    Status(u16),
    /// 302 to the same path, for ever.
    RedirectLoop,
    /// 302 to this URL.
    Redirect(String),
    /// 200 with the whole file, whatever range was asked.
    IgnoreRange,
    /// 206, but Content-Range and the body are of the range one byte further on (or before).
    WrongRange,
    /// The body, and its Content-Length, lack so many bytes at the end.
    Short(u64),
    /// The body, and its Content-Length, have so many bytes too many.
    Long(u64),
    /// The byte at this position of each body (modulo its length) is flipped.
    Flip(u64),
    /// 200 with a page of HTML, as a captive portal answers everything.
    WebPage,
}

/// A request as it came, and what was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// `GET` or `HEAD`.
    pub method: String,
    /// The path, from its slash on.
    pub path: String,
    /// The range asked for; `None` where there was none.
    pub range: Option<Range<u64>>,
    /// The status answered; `None` where nothing was (yet).
    pub status: Option<u16>,
    /// Bytes of body handed to the connection so far.
    pub sent: u64,
}

struct Rule {
    pattern: String,
    fault: Fault,
    /// Requests it is still for.
    left: Option<usize>,
}

#[derive(Default)]
struct State {
    rules: Vec<Rule>,
    latency: Duration,
    seen: Vec<Seen>,
    /// How many there were before the first of `seen`.
    forgotten: usize,
    connections: usize,
    in_flight: usize,
    peak: usize,
    /// Raised by `heal` and `stop`: what hangs, hangs no longer.
    epoch: u64,
    listener: Option<TcpListener>,
    accepting: Option<thread::JoinHandle<()>>,
    streams: Vec<(usize, TcpStream)>,
}

struct Shared {
    dir: PathBuf,
    state: Mutex<State>,
    changed: Condvar,
}

/// The server. It stops when dropped.
pub struct FaultyServer {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl FaultyServer {
    /// Serves `dir` on a free port of loopback, without faults.
    pub fn start(dir: impl AsRef<Path>) -> io::Result<Self> {
        Self::start_on(dir, SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    /// Serves `dir` on `address`, in the network namespace of the calling thread.
    pub fn start_on(dir: impl AsRef<Path>, address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        let dir = dir.as_ref().to_path_buf();
        let shared = Shared { dir, state: Mutex::default(), changed: Condvar::new() };
        let server = Self { address, shared: Arc::new(shared) };
        server.accept_on(listener)?;
        Ok(server)
    }

    /// Where it listens, or listened before `stop`.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of `path`, relative to the directory; of the directory where it is empty.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.address)
    }

    /// From now on, requests whose path contains `pattern` (all, where it is empty) fail so.
    pub fn fail(&self, pattern: &str, fault: Fault) {
        self.rule(pattern, fault, None);
    }

    /// The next `count` requests whose path contains `pattern` fail so, those after them do not.
    pub fn fail_next(&self, count: usize, pattern: &str, fault: Fault) {
        self.rule(pattern, fault, Some(count));
    }

    fn rule(&self, pattern: &str, fault: Fault, left: Option<usize>) {
        self.shared.lock().rules.push(Rule { pattern: pattern.to_owned(), fault, left });
    }

    /// Every answer from now on starts this much late, as from far away.
    pub fn latency(&self, latency: Duration) {
        self.shared.lock().latency = latency;
    }

    /// Drops all rules, and ends what hangs.
    pub fn heal(&self) {
        let mut state = self.shared.lock();
        state.rules.clear();
        state.epoch += 1;
        self.shared.changed.notify_all();
    }

    /// Closes the listener and every connection, at once: connecting is refused until `restart`.
    pub fn stop(&self) {
        let mut state = self.shared.lock();
        state.epoch += 1;
        self.shared.changed.notify_all();
        let listener = state.listener.take();
        let accepting = state.accepting.take();
        drop(state);
        if let Some(listener) = listener {
            // Accepting ends with an error once a listening socket is shut down; std offers that
            // for streams only. It can't fail but on a socket that is none.
            let _ = TcpStream::from(OwnedFd::from(listener)).shutdown(Shutdown::Both);
        }
        if let Some(accepting) = accepting {
            // A panic of that thread was printed by it.
            let _ = accepting.join();
        }
        let state = self.shared.lock();
        for (_, stream) in &state.streams {
            // Fails only where the client has closed it.
            let _ = stream.shutdown(Shutdown::Both);
        }
        drop(self.shared.changed.wait_while(state, |state| !state.streams.is_empty()));
    }

    /// Listens on the same port again after `stop`; rules and counts are as they were.
    pub fn restart(&self) -> io::Result<()> {
        self.accept_on(TcpListener::bind(self.address)?)
    }

    fn accept_on(&self, listener: TcpListener) -> io::Result<()> {
        let kept = listener.try_clone()?;
        let shared = Arc::clone(&self.shared);
        let accepting = thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                Shared::admit(&shared, stream);
            }
        });
        let mut state = self.shared.lock();
        (state.listener, state.accepting) = (Some(kept), Some(accepting));
        Ok(())
    }

    /// All requests since the start or `forget`, in order of arrival.
    pub fn requests(&self) -> Vec<Seen> {
        self.shared.lock().seen.clone()
    }

    /// How many requests had `pattern` in their path.
    pub fn count(&self, pattern: &str) -> usize {
        self.shared.lock().seen.iter().filter(|s| s.path.contains(pattern)).count()
    }

    /// Bytes of all bodies sent.
    pub fn bytes(&self) -> u64 {
        self.shared.lock().seen.iter().map(|s| s.sent).sum()
    }

    /// Connections accepted.
    pub fn connections(&self) -> usize {
        self.shared.lock().connections
    }

    /// The most requests that were under way at a time.
    pub fn peak(&self) -> usize {
        self.shared.lock().peak
    }

    /// Forgets requests, connections and the peak.
    pub fn forget(&self) {
        let mut state = self.shared.lock();
        state.forgotten += state.seen.len();
        state.seen.clear();
        (state.connections, state.peak) = (0, state.in_flight);
    }
}

impl Drop for FaultyServer {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn admit(shared: &Arc<Self>, stream: TcpStream) {
        let mut state = shared.lock();
        let Ok(kept) = stream.try_clone() else { return };
        state.connections += 1;
        let number = state.streams.last().map_or(0, |(n, _)| n + 1);
        state.streams.push((number, kept));
        drop(state);
        let shared = Arc::clone(shared);
        thread::spawn(move || {
            // An error is a client that has gone, or a fault that was asked for.
            let _ = shared.converse(&stream);
            let _ = stream.shutdown(Shutdown::Both);
            shared.lock().streams.retain(|(n, _)| *n != number);
            shared.changed.notify_all();
        });
    }

    fn converse(&self, stream: &TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut reader = BufReader::new(stream);
        while let Some(request) = Request::read(&mut reader)? {
            let (index, fault, latency) = self.arrive(&request);
            let result = self.wait(&fault, latency).and_then(|()| {
                let answer = Answer::of(&self.dir, &request, &fault);
                self.send(stream, index, &request, &answer)
            });
            self.lock().in_flight -= 1;
            result?;
        }
        Ok(())
    }

    /// Counts a request, and decides what goes wrong with it.
    fn arrive(&self, request: &Request) -> (usize, Fault, Duration) {
        let mut state = self.lock();
        state.in_flight += 1;
        state.peak = state.peak.max(state.in_flight);
        let Request { method, path, range } = request.clone();
        state.seen.push(Seen { method, path, range, status: None, sent: 0 });
        let matching =
            |rule: &&mut Rule| rule.left != Some(0) && request.path.contains(&rule.pattern);
        let fault = state.rules.iter_mut().find(matching).map_or(Fault::None, |rule| {
            rule.left = rule.left.map(|left| left - 1);
            rule.fault.clone()
        });
        (state.forgotten + state.seen.len() - 1, fault, state.latency)
    }

    /// Waits as long as the fault says; an error where no answer is to follow.
    fn wait(&self, fault: &Fault, latency: Duration) -> io::Result<()> {
        let delay = match fault {
            Fault::HangUp => return Err(io::ErrorKind::ConnectionAborted.into()),
            Fault::Hang => Duration::MAX,
            Fault::Delay(delay) => latency.saturating_add(*delay),
            _ => latency,
        };
        let started = Instant::now();
        let mut state = self.lock();
        let epoch = state.epoch;
        while let Some(left) = delay.checked_sub(started.elapsed()).filter(|d| !d.is_zero()) {
            let waited = self.changed.wait_timeout(state, left.min(Duration::from_secs(3600)));
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            if *fault == Fault::Hang && state.epoch != epoch || state.listener.is_none() {
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
        }
        Ok(())
    }

    fn send(
        &self,
        mut stream: &TcpStream,
        index: usize,
        request: &Request,
        answer: &Answer,
    ) -> io::Result<()> {
        let note = |change: &dyn Fn(&mut Seen)| {
            let mut state = self.lock();
            let at = index.checked_sub(state.forgotten);
            // Gone only where `forget` came between.
            if let Some(seen) = at.and_then(|at| state.seen.get_mut(at)) {
                change(seen);
            }
        };
        note(&|seen| seen.status = Some(answer.status));
        let len = answer.body.len();
        let head = format!(
            "HTTP/1.1 {} Scripted\r\nContent-Length: {len}\r\n{}\r\n",
            answer.status, answer.fields
        );
        stream.write_all(head.as_bytes())?;
        if request.method == "HEAD" {
            return Ok(());
        }
        let cut = answer.cut.and_then(|cut| usize::try_from(cut).ok()).filter(|cut| *cut < len);
        for piece in answer.body.get(..cut.unwrap_or(len)).unwrap_or_default().chunks(64 << 10) {
            // Before the client can have it, so that a test that has all of it finds it counted.
            note(&|seen| seen.sent += u64::try_from(piece.len()).unwrap_or(u64::MAX));
            stream.write_all(piece)?;
        }
        if cut.is_some() { Err(io::ErrorKind::ConnectionAborted.into()) } else { Ok(()) }
    }
}
