//! The HTTP client all stores share: its connections, timeouts, roots of trust and names.

use std::ops::Range;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use ureq::http::Response;
use ureq::unversioned::transport::{Connector, TcpConnector};
use ureq::{Agent, ResponseExt};

use super::explain::explain;
use super::range;
use super::resolver::Names;
use super::tls::{Tls, TlsSetup};
use crate::store::{Fault, Stage, StoreError, Unreachable};

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
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            ca_pem: Vec::new(),
            connections: 16,
            connect_timeout: Duration::from_secs(10),
            stall_timeout: Duration::from_secs(20),
            redirects: 5,
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
pub struct Client(Arc<Inner>);

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
        let agent = RwLock::new(agent(&options, &tls, &names));
        Ok(Self(Arc::new(Inner { options, tls, names, agent })))
    }

    /// How it works.
    pub fn options(&self) -> &ClientOptions {
        &self.0.options
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
        let mut sent = 1;
        let response = loop {
            match self.send(url, range, deadline) {
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
            status => Err(StoreError::Status { place: place(), status }),
        }
    }

    fn send(
        &self,
        url: &str,
        range: Option<&Range<u64>>,
        deadline: Option<Instant>,
    ) -> Result<Response<ureq::Body>, StoreError> {
        let agent = self.0.agent.read().unwrap_or_else(PoisonError::into_inner).clone();
        let request = agent.get(url).header("Accept-Encoding", "identity");
        let request = match range {
            Some(range) => request.header("Range", range::range(range)),
            None => request,
        };
        let left = deadline.map(|d| d.saturating_duration_since(Instant::now()));
        let request = request.config().timeout_global(left).build();
        request.call().map_err(|error| self.explain(error, url, Stage::Answer))
    }

    /// All of a file that is at most `limit` bytes long, if it is there by the deadline.
    ///
    /// # Errors
    /// [`StoreError`] when it is longer, or can't be had.
    pub(in crate::store) fn get_whole(
        &self,
        url: &str,
        limit: u64,
        deadline: Option<Instant>,
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
        while body.read_some(&mut bytes)? {
            if bytes.len() as u64 > limit {
                return Err(fault(Fault::TooLong { limit }));
            }
        }
        match announced {
            Some(want) if want != bytes.len() as u64 => {
                Err(fault(Fault::Short { got: bytes.len() as u64, want }))
            }
            _ => Ok(bytes),
        }
    }

    /// Ends all requests under way. Later ones use new connections.
    pub(super) fn abort(&self) {
        let fresh = agent(&self.0.options, &self.0.tls, &self.0.names);
        let mut agent = self.0.agent.write().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *agent, fresh).shutdown();
    }

    /// The library's error in this project's terms.
    pub(super) fn explain(&self, error: ureq::Error, url: &str, stage: Stage) -> StoreError {
        explain(error, url, stage, &self.0.options, &self.0.names)
    }
}

fn agent(options: &ClientOptions, tls: &TlsSetup, names: &Names) -> Agent {
    let config = Agent::config_builder()
        .proxy(None)
        .http_status_as_error(false)
        .user_agent(concat!("zimg/", env!("CARGO_PKG_VERSION")))
        .max_redirects(options.redirects)
        .max_idle_connections(options.connections)
        .max_idle_connections_per_host(options.connections)
        // Requests are short; a node may hold many connections.
        .output_buffer_size(4 << 10)
        .max_idle_age(Duration::from_secs(55))
        .timeout_connect(Some(options.connect_timeout))
        .timeout_per_read(Some(options.stall_timeout))
        .timeout_per_write(Some(options.stall_timeout))
        .build();
    let connector = ().chain(TcpConnector::default()).chain(Tls::new(tls.clone()));
    Agent::with_parts(config, connector, names.clone())
}
