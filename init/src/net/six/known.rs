//! What is known of a link's IPv6: values, without I/O.

use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

use super::ndp::Advert;
use crate::net::dhcp6::lease::Lease;
use crate::net::link::Mac;
use crate::net::{Address, Route};

/// The most routers, and networks, that are remembered.
const EACH_MAX: usize = 8;

/// What a link's routers say, what a DHCPv6 server granted, and what the command line says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Six {
    /// The link's own address.
    pub(crate) link_local: Ipv6Addr,
    /// What the command line says.
    fixed: Option<Fixed>,
    /// Whether the node makes itself addresses in the link's networks.
    is_autonomous: bool,
    routers: Vec<Router>,
    networks: Vec<Network>,
    /// The router that the default route leads to.
    gateway: Option<Ipv6Addr>,
    /// What a DHCPv6 server granted or told.
    pub(crate) lease: Option<Lease>,
}

/// An address of the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fixed {
    /// The address.
    pub(crate) address: Ipv6Addr,
    /// The length of its network's prefix.
    pub(crate) prefix: u8,
    /// The default route's gateway.
    pub(crate) gateway: Option<IpAddr>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Router {
    address: Ipv6Addr,
    preference: i8,
    /// Until when it is a default router.
    until: Option<Instant>,
    mtu: Option<u32>,
    routes: Vec<(Ipv6Addr, u8)>,
    dns: Vec<Ipv6Addr>,
    search: Vec<String>,
}

/// One of the link's networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Network {
    prefix: Ipv6Addr,
    len: u8,
    on_link: bool,
    /// The node's own address in it.
    own: Option<Ipv6Addr>,
    /// Whether it should be used for what is new.
    preferred: bool,
}

