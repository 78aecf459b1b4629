//! The fuzz targets of the network: whatever a link, the kernel or the command line says.

mod six;

pub(crate) use six::{dhcp6, ndp};

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use super::arp;
use super::dhcp::client::{Client, Outcome};
use super::dhcp::frame;
use super::dhcp::lease::{Lease, Times};
use super::dhcp::packet::Reply;
use super::dhcp::renewal::Renewal;
use super::link::{IfName, Mac};
use super::netlink;
use super::spec::{NetConfig, is_domain};

/// The node.
pub(crate) const MAC: Mac = Mac([0x52, 0x54, 0, 1, 2, 3]);
/// What the node's random number is.
const SEED: u32 = 0x5eed;
/// The most packets of one input.
const PACKETS_MAX: usize = 16;

/// The packets in `data`: each behind its length, in two bytes.
pub(super) fn packets(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = data;
    let next = move || {
        let ([high, low], after) = rest.split_first_chunk()?;
        let len = usize::from(u16::from_be_bytes([*high, *low])).min(after.len());
        let (packet, after) = after.split_at(len);
        rest = after;
        Some(packet)
    };
    std::iter::from_fn(next).take(PACKETS_MAX)
}

/// DHCPv4 messages: as they are, and as answers to a client that asks for a lease and then keeps
/// the one it was granted.
pub(crate) fn dhcp(data: &[u8]) {
    let _not_ours = frame::unwrap(data);
    let now = Instant::now();
    let mut client = Client::new(MAC, SEED, now, Duration::from_secs(4));
    let mut kept: Option<Renewal> = None;
    for packet in packets(data) {
        if let Ok(reply) = Reply::decode(packet) {
            check_lease(&reply);
        }
        match &mut kept {
            None => {
                let at = client.due();
                let asked = client.message(at).unwrap_or_default();
                let Some(reply) = answer(packet, &asked) else { continue };
                if let Outcome::Granted(lease) = client.receive(at, &reply) {
                    kept = Renewal::new(MAC, None, lease, at, SEED);
                }
            }
            Some(renewal) => {
                let Some(due) = renewal.due() else { break };
                let asked = renewal.message(due).map(|outgoing| outgoing.message);
                let Some(reply) = answer(packet, &asked.unwrap_or_default()) else { continue };
                let _answer = renewal.receive(due, &reply);
                assert!(renewal.due().is_none_or(|next| next >= due), "it waits for the past");
            }
        }
    }
}

/// `packet` as the answer to what the client `asked`, where it is one at all; it survives its
/// way through a datagram.
fn answer(packet: &[u8], asked: &[u8]) -> Option<Reply> {
    let mut sealed = packet.to_vec();
    sealed.get_mut(..3)?.copy_from_slice(&[2, 1, 6]);
    sealed.get_mut(4..8)?.copy_from_slice(asked.get(4..8)?);
    sealed.get_mut(28..34)?.copy_from_slice(&MAC.0);
    sealed.get_mut(236..240)?.copy_from_slice(&[99, 130, 83, 99]);
    let mut datagram = frame::wrap(Ipv4Addr::LOCALHOST, Ipv4Addr::BROADCAST, &sealed);
    // Swapping the ports keeps the sum.
    datagram.get_mut(20..24)?.rotate_left(2);
    let (_, message) = frame::unwrap(&datagram)?;
    assert_eq!(message, sealed);
    Reply::decode(message).ok()
}

/// What a lease brings can be applied, and told in files that others read.
fn check_lease(reply: &Reply) {
    let Ok(lease) = Lease::from_reply(reply) else { return };
    assert!((1..=32).contains(&lease.prefix), "{lease:?}");
    assert!(!lease.address.is_unspecified() && !lease.address.is_multicast(), "{lease:?}");
    assert!(lease.search.iter().chain(&lease.hostname).all(|name| is_domain(name)), "{lease:?}");
    for route in &lease.routes {
        let IpAddr::V4(network) = route.network else { unreachable!("{route:?}") };
        let host = u32::MAX.checked_shr(route.prefix.into()).unwrap_or(0);
        assert_eq!(network.to_bits() & host, 0, "the kernel refuses {route:?}");
    }
    check_times(lease.times);
}

/// A lease is renewed before it is rebound, and that before it is over.
pub(super) fn check_times(times: Times) {
    let Times::Limited { renew, rebind, expire } = times else { return };
    assert!(Duration::ZERO < renew && renew <= rebind && rebind <= expire, "{times:?}");
}

/// ARP: who claims an address is another station.
pub(crate) fn arp(data: &[u8]) {
    let sender = data.get(14..18).and_then(|octets| <[u8; 4]>::try_from(octets).ok());
    let address = sender.map_or(Ipv4Addr::new(192, 0, 2, 9), Ipv4Addr::from);
    if let Some(holder) = arp::holder(data, MAC, address) {
        assert_ne!(holder, MAC);
    }
}

/// Netlink's messages: news of links, losses, and the kernel's verdicts.
pub(crate) fn netlink(data: &[u8]) {
    netlink::read_any(data);
}

/// Arguments of the network, one a line. What can't be read is named by its place.
pub(crate) fn network(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let pairs: Vec<(String, Option<String>)> = text
        .lines()
        .map(|line| match line.split_once('=') {
            Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
            None => (line.to_owned(), None),
        })
        .collect();
    match NetConfig::parse(&pairs) {
        Ok(config) => check_config(&config),
        Err(error) => {
            let there = error.value.get(error.position..).unwrap_or_default();
            assert!(there.starts_with(&error.text), "{error}: not {there:?}");
        }
    }
}

fn check_config(config: &NetConfig) {
    let _off = config.is_off();
    for name in [&b"eth0"[..], b"bond0", b"vlan5"] {
        let Some(name) = IfName::new(name) else { continue };
        let macs = [MAC];
        let (over, request) = (config.over(&name, &macs), config.for_link(&name, &macs));
        assert!(over.is_none() || config.bonds.len() + config.vlans.len() > 0, "{request:?}");
        let _routes = config.routes_over(&name, &macs);
    }
}

/// What the seeds are written with.
#[cfg(test)]
pub(crate) mod samples {
    pub(crate) use crate::net::arp::{announcement, probe};
    pub(crate) use crate::net::dhcp::oracle;
    pub(crate) use crate::net::dhcp6::oracle as oracle6;
    pub(crate) use crate::net::netlink::samples;
}
