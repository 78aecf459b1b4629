//! What stands between a node and its server: a front that speaks TLS, and an HTTP proxy. Both are
//! for what this project's stores ask: requests without bodies, answers with a Content-Length.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// The longest head of a request or an answer.
const HEAD_MAX: u64 = 64 << 10;

/// When a certificate is valid: from and until, as time from now; earlier where negative.
#[derive(Debug, Clone, Copy)]
pub struct Validity {
    /// Days from now on which it begins to be.
    pub from_day: i64,
    /// Days from now on which it ends.
    pub until_day: i64,
}

/// A CA of one's own.
pub struct Ca(CertifiedIssuer<'static, KeyPair>);

impl Ca {
    /// Makes one; it is valid from 1975 to 4096.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn new() -> anyhow::Result<Self> {
        let mut params = CertificateParams::new([])?;
        params.distinguished_name.push(DnType::CommonName, "a CA of zimg's tests");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Ok(Self(CertifiedIssuer::self_signed(params, KeyPair::generate()?)?))
    }

    /// Its certificate in PEM.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// What the server of `name` shows, and its key.
    fn server(&self, name: &str, validity: Validity) -> anyhow::Result<Arc<ServerConfig>> {
        let mut params = CertificateParams::new([name.to_owned()])?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
        let day = |days: i64| -> anyhow::Result<_> {
            let since = now.as_secs().checked_add_signed(days * 86_400);
            let since = Duration::from_secs(since.unwrap_or_default());
            Ok(rcgen::date_time_ymd(1970, 1, 1) + since)
        };
        params.not_before = day(validity.from_day)?;
        params.not_after = day(validity.until_day)?;
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.0)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider);
        let builder = builder.with_safe_default_protocol_versions()?.with_no_client_auth();
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        Ok(Arc::new(builder.with_single_cert(vec![certificate.der().clone()], key)?))
    }

    /// Serves at `address`, as `name`, what the HTTP server at `backend` serves. Ends with the
    /// process.
    ///
    /// # Errors
    /// When there is no listening there.
    pub fn front(
        &self,
        address: &str,
        name: &str,
        validity: Validity,
        backend: SocketAddr,
    ) -> anyhow::Result<()> {
        let config = self.server(name, validity)?;
        let listener = TcpListener::bind(address)?;
        serve(listener, move |client| {
            let connection =
                ServerConnection::new(Arc::clone(&config)).map_err(io::Error::other)?;
            let mut client = BufReader::new(StreamOwned::new(connection, client));
            let mut backend = BufReader::new(TcpStream::connect(backend)?);
            while let Some(head) = read_head(&mut client)? {
                backend.get_mut().write_all(head.as_bytes())?;
                answer(&mut backend, client.get_mut(), &head)?;
            }
            Ok(())
        });
        Ok(())
    }
}

fn serve(
    listener: TcpListener,
    converse: impl Fn(TcpStream) -> io::Result<()> + Send + Sync + 'static,
) {
    let converse = Arc::new(converse);
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let converse = Arc::clone(&converse);
            // An error is a client that has gone, or did not like what it was shown.
            thread::spawn(move || converse(client));
        }
    });
}

/// A head up to and with its empty line; `None` where the client has closed the connection.
fn read_head(from: &mut impl BufRead) -> io::Result<Option<String>> {
    let (mut head, mut from) = (String::new(), from.take(HEAD_MAX));
    while !head.ends_with("\r\n\r\n") {
        if from.read_line(&mut head)? == 0 {
            return Ok(None);
        }
    }
    Ok(Some(head))
}

/// Passes one answer on; `head` is the request it is to.
fn answer(from: &mut impl BufRead, to: &mut impl Write, head: &str) -> io::Result<()> {
    let closed = || io::Error::from(io::ErrorKind::UnexpectedEof);
    let told = read_head(from)?.ok_or_else(closed)?;
    to.write_all(told.as_bytes())?;
    let length = told.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<u64>().ok())?
    });
    let length = if head.starts_with("HEAD ") { 0 } else { length.unwrap_or(0) };
    io::copy(&mut from.take(length), to)?;
    to.flush()
}

/// A proxy that takes every name for this machine, so that only who goes through it finds the way.
pub struct Proxy {
    asked: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    /// Starts it at `address`; `authorization` is the `Proxy-Authorization` it wants, if any. Ends
    /// with the process.
    ///
    /// # Errors
    /// When there is no listening there.
    pub fn start(address: &str, authorization: Option<&str>) -> anyhow::Result<Self> {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (seen, wanted) = (Arc::clone(&asked), authorization.map(str::to_owned));
        serve(TcpListener::bind(address)?, move |client| {
            let mut reader = BufReader::new(client.try_clone()?);
            while let Some(head) = read_head(&mut reader)? {
                let line = head.lines().next().unwrap_or_default().to_owned();
                seen.lock().unwrap_or_else(PoisonError::into_inner).push(line.clone());
                let value =
                    |line: &str| line.strip_prefix("Proxy-Authorization: ").map(str::to_owned);
                if head.lines().find_map(value) != wanted {
                    let refusal = "HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n";
                    (&client).write_all(refusal.as_bytes())?;
                } else if let Some(target) = line.strip_prefix("CONNECT ") {
                    return tunnel(client, reader, here(target)?);
                } else {
                    pass_on(&client, &head)?;
                }
            }
            Ok(())
        });
        Ok(Self { asked })
    }

    /// The first lines of the requests so far.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The port of `HOST:PORT ...` on this machine.
fn here(target: &str) -> io::Result<SocketAddr> {
    let port = target.split([' ', '/']).next().and_then(|host| host.rsplit_once(':'));
    let port = port.and_then(|(_, port)| port.parse().ok());
    let port = port.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    Ok(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port))
}

fn tunnel(mut client: TcpStream, mut from: impl Read, to: SocketAddr) -> io::Result<()> {
    let mut server = TcpStream::connect(to)?;
    let mut back = server.try_clone()?;
    client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
    thread::spawn(move || io::copy(&mut back, &mut client));
    io::copy(&mut from, &mut server).map(|_| ())
}

/// Asks the server of a request for a whole URL, on a connection of its own.
fn pass_on(client: &TcpStream, head: &str) -> io::Result<()> {
    let bad = || io::Error::from(io::ErrorKind::InvalidInput);
    let (_, rest) = head.split_once(" http://").ok_or_else(bad)?;
    let (host, path) = rest.split_once('/').ok_or_else(bad)?;
    let method = head.split(' ').next().unwrap_or_default();
    let mut server = BufReader::new(TcpStream::connect(here(host)?)?);
    server.get_mut().write_all(format!("{method} /{path}").as_bytes())?;
    answer(&mut server, &mut &*client, head)
}
