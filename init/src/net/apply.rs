//! From what was granted or said to what the kernel is told: address, routes, MTU.

use std::net::{IpAddr, Ipv4Addr};

use rustix::io::Errno;

use super::arp;
use super::netlink::Netlink;
use super::netlink::routes::{IpNet, Origin, Terms};
use super::socket::PacketSocket;
use super::spec::Method;
use super::{Address, Log, Route, Six, Up};

/// What the kernel refused, and how.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {error}")]
pub(super) struct Refused {
    pub(super) what: String,
    pub(super) error: Errno,
}

impl Up {
    /// The node's addresses as the kernel takes them, the link's own among them.
    pub(super) fn nets(&self) -> impl Iterator<Item = IpNet> {
        let own = self.six.iter().map(|six| Address { ip: six.link_local.into(), prefix: 64 });
        own.chain(self.addresses.iter().copied()).map(|Address { ip, prefix }| {
            let broadcast = match ip {
                IpAddr::V4(ip) => self.broadcast(ip, prefix),
                IpAddr::V6(_) => None,
            };
            let deprecated = self.six.as_ref().is_some_and(|six| six.is_deprecated(ip));
            IpNet { address: ip, prefix, broadcast, deprecated }
        })
    }

    fn broadcast(&self, address: Ipv4Addr, prefix: u8) -> Option<Ipv4Addr> {
        let given = self.lease.as_ref().and_then(|lease| lease.broadcast);
        let host_bits = u32::MAX.checked_shr(prefix.into()).unwrap_or(0);
        let computed = Ipv4Addr::from(u32::from(address) | host_bits);
        // A network of one or two addresses has none to spare.
        given.or(Some(computed).filter(|_| prefix < 31))
    }

    /// On what terms `route` is set.
    fn terms(&self, route: Route) -> Terms {
        let is_four = route.network.is_ipv4();
        let origin = match self.method {
            Method::Static { .. } => Origin::Static,
            _ if is_four => Origin::Dhcp,
            _ => Origin::Router,
        };
        // IPv6 has several addresses, and rules of its own for which to take.
        let source = self.ipv4().filter(|_| is_four);
        let mtu = self.six.as_ref().and_then(Six::mtu).filter(|mtu| *mtu < self.mtu);
        Terms { origin, source, mtu: mtu.filter(|_| !is_four) }
    }
}

/// Gives the link the addresses, routes and MTU of `up`. `link_mtu` is the one it has. An MTU, a
/// side route or what is of IPv6 beside IPv4 that the kernel refuses is told to `log`; the node can
/// live without. Gives the MTU
/// that the link has now.
pub(super) fn apply(
    netlink: &mut Netlink,
    up: &Up,
    link_mtu: u32,
    log: Log<'_>,
) -> Result<u32, Refused> {
    let name = &up.interface;
    let mut mtu = link_mtu;
    if up.mtu != link_mtu {
        match netlink.set_mtu(up.index, up.mtu) {
            Ok(()) => mtu = up.mtu,
            Err(error) => {
                log(&format!("{name}: MTU {} refused: {error}; it stays {mtu}", up.mtu));
            }
        }
    }
    let is_optional = |ip: IpAddr| ip.is_ipv6() && up.ipv4().is_some();
    for net in up.nets() {
        let what = || format!("giving {name} the address {}/{}", net.address, net.prefix);
        match netlink.add_address(up.index, net) {
            Ok(()) => {}
            Err(error) if is_optional(net.address) => log(&format!("{}: {error}", what())),
            Err(error) => return Err(Refused { what: what(), error }),
        }
    }
    // Networks on the link first: gateways may lie in them.
    let (on_link, via): (Vec<Route>, Vec<Route>) =
        up.routes.iter().partition(|route| route.gateway.is_none());
    for route in on_link.into_iter().chain(via) {
        let result = netlink.add_route(up.index, route, up.terms(route));
        let what = || format!("routing {}/{} over {name}", route.network, route.prefix);
        match result {
            Ok(()) => {}
            Err(error) if route.is_default() && !is_optional(route.network) => {
                return Err(Refused { what: what(), error });
            }
            Err(error) => log(&format!("{}: {error}", what())),
        }
    }
    if let Some(address) = up.ipv4() {
        announce(up.index, up, address, log);
    }
    Ok(mtu)
}

/// Puts `new` in the place of `old` on the same link; where that fails, `old` is put back. Gives
/// the MTU that the link has now.
pub(super) fn replace(
    netlink: &mut Netlink,
    old: &Up,
    new: &Up,
    log: Log<'_>,
) -> Result<u32, Refused> {
    let stale = old.routes.iter().filter(|route| !new.routes.contains(route));
    for route in stale {
        if let Err(error) = netlink.remove_route(old.index, *route, old.terms(*route).origin) {
            log(&format!("removing the route to {}/{}: {error}", route.network, route.prefix));
        }
    }
    // The old address goes first: a new one in the same network would be its dependant and go
    // with it.
    let stays =
        |net: &IpNet| new.nets().any(|other| IpNet { deprecated: net.deprecated, ..other } == *net);
    for net in old.nets().filter(|net| !stays(net)) {
        if let Err(error) = netlink.remove_address(old.index, net) {
            log(&format!("removing {} from {}: {error}", net.address, old.interface));
        }
    }
    apply(netlink, new, old.mtu, log).or_else(|refused| {
        apply(netlink, old, new.mtu, log)?;
        Err(refused)
    })
}

/// Tells the link's neighbours who has the address now.
fn announce(index: u32, up: &Up, address: Ipv4Addr, log: Log<'_>) {
    let sent = PacketSocket::arp(index)
        .and_then(|socket| socket.broadcast(&arp::announcement(up.mac, address)));
    if let Err(error) = sent {
        log(&format!("{}: announcing {address}: {error}", up.interface));
    }
}
