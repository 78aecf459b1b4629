//! IPv6 headers around neighbour discovery and DHCPv6, for sockets that have no address yet.

use std::net::Ipv6Addr;

use crate::net::dhcp::frame::sum;
use crate::net::link::Mac;

const IP_HEADER: usize = 40;
const UDP_HEADER: usize = 8;
const UDP: u8 = 17;
const ICMP: u8 = 58;
const SERVER_PORT: u16 = 547;
const CLIENT_PORT: u16 = 546;
/// Neighbour discovery is believed only where no router has passed it on: it counts down.
const HOPS_MAX: u8 = 255;

/// A packet that was received, whose checksum holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Packet<'a> {
    /// An ICMPv6 message that comes from this very link.
    Icmp(Ipv6Addr, &'a [u8]),
    /// A DHCPv6 message of a server or relay.
    Dhcp(Ipv6Addr, &'a [u8]),
}

/// The datagram that carries an ICMPv6 message, whose checksum is yet zero.
pub(crate) fn icmp(source: Ipv6Addr, target: Ipv6Addr, message: &[u8]) -> Vec<u8> {
    wrap(source, target, ICMP, 2, message)
}

/// The datagram that carries a DHCPv6 message from a client at `source` to servers at `target`.
pub(crate) fn dhcp(source: Ipv6Addr, target: Ipv6Addr, message: &[u8]) -> Vec<u8> {
    // A client's message is a few hundred bytes.
    let len = u16::try_from(UDP_HEADER + message.len()).unwrap_or(u16::MAX);
    let header = [CLIENT_PORT, SERVER_PORT, len, 0].map(u16::to_be_bytes).concat();
    wrap(source, target, UDP, 6, &[&header, message].concat())
}

/// The Ethernet address of the stations that listen to the group `target`.
pub(crate) fn group_mac(target: Ipv6Addr) -> Mac {
    let [.., a, b, c, d] = target.octets();
    Mac([0x33, 0x33, a, b, c, d])
}

/// `payload` behind a header, with its checksum at `sum_at`.
fn wrap(source: Ipv6Addr, target: Ipv6Addr, next: u8, sum_at: usize, payload: &[u8]) -> Vec<u8> {
    let len = u16::try_from(payload.len()).unwrap_or(u16::MAX);
    let [high, low] = len.to_be_bytes();
    let header = [0x60, 0, 0, 0, high, low, next, HOPS_MAX];
    let checksum = match !sum(pseudo_sum(source, target, next, len), payload) {
        // Zero would say that there is none.
        0 => 0xffff,
        some => some,
    };
    let mut datagram = [header.as_slice(), &source.octets(), &target.octets(), payload].concat();
    let place = datagram.iter_mut().skip(IP_HEADER + sum_at);
    place.zip(checksum.to_be_bytes()).for_each(|(place, byte)| *place = byte);
    datagram
}

/// The packet in `datagram`, where it is whole, of use to a node that boots, and its checksum holds.
pub(crate) fn unwrap(datagram: &[u8]) -> Option<Packet<'_>> {
    let header: &[u8; IP_HEADER] = datagram.first_chunk()?;
    let [first, _, _, _, high, low, next, hops, addresses @ ..] = *header;
    if first >> 4 != 6 {
        return None;
    }
    let len = u16::from_be_bytes([high, low]);
    let payload = datagram.get(IP_HEADER..)?.get(..usize::from(len))?;
    let (source, target) = addresses.split_first_chunk::<16>()?;
    let (source, target) = (Ipv6Addr::from(*source), Ipv6Addr::from(*target.first_chunk::<16>()?));
    let pseudo = pseudo_sum(source, target, next, len);
    let is_whole = sum(pseudo, payload) == 0xffff;
    match next {
        ICMP if is_whole && hops == HOPS_MAX => Some(Packet::Icmp(source, payload)),
        UDP => {
            let ports: &[u8; UDP_HEADER] = payload.first_chunk()?;
            let field = |at: usize| u16::from_be_bytes([ports[at], ports[at + 1]]);
            // A server on this machine (a VM's host) leaves the checksum to a card that its packet
            // never meets: the field then holds the pseudo header's sum alone.
            let is_whole = is_whole || field(6) == pseudo;
            let for_us = field(2) == CLIENT_PORT && usize::from(field(4)) == payload.len();
            let message = payload.get(UDP_HEADER..)?;
            (is_whole && for_us).then_some(Packet::Dhcp(source, message))
        }
        _ => None,
    }
}

