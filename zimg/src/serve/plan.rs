//! From a request and the facts of the file it names to the response: conditions, ranges, caching.
//! No I/O. (`If-Match` and `If-Unmodified-Since` guard writes, of which there are none.)

use flist::date;
use flist::id::PackId;

use super::range::{self, Part};
use super::request::{Method, Request};
use super::response::{Body, Response, Status};

/// What the file system says of a regular file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Facts {
    pub(super) len: u64,
    /// Of the last change, since 1970.
    pub(super) seconds: i64,
    pub(super) nanos: i64,
}

/// A pack's name says what is in it, so it may be kept for ever.
const FOREVER: &str = "public, max-age=31536000, immutable";
/// An flist may be built anew under the same name.
const BRIEFLY: &str = "public, max-age=10";

/// The answer to `request` for the file it names.
pub(super) fn plan(request: &Request, facts: &Facts) -> Response {
    let pack = pack_id(&request.path);
    let etag = match pack {
        Some(id) => format!("\"{id}\""),
        None => format!("\"{:x}-{:x}-{:x}\"", facts.len, facts.seconds, facts.nanos),
    };
    let modified = date::http(facts.seconds);
    let mut fields = vec![
        ("Last-Modified", modified.clone()),
        ("Cache-Control", if pack.is_some() { FOREVER } else { BRIEFLY }.to_owned()),
        ("ETag", etag.clone()),
    ];
    if not_modified(request, &etag, facts) {
        let body = Body::Text(Vec::new());
        return Response { status: Status::NotModified, fields, body };
    }
    fields.push(("Accept-Ranges", "bytes".to_owned()));
    match part(request, &etag, &modified, facts.len) {
        Part::Unsatisfiable => {
            let mut response = Response::error(Status::RangeNotSatisfiable);
            response.fields.push(("Content-Range", format!("bytes */{}", facts.len)));
            response
        }
        Part::Whole => {
            fields.push(("Content-Type", "application/octet-stream".to_owned()));
            Response { status: Status::Ok, fields, body: Body::File(0..facts.len) }
        }
        Part::Bytes(bytes) => {
            fields.push(("Content-Type", "application/octet-stream".to_owned()));
            fields.push(("Content-Range", range::content_range(&bytes, facts.len)));
            Response { status: Status::PartialContent, fields, body: Body::File(bytes) }
        }
    }
}

/// The id in `…packs/<hex>`.
fn pack_id(path: &[u8]) -> Option<PackId> {
    let slash = path.iter().rposition(|b| *b == b'/')?;
    let (dir, name) = (&path[..slash], &path[slash + 1..]);
    let in_packs = dir == b"packs" || dir.ends_with(b"/packs");
    std::str::from_utf8(name).ok().filter(|_| in_packs)?.parse().ok()
}

fn not_modified(request: &Request, etag: &str, facts: &Facts) -> bool {
    if let Some(list) = &request.if_none_match {
        return list
            .split(|b| *b == b',')
            .map(<[u8]>::trim_ascii)
            .any(|tag| tag == b"*" || tag.strip_prefix(b"W/").unwrap_or(tag) == etag.as_bytes());
    }
    let since = request.if_modified_since.as_deref().and_then(|s| std::str::from_utf8(s).ok());
    since.and_then(date::parse).is_some_and(|since| facts.seconds <= since)
}

