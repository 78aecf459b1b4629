//! What goes wrong with a store, by what the caller does next: look elsewhere, wait, or set the
//! server right. Facts stay apart from words, so that a failure screen can show each.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// Why a store did not give what was asked of it.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{} ({})", self.fact(), self.advice())]
pub enum StoreError {
    /// The store answers, and does not have it.
    Missing {
        /// The URL or file asked for.
        place: String,
        /// The HTTP status, if it is a server that says so.
        status: Option<u16>,
    },
    /// The store can't be asked.
    Unreachable {
        /// The URL asked for.
        place: String,
        /// The addresses its host's name has, as far as that is known.
        addresses: Vec<IpAddr>,
        /// What hinders.
        cause: Unreachable,
    },
    /// The server answers with a status that is neither success nor "not there".
    Status {
        /// The URL asked for.
        place: String,
        /// The HTTP status.
        status: u16,
    },
    /// The server answers with something else than what was asked for.
    Protocol {
        /// The URL asked for.
        place: String,
        /// What is wrong with the answer.
        fault: Fault,
    },
    /// The local file can't be read.
    Io {
        /// The file.
        place: String,
        /// The system's error.
        #[source]
        source: Arc<io::Error>,
    },
}

/// Why a server can't be reached.
#[derive(Debug, Clone)]
pub enum Unreachable {
    /// The host's name has no address.
    Name {
        /// The name.
        host: String,
        /// What the resolver says.
        answer: String,
        /// Whether it says that there is no such name, rather than that it can't tell.
        definite: bool,
    },
    /// The host refuses connections to the port.
    Refused,
    /// The network knows no way to the host.
    NoRoute(String),
    /// The server is silent for too long.
    TimedOut {
        /// What was waited for.
        stage: Stage,
        /// For how long.
        after: Duration,
    },
    /// The connection broke.
    Dropped(String),
    /// TLS fails.
    Tls {
        /// What the TLS library says.
        reason: String,
        /// Whether it is about the validity period, so perhaps about this machine's clock.
        clock: bool,
    },
    /// The proxy on the way does not do its part.
    Proxy {
        /// Which: `http://HOST:PORT`.
        proxy: String,
        /// What is wrong with it.
        fault: ProxyFault,
    },
    /// This side has ended the connection.
    Shutdown,
}

/// What is wrong with a proxy.
#[derive(Debug, Clone)]
pub enum ProxyFault {
    /// It can't be reached itself.
    Away(Box<Unreachable>),
    /// It answers in the server's place, with this HTTP status.
    Status(u16),
    /// It is no proxy.
    NotOne(String),
}

/// What a client waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The connection, TLS included.
    Connect,
    /// The answer to a request.
    Answer,
    /// More of the body.
    Body,
}

/// What is wrong with an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Another file, such as a web page: its length or range is not that of the file wanted.
    OtherContent {
        /// Its `Content-Type`.
        kind: String,
        /// What differs.
        why: String,
    },
    /// The body ends early.
    Short {
        /// Bytes that came.
        got: u64,
        /// Bytes announced.
        want: u64,
    },
    /// The body is compressed or encoded although that was not asked for.
    Encoded(String),
    /// The file is longer than allowed.
    TooLong {
        /// The most that is taken.
        limit: u64,
    },
    /// More redirects than allowed.
    Redirects,
    /// A redirect to where this client does not go.
    RedirectTo(String),
    /// Not HTTP, or broken HTTP.
    Http(String),
}

impl StoreError {
    /// The URL or file asked for.
    pub fn place(&self) -> &str {
        match self {
            Self::Missing { place, .. }
            | Self::Unreachable { place, .. }
            | Self::Status { place, .. }
            | Self::Protocol { place, .. }
            | Self::Io { place, .. } => place,
        }
    }

    /// What happened, in one clause, without what to do about it.
    pub fn fact(&self) -> String {
        match self {
            Self::Missing { place, status: Some(status) } => {
                format!("{place} is not there: HTTP status {status}")
            }
            Self::Missing { place, status: None } => format!("{place} is not there"),
            Self::Unreachable { place, addresses, cause } => {
                let at: Vec<_> = addresses.iter().map(ToString::to_string).collect();
                let at = if at.is_empty() { at.join("") } else { format!(" at {}", at.join(", ")) };
                format!("{place} can't be reached{at}: {cause}")
            }
            Self::Status { place, status } => format!("{place}: the server says HTTP {status}"),
            Self::Protocol { place, fault } => format!("{place}: {fault}"),
            Self::Io { place, source } => format!("{place}: {source}"),
        }
    }

