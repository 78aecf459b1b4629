//! The HTTP library's errors in this project's terms.

use std::io::ErrorKind;

use ureq::{Error, Timeout};

use super::client::ClientOptions;
use super::resolver::{Names, NoSuchName};
use crate::store::{Fault, Stage, StoreError, Unreachable};

/// What `error` means for a request for `url` that was waiting for `stage`.
pub(super) fn explain(
    error: Error,
    url: &str,
    stage: Stage,
    options: &ClientOptions,
    names: &Names,
) -> StoreError {
    let place = url.to_owned();
    let cause = match error {
        Error::Timeout(timeout) => timed_out(timeout, stage, options),
        Error::Io(io) => match from_io(io, stage, options) {
            Ok(cause) => cause,
            Err(fault) => return StoreError::Protocol { place, fault },
        },
        Error::Other(other) => match other.downcast::<NoSuchName>() {
            Ok(name) => {
                let definite = name.is_definite();
                Unreachable::Name { host: name.host, answer: name.answer, definite }
            }
            Err(other) => {
                return StoreError::Protocol { place, fault: Fault::Http(other.to_string()) };
            }
        },
        Error::Rustls(error) => tls(&error),
        Error::TooManyRedirects | Error::RedirectFailed => {
            return StoreError::Protocol { place, fault: Fault::Redirects };
        }
        other => return StoreError::Protocol { place, fault: Fault::Http(other.to_string()) },
    };
    StoreError::Unreachable { place, addresses: names.known(url), cause }
}

fn timed_out(timeout: Timeout, stage: Stage, options: &ClientOptions) -> Unreachable {
    match timeout {
        Timeout::Connect | Timeout::Resolve => {
            Unreachable::TimedOut { stage: Stage::Connect, after: options.connect_timeout }
        }
        _ => Unreachable::TimedOut { stage, after: options.stall_timeout },
    }
}

fn from_io(
    error: std::io::Error,
    stage: Stage,
    options: &ClientOptions,
) -> Result<Unreachable, Fault> {
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
            Unreachable::TimedOut { stage, after: options.stall_timeout }
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
    let clock = matches!(
        error,
        rustls::Error::InvalidCertificate(
            Certificate::Expired
                | Certificate::ExpiredContext { .. }
                | Certificate::NotValidYet
                | Certificate::NotValidYetContext { .. }
        )
    );
    Unreachable::Tls { reason: error.to_string(), clock }
}
