//! Addresses and routes, of both families.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use linux_raw_sys::net::{AF_INET, AF_INET6};
use linux_raw_sys::netlink::{
    IFA_ADDRESS, IFA_BROADCAST, IFA_CACHEINFO, IFA_F_NODAD, IFA_F_NOPREFIXROUTE, IFA_FLAGS,
    IFA_LOCAL, NLM_F_CREATE, NLM_F_REPLACE, RTAX_MTU, RTM_DELADDR, RTM_DELROUTE, RTM_NEWADDR,
    RTM_NEWROUTE, RTN_UNICAST, RTNH_F_ONLINK, rt_class_t, rt_scope_t, rtattr_type_t as rta,
};
use rustix::io::Errno;

use super::wire::Message;
use super::{CHANGE, Netlink};
use crate::net::Route;
use crate::net::narrow::{to_u8, to_u16};

/// The flags of a request that adds something, or puts it in the place of its like.
const PUT: u16 = CHANGE | to_u16(NLM_F_CREATE | NLM_F_REPLACE);
/// No end of an address' life.
const FOREVER: u32 = u32::MAX;

/// An address on a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct IpNet {
    /// The address.
    pub(crate) address: IpAddr,
    /// The length of its network's prefix.
    pub(crate) prefix: u8,
    /// The network's broadcast address, where IPv4 has one.
    pub(crate) broadcast: Option<Ipv4Addr>,
    /// Whether new connections should rather come from another address.
    pub(crate) deprecated: bool,
}

/// On what terms a route is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Terms {
    /// Who set it.
    pub(crate) origin: Origin,
    /// The address that what takes it comes from.
    pub(crate) source: Option<Ipv4Addr>,
    /// The longest packet it carries, where that is less than the link's.
    pub(crate) mtu: Option<u32>,
}

/// Who set a route, for `ip route` to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Origin {
    /// The command line.
    Static = to_u8(linux_raw_sys::netlink::RTPROT_STATIC),
    /// A lease.
    Dhcp = to_u8(linux_raw_sys::netlink::RTPROT_DHCP),
    /// A router's advertisement.
    Router = to_u8(linux_raw_sys::netlink::RTPROT_RA),
}

impl Netlink {
    /// Gives a link an address, for good. For IPv6: at once, as whoever calls has looked for
    /// holders, and without a route to its network.
    pub(crate) fn add_address(&mut self, index: u32, net: IpNet) -> Result<(), Errno> {
        let mut message = address(RTM_NEWADDR as u16, PUT, index, net);
        if let Some(broadcast) = net.broadcast {
            message = message.attr(IFA_BROADCAST as u16, &broadcast.octets());
        }
        if net.address.is_ipv6() {
            let preferred = if net.deprecated { 0 } else { FOREVER };
            let life = [preferred, FOREVER, 0, 0].map(u32::to_ne_bytes).concat();
            // Gateways are reached by their link's own addresses: that network's route is needed.
            let bare = if is_link_local(net.address) { 0 } else { IFA_F_NOPREFIXROUTE };
            message = message
                .attr(IFA_FLAGS as u16, &(IFA_F_NODAD | bare).to_ne_bytes())
                .attr(IFA_CACHEINFO as u16, &life);
        }
        self.request(message)
    }

    /// Gives a link `address`, its own, at once: the kernel's, which may be the same, waits for
    /// one or two seconds before it can be used.
    pub(crate) fn set_link_local(&mut self, index: u32, address: Ipv6Addr) -> Result<(), Errno> {
        let net = IpNet { address: address.into(), prefix: 64, broadcast: None, deprecated: false };
        match self.remove_address(index, net) {
            // It was not there yet.
            Ok(()) | Err(Errno::ADDRNOTAVAIL) => self.add_address(index, net),
            Err(error) => Err(error),
        }
    }

    /// Takes an address from a link.
    pub(crate) fn remove_address(&mut self, index: u32, net: IpNet) -> Result<(), Errno> {
        self.request(address(RTM_DELADDR as u16, CHANGE, index, net))
    }

    /// Adds a route over a link, or puts it in the place of one to the same network.
    pub(crate) fn add_route(
        &mut self,
        index: u32,
        route: Route,
        terms: Terms,
    ) -> Result<(), Errno> {
        let mut message = route_message(RTM_NEWROUTE as u16, PUT, index, route, terms.origin);
        if let Some(source) = terms.source {
            message = message.attr(rta::RTA_PREFSRC as u16, &source.octets());
        }
        if let Some(mtu) = terms.mtu {
            let metric = Message::attribute(RTAX_MTU as u16, &mtu.to_ne_bytes());
            message = message.attr(rta::RTA_METRICS as u16, &metric);
        }
        self.request(message)
    }

    /// Removes a route.
    pub(crate) fn remove_route(
        &mut self,
        index: u32,
        route: Route,
        origin: Origin,
    ) -> Result<(), Errno> {
        self.request(route_message(RTM_DELROUTE as u16, CHANGE, index, route, origin))
    }
}

/// A message with `struct ifaddrmsg` and the address.
pub(super) fn address(kind: u16, flags: u16, index: u32, net: IpNet) -> Message {
    let [a, b, c, d] = index.to_ne_bytes();
    let scope = match is_link_local(net.address) {
        true => rt_scope_t::RT_SCOPE_LINK,
        false => rt_scope_t::RT_SCOPE_UNIVERSE,
    };
    let body = [family(net.address), net.prefix, 0, scope as u8, a, b, c, d];
    let octets = octets(net.address);
    Message::new(kind, flags, &body)
        .attr(IFA_LOCAL as u16, &octets)
        .attr(IFA_ADDRESS as u16, &octets)
}

/// A message with `struct rtmsg`, network, gateway and link.
pub(super) fn route_message(
    kind: u16,
    flags: u16,
    index: u32,
    route: Route,
    origin: Origin,
) -> Message {
    let scope = match (route.gateway, route.network) {
        (None, IpAddr::V4(_)) => rt_scope_t::RT_SCOPE_LINK,
        _ => rt_scope_t::RT_SCOPE_UNIVERSE,
    };
    let table = rt_class_t::RT_TABLE_MAIN as u8;
    let (proto, unicast) = (origin as u8, RTN_UNICAST as u8);
    let fixed = [family(route.network), route.prefix, 0, 0, table, proto, scope as u8, unicast];
    // Some networks have their gateway outside the subnet; on-link takes it wherever it is.
    let onlink = if route.gateway.is_some() { RTNH_F_ONLINK } else { 0 };
    let mut message =
        Message::new(kind, flags, &[fixed.as_slice(), &onlink.to_ne_bytes()].concat())
            .attr(rta::RTA_OIF as u16, &index.to_ne_bytes());
    if !route.is_default() {
        message = message.attr(rta::RTA_DST as u16, &octets(route.network));
    }
    match route.gateway {
        Some(gateway) => message.attr(rta::RTA_GATEWAY as u16, &octets(gateway)),
        None => message,
    }
}

fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(ip) if ip.is_unicast_link_local())
}

fn family(address: IpAddr) -> u8 {
    if address.is_ipv4() { to_u8(AF_INET) } else { to_u8(AF_INET6) }
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    }
}
