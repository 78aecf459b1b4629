//! The kernel arguments that describe the network, read without any I/O: `ip=`, `nameserver=`,
//! `BOOTIF=`, `bootdev=`, `ifname=`, `vlan=`, `bond=`, `rd.route=`. What can't be read is an error
//! that names the text, its place and the form expected.

mod arg;
mod bond;
mod links;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use super::Route;
use super::link::{IfName, Mac};
use arg::Arg;
pub(crate) use bond::{Bond, BondOption, BondValue};
pub(crate) use links::{Rename, SaidRoute, Vlan};

/// Everything the kernel command line says about the network.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct NetConfig {
    /// One for each `ip=`, in order. Where none says how to get an address (or the list is
    /// empty), every interface that no entry switches off takes what answers.
    pub(crate) requests: Vec<Request>,
    /// `nameserver=`, in order: asked before those of a lease.
    pub(crate) nameservers: Vec<IpAddr>,
    /// `BOOTIF=`: the interface the firmware booted from, tried before the others.
    pub(crate) bootif: Option<Mac>,
    /// `bootdev=`: the only interface the node boots over.
    pub(crate) bootdev: Option<Device>,
    /// `ifname=`, in order.
    pub(crate) renames: Vec<Rename>,
    /// `vlan=`, in order.
    pub(crate) vlans: Vec<Vlan>,
    /// `bond=`, in order.
    pub(crate) bonds: Vec<Bond>,
    /// `rd.route=`, in order.
    pub(crate) routes: Vec<SaidRoute>,
}

/// What one `ip=` asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    /// The interface meant; `None` is any.
    pub(crate) device: Option<Device>,
    /// How the interface gets its address.
    pub(crate) method: Method,
    /// The node's name, where it is given.
    pub(crate) hostname: Option<String>,
    /// DNS servers, in order.
    pub(crate) dns: Vec<IpAddr>,
    /// NTP servers, in order.
    pub(crate) ntp: Vec<IpAddr>,
    /// The MTU to set, whatever a lease says.
    pub(crate) mtu: Option<u32>,
    /// The hardware address to give the interface.
    pub(crate) mac: Option<Mac>,
}

/// An interface as the command line names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Device {
    /// By its name.
    Name(IfName),
    /// By its hardware address.
    Mac(Mac),
}

/// How an interface gets its address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    /// By whatever answers: DHCP for IPv4, routers and DHCPv6 for IPv6.
    Any,
    /// By DHCP for IPv4, asking for `requested` where it is given.
    Dhcp {
        /// The address to ask for (option 50).
        requested: Option<Ipv4Addr>,
    },
    /// IPv6 as its routers say: from their prefixes, by DHCPv6 where they point to it.
    Auto6,
    /// IPv6 by DHCPv6, whatever routers say; they give the routes alone.
    Dhcp6,
    /// IPv6 as its routers say, and by DHCPv6 where that comes to nothing.
    Either6,
    /// IPv6 with no more than the link's own address.
    Link6,
    /// As the command line says.
    Static {
        /// The node's address.
        address: IpAddr,
        /// The length of the network's prefix.
        prefix: u8,
        /// The default route's gateway, of the address' family.
        gateway: Option<IpAddr>,
    },
    /// Not at all: the interface is left alone.
    Off,
}

/// A kernel argument that can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}={value}: {what} at position {position} ({text:?}): expected {expected}")]
pub(crate) struct SpecError {
    /// The argument's key.
    pub(crate) key: String,
    /// The argument's whole value.
    pub(crate) value: String,
    /// The field that is wrong, by name.
    pub(crate) what: &'static str,
    /// Where the field begins in the value, in bytes from 0.
    pub(crate) position: usize,
    /// The field's text.
    pub(crate) text: String,
    /// The form expected there.
    pub(crate) expected: &'static str,
}

impl NetConfig {
    /// Reads the arguments that concern the network; all others are passed over.
    pub(crate) fn parse(args: &[(String, Option<String>)]) -> Result<Self, SpecError> {
        let mut config = Self::default();
        for (key, value) in args {
            let value = value.as_deref().unwrap_or("");
            match key.as_str() {
                "ip" => config.requests.push(Arg::new(key, value).ip()?),
                "nameserver" => config.nameservers.push(Arg::new(key, value).nameserver()?),
                "bootdev" => config.bootdev = Some(Arg::new(key, value).bootdev()?),
                "ifname" => config.renames.push(Arg::new(key, value).ifname()?),
                "vlan" => config.vlans.push(Arg::new(key, value).vlan()?),
                "bond" => config.bonds.push(Arg::new(key, value).bond()?),
                "rd.route" => config.routes.push(Arg::new(key, value).route()?),
                "BOOTIF" => config.bootif = Some(Arg::new(key, value).bootif()?),
                _ => {}
            }
        }
        Ok(config)
    }

