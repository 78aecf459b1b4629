//! The HTTP client all stores share: its connections, timeouts, roots of trust and names.

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, PoisonError, RwLock};
use std::thread;
use std::time::{Duration, Instant};

use ureq::http::Response;
use ureq::unversioned::transport::{Connector, TcpConnector};
use ureq::{Agent, ResponseExt};

use super::explain::explain;
use super::proxy::Proxies;
use super::range;
use super::resolver::{FirstHop, Names};
use super::tls::{Tls, TlsSetup};
use super::via::Via;
use crate::date;
use crate::store::{Fault, ProxyFault, Stage, StoreError, Unreachable};

/// How often a request is sent anew because the connection was closed before the answer: a
/// server closes idle connections whenever it likes, perhaps just as one is used again.
const SENDS: u32 = 3;

/// How an HTTP client works.
#[derive(Debug, Clone)]
pub struct ClientOptions {
    /// Certificates (PEM, several if need be) of CAs to be trusted beside the web's.
    pub ca_pem: Vec<u8>,
    /// Connections kept open for the next request.
    pub connections: usize,
    /// The longest wait for a connection, TLS included.
    pub connect_timeout: Duration,
    /// The longest wait for the next byte of an answer.
    pub stall_timeout: Duration,
    /// Most redirects followed.
    pub redirects: u32,
    /// The proxies that requests go through.
    pub proxies: Proxies,
    /// Asked when a certificate is not valid at the time that this machine's clock shows.
    pub clock: Option<ClockHelp>,
}

/// Somebody who may set a clock that is wrong: given the client and the URL whose server has the
/// certificate in question, says whether the clock was changed, and it is worth to ask again.
#[derive(Clone)]
pub struct ClockHelp(Arc<Help>);

type Help = dyn Fn(&Client, &str) -> bool + Send + Sync;

impl ClockHelp {
    /// Calls `help`.
    pub fn new(help: impl Fn(&Client, &str) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(help))
    }
}

impl fmt::Debug for ClockHelp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClockHelp")
    }
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            ca_pem: Vec::new(),
            connections: 16,
            connect_timeout: Duration::from_secs(10),
            stall_timeout: Duration::from_secs(20),
            redirects: 5,
            proxies: Proxies::default(),
            clock: None,
        }
    }
}

/// Why there is no client.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ClientError {
    /// The CA certificates given can't be used.
    #[error("the CA certificate can't be read: {0}; it has to be PEM")]
    Ca(String),
    /// TLS can't be set up.
    #[error("TLS can't be set up: {0}")]
    Tls(String),
}

/// An HTTP client. Clones share their connections.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
    pace: Pace,
}

/// How long a client waits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// For a connection, TLS included.
    pub(super) connect: Duration,
    /// For the next byte.
    pub(super) stall: Duration,
    /// Fewer bytes a second than this over a whole stall time count as a stall.
    pub(super) slowest: u64,
}

/// The most patience, and the least speed, for a mirror while others may be quicker. On a link
/// that gives every mirror less, the second round waits as long as for a single one.
const HASTY: Pace =
    Pace { connect: Duration::from_secs(2), stall: Duration::from_secs(4), slowest: 32 << 10 };

/// Slower than this counts as a stall in any case: bytes a second.
const TRICKLE: u64 = 512;

/// Stack of a thread that makes a connection, in bytes: what TLS takes.
const STACK: usize = 256 << 10;

struct Inner {
    options: ClientOptions,
    tls: TlsSetup,
    names: Names,
    agent: RwLock<Agent>,
}

impl Client {
    /// A client; no connection is made yet.
    ///
    /// # Errors
    /// [`ClientError`] when the CA certificates are none.
    pub fn new(options: ClientOptions) -> Result<Self, ClientError> {
        let tls = TlsSetup::new(&options.ca_pem)?;
        let names = Names::default();
        let agent = RwLock::new(agent(&options, options.redirects, &tls, &names));
        let pace = Pace {
            connect: options.connect_timeout,
            stall: options.stall_timeout,
            slowest: TRICKLE,
        };
        Ok(Self { inner: Arc::new(Inner { options, tls, names, agent }), pace })
    }

    /// The same client, its connections too, for asking a server that others may outrun.
    #[must_use]
    pub fn hasty(&self) -> Self {
        let pace = Pace {
            connect: HASTY.connect.min(self.pace.connect),
            stall: HASTY.stall.min(self.pace.stall),
            slowest: HASTY.slowest,
        };
        Self { inner: Arc::clone(&self.inner), pace }
    }

