//! News of what a link has lost: that it is up, an address, a route.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use linux_raw_sys::net::{AF_INET, AF_INET6};
use linux_raw_sys::netlink::{
    IFA_ADDRESS, IFA_LOCAL, RTM_DELADDR, RTM_DELROUTE, RTM_NEWLINK, RTMGRP_IPV4_IFADDR,
    RTMGRP_IPV4_ROUTE, RTMGRP_IPV6_IFADDR, RTMGRP_IPV6_ROUTE, RTMGRP_LINK, rtattr_type_t as rta,
};
use rustix::io::Errno;
use rustix::net::SocketFlags;

use super::wire::{Received, attrs, u32_at};
use super::{links, open, read_all};
use crate::net::link::IfName;

/// The size of `struct ifaddrmsg`, and of `struct rtmsg`.
const IFADDRMSG: usize = 8;
const RTMSG: usize = 12;

/// Something a link has no more, or may have no more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Loss {
    /// The link with this index was taken down.
    Up(u32),
    /// The link with this index may have lost its name: this is the one it has now.
    Name(u32, IfName),
    /// The link with this index lost this address.
    Address(u32, IpAddr),
    /// The link with this index lost its route to a network of this prefix length.
    Route(u32, IpAddr, u8),
}

/// A socket that hears of losses.
#[derive(Debug)]
pub(crate) struct Losses {
    socket: OwnedFd,
}

impl Losses {
    /// Opens one; nothing that happens from here on is missed.
    pub(crate) fn open() -> Result<Self, Errno> {
        let groups = RTMGRP_LINK
            | RTMGRP_IPV4_IFADDR
            | RTMGRP_IPV4_ROUTE
            | RTMGRP_IPV6_IFADDR
            | RTMGRP_IPV6_ROUTE;
        Ok(Self { socket: open(SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, groups)? })
    }

    /// What was lost; `None` where so much happened that it can't be told.
    pub(crate) fn read(&self) -> Result<Option<Vec<Loss>>, Errno> {
        read_all(self.socket.as_fd(), loss)
    }
}

impl AsFd for Losses {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// What a message says was lost, where it does.
pub(super) fn loss(message: Received<'_>) -> Option<Loss> {
    let kind = u32::from(message.kind);
    if kind == RTM_NEWLINK as u32 {
        let link = links::parse(message.body)?;
        let is_up = link.is_up();
        return Some(if is_up { Loss::Name(link.index, link.name) } else { Loss::Up(link.index) });
    }
    let [family, prefix, ..] = message.body else { return None };
    let any: IpAddr = match u32::from(*family) {
        AF_INET => Ipv4Addr::UNSPECIFIED.into(),
        AF_INET6 => Ipv6Addr::UNSPECIFIED.into(),
        _ => return None,
    };
    if kind == RTM_DELADDR as u32 {
        // The kernel tells IPv6's as the address, IPv4's as the local one.
        let told = if any.is_ipv4() { IFA_LOCAL as u32 } else { IFA_ADDRESS as u32 };
        let local = ip(message.body.get(IFADDRMSG..)?, told)?;
        return Some(Loss::Address(u32_at(message.body, 4)?, local));
    }
    if kind != RTM_DELROUTE as u32 {
        return None;
    }
    let attributes = message.body.get(RTMSG..)?;
    let link = attrs(attributes).find(|(kind, _)| *kind == rta::RTA_OIF as u16)?;
    let network = ip(attributes, rta::RTA_DST as u32).unwrap_or(any);
    Some(Loss::Route(u32_at(link.1, 0)?, network, *prefix))
}

fn ip(attributes: &[u8], wanted: u32) -> Option<IpAddr> {
    let (_, value) = attrs(attributes).find(|(kind, _)| u32::from(*kind) == wanted)?;
    let four = <[u8; 4]>::try_from(value).ok().map(IpAddr::from);
    four.or_else(|| <[u8; 16]>::try_from(value).ok().map(IpAddr::from))
}
