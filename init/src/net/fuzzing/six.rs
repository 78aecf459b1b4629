//! The same for IPv6: routers' advertisements and DHCPv6.

use std::net::Ipv6Addr;
use std::time::{Duration, Instant};

use super::{MAC, SEED, check_times, packets};
use crate::net::dhcp6::client::{Client, Outcome};
use crate::net::dhcp6::lease::Lease;
use crate::net::dhcp6::packet::{Reply, client_id};
use crate::net::six::Six;
use crate::net::six::frame::{self, Packet};
use crate::net::six::ndp::{self, Advert};
use crate::net::spec::is_domain;

const NODE: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 9);
/// Routers take turns.
const ROUTERS: [Ipv6Addr; 2] =
    [Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1), Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2)];

/// Neighbour discovery: as it is, and as what a link's routers advertise one after the other.
pub(crate) fn ndp(data: &[u8]) {
    let _not_ours = frame::unwrap(data);
    let _holder = ndp::holder(data, MAC, NODE);
    let start = Instant::now();
    let mut six = Six::new(MAC, true, None);
    let turns = (0_u32..).zip(ROUTERS.iter().cycle());
    for (packet, (turn, router)) in packets(data).zip(turns) {
        // Router advertisement, code 0, and a checksum that is not there yet.
        let mut message = packet.to_vec();
        message.iter_mut().zip([134, 0, 0, 0]).for_each(|(place, byte)| *place = byte);
        let datagram = frame::icmp(*router, NODE, &message);
        let Some(Packet::Icmp(source, message)) = frame::unwrap(&datagram) else {
            assert!(message.len() < 4, "a sound datagram is taken");
            continue;
        };
        let now = start + Duration::from_secs(60) * turn;
        let Ok(advert) = Advert::decode(source, message) else { continue };
        six.hear(source, &advert, MAC, now);
        check(&six);
        six.choose_gateway(now + Duration::from_secs(3600));
        assert!(six.gateway_until().is_none() || six.has_gateway());
    }
}

/// What is known of a link can be applied, and told in files that others read.
fn check(six: &Six) {
    assert!(six.addresses().count() <= 8, "{six:?}");
    assert!(six.search().all(|name| is_domain(name)), "{six:?}");
    assert!(six.mtu().is_none_or(|mtu| mtu >= 1280), "{six:?}");
    for route in six.routes() {
        assert!(route.prefix <= 128 && route.network.is_ipv6(), "{route:?}");
    }
    let free: Vec<Ipv6Addr> = six.own_addresses().collect();
    assert_eq!(&six.with_only(&free), six);
    assert_eq!(six.with_only(&[]).own_addresses().count(), 0);
}

/// DHCPv6 messages, each a kind and options: as answers to a client that asks for a lease and
/// keeps it, or that only wants to be told.
pub(crate) fn dhcp6(data: &[u8]) {
    let _malformed = Reply::decode(data);
    let Some((first, data)) = data.split_first() else { return };
    let mut at = Instant::now();
    let mut client = Client::new(MAC, first & 1 == 0, SEED, at);
    for packet in packets(data) {
        at = client.due().map_or(at, |due| due.max(at));
        let asked = client.message(at).unwrap_or_default();
        let (Some((kind, options)), Some(xid)) = (packet.split_first(), asked.get(1..4)) else {
            continue;
        };
        let id = client_id(MAC);
        let head = [&[*kind], xid, &[0, 1, 0, 10], id.as_slice()].concat();
        let Ok(reply) = Reply::decode(&[head.as_slice(), options].concat()) else { continue };
        match client.receive(at, &reply) {
            Outcome::Granted(lease) | Outcome::Offered(lease) => check_lease(&lease),
            Outcome::Ignored(_) | Outcome::Refused(_) => {}
        }
        assert!(client.due().is_none_or(|due| due >= at), "it waits for the past");
    }
}

fn check_lease(lease: &Lease) {
    let unusable = |ip: Ipv6Addr| ip.is_unspecified() || ip.is_multicast();
    assert!(lease.address.is_none_or(|ip| !unusable(ip)), "{lease:?}");
    assert!(lease.search.iter().all(|name| is_domain(name)), "{lease:?}");
    check_times(lease.times);
}