fn part(request: &Request, etag: &str, modified: &str, len: u64) -> Part {
    let field = request.range.as_deref().filter(|_| request.method == Method::Get);
    let same = request
        .if_range
        .as_ref()
        .is_none_or(|known| known == etag.as_bytes() || known == modified.as_bytes());
    field.filter(|_| same).map_or(Part::Whole, |field| range::resolve(field, len))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FACTS: Facts = Facts { len: 100, seconds: 784_111_777, nanos: 5 };
    const HEX: &str = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262";

    fn answer(path: &str, fields: &str) -> Response {
        let head = format!("GET {path} HTTP/1.1\r\nHost: x\r\n{fields}\r\n");
        plan(&crate::serve::request::parse(head.as_bytes()).unwrap(), &FACTS)
    }

    fn field<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
        response.fields.iter().find(|(n, _)| *n == name).map(|(_, v)| v.as_str())
    }

    #[test]
    fn packs_are_forever_and_flists_are_not() {
        let pack = answer(&format!("/debian/packs/{HEX}"), "");
        assert_eq!(field(&pack, "ETag"), Some(format!("\"{HEX}\"").as_str()));
        assert_eq!(field(&pack, "Cache-Control"), Some(FOREVER));
        for other in ["/a.flist", &format!("/{HEX}"), &format!("/xpacks/{HEX}"), "/packs/ab"] {
            let response = answer(other, "");
            assert_eq!(field(&response, "Cache-Control"), Some(BRIEFLY), "{other}");
            assert_eq!(field(&response, "ETag"), Some("\"64-2ebc98a1-5\""), "{other}");
        }
    }

    #[test]
    fn ranges() {
        let part = answer("/a", "Range: bytes=10-19\r\n");
        assert_eq!((part.status, &part.body), (Status::PartialContent, &Body::File(10..20)));
        assert_eq!(field(&part, "Content-Range"), Some("bytes 10-19/100"));
        let beyond = answer("/a", "Range: bytes=100-\r\n");
        assert_eq!(beyond.status, Status::RangeNotSatisfiable);
        assert_eq!(field(&beyond, "Content-Range"), Some("bytes */100"));
        let several = answer("/a", "Range: bytes=0-1,5-6\r\n");
        assert_eq!((several.status, &several.body), (Status::Ok, &Body::File(0..100)));
    }

    #[test]
    fn a_head_has_no_range() {
        let head = b"HEAD /a HTTP/1.1\r\nHost: x\r\nRange: bytes=0-1\r\n\r\n";
        let response = plan(&crate::serve::request::parse(head).unwrap(), &FACTS);
        assert_eq!((response.status, response.body.len()), (Status::Ok, 100));
    }

    #[test]
    fn conditions() {
        let tag = "\"64-2ebc98a1-5\"";
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        let earlier = "Sun, 06 Nov 1994 08:49:36 GMT";
        let range = "Range: bytes=0-1\r\n";
        for (fields, status) in [
            (format!("If-None-Match: {tag}\r\n"), 304),
            (format!("If-None-Match: \"x\", W/{tag}\r\n"), 304),
            ("If-None-Match: *\r\n".to_owned(), 304),
            (format!("If-None-Match: \"x\"\r\nIf-Modified-Since: {date}\r\n"), 200),
            (format!("If-Modified-Since: {date}\r\n"), 304),
            (format!("If-Modified-Since: {earlier}\r\n"), 200),
            ("If-Modified-Since: yesterday\r\n".to_owned(), 200),
            (format!("{range}If-Range: {tag}\r\n"), 206),
            (format!("{range}If-Range: {date}\r\n"), 206),
            (format!("{range}If-Range: {earlier}\r\n"), 200),
            (format!("{range}If-Range: W/{tag}\r\n"), 200),
            (format!("{range}If-Range: \"x\"\r\n"), 200),
            ("Range: bytes=200-\r\nIf-Range: \"x\"\r\n".to_owned(), 200),
        ] {
            assert_eq!(answer("/a", &fields).status.code(), status, "{fields}");
        }
    }

    proptest! {
        #[test]
        fn no_body_leaves_the_file(len: u64, range in "bytes=[0-9]{0,21}-[0-9]{0,21}") {
            let head = format!("GET /a HTTP/1.1\r\nHost: x\r\nRange: {range}\r\n\r\n");
            let request = crate::serve::request::parse(head.as_bytes()).unwrap();
            let facts = Facts { len, ..FACTS };
            if let Body::File(bytes) = plan(&request, &facts).body {
                prop_assert!(bytes.start <= bytes.end && bytes.end <= len);
            }
        }
    }
}