impl Six {
    /// Nothing but the link's own address, made from `mac`.
    pub(crate) fn new(mac: Mac, is_autonomous: bool, fixed: Option<Fixed>) -> Self {
        Self {
            fixed,
            link_local: with_interface(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), mac),
            is_autonomous,
            routers: Vec::new(),
            networks: Vec::new(),
            gateway: None,
            lease: None,
        }
    }

    /// Takes in what the router at `source` advertises.
    ///
    /// A network once used stays: the root may be read over it. What routers announce as ending is
    /// only used for nothing new.
    pub(crate) fn hear(&mut self, source: Ipv6Addr, advert: &Advert, mac: Mac, now: Instant) {
        self.hear_router(source, advert, now);
        for info in &advert.prefixes {
            let has_room = self.networks.len() < EACH_MAX;
            let known =
                self.networks.iter_mut().find(|n| (n.prefix, n.len) == (info.prefix, info.len));
            let makes_own = self.is_autonomous && info.autonomous && info.len == 64 && info.valid;
            let own = makes_own.then(|| with_interface(info.prefix, mac));
            match known {
                Some(known) => {
                    known.on_link |= info.on_link && info.valid;
                    known.own = known.own.or(own);
                    known.preferred = info.preferred;
                }
                None if info.valid && has_room => {
                    let (prefix, len) = (info.prefix, info.len);
                    let (on_link, preferred) = (info.on_link, info.preferred);
                    self.networks.push(Network { prefix, len, on_link, own, preferred });
                }
                None => {}
            }
        }
        self.choose_gateway(now);
    }

    fn hear_router(&mut self, source: Ipv6Addr, advert: &Advert, now: Instant) {
        let at = self.routers.iter().position(|router| router.address == source);
        let Some(at) = at.or_else(|| (self.routers.len() < EACH_MAX).then_some(self.routers.len()))
        else {
            return;
        };
        let old = (at < self.routers.len()).then(|| self.routers.swap_remove(at));
        let (dns, search) = old.map(|old| (old.dns, old.search)).unwrap_or_default();
        let lifetime = Duration::from_secs(advert.lifetime.into());
        self.routers.push(Router {
            address: source,
            preference: advert.preference,
            until: Some(now + lifetime).filter(|_| advert.lifetime > 0),
            mtu: advert.mtu,
            routes: advert.routes.clone(),
            dns: advert.dns.clone().unwrap_or(dns),
            search: advert.search.clone().unwrap_or(search),
        });
        let last = self.routers.len() - 1;
        self.routers.swap(at, last);
    }

    /// Sees that the default route leads to a router that lives, where there is one. The one it
    /// leads to stays for as long as it lives, and for as long as there is no other.
    pub(crate) fn choose_gateway(&mut self, now: Instant) {
        let live = |router: &&Router| router.until.is_some_and(|until| now < until);
        let current = self.routers.iter().filter(live).find(|r| Some(r.address) == self.gateway);
        if current.is_some() {
            return;
        }
        // Of equals, the first that was heard.
        let best = self.routers.iter().filter(live).rev().max_by_key(|router| router.preference);
        self.gateway = best.map(|router| router.address).or(self.gateway);
    }

    /// When the router of the default route has been silent for too long.
    pub(crate) fn gateway_until(&self) -> Option<Instant> {
        self.routers.iter().find(|router| Some(router.address) == self.gateway)?.until
    }

    /// Gives up the own address `taken` in favour of whoever has it.
    pub(crate) fn give_up(&mut self, taken: Ipv6Addr) {
        for network in &mut self.networks {
            network.own = network.own.filter(|own| *own != taken);
        }
    }

    /// This with those of its addresses alone that are among `free`.
    pub(crate) fn with_only(&self, free: &[Ipv6Addr]) -> Self {
        let mut all = self.clone();
        for network in &mut all.networks {
            network.own = network.own.filter(|own| free.contains(own));
        }
        all.lease = all.lease.filter(|lease| lease.address.is_none_or(|own| free.contains(&own)));
        all
    }

    /// Whether the command line gives `address`.
    pub(crate) fn is_fixed(&self, address: Ipv6Addr) -> bool {
        self.fixed.is_some_and(|fixed| fixed.address == address)
    }

    /// Whether there is a default route.
    pub(crate) fn has_gateway(&self) -> bool {
        self.gateway.is_some()
    }

    /// Whether any router was heard.
    pub(crate) fn has_heard(&self) -> bool {
        !self.routers.is_empty()
    }

    /// The node's addresses beside the link's own, with their networks' prefix lengths.
    fn nets(&self) -> impl Iterator<Item = (Ipv6Addr, u8)> {
        let fixed = self.fixed.map(|fixed| (fixed.address, fixed.prefix));
        let leased = self.lease.as_ref().and_then(|lease| Some((lease.address?, 128)));
        let own = self.networks.iter().filter_map(|network| Some((network.own?, network.len)));
        fixed.into_iter().chain(leased).chain(own)
    }

    /// The node's addresses beside the link's own.
    pub(crate) fn own_addresses(&self) -> impl Iterator<Item = Ipv6Addr> {
        self.nets().map(|(ip, _)| ip)
    }

    /// The same, with their networks.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = Address> {
        self.nets().map(|(ip, prefix)| Address { ip: ip.into(), prefix })
    }

    /// Whether `address` should be used for nothing new.
    pub(crate) fn is_deprecated(&self, address: IpAddr) -> bool {
        let own = |network: &&Network| network.own.map(IpAddr::V6) == Some(address);
        self.networks.iter().find(own).is_some_and(|network| !network.preferred)
    }

    /// The routes: to the link's networks, to those behind routers, to all others.
    pub(crate) fn routes(&self) -> Vec<Route> {
        let on_link = self.networks.iter().filter(|network| network.on_link).map(|network| Route {
            network: network.prefix.into(),
            prefix: network.len,
            gateway: None,
        });
        let fixed = self.fixed.map(|fixed| Route {
            network: network_of(fixed.address, fixed.prefix).into(),
            prefix: fixed.prefix,
            gateway: None,
        });
        let fixed = fixed.filter(|route| route.prefix < 128);
        let mut routes: Vec<Route> = fixed.into_iter().collect();
        routes.extend(on_link.filter(|route| Some(*route) != fixed));
        for router in &self.routers {
            for (network, prefix) in &router.routes {
                let (network, prefix) = (IpAddr::V6(*network), *prefix);
                if !routes.iter().any(|known| (known.network, known.prefix) == (network, prefix)) {
                    routes.push(Route { network, prefix, gateway: Some(router.address.into()) });
                }
            }
        }
        let fixed = self.fixed.and_then(|fixed| fixed.gateway);
        let gateway = fixed.or(self.gateway.map(IpAddr::V6));
        routes.extend(gateway.map(Route::default_via));
        routes
    }

    /// DNS servers: those of the default route's router, of the others, of the DHCPv6 server.
    pub(crate) fn dns(&self) -> Vec<IpAddr> {
        let leased = self.lease.iter().flat_map(|lease| &lease.dns);
        let all = self.routers_in_order().flat_map(|router| &router.dns).chain(leased);
        all.copied().map(IpAddr::V6).collect()
    }

    /// Search domains, in the same order.
    pub(crate) fn search(&self) -> impl Iterator<Item = &String> {
        let leased = self.lease.iter().flat_map(|lease| &lease.search);
        self.routers_in_order().flat_map(|router| &router.search).chain(leased)
    }

    /// NTP servers.
    pub(crate) fn ntp(&self) -> impl Iterator<Item = IpAddr> {
        self.lease.iter().flat_map(|lease| &lease.ntp).copied().map(IpAddr::V6)
    }

    /// The MTU that the routers want on the link.
    pub(crate) fn mtu(&self) -> Option<u32> {
        self.routers_in_order().find_map(|router| router.mtu)
    }

    /// The router of the default route, then the others.
    fn routers_in_order(&self) -> impl Iterator<Item = &Router> {
        let is_gateway = |router: &&Router| Some(router.address) == self.gateway;
        let first = self.routers.iter().filter(is_gateway);
        first.chain(self.routers.iter().filter(move |router| !is_gateway(router)))
    }
}

/// The first address of the network of `prefix` bits that `address` lies in.
fn network_of(address: Ipv6Addr, prefix: u8) -> Ipv6Addr {
    let mask = u128::MAX.checked_shl(128_u32.saturating_sub(prefix.into())).unwrap_or(0);
    Ipv6Addr::from_bits(address.to_bits() & mask)
}

/// The address in the network `prefix` of the interface with `mac` (RFC 4291's modified EUI-64).
///
/// Not one of the kind that hides the MAC: a boot server must know its nodes.
fn with_interface(prefix: Ipv6Addr, mac: Mac) -> Ipv6Addr {
    let [a, b, c, d, e, f] = mac.0;
    let low = u64::from_be_bytes([a ^ 2, b, c, 0xff, 0xfe, d, e, f]);
    Ipv6Addr::from_bits(prefix.to_bits() | u128::from(low))
}

#[cfg(test)]
mod tests;
