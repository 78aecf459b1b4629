//! What a hostile server answers.

use std::io;
use std::ops::Range;
use std::thread;
use std::time::Duration;

use crate::store::testserver::{Asked, Stream};

/// Sends what is no right answer. Returns whether the connection stays open.
pub(super) type Attack = fn(&Answer, &mut dyn Stream) -> bool;

/// What the right answer would be.
pub(super) struct Answer {
    file: Vec<u8>,
    range: Option<Range<usize>>,
    /// The how manieth it is, from 0.
    number: u8,
}

impl Answer {
    pub(super) fn to(asked: &Asked, file: Vec<u8>, number: u8) -> Self {
        let range = asked.range().map(|(first, last)| first..last + 1);
        Self { file, range, number }
    }

    fn body(&self) -> &[u8] {
        &self.file[self.range.clone().unwrap_or(0..self.file.len())]
    }

    /// Status line and range, to which fields may be added, and the empty line.
    fn head(&self) -> String {
        match &self.range {
            Some(Range { start, end }) => {
                let (last, len) = (end - 1, self.file.len());
                format!("HTTP/1.1 206 Part\r\nContent-Range: bytes {start}-{last}/{len}\r\n")
            }
            None => "HTTP/1.1 200 OK\r\n".into(),
        }
    }

    /// The right head, and this body.
    fn with(&self, body: &[u8], stream: &mut dyn Stream) -> bool {
        send(&self.head(), body, stream)
    }
}

/// An answer of this beginning of a head, and its body.
fn send(head: &str, body: &[u8], stream: &mut dyn Stream) -> bool {
    let head = format!("{head}Content-Length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body)).is_ok()
}

/// The same bytes until the other side has had enough, and not for ever.
fn endless(bytes: &[u8], stream: &mut dyn Stream) -> bool {
    let mut send = || -> io::Result<()> {
        (0..(1_usize << 30) / bytes.len()).try_for_each(|_| stream.write_all(bytes))
    };
    assert!(send().is_err(), "a gigabyte was taken in");
    false
}

fn redirect(to: &str, stream: &mut dyn Stream) -> bool {
    send(&format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\n"), b"", stream)
}

/// Each by the name it has in ATTACKS.md.
pub(super) const ATTACKS: [(&str, Attack); 25] = [
    ("a web page", |_, stream| {
        send("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n", b"<!doctype html><p>Hello", stream)
    }),
    ("other bytes, as many", |answer, stream| {
        answer.with(&answer.body().iter().map(|byte| !byte).collect::<Vec<_>>(), stream)
    }),
    ("the same file, other bytes of it", |answer, stream| {
        let len = answer.body().len();
        answer.with(&answer.file[answer.file.len() - len..], stream)
    }),
    ("another version each time", |answer, stream| {
        let mut body = answer.body().to_vec();
        let middle = body.len() / 2;
        body[middle] ^= answer.number + 1;
        answer.with(&body, stream)
    }),
    ("another range, and says so", |answer, stream| {
        let body = answer.body();
        let head = format!(
            "HTTP/1.1 206 Part\r\nContent-Range: bytes 0-{}/{}\r\n",
            body.len() - 1,
            answer.file.len()
        );
        send(&head, body, stream)
    }),
    ("several ranges at once", |_, stream| {
        let head = "HTTP/1.1 206 Part\r\nContent-Type: multipart/byteranges; boundary=x\r\n";
        send(head, b"--x\r\n\r\n--x--\r\n", stream)
    }),
    ("no such range", |_, stream| send("HTTP/1.1 416 No\r\n", b"", stream)),
    ("another file, whole", |answer, stream| {
        send("HTTP/1.1 200 OK\r\n", &vec![7; answer.file.len()], stream)
    }),
    ("a longer file, whole", |answer, stream| {
        send("HTTP/1.1 200 OK\r\n", &vec![7; 2 << 20 | answer.file.len()], stream)
    }),
    ("half of the body", |answer, stream| {
        let body = answer.body();
        let head = format!("{}Content-Length: {}\r\n\r\n", answer.head(), body.len());
        let half = &body[..body.len() / 2];
        // That it ends is what is wrong with it, whether it got there or not.
        let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(half));
        false
    }),
    ("half of the body, and says so", |answer, stream| {
        let body = answer.body();
        answer.with(&body[..body.len() / 2], stream)
    }),
    ("a longer body, and says so", |answer, stream| {
        answer.with(&[answer.body(), b"more"].concat(), stream)
    }),
    ("an endless body", |answer, stream| {
        let head = format!("{}Connection: close\r\n\r\n", answer.head());
        stream.write_all(head.as_bytes()).is_ok() && endless(&[0; 8192], stream)
    }),
    ("endless chunks of a body", |answer, stream| {
        let head = format!("{}Transfer-Encoding: chunked\r\n\r\n", answer.head());
        let chunk = [&b"2000\r\n"[..], &[0; 8192], b"\r\n"].concat();
        stream.write_all(head.as_bytes()).is_ok() && endless(&chunk, stream)
    }),
    ("a length beyond all bounds", |answer, stream| {
        let head = format!("{}Content-Length: 18446744073709551615\r\n\r\n", answer.head());
        stream.write_all(head.as_bytes()).is_ok() && endless(&[0; 8192], stream)
    }),
    ("a byte now and then", |answer, stream| {
        let head = format!("{}Content-Length: {}\r\n\r\n", answer.head(), answer.body().len());
        stream.write_all(head.as_bytes()).is_ok() && drip(answer.body(), stream)
    }),
    ("a byte of the head now and then", |_, stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nX-Slow: ").is_ok() && drip(&[b'x'; 600], stream)
    }),
    ("silence", |_, stream| {
        let _ = stream.read(&mut [0]);
        false
    }),
    ("endless fields of a head", |answer, stream| {
        stream.write_all(answer.head().as_bytes()).is_ok()
            && endless(b"X-Again: and again and again and again\r\n", stream)
    }),
    ("one endless field", |answer, stream| {
        stream.write_all(answer.head().as_bytes()).is_ok()
            && stream.write_all(b"X-Long: ").is_ok()
            && endless(&[b'x'; 8192], stream)
    }),
    ("endless early hints", |_, stream| {
        endless(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n", stream)
    }),
    ("redirects in a circle", |_, stream| redirect("/a.flist", stream)),
    ("a redirect to a file", |_, stream| redirect("file:/etc/shadow", stream)),
    ("a redirect to another protocol", |_, stream| redirect("ftp://example.org/", stream)),
    ("a compressed body", |answer, stream| {
        // That of a gigabyte of zeros is a megabyte long.
        let head = format!("{}Content-Encoding: gzip\r\n", answer.head());
        send(&head, &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3], stream)
    }),
];

/// Sends bytes one by one, so slowly that it takes as good as for ever.
fn drip(bytes: &[u8], stream: &mut dyn Stream) -> bool {
    let each = |byte: &u8| {
        thread::sleep(Duration::from_millis(50));
        stream.write_all(&[*byte]).and_then(|()| stream.flush()).is_ok()
    };
    assert!(!bytes.iter().all(each), "all was waited for");
    false
}
