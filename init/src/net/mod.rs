//! The node's network: from kernel arguments and bare links to an address that is kept for life.
//!
//! [`up`] raises the links, asks on all of them at once and configures the first that has an
//! address; [`keep`] keeps it for as long as the node runs. Both speak to the kernel by
//! sockets only, so neither needs `/proc` or `/sys`.

mod acquire;
mod apply;
mod arp;
mod build;
mod dhcp;
mod dhcp6;
mod dual;
pub(crate) mod error;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod guard;
mod keep;
pub(crate) mod link;
pub(crate) mod narrow;
mod netlink;
mod nic;
mod parts;
mod six;
mod socket;
pub(crate) mod spec;
mod up;

pub(crate) use dhcp::lease::Lease;
pub(crate) use error::NetError;
pub(crate) use keep::keep;
pub(crate) use link::{IfName, Mac};
pub(crate) use netlink::links::Link;
pub(crate) use six::Six;
pub(crate) use spec::{Method, NetConfig};
pub(crate) use up::up;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

/// Where a line about the network's progress goes.
pub(crate) type Log<'a> = &'a (dyn Fn(&str) + Sync);

/// The interface that carries the node, and all that was learnt with its address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Up {
    /// The interface's name.
    pub(crate) interface: IfName,
    /// The interface's index.
    pub(crate) index: u32,
    /// Its hardware address.
    pub(crate) mac: Mac,
    /// The hardware address burnt into it, where the kernel tells one.
    pub(crate) permanent_mac: Option<Mac>,
    /// Its driver's name, where the kernel tells one.
    pub(crate) driver: Option<String>,
    /// Its speed in Mb/s, where the driver knows it.
    pub(crate) speed: Option<u32>,
    /// The links that it lies on, the nearest first: a bond's members, a VLAN's parent.
    pub(crate) beneath: Vec<Link>,
    /// The bond among these (or itself) that prefers a member, and that member's index.
    pub(crate) preferred: Option<(IfName, u32)>,
    /// Its addresses.
    pub(crate) addresses: Vec<Address>,
    /// The default route's gateway.
    pub(crate) gateway: Option<IpAddr>,
    /// All routes, the default route among them.
    pub(crate) routes: Vec<Route>,
    /// DNS servers in the order to ask them: the command line's, then the lease's.
    pub(crate) dns: Vec<IpAddr>,
    /// Search domains.
    pub(crate) search: Vec<String>,
    /// The node's name: the command line's, else the lease's.
    pub(crate) hostname: Option<String>,
    /// The link's MTU.
    pub(crate) mtu: u32,
    /// NTP servers in the order to ask them.
    pub(crate) ntp: Vec<IpAddr>,
    /// How the command line wants addresses to be come by.
    pub(crate) method: Method,
    /// The lease, where an address came by DHCP.
    pub(crate) lease: Option<Lease>,
    /// What is known of IPv6, where it is wanted.
    pub(crate) six: Option<Six>,
    /// What the command line says, which goes before what a lease says.
    pub(crate) said: Said,
    /// When it was granted or taken.
    pub(crate) since: Instant,
    /// How long the first carrier was waited for.
    pub(crate) link_wait: Duration,
    /// How long the address was waited for after that.
    pub(crate) address_wait: Duration,
}

/// An address with its network's prefix length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Address {
    /// The address.
    pub(crate) ip: IpAddr,
    /// The length of its network's prefix.
    pub(crate) prefix: u8,
}

/// A route that a lease, a router or the command line brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Route {
    /// The network it leads to.
    pub(crate) network: IpAddr,
    /// The length of that network's prefix; 0 is the default route.
    pub(crate) prefix: u8,
    /// The gateway; `None` where the network is on the link itself.
    pub(crate) gateway: Option<IpAddr>,
}

impl Route {
    /// The default route through `gateway`.
    pub(crate) fn default_via(gateway: IpAddr) -> Self {
        let network = match gateway {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        Self { network, prefix: 0, gateway: Some(gateway) }
    }

    /// Whether it is the default route.
    pub(crate) fn is_default(&self) -> bool {
        self.prefix == 0
    }
}

/// What the command line says of an interface besides its address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Said {
    /// The node's name.
    pub(crate) hostname: Option<String>,
    /// DNS servers.
    pub(crate) dns: Vec<IpAddr>,
    /// NTP servers.
    pub(crate) ntp: Vec<IpAddr>,
    /// The MTU.
    pub(crate) mtu: Option<u32>,
    /// Routes over it.
    pub(crate) routes: Vec<Route>,
}

impl Up {
    /// Its name, where that and not its hardware address is what it is known by: a bond or a VLAN
    /// has its member's or parent's.
    pub(crate) fn own_name(&self) -> Option<&IfName> {
        (!self.beneath.is_empty()).then_some(&self.interface)
    }
}

/// The text of `/etc/resolv.conf` for `up`: at most the three servers that resolvers read.
pub(crate) fn resolv_conf(up: &Up) -> String {
    let mut text = String::from("# Written by zimg from the boot's network set-up.\n");
    if !up.search.is_empty() {
        text += &format!("search {}\n", up.search.join(" "));
    }
    for server in up.dns.iter().take(3) {
        text += &format!("nameserver {server}\n");
    }
    text
}

#[cfg(test)]
pub(crate) mod tests;
