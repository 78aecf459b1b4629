//! Where to listen, from what the user wrote, and under which URLs that can be reached.

use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs};

use anyhow::Context;
use nix::net::if_::InterfaceFlags;

use crate::exit::Usage;

const DEFAULT_PORT: u16 = 8080;

/// `HOST:PORT` of `listen`, in which either part may be missing.
fn complete(listen: &str) -> String {
    let bare_v6 = listen.parse::<Ipv6Addr>().is_ok();
    if bare_v6 {
        format!("[{listen}]:{DEFAULT_PORT}")
    } else if listen.starts_with(':') {
        format!("[::]{listen}")
    } else if listen.ends_with(']') || !listen.contains(':') {
        format!("{listen}:{DEFAULT_PORT}")
    } else {
        listen.to_owned()
    }
}

/// Listens where the user said.
pub(super) fn bind(listen: &str) -> anyhow::Result<TcpListener> {
    let address = complete(listen);
    let help = |error: &io::Error| match error.kind() {
        io::ErrorKind::AddrInUse => {
            "another program has that port; choose another, or port 0 for a free one, with --listen"
        }
        io::ErrorKind::AddrNotAvailable => {
            "no interface of this machine has that address; see `ip address`, or listen on 0.0.0.0"
        }
        io::ErrorKind::PermissionDenied => {
            "ports below 1024 are for root; choose one above with --listen"
        }
        _ => "check address and network",
    };
    // What is no address is told from one that can't be had.
    let addresses: Vec<SocketAddr> = address
        .to_socket_addrs()
        .map_err(|error| Usage(format!("serve: --listen {listen}: wants ADDRESS:PORT ({error})")))?
        .collect();
    TcpListener::bind(addresses.as_slice())
        .map_err(|error| {
            let help = help(&error);
            anyhow::Error::new(error).context(help)
        })
        .with_context(|| format!("cannot listen on {address}"))
}

/// The addresses under which a listener on `local` can be reached, those that other
/// machines reach first; at least one.
pub(super) fn reachable(local: SocketAddr) -> anyhow::Result<Vec<SocketAddr>> {
    if !local.ip().is_unspecified() {
        return Ok(vec![local]);
    }
    let interfaces = nix::ifaddrs::getifaddrs().context("cannot list this machine's addresses")?;
    let mut addresses: Vec<IpAddr> = interfaces
        .filter(|interface| interface.flags.contains(InterfaceFlags::IFF_UP))
        .filter_map(|interface| {
            let address = interface.address?;
            let v4 = address.as_sockaddr_in().map(|a| IpAddr::V4(a.ip()));
            v4.or_else(|| address.as_sockaddr_in6().map(|a| IpAddr::V6(a.ip())))
        })
        .filter(|ip| usable(*ip, local.ip()))
        .collect();
    addresses.sort_by_key(|ip| (ip.is_loopback(), ip.is_ipv6(), *ip));
    addresses.dedup();
    if addresses.is_empty() {
        addresses.push(local.ip());
    }
    Ok(addresses.into_iter().map(|ip| SocketAddr::new(ip, local.port())).collect())
}

/// Does a listener on `wildcard` hear `ip`, and can a URL name it? (Link-local ones need a zone.)
fn usable(ip: IpAddr, wildcard: IpAddr) -> bool {
    match ip {
        IpAddr::V4(_) => true,
        IpAddr::V6(v6) => wildcard.is_ipv6() && !v6.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_parts_are_filled_in() {
        for (listen, address) in [
            ("127.0.0.1:8080", "127.0.0.1:8080"),
            ("0.0.0.0", "0.0.0.0:8080"),
            ("localhost", "localhost:8080"),
            (":80", "[::]:80"),
            ("::1", "[::1]:8080"),
            ("[::1]", "[::1]:8080"),
            ("[::1]:80", "[::1]:80"),
        ] {
            assert_eq!(complete(listen), address, "{listen}");
        }
    }

    #[test]
    fn a_wildcard_is_every_address() {
        let all = reachable("0.0.0.0:7".parse().unwrap()).unwrap();
        assert!(all.contains(&"127.0.0.1:7".parse().unwrap()), "{all:?}");
        assert!(all.iter().all(|a| a.is_ipv4() && !a.ip().is_unspecified()));
        let one = "127.0.0.1:7".parse().unwrap();
        assert_eq!(reachable(one).unwrap(), [one]);
    }
}
