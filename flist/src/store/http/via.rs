//! The way through a proxy: a tunnel (CONNECT) for https, whole URLs in the request line for http,
//! which is what proxies keep a cache for, and what they allow on any port.

use std::fmt;
use std::io::{self, Read, Write};

use ureq::Error;
use ureq::http::Uri;
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, Either, NextTimeout, Transport, TransportAdapter,
};

use super::proxy::{Proxies, Proxy};

/// The longest answer to CONNECT, in bytes.
const ANSWER_MAX: usize = 8 << 10;

/// Why a proxy opened no tunnel.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoTunnel {
    /// It says so, with this status.
    #[error("HTTP {0}")]
    Status(u16),
    /// It does not speak as a proxy does.
    #[error("{0}")]
    NotAProxy(&'static str),
}

/// Makes of a connection to a proxy one to the server behind it. (The resolver has seen to it that
/// the proxy is what is connected to.)
pub(super) struct Via(Proxies);

impl Via {
    pub(super) fn new(proxies: Proxies) -> Self {
        Self(proxies)
    }
}

impl fmt::Debug for Via {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Via")
    }
}

impl<In: Transport> Connector<In> for Via {
    type Out = Either<In, WholeUrls<In>>;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, Error> {
        let Some(transport) = chained else { return Ok(None) };
        let Some(proxy) = self.0.of(details.uri) else { return Ok(Some(Either::A(transport))) };
        if !details.needs_tls() {
            let (prefix, header) = (prefix(details.uri), proxy.header());
            return Ok(Some(Either::B(WholeUrls { transport, prefix, header, at_start: true })));
        }
        let mut adapter = TransportAdapter::new(transport, details.current_time.clone());
        adapter.set_timeout(details.timeout);
        match open_tunnel(&mut adapter, proxy, details.uri)? {
            Ok(()) => Ok(Some(Either::A(adapter.into_inner()))),
            Err(refused) => Err(Error::Other(Box::new(refused))),
        }
    }
}

/// What stands before a path in a whole URL.
fn prefix(uri: &Uri) -> String {
    let port = uri.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("http://{}{port}", uri.host().unwrap_or_default())
}

fn open_tunnel(
    stream: &mut (impl Read + Write),
    proxy: &Proxy,
    uri: &Uri,
) -> io::Result<Result<(), NoTunnel>> {
    let target = format!("{}:{}", uri.host().unwrap_or_default(), uri.port_u16().unwrap_or(443));
    let header = proxy.header();
    let head = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{header}\r\n");
    stream.write_all(head.as_bytes())?;
    stream.flush()?;
    // Byte by byte: what follows the head is the server's. (The transport below has a buffer.)
    let (mut answer, mut byte) = (Vec::new(), [0]);
    while !answer.ends_with(b"\r\n\r\n") {
        if answer.len() >= ANSWER_MAX {
            return Ok(Err(NoTunnel::NotAProxy("its answer to CONNECT does not end")));
        }
        if stream.read(&mut byte)? == 0 {
            return Ok(Err(NoTunnel::NotAProxy(
                "it closes the connection when asked for a tunnel",
            )));
        }
        answer.extend_from_slice(&byte);
    }
    Ok(match status(&answer) {
        Some(200..300) => Ok(()),
        Some(status) => Err(NoTunnel::Status(status)),
        None => Err(NoTunnel::NotAProxy("it does not speak HTTP")),
    })
}

/// The status in the first line of an answer: `HTTP/1.x NNN`.
fn status(answer: &[u8]) -> Option<u16> {
    let text = answer.strip_prefix(b"HTTP/1.")?.get(1..5)?.strip_prefix(b" ")?;
    let text = str::from_utf8(text).ok()?;
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok())?
}

/// A connection on which each request is for a whole URL.
pub(super) struct WholeUrls<In> {
    transport: In,
    /// `http://HOST[:PORT]`.
    prefix: String,
    /// A line to add to each request's head; may be empty.
    header: String,
    /// Whether what is sent next is a request's first line.
    at_start: bool,
}

impl<In> fmt::Debug for WholeUrls<In> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WholeUrls")
    }
}

/// The beginning of a request, its path made a whole URL, and `header` added.
fn rewrite(request: &[u8], prefix: &str, header: &str) -> Option<Vec<u8>> {
    let path = request.iter().position(|b| *b == b' ')? + 1;
    let line = request.windows(2).position(|pair| pair == b"\r\n")? + 2;
    let (method, rest) = request.split_at_checked(path)?;
    let (line, rest) = rest.split_at_checked(line.checked_sub(path)?)?;
    Some([method, prefix.as_bytes(), line, header.as_bytes(), rest].concat())
}

impl<In: Transport> Transport for WholeUrls<In> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.transport.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        if !std::mem::take(&mut self.at_start) {
            return self.transport.transmit_output(amount, timeout);
        }
        let request = self.transport.buffers().output().get(..amount).unwrap_or_default();
        let request = rewrite(request, &self.prefix, &self.header).ok_or_else(|| {
            Error::Other(Box::new(NoTunnel::NotAProxy(
                "the URL is too long for a request by proxy",
            )))
        })?;
        let room = self.transport.buffers().output().len().max(1);
        for part in request.chunks(room) {
            let output = self.transport.buffers().output();
            output.iter_mut().zip(part).for_each(|(to, from)| *to = *from);
            self.transport.transmit_output(part.len().min(room), timeout)?;
        }
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.at_start = true;
        self.transport.await_input(timeout)
    }

    fn is_open(&mut self) -> bool {
        self.transport.is_open()
    }
}

#[cfg(test)]
mod tests;
