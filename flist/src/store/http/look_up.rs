//! Host names to addresses, by the system's resolver, whatever the name server makes of IPv6.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::atomic::{AtomicBool, Ordering};

use dns_lookup::{AddrInfoHints, getaddrinfo};
use rustix::net::{AddressFamily, SocketType};

/// Whether this network's name servers answer only questions for one kind of address at a time. Known
/// from the first name that showed it.
static APART: AtomicBool = AtomicBool::new(false);

/// The addresses of a host, given as `name:port`. Takes as long as the resolver waits for an answer:
/// five seconds with musl, three times that where no server answers.
///
/// # Errors
/// The resolver's, in its words.
pub fn look_up(host: &str) -> io::Result<Vec<SocketAddr>> {
    by_kinds(&APART, || host.to_socket_addrs().map(Iterator::collect), |kind| of_kind(host, kind))
}

/// Asks for both kinds of address in one, and where nobody answers that, for each by itself.
///
/// Some name servers refuse what they hold nothing of, or know not (RFC 1035, RCODE 5 and 4), most
/// often questions for IPv6. musl takes that for silence, and is silent itself about the other kind.
fn by_kinds(
    apart: &AtomicBool,
    both: impl FnOnce() -> io::Result<Vec<SocketAddr>>,
    one: impl Fn(AddressFamily) -> io::Result<Vec<SocketAddr>>,
) -> io::Result<Vec<SocketAddr>> {
    let each = || {
        let kinds = [AddressFamily::INET, AddressFamily::INET6];
        kinds.into_iter().filter_map(|kind| one(kind).ok()).find(|found| !found.is_empty())
    };
    if apart.load(Ordering::Relaxed) {
        // The error of both is the one to tell.
        return each().map_or_else(both, Ok);
    }
    match both() {
        Err(error) if is_silence(&error) => match each() {
            Some(found) => {
                apart.store(true, Ordering::Relaxed);
                Ok(found)
            }
            None => Err(error),
        },
        answered => answered,
    }
}

/// Whether no name server answered, in the words of musl or glibc: the standard library has no others.
pub(super) fn is_silence(error: &io::Error) -> bool {
    let text = error.to_string();
    ["Try again", "Temporary failure in name resolution"].iter().any(|words| text.contains(words))
}

fn of_kind(host: &str, kind: AddressFamily) -> io::Result<Vec<SocketAddr>> {
    let (name, port) = host.rsplit_once(':').unwrap_or((host, "0"));
    let port = port.parse().map_err(io::Error::other)?;
    let hints = AddrInfoHints {
        address: kind.as_raw().into(),
        socktype: i32::try_from(SocketType::STREAM.as_raw()).map_err(io::Error::other)?,
        ..AddrInfoHints::default()
    };
    let found = getaddrinfo(Some(name), None, Some(hints))?;
    found.map(|info| Ok(SocketAddr::new(info?.sockaddr.ip(), port))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SILENCE: &str = "failed to lookup address information: Try again";

    fn address() -> SocketAddr {
        "192.0.2.1:80".parse().unwrap()
    }

    /// A name server that answers only what is asked for IPv4 alone.
    fn four_alone(kind: AddressFamily) -> io::Result<Vec<SocketAddr>> {
        if kind == AddressFamily::INET {
            Ok(vec![address()])
        } else {
            Err(io::Error::other(SILENCE))
        }
    }

    #[test]
    fn a_name_server_that_refuses_one_kind_is_asked_for_each_from_then_on() {
        let apart = AtomicBool::new(false);
        let silent = || Err(io::Error::other(SILENCE));
        assert_eq!(by_kinds(&apart, silent, four_alone).unwrap(), [address()]);
        assert_eq!(by_kinds(&apart, || panic!("it is known"), four_alone).unwrap(), [address()]);
    }

    #[test]
    fn others_are_asked_once() {
        let apart = AtomicBool::new(false);
        let both = || Ok(vec![address()]);
        assert_eq!(by_kinds(&apart, both, |_| panic!("it answered")).unwrap(), [address()]);
        let none = || Err(io::Error::other("Name does not resolve"));
        assert!(by_kinds(&apart, none, |_| panic!("that is an answer")).is_err());
        let silent = || Err(io::Error::other(SILENCE));
        let error = by_kinds(&apart, silent, |_| silent()).unwrap_err();
        assert_eq!(error.to_string(), SILENCE);
        assert!(!apart.load(Ordering::Relaxed));
    }

    #[test]
    fn one_kind_by_the_systems_resolver() {
        let found = of_kind("localhost:8080", AddressFamily::INET).unwrap();
        assert_eq!(found, ["127.0.0.1:8080".parse().unwrap()]);
    }
}
