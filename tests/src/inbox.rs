//! A server that takes what is posted to it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::{self, Receiver};
use std::thread;

/// What was posted, and where.
#[derive(Debug, Clone)]
pub struct Posted {
    /// The request's head.
    pub head: String,
    /// The body.
    pub body: String,
}

/// Listens at `address`; hands out what is posted. Ends with the process.
///
/// # Errors
/// When there is no listening there.
pub fn listen(address: &str) -> anyhow::Result<Receiver<Posted>> {
    Ok(take(TcpListener::bind(address)?))
}

/// The same at a free port of the loopback address; also which that is.
///
/// # Errors
/// When there is none.
pub fn listen_anywhere() -> anyhow::Result<(u16, Receiver<Posted>)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    Ok((listener.local_addr()?.port(), take(listener)))
}

fn take(listener: TcpListener) -> Receiver<Posted> {
    let (send, posted) = mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut reader = BufReader::new(&stream);
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).is_ok_and(|n| n > 0) {}
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(": ")?;
                name.eq_ignore_ascii_case("content-length").then(|| value.parse().ok())?
            });
            let mut body = String::new();
            // What can't be read is missed by whoever waits for it.
            let _ = reader.take(length.unwrap_or(0)).read_to_string(&mut body);
            let _ = (&stream).write_all(b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n");
            if send.send(Posted { head, body }).is_err() {
                return;
            }
        }
    });
    posted
}
