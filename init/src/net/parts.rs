//! What the node's network is, put together from its parts: the command line, a lease, IPv6.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use super::spec::Method;
use super::{Address, Lease, Route, Six, Up};

/// How the addresses were come by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct How {
    /// The command line says one.
    pub(crate) fixed: bool,
    /// A DHCP server granted one.
    pub(crate) dhcp: bool,
    /// A DHCPv6 server granted one.
    pub(crate) dhcp6: bool,
    /// The node made itself one in a network that a router advertises.
    pub(crate) router: bool,
}

impl fmt::Display for How {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = [
            (self.fixed, "from the command line"),
            (self.dhcp, "by DHCP"),
            (self.dhcp6, "by DHCPv6"),
            (self.router, "as a router advertises"),
        ];
        let ways: Vec<&str> = all.iter().filter(|(is, _)| *is).map(|(_, way)| *way).collect();
        f.write_str(&ways.join(", "))
    }
}

/// Its addresses, and how they were come by.
impl fmt::Display for Up {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for address in &self.addresses {
            write!(f, "{}/{} ", address.ip, address.prefix)?;
        }
        write!(f, "on {} {}", self.interface, self.how())
    }
}

impl Up {
    /// This with all that `lease` says in the place of what an earlier one said; the command
    /// line's word stands.
    pub(super) fn with_lease(&self, lease: Lease) -> Self {
        Self { lease: Some(lease), ..self.clone() }.composed()
    }

    /// This with what is known of IPv6 now.
    pub(super) fn with_six(&self, six: Six) -> Self {
        Self { six: Some(six), ..self.clone() }.composed()
    }

    /// This with all that follows from its parts: the command line, the lease, IPv6.
    pub(super) fn composed(self) -> Self {
        let (said, lease, six) = (&self.said, self.lease.as_ref(), self.six.as_ref());
        let fixed = match self.method {
            Method::Static { address: address @ IpAddr::V4(_), prefix, gateway } => {
                Some((Address { ip: address, prefix }, gateway))
            }
            _ => None,
        };
        let leased = lease.map(|l| Address { ip: l.address.into(), prefix: l.prefix });
        let four = fixed.map(|(address, _)| address).or(leased);
        let addresses = four.into_iter().chain(six.iter().flat_map(|six| six.addresses()));
        let fixed_route = fixed.and_then(|(_, gateway)| gateway).map(Route::default_via);
        let routes = fixed_route.into_iter().chain(lease.iter().flat_map(|l| l.routes.clone()));
        let routes = routes.chain(six.iter().flat_map(|six| six.routes()));
        let routes: Vec<Route> = routes.chain(said.routes.iter().copied()).collect();
        let ipv4 = |servers: &[Ipv4Addr]| servers.iter().copied().map(IpAddr::V4).collect();
        let dns = in_turn(
            lease.map_or_else(Vec::new, |l| ipv4(&l.dns)),
            six.map_or_else(Vec::new, Six::dns),
        );
        let ntp = in_turn(
            lease.map_or_else(Vec::new, |l| ipv4(&l.ntp)),
            six.map_or_else(Vec::new, |six| six.ntp().collect()),
        );
        let search = lease.iter().flat_map(|l| &l.search);
        let search = search.chain(six.iter().flat_map(|six| six.search())).cloned();
        Self {
            addresses: addresses.collect(),
            gateway: routes.iter().find(|r| r.is_default()).and_then(|r| r.gateway),
            routes,
            dns: distinct(said.dns.iter().copied().chain(dns)),
            search: distinct(search),
            hostname: said.hostname.clone().or_else(|| lease?.hostname.clone()),
            mtu: said.mtu.or(lease.and_then(|l| l.mtu)).unwrap_or(self.mtu),
            ntp: distinct(said.ntp.iter().copied().chain(ntp)),
            ..self
        }
    }

    /// The node's IPv4 address, where it has one.
    pub(crate) fn ipv4(&self) -> Option<Ipv4Addr> {
        self.addresses.iter().find_map(|a| match a.ip {
            IpAddr::V4(ip) => Some(ip),
            IpAddr::V6(_) => None,
        })
    }

    /// How its addresses were come by.
    pub(crate) fn how(&self) -> How {
        let is_fixed = matches!(self.method, Method::Static { .. });
        let leased = self.six.as_ref().and_then(|six| six.lease.as_ref()?.address);
        let leased = leased.map(IpAddr::V6);
        let is_own = |a: &Address| a.ip.is_ipv6() && Some(a.ip) != leased;
        How {
            fixed: is_fixed,
            dhcp: self.lease.is_some(),
            dhcp6: leased.is_some(),
            router: !is_fixed && self.addresses.iter().any(is_own),
        }
    }
}

/// One of `first`, one of `second`, and so on: resolvers ask but the first three.
fn in_turn(first: Vec<IpAddr>, second: Vec<IpAddr>) -> Vec<IpAddr> {
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut all = Vec::new();
    loop {
        let before = all.len();
        all.extend(first.next());
        all.extend(second.next());
        if all.len() == before {
            return all;
        }
    }
}

/// Each once, in the order of its first place.
fn distinct<T: PartialEq>(all: impl Iterator<Item = T>) -> Vec<T> {
    let mut kept = Vec::new();
    for one in all {
        if !kept.contains(&one) {
            kept.push(one);
        }
    }
    kept
}
