//! One client: its requests read within time limits and answered in turn, a log line for each.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::net::SendFlags;

use super::request::{self, MAX_HEAD, Method, Request};
use super::response::{Body, Response, Status};
use super::tree::{Found, Tree};
use super::{page, percent, plan};
use flist::date;

/// How many clients there may be, and how long one may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Clients served at a time; some more are told to come again.
    pub(super) clients: usize,
    /// For the first byte of a request.
    pub(super) idle: Duration,
    /// From the first byte of a head to its last.
    pub(super) head: Duration,
    /// To take any more of a response.
    pub(super) stall: Duration,
}

/// What all connections share.
pub(super) struct Shared {
    pub(super) tree: Tree,
    pub(super) limits: Limits,
    pub(super) quiet: bool,
    /// Set once the server is to end: answer what was asked, read no more.
    pub(super) stopping: AtomicBool,
}

/// Bytes given to sendfile at a time.
const PIECE: u64 = 4 << 20;
/// How long, and how much, a closing connection listens on, so that the client gets to read the
/// answer before a reset.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 1 << 20;

/// A client's connection.
pub(super) struct Connection<'a> {
    pub(super) stream: &'a TcpStream,
    pub(super) peer: SocketAddr,
    pub(super) shared: &'a Shared,
    /// Received, not yet parsed.
    pub(super) buffer: Vec<u8>,
}

enum Next {
    Head(Vec<u8>),
    Refused(Status),
    Closed,
}