    /// What to do about it, in one clause.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Missing { status: Some(410 | 404), .. } => {
                "check the URL, and that packs/ was published beside the flist"
            }
            Self::Missing { .. } => "check the path, and that packs/ lies beside the flist",
            Self::Unreachable { cause, .. } => cause.advice(),
            Self::Status { status: 401 | 403, .. } => "the server must allow reading it",
            Self::Status { status: 407, .. } => "a proxy wants a password",
            Self::Status { status: 429, .. } => "the server is asked too often",
            Self::Status { status: 500.., .. } => "look into the server's log",
            Self::Status { .. } => "check the URL and the server's configuration",
            Self::Protocol { fault, .. } => fault.advice(),
            Self::Io { .. } => "check the file and the permissions",
        }
    }

    /// Whether asking again later may well go better without anybody's doing: a network or a
    /// server that is away or overloaded, rather than one that is set up wrong.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable { cause: Unreachable::Tls { clock, .. }, .. } => *clock,
            Self::Unreachable { cause: Unreachable::Shutdown, .. } => false,
            Self::Unreachable {
                cause: Unreachable::Proxy { fault: ProxyFault::Status(status), .. },
                ..
            } => passing(*status),
            Self::Unreachable { .. } => true,
            Self::Status { status, .. } => passing(*status),
            Self::Protocol { fault, .. } => matches!(fault, Fault::Short { .. } | Fault::Http(_)),
            Self::Missing { .. } | Self::Io { .. } => false,
        }
    }
}

/// Whether a status speaks of a moment rather than of the request.
fn passing(status: u16) -> bool {
    matches!(status, 408 | 425 | 429 | 500..)
}

impl Unreachable {
    fn advice(&self) -> &'static str {
        match self {
            Self::Name { .. } => "check the name in the URL, and the DNS servers",
            Self::Refused => "check the port, and that the server runs",
            Self::NoRoute(_) => "check address, gateway and cabling",
            Self::TimedOut { .. } | Self::Dropped(_) => {
                "check the server, and what lies between, such as a firewall"
            }
            Self::Tls { clock: true, .. } => "check this machine's clock, and the certificate",
            Self::Tls { clock: false, .. } => {
                "check the server's certificate; a private CA has to be given to this program"
            }
            Self::Proxy { fault, .. } => fault.advice(),
            Self::Shutdown => "the program is ending",
        }
    }
}

impl fmt::Display for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name { host, answer, .. } => {
                write!(f, "the name {host} has no address: {answer}")
            }
            Self::Refused => f.write_str("connection refused"),
            Self::NoRoute(reason) => write!(f, "no route to the host: {reason}"),
            Self::TimedOut { stage, after } => write!(f, "no {stage} within {after:?}"),
            Self::Dropped(reason) => write!(f, "the connection broke: {reason}"),
            Self::Tls { reason, .. } => write!(f, "TLS: {reason}"),
            Self::Proxy { proxy, fault: ProxyFault::Away(cause) } => {
                write!(f, "the proxy {proxy}: {cause}")
            }
            Self::Proxy { proxy, fault: ProxyFault::Status(status) } => {
                write!(f, "the proxy {proxy} answers HTTP status {status}{}", meaning(*status))
            }
            Self::Proxy { proxy, fault: ProxyFault::NotOne(why) } => {
                write!(f, "the proxy {proxy} is none: {why}")
            }
            Self::Shutdown => f.write_str("the connection was closed by this program"),
        }
    }
}

/// What a proxy means by a status.
fn meaning(status: u16) -> &'static str {
    match status {
        407 => ": it wants a user and a password",
        403 => ": it does not allow this server or port",
        502..=504 => ": it does not reach the server, or the server is not well",
        _ => "",
    }
}

impl ProxyFault {
    fn advice(&self) -> &'static str {
        match self {
            Self::Away(_) => "check the proxy's address and port, and that it runs",
            Self::Status(407) => "give the proxy as http://USER:PASSWORD@HOST:PORT",
            Self::Status(502..=504) => "look into the proxy's log, and the server's",
            Self::Status(_) => "check the proxy's rules for this server and port",
            Self::NotOne(_) => "check that an HTTP proxy listens at this address and port",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "connection",
            Self::Answer => "answer",
            Self::Body => "further byte",
        })
    }
}

impl Fault {
    fn advice(&self) -> &'static str {
        match self {
            Self::OtherContent { .. } => "the URL leads elsewhere: check it, and the server",
            Self::Short { .. } => "the server or a proxy cuts it off",
            Self::Encoded(_) => "the server must send the file as it is",
            Self::TooLong { .. } => "the URL leads elsewhere: check it",
            Self::Redirects | Self::RedirectTo(_) => "check where the server redirects to",
            Self::Http(_) => "check that an HTTP server listens at this URL",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherContent { kind, why } if kind.contains("html") => {
                write!(f, "the server sends a web page instead of the file: {why}")
            }
            Self::OtherContent { kind, why } if kind.is_empty() => {
                write!(f, "the server sends something else: {why}")
            }
            Self::OtherContent { kind, why } => {
                write!(f, "the server sends something else ({kind}): {why}")
            }
            Self::Short { got, want } => {
                write!(f, "the answer ends after {got} of {want} bytes")
            }
            Self::Encoded(how) => write!(f, "the server sends the file encoded as {how}"),
            Self::TooLong { limit } => write!(f, "longer than the {limit} bytes allowed"),
            Self::Redirects => f.write_str("too many redirects"),
            Self::RedirectTo(why) => write!(f, "a redirect to what is no web server: {why}"),
            Self::Http(reason) => write!(f, "not understood: {reason}"),
        }
    }
}
