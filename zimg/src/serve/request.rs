//! A request's head, from bytes to a `Request`, or to the status it is refused with. No I/O, and
//! no bytes make it panic.

use super::percent;
use super::response::Status;

/// A head longer than this is refused.
pub(super) const MAX_HEAD: usize = 16 << 10;

/// What is wanted of the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    Get,
    Head,
}

/// All of a request that this server acts on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) method: Method,
    /// The path decoded, without its leading slash: relative, free of NUL and of `..`.
    pub(super) path: Vec<u8>,
    /// May the connection serve another request after this one?
    pub(super) keep_alive: bool,
    pub(super) range: Option<Vec<u8>>,
    pub(super) if_none_match: Option<Vec<u8>>,
    pub(super) if_modified_since: Option<Vec<u8>>,
    pub(super) if_range: Option<Vec<u8>>,
}

/// Where the head at the start of `bytes` ends (after its empty line), once it is there whole.
pub(super) fn head_end(bytes: &[u8]) -> Option<usize> {
    let mut line = 0;
    for (at, byte) in bytes.iter().enumerate() {
        if *byte == b'\n' {
            if matches!(&bytes[line..at], b"" | b"\r") {
                return Some(at + 1);
            }
            line = at + 1;
        }
    }
    None
}

/// Reads a head, which ends with its empty line. Lines may end in LF alone.
pub(super) fn parse(head: &[u8]) -> Result<Request, Status> {
    let mut lines = head.split(|b| *b == b'\n').map(|l| l.strip_suffix(b"\r").unwrap_or(l));
    let line = lines.next().unwrap_or_default();
    let (method, target, version) = request_line(line)?;
    let path = path(target)?;
    let mut fields = Fields::default();
    for line in lines.take_while(|l| !l.is_empty()) {
        fields.add(line)?;
    }
    if version == Version::Http11 && fields.hosts != 1 || fields.hosts > 1 {
        return Err(Status::BadRequest);
    }
    let asked = if version == Version::Http11 { !fields.close } else { fields.keep_alive };
    Ok(Request {
        method,
        path,
        keep_alive: asked && !fields.body,
        range: fields.range.one(),
        if_none_match: fields.if_none_match.joined(),
        if_modified_since: fields.if_modified_since.one(),
        if_range: fields.if_range.one(),
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    Http10,
    Http11,
}

fn request_line(line: &[u8]) -> Result<(Method, &[u8], Version), Status> {
    let mut words = line.split(|b| *b == b' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(Status::BadRequest);
    };
    if !is_token(method) || !target.iter().all(u8::is_ascii_graphic) {
        return Err(Status::BadRequest);
    }
    let version = match version {
        b"HTTP/1.0" => Version::Http10,
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', minor] if minor.is_ascii_digit() => {
            Version::Http11
        }
        _ if version.starts_with(b"HTTP/") => return Err(Status::VersionNotSupported),
        _ => return Err(Status::BadRequest),
    };
    let method = match method {
        b"GET" => Method::Get,
        b"HEAD" => Method::Head,
        _ => return Err(Status::MethodNotAllowed),
    };
    Ok((method, target, version))
}

/// The path of a target, decoded. `..` is refused even where it would stay inside: every client
/// resolves it before it asks.
fn path(target: &[u8]) -> Result<Vec<u8>, Status> {
    let target = match target.iter().position(|b| *b == b':') {
        // The absolute form, as to a proxy: http://host/path.
        Some(colon) if !target.starts_with(b"/") => {
            let rest = target[colon + 1..].strip_prefix(b"//").ok_or(Status::BadRequest)?;
            rest.iter().position(|b| *b == b'/').map_or(&b"/"[..], |slash| &rest[slash..])
        }
        _ => target,
    };
    let target = target.split(|b| matches!(b, b'?' | b'#')).next().unwrap_or_default();
    let path = percent::decode(target).ok_or(Status::BadRequest)?;
    if !path.starts_with(b"/") || path.contains(&0) {
        return Err(Status::BadRequest);
    }
    if path.split(|b| *b == b'/').any(|segment| segment == b"..") {
        return Err(Status::Forbidden);
    }
    let slashes = path.iter().take_while(|b| **b == b'/').count();
    Ok(path[slashes..].to_vec())
}

/// The fields that matter, as they come.
#[derive(Default)]
struct Fields {
    hosts: usize,
    close: bool,
    keep_alive: bool,
    /// A body follows, which nobody reads: nothing after it can be a request.
    body: bool,
    range: Values,
    if_none_match: Values,
    if_modified_since: Values,
    if_range: Values,
}

impl Fields {
    fn add(&mut self, line: &[u8]) -> Result<(), Status> {
        let colon = line.iter().position(|b| *b == b':').ok_or(Status::BadRequest)?;
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if !is_token(name) || value.iter().any(|b| b.is_ascii_control() && *b != b'\t') {
            return Err(Status::BadRequest);
        }
        match name.to_ascii_lowercase().as_slice() {
            b"host" => self.hosts += 1,
            b"connection" => {
                for option in value.split(|b| *b == b',').map(<[u8]>::trim_ascii) {
                    self.close |= option.eq_ignore_ascii_case(b"close");
                    self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
                }
            }
            b"content-length" => self.body |= value != b"0",
            b"transfer-encoding" => self.body = true,
            b"range" => self.range.push(value),
            b"if-none-match" => self.if_none_match.push(value),
            b"if-modified-since" => self.if_modified_since.push(value),
            b"if-range" => self.if_range.push(value),
            _ => {}
        }
        Ok(())
    }
}

/// The values of a field, which may have come several times.
#[derive(Default)]
struct Values(Vec<Vec<u8>>);

impl Values {
    fn push(&mut self, value: &[u8]) {
        self.0.push(value.to_vec());
    }

    /// For a field that may come once: several are as good as none.
    fn one(mut self) -> Option<Vec<u8>> {
        if self.0.len() == 1 { self.0.pop() } else { None }
    }

    /// For a field that is a list.
    fn joined(self) -> Option<Vec<u8>> {
        if self.0.is_empty() { None } else { Some(self.0.join(&b',')) }
    }
}

fn is_token(word: &[u8]) -> bool {
    let special = b"!#$%&'*+-.^_`|~";
    !word.is_empty() && word.iter().all(|b| b.is_ascii_alphanumeric() || special.contains(b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn target(target: &str) -> Result<Vec<u8>, Status> {
        parse(format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).map(|r| r.path)
    }

    #[test]
    fn a_whole_request() {
        let head = b"GET /packs/ab%20c?x=1 HTTP/1.1\r\nhost: x\r\nRANGE:bytes=0-1\r\n\
            If-None-Match: \"a\"\r\nIf-None-Match: \"b\"\r\nIf-Range: \"c\"\r\n\r\n";
        let request = parse(head).unwrap();
        assert_eq!(
            request,
            Request {
                method: Method::Get,
                path: b"packs/ab c".to_vec(),
                keep_alive: true,
                range: Some(b"bytes=0-1".to_vec()),
                if_none_match: Some(b"\"a\",\"b\"".to_vec()),
                if_modified_since: None,
                if_range: Some(b"\"c\"".to_vec()),
            }
        );
        assert_eq!(head_end(head), Some(head.len()));
    }

    #[test]
    fn paths() {
        assert_eq!(target("/").unwrap(), b"");
        assert_eq!(target("//a//b/").unwrap(), b"a//b/");
        assert_eq!(target("http://h:80/a?b").unwrap(), b"a");
        assert_eq!(target("http://h").unwrap(), b"");
        assert_eq!(target("/%ff%C3%A4").unwrap(), b"\xff\xc3\xa4");
        assert_eq!(target("/a:b").unwrap(), b"a:b");
        for escape in ["/..", "/../x", "/a/..", "/%2e%2e/x", "/a/%2e./..%2fx", "/..%2f..%2fetc"] {
            assert_eq!(target(escape), Err(Status::Forbidden), "{escape}");
        }
        for bad in ["*", "a", "/%", "/%0", "/%00", "/a\u{e4}", "host:80", ""] {
            assert_eq!(target(bad), Err(Status::BadRequest), "{bad}");
        }
        assert_eq!(target("/...").unwrap(), b"...");
    }

    #[test]
    fn keep_alive() {
        let alive = |head: &str| parse(head.as_bytes()).unwrap().keep_alive;
        assert!(alive("GET / HTTP/1.1\r\nHost: x\r\n\r\n"));
        assert!(alive("GET / HTTP/1.1\nHost: x\n\n"));
        assert!(!alive("GET / HTTP/1.1\r\nHost: x\r\nConnection: foo, Close\r\n\r\n"));
        assert!(!alive("GET / HTTP/1.0\r\n\r\n"));
        assert!(alive("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"));
        assert!(alive("GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"));
        assert!(!alive("GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx"));
        assert!(!alive("GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"));
    }

    #[test]
    fn refusals() {
        for (head, status) in [
            ("", Status::BadRequest),
            ("GET /\r\n\r\n", Status::BadRequest),
            ("GET  / HTTP/1.1\r\nHost: x\r\n\r\n", Status::BadRequest),
            ("GET / HTTP/1.1\r\n\r\n", Status::BadRequest),
            ("GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", Status::BadRequest),
            ("GET / HTTP/1.1\r\nHost: x\r\nA : b\r\n\r\n", Status::BadRequest),
            ("GET / HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n", Status::BadRequest),
            ("GET / HTTP/1.1\r\nHost: x\r\nA: b\rc\r\n\r\n", Status::BadRequest),
            ("GET / FTP/1.1\r\nHost: x\r\n\r\n", Status::BadRequest),
            ("POST / HTTP/1.1\r\nHost: x\r\n\r\n", Status::MethodNotAllowed),
            ("get / HTTP/1.1\r\nHost: x\r\n\r\n", Status::MethodNotAllowed),
            ("PRI * HTTP/2.0\r\n\r\n", Status::VersionNotSupported),
        ] {
            assert_eq!(parse(head.as_bytes()), Err(status), "{head:?}");
        }
    }

    #[test]
    fn two_ranges_in_two_fields_are_none() {
        let head = b"GET / HTTP/1.1\r\nHost: x\r\nRange: bytes=0-1\r\nRange: bytes=3-4\r\n\r\n";
        assert_eq!(parse(head).unwrap().range, None);
    }

    #[test]
    fn heads_end_at_the_first_empty_line() {
        assert_eq!(head_end(b"GET / HTTP/1.1\r\n\r\nGET"), Some(18));
        assert_eq!(head_end(b"a\n\nb"), Some(3));
        assert_eq!(head_end(b"\r\n"), Some(2));
        assert_eq!(head_end(b"a\r\n"), None);
        assert_eq!(head_end(b""), None);
    }

    proptest! {
        #[test]
        fn garbage_never_panics(bytes: Vec<u8>) {
            let _ = parse(&bytes);
            if let Some(end) = head_end(&bytes) {
                prop_assert!(end <= bytes.len());
            }
        }

        #[test]
        fn near_requests_never_panic_nor_escape(
            method in "[A-Z]{0,4}|GET",
            path in "[ -~]{0,40}|(/(%2[eEfF]|\\.|/|a)*)",
            fields in "([A-Za-z-]{0,8}:? ?[ -~]{0,12}\r?\n){0,4}",
        ) {
            let head = format!("{method} {path} HTTP/1.1\r\nHost: x\r\n{fields}\r\n");
            if let Ok(request) = parse(head.as_bytes()) {
                prop_assert!(!request.path.starts_with(b"/"));
                prop_assert!(request.path.split(|b| *b == b'/').all(|s| s != b".."));
            }
        }
    }
}
