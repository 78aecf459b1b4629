//! The kernel arguments that describe the network, read without any I/O: `ip=`, `nameserver=`,
//! `BOOTIF=`. What can't be read is an error that names the text, its place and the form expected.

mod arg;

use std::net::{IpAddr, Ipv4Addr};

use super::link::{IfName, Mac};
use arg::Arg;

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
                "BOOTIF" => config.bootif = Some(Arg::new(key, value).bootif()?),
                _ => {}
            }
        }
        Ok(config)
    }

    /// The request that holds for the interface called `name` with address `mac`: the first that
    /// names it, else the first that names none; whatever answers where no request says how to get
    /// an address.
    pub(crate) fn for_link(&self, name: &IfName, mac: Mac) -> Request {
        let named =
            self.requests.iter().find(|r| r.device.as_ref().is_some_and(|d| d.is(name, mac)));
        let unnamed = || self.requests.iter().find(|r| r.device.is_none());
        let silent = self.requests.iter().all(|r| r.device.is_some() && r.method == Method::Off);
        let fallback = if silent { Request::any() } else { Request::off() };
        named.or_else(unnamed).cloned().unwrap_or(fallback)
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
        }
    }

    /// No set-up.
    fn off() -> Self {
        Self { method: Method::Off, ..Self::any() }
    }
}

impl Device {
    /// Whether this means the interface called `name` with address `mac`.
    fn is(&self, name: &IfName, mac: Mac) -> bool {
        match self {
            Self::Name(wanted) => wanted == name,
            Self::Mac(wanted) => *wanted == mac,
        }
    }
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
