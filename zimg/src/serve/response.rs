//! What is answered: a status, header fields and a body, and the bytes of the head.

use std::fmt::Write;
use std::ops::Range;

use flist::date;

/// The statuses this server answers with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Ok,
    PartialContent,
    MovedPermanently,
    NotModified,
    BadRequest,
    Forbidden,
    NotFound,
    MethodNotAllowed,
    RequestTimeout,
    RangeNotSatisfiable,
    HeadTooLarge,
    InternalError,
    Unavailable,
    VersionNotSupported,
}

impl Status {
    /// The three digits.
    pub(super) fn code(self) -> u16 {
        match self {
            Self::Ok => 200,
            Self::PartialContent => 206,
            Self::MovedPermanently => 301,
            Self::NotModified => 304,
            Self::BadRequest => 400,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::RequestTimeout => 408,
            Self::RangeNotSatisfiable => 416,
            Self::HeadTooLarge => 431,
            Self::InternalError => 500,
            Self::Unavailable => 503,
            Self::VersionNotSupported => 505,
        }
    }

    fn reason(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::PartialContent => "Partial Content",
            Self::MovedPermanently => "Moved Permanently",
            Self::NotModified => "Not Modified",
            Self::BadRequest => "Bad Request",
            Self::Forbidden => "Forbidden",
            Self::NotFound => "Not Found",
            Self::MethodNotAllowed => "Method Not Allowed",
            Self::RequestTimeout => "Request Timeout",
            Self::RangeNotSatisfiable => "Range Not Satisfiable",
            Self::HeadTooLarge => "Request Header Fields Too Large",
            Self::InternalError => "Internal Server Error",
            Self::Unavailable => "Service Unavailable",
            Self::VersionNotSupported => "HTTP Version Not Supported",
        }
    }
}

/// Where the body's bytes come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Body {
    Text(Vec<u8>),
    /// This part of the file that was asked for.
    File(Range<u64>),
}

impl Body {
    /// Bytes it will take on the wire.
    pub(super) fn len(&self) -> u64 {
        match self {
            Self::Text(text) => u64::try_from(text.len()).unwrap_or(u64::MAX),
            Self::File(range) => range.end.saturating_sub(range.start),
        }
    }
}

/// An answer, before it is known whether the connection lives on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Response {
    pub(super) status: Status,
    pub(super) fields: Vec<(&'static str, String)>,
    pub(super) body: Body,
}

impl Response {
    /// The status as a line of text, for people.
    pub(super) fn error(status: Status) -> Self {
        let text = format!("{} {}\n", status.code(), status.reason());
        let mut fields = vec![("Content-Type", "text/plain".to_owned())];
        match status {
            Status::MethodNotAllowed => fields.push(("Allow", "GET, HEAD".to_owned())),
            Status::Unavailable => fields.push(("Retry-After", "1".to_owned())),
            _ => {}
        }
        Self { status, fields, body: Body::Text(text.into_bytes()) }
    }

    /// Where else to look.
    pub(super) fn moved(location: String) -> Self {
        let mut response = Self::error(Status::MovedPermanently);
        response.fields.push(("Location", location));
        response
    }

    /// A directory's page.
    pub(super) fn page(html: Vec<u8>) -> Self {
        let fields = vec![
            ("Content-Type", "text/html; charset=utf-8".to_owned()),
            ("Cache-Control", "no-cache".to_owned()),
        ];
        Self { status: Status::Ok, fields, body: Body::Text(html) }
    }

    /// The bytes up to the body.
    pub(super) fn head(&self, now: i64, keep_alive: bool) -> Vec<u8> {
        let mut head = format!("HTTP/1.1 {} {}\r\n", self.status.code(), self.status.reason());
        let mut field = |name: &str, value: &str| {
            // Writing to a String cannot fail.
            let _ = write!(head, "{name}: {value}\r\n");
        };
        field("Server", concat!("zimg/", env!("CARGO_PKG_VERSION")));
        field("Date", &date::http(now));
        for (name, value) in &self.fields {
            field(name, value);
        }
        if self.status != Status::NotModified {
            field("Content-Length", &self.body.len().to_string());
        }
        field("X-Content-Type-Options", "nosniff");
        field("Connection", if keep_alive { "keep-alive" } else { "close" });
        head.push_str("\r\n");
        head.into_bytes()
    }
}
