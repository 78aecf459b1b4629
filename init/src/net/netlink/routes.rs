//! Addresses and routes of IPv4.

use std::net::Ipv4Addr;

use linux_raw_sys::net::AF_INET;
use linux_raw_sys::netlink::{
    IFA_ADDRESS, IFA_BROADCAST, IFA_LOCAL, NLM_F_CREATE, NLM_F_REPLACE, RTM_DELADDR, RTM_DELROUTE,
    RTM_NEWADDR, RTM_NEWROUTE, RTN_UNICAST, RTNH_F_ONLINK, rt_class_t, rt_scope_t,
    rtattr_type_t as rta,
};
use rustix::io::Errno;

use super::wire::Message;
use super::{CHANGE, Netlink};
use crate::net::dhcp::lease::Route;
use crate::net::narrow::{to_u8, to_u16};

/// The flags of a request that adds something, or puts it in the place of its like.
const PUT: u16 = CHANGE | to_u16(NLM_F_CREATE | NLM_F_REPLACE);

/// An address on a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ipv4Net {
    /// The address.
    pub(crate) address: Ipv4Addr,
    /// The length of its network's prefix.
    pub(crate) prefix: u8,
    /// The network's broadcast address.
    pub(crate) broadcast: Option<Ipv4Addr>,
}

/// Who set a route, for `ip route` to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Origin {
    /// The command line.
    Static = to_u8(linux_raw_sys::netlink::RTPROT_STATIC),
    /// A lease.
    Dhcp = to_u8(linux_raw_sys::netlink::RTPROT_DHCP),
}

impl Netlink {
    /// Gives a link an address, for good.
    pub(crate) fn add_address(&mut self, index: u32, net: Ipv4Net) -> Result<(), Errno> {
        let message = address(RTM_NEWADDR as u16, PUT, index, net);
        let broadcast = net.broadcast.map(|b| b.octets());
        self.request(match broadcast {
            Some(broadcast) => message.attr(IFA_BROADCAST as u16, &broadcast),
            None => message,
        })
    }

    /// Takes an address from a link.
    pub(crate) fn remove_address(&mut self, index: u32, net: Ipv4Net) -> Result<(), Errno> {
        self.request(address(RTM_DELADDR as u16, CHANGE, index, net))
    }

    /// Adds a route over a link, or puts it in the place of one to the same network.
    pub(crate) fn add_route(
        &mut self,
        index: u32,
        route: Route,
        source: Ipv4Addr,
        origin: Origin,
    ) -> Result<(), Errno> {
        let message = route_message(RTM_NEWROUTE as u16, PUT, index, route, origin);
        self.request(message.attr(rta::RTA_PREFSRC as u16, &source.octets()))
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
pub(super) fn address(kind: u16, flags: u16, index: u32, net: Ipv4Net) -> Message {
    let [a, b, c, d] = index.to_ne_bytes();
    let body = [to_u8(AF_INET), net.prefix, 0, rt_scope_t::RT_SCOPE_UNIVERSE as u8, a, b, c, d];
    Message::new(kind, flags, &body)
        .attr(IFA_LOCAL as u16, &net.address.octets())
        .attr(IFA_ADDRESS as u16, &net.address.octets())
}

/// A message with `struct rtmsg`, network, gateway and link.
pub(super) fn route_message(
    kind: u16,
    flags: u16,
    index: u32,
    route: Route,
    origin: Origin,
) -> Message {
    let scope = match route.gateway {
        Some(_) => rt_scope_t::RT_SCOPE_UNIVERSE,
        None => rt_scope_t::RT_SCOPE_LINK,
    };
    let table = rt_class_t::RT_TABLE_MAIN as u8;
    let (proto, unicast) = (origin as u8, RTN_UNICAST as u8);
    let fixed = [to_u8(AF_INET), route.prefix, 0, 0, table, proto, scope as u8, unicast];
    // Some networks have their gateway outside the subnet; on-link takes it wherever it is.
    let onlink = if route.gateway.is_some() { RTNH_F_ONLINK } else { 0 };
    let mut message =
        Message::new(kind, flags, &[fixed.as_slice(), &onlink.to_ne_bytes()].concat())
            .attr(rta::RTA_OIF as u16, &index.to_ne_bytes());
    if route.prefix > 0 {
        message = message.attr(rta::RTA_DST as u16, &route.network.octets());
    }
    match route.gateway {
        Some(gateway) => message.attr(rta::RTA_GATEWAY as u16, &gateway.octets()),
        None => message,
    }
}