    pub(super) fn pace(&self) -> &Pace {
        &self.pace
    }

    /// How it works.
    pub fn options(&self) -> &ClientOptions {
        &self.inner.options
    }

    /// The answer to a GET, of `range` if there is one. It is 200, or for a range also 206 or
    /// 416; its body has not been read. With a deadline, the body has to be there by then, too.
    ///
    /// # Errors
    /// [`StoreError`] for all else.
    pub(super) fn get(
        &self,
        url: &str,
        range: Option<&Range<u64>>,
        deadline: Option<Instant>,
    ) -> Result<Response<ureq::Body>, StoreError> {
        let (mut sent, mut clock) = (1, self.inner.options.clock.as_ref());
        let response = loop {
            match self.send(url, range, deadline) {
                Err(StoreError::Unreachable {
                    cause: Unreachable::Tls { clock: true, .. },
                    ..
                }) if clock.take().is_some_and(|help| (help.0)(self, url)) => {}
                Err(StoreError::Unreachable { cause: Unreachable::Dropped(_), .. })
                    if sent < SENDS =>
                {
                    sent += 1;
                }
                result => break result?,
            }
        };
        let place = || match response.get_uri().to_string() {
            end if end == url => end,
            end => format!("{url}, redirected to {end},"),
        };
        match response.status().as_u16() {
            200 => Ok(response),
            206 | 416 if range.is_some() => Ok(response),
            status @ (404 | 410) => {
                Err(StoreError::Missing { place: place(), status: Some(status) })
            }
            status => Err(self.status(url, place(), status)),
        }
    }

    /// The error that a status is: the proxy's, where it is one that proxies give.
    fn status(&self, url: &str, place: String, status: u16) -> StoreError {
        match self.inner.options.proxies.of_url(url) {
            Some(proxy) if matches!(status, 407 | 502..=504) => {
                let (proxy, fault) = (proxy.to_string(), ProxyFault::Status(status));
                let cause = Unreachable::Proxy { proxy, fault };
                StoreError::Unreachable { place, addresses: Vec::new(), cause }
            }
            _ => StoreError::Status { place, status },
        }
    }

    fn send(
        &self,
        url: &str,
        range: Option<&Range<u64>>,
        deadline: Option<Instant>,
    ) -> Result<Response<ureq::Body>, StoreError> {
        let agent = self.inner.agent.read().unwrap_or_else(PoisonError::into_inner).clone();
        let request = agent.get(url).header("Accept-Encoding", "identity");
        let request = match range {
            Some(range) => request.header("Range", range::range(range)),
            None => request,
        };
        let left = deadline.map(|d| d.saturating_duration_since(Instant::now()));
        let request = request
            .config()
            .timeout_global(left)
            .timeout_connect(Some(self.pace.connect))
            // All of the head, which may come byte by byte.
            .timeout_recv_response(Some(self.pace.stall))
            .timeout_per_read(Some(self.pace.stall))
            .timeout_per_write(Some(self.pace.stall))
            .build();
        request.call().map_err(|error| self.explain(error, url, Stage::Answer))
    }

    /// All of a file that is at most `limit` bytes long, if it is there by the deadline. `each`
    /// sees every block as it comes.
    ///
    /// # Errors
    /// [`StoreError`] when it is longer, or can't be had.
    pub(in crate::store) fn get_whole(
        &self,
        url: &str,
        limit: u64,
        deadline: Option<Instant>,
        each: &mut dyn FnMut(&[u8]),
    ) -> Result<Vec<u8>, StoreError> {
        let response = self.get(url, None, deadline)?;
        let fault = |fault| StoreError::Protocol { place: url.into(), fault };
        if let Some(encoding) = super::encoding(&response) {
            return Err(fault(Fault::Encoded(encoding)));
        }
        let announced = response.body().content_length();
        if announced.is_some_and(|len| len > limit) {
            return Err(fault(Fault::TooLong { limit }));
        }
        let mut bytes = Vec::new();
        let mut body = super::body::Reader::new(self, url, response);
        loop {
            let block = body.next_block()?;
            if block.is_empty() {
                break;
            }
            if (bytes.len() + block.len()) as u64 > limit {
                return Err(fault(Fault::TooLong { limit }));
            }
            each(block);
            bytes.extend_from_slice(block);
        }
        match announced {
            Some(want) if want != bytes.len() as u64 => {
                Err(fault(Fault::Short { got: bytes.len() as u64, want }))
            }
            _ => Ok(bytes),
        }
    }