    /// The request that holds for the interface called `name` with the addresses `macs`: the first
    /// that names it, else the first that names none; whatever answers where no request says
    /// how to get an address. What carries another link gets an address only where a request names it.
    pub(crate) fn for_link(&self, name: &IfName, macs: &[Mac]) -> Request {
        let is = |device: &Device| device.is(name, macs);
        let over = self.over(name, macs);
        if matches!(over, Some(Over::Bond(_))) || self.bootdev.as_ref().is_some_and(|d| !is(d)) {
            return Request::off();
        }
        let named = self.requests.iter().find(|r| r.device.as_ref().is_some_and(is));
        let unnamed = || self.requests.iter().find(|r| r.device.is_none());
        let silent = self.requests.iter().all(|r| r.device.is_some() && r.method == Method::Off);
        let fallback = || if silent { Request::any() } else { Request::off() };
        match (named, over) {
            (Some(named), _) => named.clone(),
            (None, Some(_)) => Request::off(),
            (None, None) => unnamed().cloned().unwrap_or_else(fallback),
        }
    }

    /// The link that the command line lays over the interface called `name` with the addresses
    /// `macs`.
    pub(crate) fn over(&self, name: &IfName, macs: &[Mac]) -> Option<Over> {
        let is = |device: &Device| device.is(name, macs);
        let bond = self.bonds.iter().find(|bond| bond.members.iter().any(is));
        let vlan = || self.vlans.iter().find(|vlan| is(&vlan.parent));
        let bond = bond.map(|bond| Over::Bond(bond.name.clone()));
        bond.or_else(|| vlan().map(|vlan| Over::Vlan(vlan.name.clone())))
    }

    /// The routes of `rd.route=` that go over the interface called `name` with the addresses `macs`
    /// if that carries the node.
    pub(crate) fn routes_over(&self, name: &IfName, macs: &[Mac]) -> Vec<Route> {
        let goes = |route: &&SaidRoute| route.device.as_ref().is_none_or(|d| d.is(name, macs));
        self.routes.iter().filter(goes).map(|said| said.route).collect()
    }

    /// Whether the command line switches the network off altogether.
    pub(crate) fn is_off(&self) -> bool {
        let off = |r: &Request| r.method == Method::Off;
        self.requests.iter().any(|r| r.device.is_none() && off(r)) && self.requests.iter().all(off)
    }
}

impl Request {
    /// Whatever answers, on any interface.
    pub(crate) fn any() -> Self {
        Self {
            device: None,
            method: Method::Any,
            hostname: None,
            dns: Vec::new(),
            ntp: Vec::new(),
            mtu: None,
            mac: None,
        }
    }

    /// No set-up.
    fn off() -> Self {
        Self { method: Method::Off, ..Self::any() }
    }
}

impl Device {
    /// Whether this means the interface called `name` with the addresses `macs`.
    pub(crate) fn is(&self, name: &IfName, macs: &[Mac]) -> bool {
        match self {
            Self::Name(wanted) => wanted == name,
            Self::Mac(wanted) => macs.contains(wanted),
        }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => name.fmt(f),
            Self::Mac(mac) => mac.fmt(f),
        }
    }
}

/// A link that the command line lays over another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Over {
    /// A bond, which the other is a member of.
    Bond(IfName),
    /// A VLAN, whose parent the other is.
    Vlan(IfName),
}

/// The prefix length that `mask` means, where its ones come first.
pub(super) fn prefix_of_mask(mask: Ipv4Addr) -> Option<u8> {
    let bits = u32::from(mask);
    let ones = bits.leading_ones();
    (bits.count_ones() == ones).then(|| u8::try_from(ones).ok()).flatten()
}

/// The prefix length of `address`'s class, which the kernel takes where no mask is given.
pub(super) fn class_prefix(address: Ipv4Addr) -> u8 {
    match address.octets()[0] {
        0..128 => 8,
        128..192 => 16,
        192.. => 24,
    }
}

/// Whether `text` may stand in resolv.conf or be a node's name: dotted labels of letters, digits,
/// `-` and `_`.
pub(super) fn is_domain(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    text.len() <= 253 && text.split('.').all(label)
}

#[cfg(test)]
mod tests;
