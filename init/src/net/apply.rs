//! From what was granted or said to what the kernel is told: address, routes, MTU.

use std::net::{IpAddr, Ipv4Addr};

use rustix::io::Errno;

use super::arp;
use super::dhcp::lease::Lease;
use super::netlink::Netlink;
use super::netlink::routes::{IpNet, Origin, Terms};
use super::socket::PacketSocket;
use super::{Address, How, Log, Route, Up};

/// What the kernel refused, and how.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {error}")]
pub(super) struct Refused {
    pub(super) what: String,
    pub(super) error: Errno,
}

impl Up {
    /// This with all that `lease` says in the place of what an earlier one said; the command
    /// line's word stands.
    pub(super) fn with_lease(&self, lease: Lease) -> Self {
        let said = &self.said;
        let merged = |own: &[IpAddr], theirs: &[Ipv4Addr]| {
            let mut all = own.to_vec();
            for server in theirs.iter().copied().map(IpAddr::V4) {
                if !all.contains(&server) {
                    all.push(server);
                }
            }
            all
        };
        Self {
            addresses: vec![Address { ip: lease.address.into(), prefix: lease.prefix }],
            gateway: lease.routes.iter().find(|r| r.is_default()).and_then(|r| r.gateway),
            routes: lease.routes.clone(),
            dns: merged(&said.dns, &lease.dns),
            search: lease.search.clone(),
            hostname: said.hostname.clone().or_else(|| lease.hostname.clone()),
            mtu: said.mtu.or(lease.mtu).unwrap_or(self.mtu),
            ntp: merged(&said.ntp, &lease.ntp),
            lease: Some(lease),
            how: How::Dhcp,
            ..self.clone()
        }
    }

    /// The node's addresses as the kernel takes them.
    fn nets(&self) -> impl Iterator<Item = IpNet> {
        self.addresses.iter().map(|Address { ip, prefix }| {
            let broadcast = match ip {
                IpAddr::V4(ip) => self.broadcast(*ip, *prefix),
                IpAddr::V6(_) => None,
            };
            IpNet { address: *ip, prefix: *prefix, broadcast, deprecated: false }
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
        let origin = match self.how {
            How::Dhcp => Origin::Dhcp,
            How::Static => Origin::Static,
        };
        let source = self.ipv4().filter(|_| route.network.is_ipv4());
        Terms { origin, source, mtu: None }
    }
}

/// Gives the link the address, routes and MTU of `up`. `link_mtu` is the one it has. An MTU or a
/// side route that the kernel refuses is told to `log`; the node can live without. Gives the MTU
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
    for net in up.nets() {
        netlink.add_address(up.index, net).map_err(|error| Refused {
            what: format!("giving {name} the address {}/{}", net.address, net.prefix),
            error,
        })?;
    }
    // Networks on the link first: gateways may lie in them.
    let (on_link, via): (Vec<Route>, Vec<Route>) =
        up.routes.iter().partition(|route| route.gateway.is_none());
    for route in on_link.into_iter().chain(via) {
        let result = netlink.add_route(up.index, route, up.terms(route));
        let what = || format!("routing {}/{} over {name}", route.network, route.prefix);
        match result {
            Ok(()) => {}
            Err(error) if route.is_default() => return Err(Refused { what: what(), error }),
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
    for net in old.nets().filter(|net| !new.nets().any(|other| other == *net)) {
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
