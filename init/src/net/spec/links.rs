//! `vlan=`, `ifname=` and `rd.route=`: links to be made, names to be given, routes to be laid.

use std::net::IpAddr;

use super::arg::{Arg, Field};
use super::{Device, SpecError, prefix_of_mask};
use crate::net::Route;
use crate::net::link::{IfName, Mac};

const VLAN_FORM: &str =
    "<name>:<parent>, the name ending in the VLAN's number from 1 to 4094: vlan5, vlan0005, eth0.5";
const IFNAME_FORM: &str = "<name>:<MAC>, as lan0:52:54:00:12:34:56";
const ROUTE_FORM: &str = "<net>/<length>:<gateway>[:<device>], as 10.0.0.0/8:192.0.2.1:eth0 or \
                          [2001:db8::/32]:[fe80::1]:eth0";

/// A VLAN to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Vlan {
    /// Its link's name.
    pub(crate) name: IfName,
    /// Its number.
    pub(crate) id: u16,
    /// The link it lies on.
    pub(crate) parent: Device,
}

/// A name to be given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rename {
    /// The name.
    pub(crate) name: IfName,
    /// The interface's hardware address.
    pub(crate) mac: Mac,
}

/// A route of the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SaidRoute {
    /// The route.
    pub(crate) route: Route,
    /// The interface it goes over; `None` is the one that carries the node.
    pub(crate) device: Option<Device>,
}

impl Arg<'_> {
    /// The value of `vlan=`.
    pub(super) fn vlan(&self) -> Result<Vlan, SpecError> {
        let fields = self.fields(&[1]);
        let [name, parent] = fields.as_slice() else {
            return Err(self.error((0, self.text()), "VLAN", VLAN_FORM));
        };
        let id = vlan_id(name.1).ok_or_else(|| self.error(*name, "VLAN's name", VLAN_FORM))?;
        let parent = self.some_device(*parent, "parent")?;
        Ok(Vlan { name: self.name(*name)?, id, parent })
    }

    /// The value of `ifname=`.
    pub(super) fn ifname(&self) -> Result<Rename, SpecError> {
        let fields = self.fields(&[1]);
        let [name, mac] = fields.as_slice() else {
            return Err(self.error((0, self.text()), "name", IFNAME_FORM));
        };
        let bad = |_bad| self.error(*mac, "MAC", IFNAME_FORM);
        Ok(Rename { name: self.name(*name)?, mac: mac.1.parse().map_err(bad)? })
    }

    /// The value of `bootdev=`.
    pub(super) fn bootdev(&self) -> Result<Device, SpecError> {
        self.some_device((0, self.text()), "device")
    }

    /// The value of `rd.route=`.
    pub(super) fn route(&self) -> Result<SaidRoute, SpecError> {
        let fields = self.fields(&[2]);
        let (net, gateway, device) = match fields.as_slice() {
            [net, gateway] => (*net, *gateway, None),
            [net, gateway, device] => (*net, *gateway, self.device(*device)?),
            _ => return Err(self.error((0, self.text()), "route", ROUTE_FORM)),
        };
        let (network, prefix) =
            network(net.1).ok_or_else(|| self.error(net, "network", ROUTE_FORM))?;
        let bad = move || self.error(gateway, "gateway", ROUTE_FORM);
        let gateway = match gateway.1 {
            "" => None,
            text => Some(address(text).ok_or_else(bad)?),
        };
        let is_of_family = gateway.is_none_or(|via| via.is_ipv4() == network.is_ipv4());
        if !is_of_family || (gateway, &device) == (None, &None) {
            return Err(bad());
        }
        Ok(SaidRoute { route: Route { network, prefix, gateway }, device })
    }

    /// A device that must be there.
    pub(super) fn some_device(
        &self,
        field: Field<'_>,
        what: &'static str,
    ) -> Result<Device, SpecError> {
        let expected = "an interface's name (at most 15 bytes) or MAC";
        self.device(field)?.ok_or_else(|| self.error(field, what, expected))
    }

    /// An interface's name that must be there.
    pub(super) fn name(&self, field: Field<'_>) -> Result<IfName, SpecError> {
        let expected = "an interface's name of 1 to 15 bytes";
        IfName::new(field.1.as_bytes()).ok_or_else(|| self.error(field, "name", expected))
    }
}

/// The number at the end of a VLAN's name: behind the last dot, or behind `vlan`.
fn vlan_id(name: &str) -> Option<u16> {
    let dotted = name.rsplit_once('.').map(|(_, number)| number);
    let number = dotted.or_else(|| name.strip_prefix("vlan"))?;
    let plain = (1..=4).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_digit());
    number.parse().ok().filter(|id| plain && (1..=4094).contains(id))
}

/// `10.0.0.0/8`, `10.0.0.0/255.0.0.0`, `[2001:db8::/32]` or `[2001:db8::]/32`, without the bits
/// that are the host's.
fn network(text: &str) -> Option<(IpAddr, u8)> {
    let inner = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let (ip, mask) = inner.split_once('/')?;
    let ip = address(ip).or_else(|| ip.parse().ok())?;
    let dotted = || mask.parse().ok().and_then(prefix_of_mask).filter(|_| ip.is_ipv4());
    let prefix = mask.parse::<u8>().ok().or_else(dotted)?;
    let network = match ip {
        IpAddr::V4(ip) => {
            let host = 32_u32.checked_sub(prefix.into())?;
            IpAddr::V4((u32::from(ip) & u32::MAX.checked_shl(host).unwrap_or(0)).into())
        }
        IpAddr::V6(ip) => {
            let host = 128_u32.checked_sub(prefix.into())?;
            IpAddr::V6((u128::from(ip) & u128::MAX.checked_shl(host).unwrap_or(0)).into())
        }
    };
    Some((network, prefix))
}

/// An IPv4 address, or an IPv6 address in brackets.
pub(super) fn address(text: &str) -> Option<IpAddr> {
    match text.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']')?.parse().ok().map(IpAddr::V6),
        None => text.parse().ok().map(IpAddr::V4),
    }
}

#[cfg(test)]
mod tests;