impl Connection<'_> {
    /// Serves the client until it or the server has had enough; `welcome` is false where there
    /// are too many, who are only told so.
    pub(super) fn run(mut self, welcome: bool) {
        let prepared = self
            .stream
            .set_nodelay(true)
            .and_then(|()| self.stream.set_write_timeout(Some(self.shared.limits.stall)));
        // These fail only on a connection that is gone already.
        if prepared.is_err() {
            return;
        }
        while let Ok(next) = self.next_head() {
            let started = Instant::now();
            let (head, parsed) = match next {
                Next::Closed => return,
                Next::Refused(status) => (Vec::new(), Err(status)),
                Next::Head(head) if !welcome => (head, Err(Status::Unavailable)),
                Next::Head(head) => {
                    let parsed = request::parse(&head);
                    (head, parsed)
                }
            };
            if !self.answer(&head, parsed, started) {
                break;
            }
        }
        self.linger();
    }

    /// The next head, which may have come with the one before.
    fn next_head(&mut self) -> io::Result<Next> {
        let waiting = Instant::now();
        let mut begun: Option<Instant> = None;
        loop {
            // RFC 9112: empty lines before a request are skipped.
            let blank = self.buffer.iter().take_while(|b| matches!(b, b'\r' | b'\n')).count();
            self.buffer.drain(..blank);
            if let Some(end) = request::head_end(&self.buffer).filter(|end| *end <= MAX_HEAD) {
                return Ok(Next::Head(self.buffer.drain(..end).collect()));
            }
            if self.buffer.len() >= MAX_HEAD {
                return Ok(Next::Refused(Status::HeadTooLarge));
            }
            if !self.buffer.is_empty() {
                begun.get_or_insert_with(Instant::now);
            }
            let limits = &self.shared.limits;
            let deadline = begun.map_or(waiting + limits.idle, |begun| begun + limits.head);
            let left = deadline.saturating_duration_since(Instant::now());
            match self.receive(left) {
                Ok(0) => return Ok(Next::Closed),
                Ok(_) => {}
                Err(error) if timed_out(&error) && begun.is_some() => {
                    return Ok(Next::Refused(Status::RequestTimeout));
                }
                Err(error) if timed_out(&error) => return Ok(Next::Closed),
                Err(error) => return Err(error),
            }
        }
    }

    /// Receives something within `limit`.
    fn receive(&mut self, limit: Duration) -> io::Result<usize> {
        if limit.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.stream.set_read_timeout(Some(limit))?;
        let mut piece = [0; 4096];
        let mut stream = self.stream;
        loop {
            match stream.read(&mut piece) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(count) => {
                    self.buffer.extend_from_slice(piece.get(..count).unwrap_or_default());
                    return Ok(count);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Answers and logs; says whether the connection is good for another request. `asked` is the
    /// head as it came.
    fn answer(&self, asked: &[u8], parsed: Result<Request, Status>, started: Instant) -> bool {
        let (response, file) = match &parsed {
            Ok(request) => respond(&self.shared.tree, request),
            Err(status) => (Response::error(*status), None),
        };
        let keep_alive = parsed.as_ref().is_ok_and(|r| r.keep_alive)
            && !self.shared.stopping.load(Ordering::Relaxed);
        let head_only = parsed.as_ref().is_ok_and(|r| r.method == Method::Head)
            || response.status == Status::NotModified;
        let head = response.head(date::now(), keep_alive);
        let mut sent = 0;
        let result = match (&response.body, file) {
            _ if head_only => self.send(&head, false),
            (Body::File(range), Some(file)) => self
                .send(&head, true)
                .and_then(|()| send_file(self.stream, &file, range.clone(), &mut sent)),
            (Body::Text(text), _) => self
                .send(&[head, text.clone()].concat(), false)
                .map(|()| sent = response.body.len()),
            (Body::File(_), None) => Err(io::ErrorKind::NotFound.into()),
        };
        if !self.shared.quiet {
            let range = parsed.as_ref().ok().and_then(|r| r.range.as_deref());
            let answered = format!("{} {sent}", response.status.code());
            self.log(&spoken(asked, range), &answered, started, result.as_ref().err());
        }
        keep_alive && result.is_ok()
    }

    fn send(&self, mut bytes: &[u8], more: bool) -> io::Result<()> {
        let flags = if more { SendFlags::MORE } else { SendFlags::empty() } | SendFlags::NOSIGNAL;
        while !bytes.is_empty() {
            let count = rustix::io::retry_on_intr(|| rustix::net::send(self.stream, bytes, flags))?;
            bytes = bytes.get(count..).unwrap_or_default();
        }
        Ok(())
    }

    fn log(&self, spoken: &str, answered: &str, started: Instant, error: Option<&io::Error>) {
        let line = format!(
            "{} {} {spoken} {answered} {:.1}ms{}\n",
            date::stamp(date::now()),
            self.peer,
            started.elapsed().as_secs_f64() * 1000.0,
            error.map_or_else(String::new, |error| format!(" broke off: {error}")),
        );
        // Where the log can't be written there is nobody to tell; serving goes on.
        let _ = io::stderr().lock().write_all(line.as_bytes());
    }

    fn linger(&mut self) {
        let until = Instant::now() + LINGER;
        if self.stream.shutdown(Shutdown::Write).is_err() {
            return;
        }
        let mut taken = 0;
        while taken < LINGER_BYTES {
            self.buffer.clear();
            match self.receive(until.saturating_duration_since(Instant::now())) {
                Ok(0) | Err(_) => return,
                Ok(count) => taken += count,
            }
        }
    }
}

fn timed_out(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

fn respond(tree: &Tree, request: &Request) -> (Response, Option<File>) {
    match tree.find(&request.path) {
        Ok(Found::File(file, facts)) => (plan::plan(request, &facts), Some(file)),
        Ok(Found::Directory(_)) if !request.path.is_empty() && !request.path.ends_with(b"/") => {
            let location = format!("/{}/", percent::encode(&request.path));
            (Response::moved(location), None)
        }
        Ok(Found::Directory(entries)) => {
            (Response::page(page::html(&request.path, &entries)), None)
        }
        Err(status) => (Response::error(status), None),
    }
}

/// Sends a part of `file`, counting in `sent` what went out.
fn send_file(stream: &TcpStream, file: &File, range: Range<u64>, sent: &mut u64) -> io::Result<()> {
    let mut offset = range.start;
    while offset < range.end {
        let count = usize::try_from((range.end - offset).min(PIECE)).unwrap_or(usize::MAX);
        let before = offset;
        rustix::io::retry_on_intr(|| rustix::fs::sendfile(stream, file, Some(&mut offset), count))?;
        if offset == before {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file became shorter"));
        }
        *sent += offset - before;
    }
    Ok(())
}

/// Method, target and range as the client wrote them, safe to show, each one word.
fn spoken(head: &[u8], range: Option<&[u8]>) -> String {
    let line = head.split(|b| matches!(b, b'\r' | b'\n')).next().unwrap_or_default();
    let mut words = line.split(|b| *b == b' ').filter(|w| !w.is_empty());
    let shown = |word: Option<&[u8]>| word.unwrap_or(b"-").escape_ascii().to_string();
    let (method, target) = (shown(words.next()), shown(words.next()));
    format!("{method} {target} {}", shown(range).replace(' ', ""))
}