fn pseudo_sum(source: Ipv6Addr, target: Ipv6Addr, next: u8, len: u16) -> u16 {
    let [high, low] = len.to_be_bytes();
    let tail = [0, 0, high, low, 0, 0, 0, next];
    sum(0, &[source.octets().as_slice(), &target.octets(), &tail].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NODE: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 9);
    const SERVER: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);

    /// What a server sends to a client.
    fn reply(message: &[u8]) -> Vec<u8> {
        let mut datagram = dhcp(SERVER, NODE, message);
        // Swapping the ports keeps the sum.
        datagram[40..44].rotate_left(2);
        datagram
    }

    #[test]
    fn header_is_what_a_sniffer_shows() {
        let datagram = icmp(NODE, SERVER, &[133, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(datagram[..8], [0x60, 0, 0, 0, 0, 8, 58, 255]);
        // Worked out by hand: fe80+9+fe80+1+8+3a+8500 = 28352c -> 8354, complemented.
        assert_eq!(datagram[40..44], [133, 0, 0x7d, 0xb1]);
    }

    #[test]
    fn messages_survive() {
        assert_eq!(unwrap(&reply(b"message")), Some(Packet::Dhcp(SERVER, b"message")));
        let datagram = icmp(SERVER, NODE, b"\x86\0\0\0rest");
        let Some(Packet::Icmp(SERVER, message)) = unwrap(&datagram) else { panic!("lost") };
        assert_eq!(message[4..], b"rest"[..]);
    }

    #[test]
    fn what_a_router_passed_on_is_no_neighbours_word() {
        let mut datagram = icmp(SERVER, NODE, b"\x86\0\0\0rest");
        datagram[7] = 254;
        assert_eq!(unwrap(&datagram), None);
    }

    #[test]
    fn a_request_is_not_for_a_client() {
        assert_eq!(unwrap(&dhcp(NODE, SERVER, b"message")), None);
    }

    #[test]
    fn padding_of_a_short_frame_is_cut_off() {
        let mut padded = reply(b"m");
        padded.resize(64, 0xee);
        assert_eq!(unwrap(&padded), Some(Packet::Dhcp(SERVER, b"m")));
    }

    #[test]
    fn a_checksum_left_to_the_card_is_taken() {
        let mut left = reply(b"message");
        let pseudo = pseudo_sum(SERVER, NODE, UDP, 15);
        left[46..48].copy_from_slice(&pseudo.to_be_bytes());
        assert_eq!(unwrap(&left), Some(Packet::Dhcp(SERVER, b"message")));
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        for whole in [reply(b"some message of a server"), icmp(SERVER, NODE, b"\x86\0\0\0rest")] {
            for bit in 0..whole.len() * 8 {
                // Traffic class and flow label stand outside the checksum, and mean nothing.
                if (4..32).contains(&bit) {
                    continue;
                }
                let mut torn = whole.clone();
                torn[bit / 8] ^= 1 << (7 - bit % 8);
                // DHCPv6 may be relayed: its hop limit is free.
                if (56..64).contains(&bit) && matches!(unwrap(&torn), Some(Packet::Dhcp(..))) {
                    continue;
                }
                assert_eq!(unwrap(&torn), None, "bit {bit}");
            }
        }
    }

    proptest! {
        #[test]
        fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            unwrap(&bytes);
        }

        #[test]
        fn garbage_behind_a_good_start_never_panics(
            at in 0..60_usize, with: u8, cut in 0..80_usize,
        ) {
            let mut datagram = reply(b"a message of a server, not long");
            datagram[at] = with;
            datagram.truncate(cut);
            unwrap(&datagram);
        }
    }
}
