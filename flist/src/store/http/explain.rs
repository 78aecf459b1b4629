//! The HTTP library's errors in this project's terms.

use std::io::ErrorKind;

use rustls::pki_types::UnixTime;
use ureq::{Error, Timeout};

use super::client::{Client, ClientOptions, Pace};
use super::resolver::{Names, NoSuchName};
use super::via::NoTunnel;
use crate::date;
use crate::store::{Fault, ProxyFault, Stage, StoreError, Unreachable};

/// What `error` means for a request for `url` that was waiting for `stage`.
pub(super) fn explain(
    error: Error,
    url: &str,
    stage: Stage,
    client: &Client,
    names: &Names,
) -> StoreError {
    let options = client.options();
    let place = url.to_owned();
    let at_the_door = matches!(error, Error::Timeout(Timeout::Connect | Timeout::Resolve));
    let cause = match error {
        Error::Timeout(timeout) => timed_out(timeout, stage, client.pace()),
        Error::Io(io) => match from_io(io, stage, client.pace()) {
            Ok(cause) => cause,
            Err(fault) => return StoreError::Protocol { place, fault },
        },
        Error::Other(other) => match other.downcast::<NoSuchName>() {
            Ok(name) => {
                let definite = name.is_definite();
                Unreachable::Name { host: name.host, answer: name.answer, definite }
            }
            Err(other) => match other.downcast::<NoTunnel>() {
                Ok(refused) => by_proxy(&refused, url, options),
                Err(other) => {
                    return StoreError::Protocol { place, fault: Fault::Http(other.to_string()) };
                }
            },
        },
        Error::Rustls(error) => tls(&error),
        Error::TooManyRedirects | Error::RedirectFailed => {
            return StoreError::Protocol { place, fault: Fault::Redirects };
        }
        // The URL asked for is one of a scheme that is known.
        Error::BadUri(why) => {
            return StoreError::Protocol { place, fault: Fault::RedirectTo(why) };
        }
        other => return StoreError::Protocol { place, fault: Fault::Http(other.to_string()) },
    };
    let away = at_the_door
        || matches!(
            cause,
            Unreachable::Refused | Unreachable::NoRoute(_) | Unreachable::Name { .. }
        );
    let cause = match options.proxies.of_url(url) {
        Some(proxy) if away => {
            let fault = ProxyFault::Away(Box::new(cause));
            Unreachable::Proxy { proxy: proxy.to_string(), fault }
        }
        _ => cause,
    };
    StoreError::Unreachable { place, addresses: names.known(url), cause }
}

fn by_proxy(refused: &NoTunnel, url: &str, options: &ClientOptions) -> Unreachable {
    let proxy = options.proxies.of_url(url).map(ToString::to_string).unwrap_or_default();
    let fault = match refused {
        NoTunnel::Status(status) => ProxyFault::Status(*status),
        NoTunnel::NotAProxy(why) => ProxyFault::NotOne((*why).to_owned()),
    };
    Unreachable::Proxy { proxy, fault }
}

fn timed_out(timeout: Timeout, stage: Stage, pace: &Pace) -> Unreachable {
    match timeout {
        Timeout::Connect | Timeout::Resolve => {
            Unreachable::TimedOut { stage: Stage::Connect, after: pace.connect }
        }
        _ => Unreachable::TimedOut { stage, after: pace.stall },
    }
}

fn from_io(error: std::io::Error, stage: Stage, pace: &Pace) -> Result<Unreachable, Fault> {
    if let Some(error) = error.get_ref().and_then(|e| e.downcast_ref::<rustls::Error>()) {
        return Ok(tls(error));
    }
    Ok(match error.kind() {
        ErrorKind::ConnectionRefused => Unreachable::Refused,
        ErrorKind::HostUnreachable
        | ErrorKind::NetworkUnreachable
        | ErrorKind::NetworkDown
        | ErrorKind::AddrNotAvailable => Unreachable::NoRoute(error.to_string()),
        ErrorKind::TimedOut | ErrorKind::WouldBlock => {
            Unreachable::TimedOut { stage, after: pace.stall }
        }
        ErrorKind::NotConnected => Unreachable::Shutdown,
        ErrorKind::InvalidData | ErrorKind::InvalidInput => {
            return Err(Fault::Http(error.to_string()));
        }
        _ => Unreachable::Dropped(error.to_string()),
    })
}

fn tls(error: &rustls::Error) -> Unreachable {
    use rustls::CertificateError as Certificate;
    let rustls::Error::InvalidCertificate(certificate) = error else {
        return Unreachable::Tls { reason: error.to_string(), clock: false };
    };
    let text = |time: &UnixTime| date::text(i64::try_from(time.as_secs()).unwrap_or(i64::MAX));
    match certificate {
        Certificate::NotValidYetContext { time, not_before } => Unreachable::Tls {
            reason: format!(
                "the server's certificate is not valid before {}, and this machine's clock says {}",
                text(not_before),
                text(time)
            ),
            clock: true,
        },
        Certificate::ExpiredContext { time, not_after } => Unreachable::Tls {
            reason: format!(
                "the server's certificate was valid until {}, and this machine's clock says {}",
                text(not_after),
                text(time)
            ),
            clock: true,
        },
        certificate => {
            let clock = matches!(certificate, Certificate::Expired | Certificate::NotValidYet);
            Unreachable::Tls { reason: error.to_string(), clock }
        }
    }
}