    /// Has so many connections to the server of `url` made for requests to come, while others do something
    /// else. What fails, whoever asks next will hear of.
    pub fn warm(&self, url: &str, connections: usize) {
        for number in 0..connections {
            let (client, url) = (self.clone(), url.to_owned());
            let thread = thread::Builder::new().name(format!("warm-{number}")).stack_size(STACK);
            let started = thread.spawn(move || client.head(&url));
            if let Err(error) = started {
                log::debug!("a connection is made later: {error}");
            }
        }
    }

    /// Asks for the head of `url`, and leaves the connection for the next request.
    pub(super) fn head(&self, url: &str) {
        let agent = self.inner.agent.read().unwrap_or_else(PoisonError::into_inner).clone();
        let request = agent.head(url).config().timeout_global(Some(self.pace.connect)).build();
        if let Err(error) = request.call() {
            log::debug!("{}", self.explain(error, url, Stage::Answer));
        }
    }

    /// Sends `body`. Returns the status of the answer, which is a success.
    ///
    /// # Errors
    /// [`StoreError`] for any other, and when there is none within `time`.
    pub fn post(
        &self,
        url: &str,
        kind: &str,
        body: &[u8],
        time: Duration,
    ) -> Result<u16, StoreError> {
        let agent = self.inner.agent.read().unwrap_or_else(PoisonError::into_inner).clone();
        let request = agent.post(url).header("Content-Type", kind);
        let request = request.config().timeout_global(Some(time)).build();
        let response = request.send(body).map_err(|e| self.explain(e, url, Stage::Answer))?;
        match response.status().as_u16() {
            status @ 200..300 => Ok(status),
            status => Err(self.status(url, url.to_owned(), status)),
        }
    }

    /// What time it is, as the server of `url` has it: seconds since 1970. Of an https server all
    /// is checked but the time at which its certificate is valid.
    ///
    /// # Errors
    /// [`StoreError`] when there is no answer within `time`, or it has no date.
    pub fn date(&self, url: &str, time: Duration) -> Result<i64, StoreError> {
        let fault =
            |why: String| StoreError::Protocol { place: url.into(), fault: Fault::Http(why) };
        let Inner { options, tls, names, .. } = &*self.inner;
        let tls = tls.at_any_time().map_err(|e| fault(e.to_string()))?;
        // Where it leads to does not matter.
        let agent = agent(options, 0, &tls, names);
        let request = agent.head(url).config().timeout_global(Some(time)).build();
        let response = request.call().map_err(|e| self.explain(e, url, Stage::Answer))?;
        let text = super::header(&response, "date").unwrap_or_default();
        date::parse(&text).ok_or_else(|| fault(format!("its Date is \"{text}\"")))
    }

    /// Ends all requests under way. Later ones use new connections.
    pub(super) fn abort(&self) {
        let Inner { options, tls, names, .. } = &*self.inner;
        let fresh = agent(options, options.redirects, tls, names);
        let mut agent = self.inner.agent.write().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *agent, fresh).shutdown();
    }

    /// The library's error in this project's terms.
    pub(super) fn explain(&self, error: ureq::Error, url: &str, stage: Stage) -> StoreError {
        explain(error, url, stage, self, &self.inner.names)
    }
}

fn agent(options: &ClientOptions, redirects: u32, tls: &TlsSetup, names: &Names) -> Agent {
    let config = Agent::config_builder()
        .proxy(None)
        .http_status_as_error(false)
        .user_agent(concat!("zimg/", env!("CARGO_PKG_VERSION")))
        .max_redirects(redirects)
        .max_redirects_will_error(redirects > 0)
        .max_idle_connections(options.connections)
        .max_idle_connections_per_host(options.connections)
        // Requests are short; a node may hold many connections.
        .output_buffer_size(4 << 10)
        .max_idle_age(Duration::from_secs(55))
        .timeout_connect(Some(options.connect_timeout))
        .timeout_per_read(Some(options.stall_timeout))
        .timeout_per_write(Some(options.stall_timeout))
        .build();
    let proxies = options.proxies.clone();
    let via = Via::new(proxies.clone());
    let connector = ().chain(TcpConnector::default()).chain(via).chain(Tls::new(tls.clone()));
    Agent::with_parts(config, connector, FirstHop { names: names.clone(), proxies })
}
