//! One request read, and its answer made: right, or wrong in the way that is asked for.

use std::fs::File;
use std::io::{self, BufRead, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::Path;

use super::Fault;

#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) range: Option<Range<u64>>,
}

impl Request {
    /// The next request; `None` where the client has closed the connection.
    pub(super) fn read(reader: &mut impl BufRead) -> io::Result<Option<Self>> {
        let bad = || io::Error::from(io::ErrorKind::InvalidData);
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let mut words = line.split_whitespace();
        let (Some(method), Some(path)) = (words.next(), words.next()) else { return Err(bad()) };
        let mut request = Self { method: method.to_owned(), path: path.to_owned(), range: None };
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Err(bad());
            }
            let Some((name, value)) = line.split_once(':') else { return Ok(Some(request)) };
            if name.eq_ignore_ascii_case("range") {
                request.range = parse_range(value.trim());
            }
        }
    }
}

/// `bytes=FIRST-LAST` or `bytes=FIRST-`, half-open; that is all that a store asks.
fn parse_range(text: &str) -> Option<Range<u64>> {
    let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    let end = if last.is_empty() { u64::MAX } else { last.parse::<u64>().ok()?.checked_add(1)? };
    Some(first.parse().ok()?..end)
}

pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) fields: String,
    pub(super) body: Vec<u8>,
    /// The connection is to be closed after so many bytes of the body.
    pub(super) cut: Option<u64>,
}

impl Answer {
    fn text(status: u16, kind: &str, text: &str) -> Self {
        let fields = format!("Content-Type: {kind}\r\n");
        Self { status, fields, body: text.as_bytes().to_vec(), cut: None }
    }

    /// The answer to `request`, right but for `fault`.
    pub(super) fn of(dir: &Path, request: &Request, fault: &Fault) -> Self {
        let plain = |status| Self::text(status, "text/plain", &format!("{status}, as scripted\n"));
        let moved = |to: &str| Self { fields: format!("Location: {to}\r\n"), ..plain(302) };
        match fault {
            Fault::Status(status) => plain(*status),
            Fault::RedirectLoop => moved(&request.path),
            Fault::Redirect(to) => moved(to),
            Fault::WebPage => Self::text(200, "text/html", WEB_PAGE),
            _ => Self::file(dir, request, fault).unwrap_or_else(|_missing| plain(404)),
        }
    }

    fn file(dir: &Path, request: &Request, fault: &Fault) -> io::Result<Self> {
        let path = request.path.trim_start_matches('/');
        if path.split('/').any(|part| part == "..") {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let mut file = File::open(dir.join(path))?;
        let len = file.metadata()?.len();
        let asked = request.range.clone().filter(|_| *fault != Fault::IgnoreRange);
        let asked = asked.map(|r| r.start..r.end.min(len));
        if asked.as_ref().is_some_and(Range::is_empty) {
            let mut answer = Self::text(416, "text/plain", "no such range\n");
            answer.fields.push_str(&format!("Content-Range: bytes */{len}\r\n"));
            return Ok(answer);
        }
        let given =
            asked.clone().map(|r| if *fault == Fault::WrongRange { shifted(r, len) } else { r });
        let range = given.clone().unwrap_or(0..len);
        file.seek(SeekFrom::Start(range.start))?;
        let mut body = Vec::new();
        file.take(range.end - range.start).read_to_end(&mut body)?;
        let cut = if let Fault::CutAfter(cut) = fault { Some(*cut) } else { None };
        spoil(&mut body, fault);
        let fields = given.map_or_else(String::new, |r| {
            format!("Content-Range: bytes {}-{}/{len}\r\n", r.start, r.end - 1)
        });
        Ok(Self { status: if asked.is_some() { 206 } else { 200 }, fields, body, cut })
    }
}

const WEB_PAGE: &str = "<!DOCTYPE html><title>Welcome</title><p>Please log in to this network.\n";

/// A range as long, one byte further on where the file allows it, else one before, else the same
/// start and one byte less.
fn shifted(range: Range<u64>, len: u64) -> Range<u64> {
    if range.end < len {
        range.start + 1..range.end + 1
    } else if range.start > 0 {
        range.start - 1..range.end - 1
    } else {
        0..(range.end - 1).max(1)
    }
}

fn spoil(body: &mut Vec<u8>, fault: &Fault) {
    let len = body.len();
    let bytes = |n: &u64| usize::try_from(*n).unwrap_or(usize::MAX);
    match fault {
        Fault::Short(missing) => body.truncate(len.saturating_sub(bytes(missing))),
        Fault::Long(extra) => body.resize(len.saturating_add(bytes(extra)), b'+'),
        Fault::Flip(at) if len > 0 => {
            if let Some(byte) = body.get_mut(bytes(at) % len) {
                *byte ^= 0x40;
            }
        }
        _ => {}
    }
}
