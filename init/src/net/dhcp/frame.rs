//! IPv4 and UDP headers around a DHCP message, for sockets that have no address yet.

use std::net::Ipv4Addr;

const IP_HEADER: usize = 20;
const UDP_HEADER: usize = 8;
const UDP: u8 = 17;
const SERVER_PORT: u16 = 67;
const CLIENT_PORT: u16 = 68;
/// Don't fragment.
const DF: u8 = 0x40;
const TTL: u8 = 64;

/// The datagram that carries `message` from a client at `source` to a server at `target`.
pub(crate) fn wrap(source: Ipv4Addr, target: Ipv4Addr, message: &[u8]) -> Vec<u8> {
    // A client's message is a few hundred bytes.
    let udp_len = u16::try_from(UDP_HEADER + message.len()).unwrap_or(u16::MAX);
    let total = u16::try_from(IP_HEADER).unwrap_or(0).saturating_add(udp_len).to_be_bytes();
    let mut ip = [0x45, 0, total[0], total[1], 0, 0, DF, 0, TTL, UDP, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    ip[12..16].copy_from_slice(&source.octets());
    ip[16..20].copy_from_slice(&target.octets());
    let checksum = (!sum(0, &ip)).to_be_bytes();
    ip[10..12].copy_from_slice(&checksum);

    let mut udp = Vec::with_capacity(IP_HEADER + UDP_HEADER + message.len());
    for field in [CLIENT_PORT, SERVER_PORT, udp_len, 0] {
        udp.extend_from_slice(&field.to_be_bytes());
    }
    udp.extend_from_slice(message);
    let checksum = match !sum(pseudo_sum(source, target, udp_len), &udp) {
        // Zero would say that there is none.
        0 => 0xffff,
        some => some,
    };
    if let Some(place) = udp.get_mut(6..8) {
        place.copy_from_slice(&checksum.to_be_bytes());
    }
    [ip.as_slice(), &udp].concat()
}

/// The sender and the message in `datagram`, where it is whole, meant for a DHCP client, and its
/// checksums hold.
pub(crate) fn unwrap(datagram: &[u8]) -> Option<(Ipv4Addr, &[u8])> {
    let header_len = usize::from(datagram.first()? & 0x0f) * 4;
    let is_v4 = datagram.first()? >> 4 == 4 && header_len >= IP_HEADER;
    let header = datagram.get(..header_len).filter(|_| is_v4)?;
    let fixed: &[u8; IP_HEADER] = header.first_chunk()?;
    let fragment = u16::from_be_bytes([fixed[6], fixed[7]]) & 0x3fff;
    if sum(0, header) != 0xffff || fixed[9] != UDP || fragment != 0 {
        return None;
    }
    let total = usize::from(u16::from_be_bytes([fixed[2], fixed[3]]));
    let udp = datagram.get(header_len..total)?;
    let ports: &[u8; UDP_HEADER] = udp.first_chunk()?;
    let field = |at: usize| u16::from_be_bytes([ports[at], ports[at + 1]]);
    let udp_len = field(4);
    let udp = udp.get(..usize::from(udp_len))?;
    let octets = |at: usize| Ipv4Addr::new(fixed[at], fixed[at + 1], fixed[at + 2], fixed[at + 3]);
    let (source, target) = (octets(12), octets(16));
    let pseudo = pseudo_sum(source, target, udp_len);
    // A server on this machine (a VM's host) leaves the checksum to a card that its packet never
    // meets: the field then holds the pseudo header's sum alone.
    let whole = match field(6) {
        0 => true,
        unfinished if unfinished == pseudo => true,
        _ => sum(pseudo, udp) == 0xffff,
    };
    let for_us = field(0) == SERVER_PORT && field(2) == CLIENT_PORT;
    (whole && for_us).then(|| udp.get(UDP_HEADER..)).flatten().map(|message| (source, message))
}

fn pseudo_sum(source: Ipv4Addr, target: Ipv4Addr, udp_len: u16) -> u16 {
    let len = udp_len.to_be_bytes();
    let tail = [0, UDP, len[0], len[1]];
    sum(0, &[source.octets(), target.octets(), tail].concat())
}

/// The ones' complement sum (RFC 1071) of `bytes`, going on from `start`.
pub(crate) fn sum(start: u16, bytes: &[u8]) -> u16 {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let last = rest.first().map_or(0, |b| u64::from(*b) << 8);
    let total: u64 = pairs.iter().map(|p| u64::from(u16::from_be_bytes(*p))).sum();
    let mut total = total + last + u64::from(start);
    while total > 0xffff {
        total = (total >> 16) + (total & 0xffff);
    }
    u16::try_from(total).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CLIENT: Ipv4Addr = Ipv4Addr::UNSPECIFIED;
    const SERVER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

    /// What a server at `SERVER` sends to a client at 192.0.2.9.
    fn reply(message: &[u8]) -> Vec<u8> {
        let mut datagram = wrap(SERVER, Ipv4Addr::new(192, 0, 2, 9), message);
        // Swapping the ports keeps the sum.
        datagram[20..24].rotate_left(2);
        datagram
    }

    #[test]
    fn checksum_matches_the_example_of_rfc_1071() {
        assert_eq!(sum(0, &[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]), 0xddf2);
    }

    #[test]
    fn header_is_what_a_sniffer_shows() {
        let datagram = wrap(CLIENT, Ipv4Addr::BROADCAST, b"hi");
        // Sum worked out by hand: 4500+001e+4000+4011+ffff+ffff = 2c531 -> c533... complemented.
        assert_eq!(datagram[..12], [0x45, 0, 0, 30, 0, 0, 0x40, 0, 64, 17, 0x3a, 0xd0]);
        assert_eq!(datagram[20..26], [0, 68, 0, 67, 0, 10]);
    }

    #[test]
    fn a_reply_survives() {
        assert_eq!(unwrap(&reply(b"message")), Some((SERVER, &b"message"[..])));
    }

    #[test]
    fn a_request_is_not_for_a_client() {
        assert_eq!(unwrap(&wrap(CLIENT, Ipv4Addr::BROADCAST, b"message")), None);
    }

    #[test]
    fn padding_of_a_short_frame_is_cut_off() {
        let mut padded = reply(b"m");
        padded.resize(46, 0xee);
        assert_eq!(unwrap(&padded), Some((SERVER, &b"m"[..])));
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let whole = reply(b"some message of a server");
        for bit in 0..whole.len() * 8 {
            let mut torn = whole.clone();
            torn[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(unwrap(&torn), None, "bit {bit}");
        }
    }

    #[test]
    fn no_checksum_and_one_left_to_the_card_are_taken() {
        let whole = reply(b"message");
        let mut none = whole.clone();
        none[26..28].fill(0);
        assert_eq!(unwrap(&none), Some((SERVER, &b"message"[..])));
        let mut left = whole;
        let pseudo = pseudo_sum(SERVER, Ipv4Addr::new(192, 0, 2, 9), 15);
        left[26..28].copy_from_slice(&pseudo.to_be_bytes());
        assert_eq!(unwrap(&left), Some((SERVER, &b"message"[..])));
    }

    proptest! {
        #[test]
        fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            unwrap(&bytes);
        }

        #[test]
        fn garbage_behind_a_good_start_never_panics(
            at in 0..40_usize, with: u8, cut in 0..60_usize,
        ) {
            let mut datagram = reply(b"a message of a server, not long");
            datagram[at] = with;
            datagram.truncate(cut);
            unwrap(&datagram);
        }
    }
}
