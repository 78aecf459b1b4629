//! ARP for IPv4 over Ethernet (RFC 826), as far as address conflicts go (RFC 5227).

use std::net::Ipv4Addr;

use super::link::Mac;

/// Ethernet, IPv4, and their addresses' lengths.
const HEADER: [u8; 6] = [0, 1, 8, 0, 6, 4];
const REQUEST: u8 = 1;

/// Asks whether anyone has `address`, without claiming it.
pub(crate) fn probe(mac: Mac, address: Ipv4Addr) -> Vec<u8> {
    request(mac, Ipv4Addr::UNSPECIFIED, address)
}

/// Tells everyone that `mac` has `address` now.
pub(crate) fn announcement(mac: Mac, address: Ipv4Addr) -> Vec<u8> {
    request(mac, address, address)
}

/// Who, other than `own`, says in `packet` that it has `address`.
///
/// A probe for it is no such word: some switches send one to every port that comes up.
pub(crate) fn holder(packet: &[u8], own: Mac, address: Ipv4Addr) -> Option<Mac> {
    let packet: &[u8; 28] = packet.first_chunk()?;
    let [0, 1, 8, 0, 6, 4, 0, 1..=2, m0, m1, m2, m3, m4, m5, rest @ ..] = *packet else {
        return None;
    };
    let [s0, s1, s2, s3, ..] = rest;
    let sender = Ipv4Addr::new(s0, s1, s2, s3);
    let mac = Mac([m0, m1, m2, m3, m4, m5]);
    (mac != own && sender == address).then_some(mac)
}

fn request(mac: Mac, sender: Ipv4Addr, target: Ipv4Addr) -> Vec<u8> {
    let mut packet = HEADER.to_vec();
    packet.extend_from_slice(&[0, REQUEST]);
    packet.extend_from_slice(&mac.0);
    packet.extend_from_slice(&sender.octets());
    packet.extend_from_slice(&[0; 6]);
    packet.extend_from_slice(&target.octets());
    packet
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const OWN: Mac = Mac([2, 0, 0, 0, 0, 1]);
    const OTHER: Mac = Mac([2, 0, 0, 0, 0, 2]);
    const ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 9);

    #[test]
    fn who_answers_for_the_address_holds_it() {
        let mut answer = announcement(OTHER, ADDRESS);
        answer[7] = 2;
        assert_eq!(holder(&answer, OWN, ADDRESS), Some(OTHER));
        assert_eq!(holder(&answer, OWN, Ipv4Addr::new(192, 0, 2, 10)), None);
    }

    #[test]
    fn who_announces_the_address_holds_it() {
        assert_eq!(holder(&announcement(OTHER, ADDRESS), OWN, ADDRESS), Some(OTHER));
    }

    #[test]
    fn own_words_and_questions_of_others_are_no_conflict() {
        assert_eq!(holder(&probe(OWN, ADDRESS), OWN, ADDRESS), None);
        assert_eq!(holder(&probe(OTHER, ADDRESS), OWN, ADDRESS), None);
        assert_eq!(holder(&announcement(OWN, ADDRESS), OWN, ADDRESS), None);
        let question = request(OTHER, Ipv4Addr::new(192, 0, 2, 1), ADDRESS);
        assert_eq!(holder(&question, OWN, ADDRESS), None);
    }

    proptest! {
        #[test]
        fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            holder(&bytes, OWN, ADDRESS);
        }
    }
}
