//! Sockets that work on a link without an address: for DHCP and for ARP; and one that sends a
//! finished IP datagram by the routing table, holding no port.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use linux_raw_sys::if_ether::{ETH_P_ARP, ETH_P_IP, ETH_P_IPV6};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, ipproto};

use super::link::Mac;
use super::narrow::to_u16;
use crate::sys::net::{LinkAddr, attach_filter};

/// The most bytes of a datagram that are read: no server sends more than was allowed to it.
const DATAGRAM_MAX: usize = 2048;

/// A socket for one EtherType on one link, whose headers the kernel makes.
#[derive(Debug)]
pub(crate) struct PacketSocket {
    socket: OwnedFd,
    index: u32,
    protocol: u16,
}

impl PacketSocket {
    /// One that hears what DHCP servers send to clients on link `index`.
    pub(crate) fn dhcp(index: u32) -> Result<Self, Errno> {
        Self::open(index, to_u16(ETH_P_IP), &DHCP_FILTER)
    }

    /// One that hears ARP on link `index`.
    pub(crate) fn arp(index: u32) -> Result<Self, Errno> {
        Self::open(index, to_u16(ETH_P_ARP), &[])
    }

    /// One that hears routers and DHCPv6 servers on link `index`.
    pub(crate) fn six(index: u32) -> Result<Self, Errno> {
        Self::open(index, to_u16(ETH_P_IPV6), &SIX_FILTER)
    }

    /// One that hears who answers for an address of IPv6 on link `index`.
    pub(crate) fn neighbours(index: u32) -> Result<Self, Errno> {
        Self::open(index, to_u16(ETH_P_IPV6), &NEIGHBOUR_FILTER)
    }

    /// One that hears what DHCP clients send to servers over link `index`, even where that is a
    /// bridge's port: of what such a port drops, only who hears every protocol is told.
    #[cfg(test)]
    pub(crate) fn tap(index: u32) -> Result<Self, Errno> {
        let mut filter = DHCP_FILTER;
        filter[6].k = 67;
        Self::open(index, to_u16(linux_raw_sys::if_ether::ETH_P_ALL), &filter)
    }

    fn open(index: u32, protocol: u16, filter: &[libc::sock_filter]) -> Result<Self, Errno> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        // No protocol yet: nothing comes in before the filter stands.
        let socket =
            rustix::net::socket_with(AddressFamily::PACKET, SocketType::DGRAM, flags, None)?;
        if !filter.is_empty() {
            attach_filter(socket.as_fd(), filter)?;
        }
        rustix::net::bind(&socket, &LinkAddr { index, protocol, mac: [0; 6] })?;
        Ok(Self { socket, index, protocol })
    }

    /// Sends `payload` to every station on the link.
    pub(crate) fn broadcast(&self, payload: &[u8]) -> Result<(), Errno> {
        self.send(Mac::BROADCAST, payload)
    }

    /// Sends `payload` to the station, or the group of stations, at `mac`.
    pub(crate) fn send(&self, mac: Mac, payload: &[u8]) -> Result<(), Errno> {
        let target = LinkAddr { index: self.index, protocol: self.protocol, mac: mac.0 };
        rustix::net::sendto(&self.socket, payload, SendFlags::empty(), &target).map(|_sent| ())
    }

    /// The payloads that have come in.
    pub(crate) fn receive(&self) -> Result<Vec<Vec<u8>>, Errno> {
        let mut payloads = Vec::new();
        let mut buffer = [0; DATAGRAM_MAX];
        loop {
            match rustix::net::recv(&self.socket, &mut buffer, RecvFlags::empty()) {
                Ok((len, _)) => payloads.push(buffer.get(..len).unwrap_or_default().to_vec()),
                Err(Errno::AGAIN) => return Ok(payloads),
                Err(Errno::INTR) => {}
                // The link went down: told once, and by its own event too.
                Err(Errno::NETDOWN) => return Ok(payloads),
                Err(error) => return Err(error),
            }
        }
    }
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Sends `datagram`, complete with its IP header, to `target` by the routing table.
pub(crate) fn send_routed(datagram: &[u8], target: Ipv4Addr) -> Result<(), Errno> {
    let flags = SocketFlags::CLOEXEC;
    let protocol = Some(ipproto::RAW);
    let socket = rustix::net::socket_with(AddressFamily::INET, SocketType::RAW, flags, protocol)?;
    let target = SocketAddrV4::new(target, 0);
    rustix::net::sendto(&socket, datagram, SendFlags::empty(), &target).map(|_sent| ())
}

/// Takes UDP to port 68 that is no later fragment: on a busy node the rest would drown it.
const DHCP_FILTER: [libc::sock_filter; 9] = [
    // The protocol must be UDP.
    op(libc::BPF_LD | libc::BPF_B | libc::BPF_ABS, 9, 0, 0),
    op(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 17, 0, 6),
    // The fragment's offset must be 0.
    op(libc::BPF_LD | libc::BPF_H | libc::BPF_ABS, 6, 0, 0),
    op(libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K, 0x1fff, 4, 0),
    // Behind the IP header, the target port must be 68.
    op(libc::BPF_LDX | libc::BPF_B | libc::BPF_MSH, 0, 0, 0),
    op(libc::BPF_LD | libc::BPF_H | libc::BPF_IND, 2, 0, 0),
    op(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 68, 0, 1),
    op(libc::BPF_RET | libc::BPF_K, u32::MAX, 0, 0),
    op(libc::BPF_RET | libc::BPF_K, 0, 0, 0),
];

/// Takes router advertisements and UDP to port 546. Neighbour discovery with extension headers
/// before it does not exist, and DHCPv6 needs none.
const SIX_FILTER: [libc::sock_filter; 9] = [
    // The next header: ICMPv6 or UDP.
    op(libc::BPF_LD | libc::BPF_B | libc::BPF_ABS, 6, 0, 0),
    op(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 58, 0, 2),
    // ICMPv6's type must be 134.
    op(libc::BPF_LD | libc::BPF_B | libc::BPF_ABS, 40, 0, 0),
    op(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 134, 3, 4),
    op(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 17, 0, 3),
    // UDP's target port must be 546.
    op(libc::BPF_LD | libc::BPF_H | libc::BPF_ABS, 42, 0, 0),
    op(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 546, 0, 1),
    op(libc::BPF_RET | libc::BPF_K, u32::MAX, 0, 0),
    op(libc::BPF_RET | libc::BPF_K, 0, 0, 0),
];

/// Takes neighbour advertisements.
const NEIGHBOUR_FILTER: [libc::sock_filter; 6] = [
    op(libc::BPF_LD | libc::BPF_B | libc::BPF_ABS, 6, 0, 0),
    op(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 58, 0, 3),
    op(libc::BPF_LD | libc::BPF_B | libc::BPF_ABS, 40, 0, 0),
    op(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 136, 0, 1),
    op(libc::BPF_RET | libc::BPF_K, u32::MAX, 0, 0),
    op(libc::BPF_RET | libc::BPF_K, 0, 0, 0),
];

const fn op(code: u32, k: u32, jt: u8, jf: u8) -> libc::sock_filter {
    libc::sock_filter { code: to_u16(code), jt, jf, k }
}
