use dhcproto::v4::{DhcpOption, MessageType, Opcode, OptionCode};
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::net::dhcp::oracle::{self, MAC, raw};

fn address() -> impl Strategy<Value = Ipv4Addr> {
    any::<u32>().prop_map(Ipv4Addr::from)
}

proptest! {
    #[test]
    fn a_query_reads_the_same_to_the_oracle(
        kind in prop_oneof![Just(Kind::Discover), Just(Kind::Request), Just(Kind::Decline)],
        xid: u32, secs: u16, broadcast: bool, mac: [u8; 6], current in address(),
        requested in proptest::option::of(address()), server in proptest::option::of(address()),
        hostname in proptest::option::of("[a-z0-9-]{1,63}"),
    ) {
        let mac = Mac(mac);
        let query = Query {
            kind, xid, secs, broadcast, mac, current, requested, server,
            hostname: hostname.as_deref(),
        };
        let bytes = query.encode();
        prop_assert!(bytes.len() >= 300);
        let seen = oracle::read(&bytes);
        prop_assert_eq!(seen.opcode(), Opcode::BootRequest);
        prop_assert_eq!((seen.xid(), seen.secs()), (xid, secs));
        prop_assert_eq!(seen.flags().broadcast(), broadcast);
        prop_assert_eq!(seen.chaddr(), &mac.0[..]);
        prop_assert_eq!(seen.ciaddr(), current);
        prop_assert_eq!((seen.yiaddr(), seen.siaddr(), seen.giaddr()), (
            Ipv4Addr::UNSPECIFIED, Ipv4Addr::UNSPECIFIED, Ipv4Addr::UNSPECIFIED,
        ));
        let options = seen.opts();
        let wanted = match kind {
            Kind::Discover => MessageType::Discover,
            Kind::Request => MessageType::Request,
            _ => MessageType::Decline,
        };
        prop_assert_eq!(options.msg_type(), Some(wanted));
        let identifier = [&[1][..], &mac.0].concat();
        prop_assert_eq!(
            options.get(OptionCode::ClientIdentifier), Some(&DhcpOption::ClientIdentifier(identifier))
        );
        prop_assert_eq!(
            options.get(OptionCode::RequestedIpAddress).cloned(),
            requested.map(DhcpOption::RequestedIpAddress)
        );
        prop_assert_eq!(
            options.get(OptionCode::ServerIdentifier).cloned(),
            server.map(DhcpOption::ServerIdentifier)
        );
        let asks = kind != Kind::Decline;
        prop_assert_eq!(options.get(OptionCode::ParameterRequestList).is_some(), asks);
        prop_assert_eq!(
            options.get(OptionCode::Hostname).cloned(),
            hostname.filter(|_| asks).map(DhcpOption::Hostname)
        );
    }

    #[test]
    fn a_reply_of_the_oracle_reads_the_same(
        kind in prop_oneof![
            Just((MessageType::Offer, Kind::Offer)),
            Just((MessageType::Ack, Kind::Ack)),
            Just((MessageType::Nak, Kind::Nak)),
        ],
        yiaddr in address(), server in address(), time: u32, mtu: u16,
        // Up to 400 bytes: the oracle splits what is longer than 255.
        dns in vec(address(), 1..100), other in vec(any::<u8>(), 1..600), domain in "[a-z.]{1,80}",
    ) {
        let bytes = oracle::message(kind.0, 0xfeed, MAC, yiaddr, vec![
            DhcpOption::ServerIdentifier(server),
            DhcpOption::AddressLeaseTime(time),
            DhcpOption::InterfaceMtu(mtu),
            DhcpOption::DomainNameServer(dns.clone()),
            DhcpOption::DomainName(domain.clone()),
            raw(224, &other),
        ]);
        let reply = Reply::decode(&bytes).expect("a reply");
        prop_assert_eq!(reply.kind, kind.1);
        prop_assert_eq!((reply.xid, reply.mac, reply.address), (0xfeed, MAC, yiaddr));
        prop_assert_eq!(reply.address_option(code::SERVER_ID), Some(server));
        prop_assert_eq!(reply.u32_option(code::LEASE_TIME), Some(time));
        prop_assert_eq!(reply.option(code::MTU), Some(&mtu.to_be_bytes()[..]));
        prop_assert_eq!(reply.addresses(code::DNS), dns);
        prop_assert_eq!(reply.text(code::DOMAIN), Some(domain.as_str()));
        prop_assert_eq!(reply.option(224), Some(other.as_slice()));
    }

    #[test]
    fn garbage_never_panics(bytes in vec(any::<u8>(), 0..700)) {
        // Most garbage fails; whatever does not is as good a message as any.
        drop(Reply::decode(&bytes));
    }

    #[test]
    fn garbage_in_the_options_never_panics(overload in 0..4_u8, tail in vec(any::<u8>(), 0..400)) {
        let mut bytes = header();
        bytes[44..236].iter_mut().zip(tail.iter().rev()).for_each(|(place, byte)| *place = *byte);
        bytes.extend_from_slice(&[53, 1, 2, 52, 1, overload]);
        bytes.extend_from_slice(&tail);
        drop(Reply::decode(&bytes));
    }
}

/// A reply up to its options.
fn header() -> Vec<u8> {
    let mut bytes = vec![2, 1, 6, 0];
    bytes.resize(236, 0);
    bytes.extend_from_slice(&COOKIE);
    bytes
}

/// A reply with these options.
fn with_options(options: &[u8]) -> Result<Reply, PacketError> {
    Reply::decode(&[header(), options.to_vec()].concat())
}

#[test]
fn a_reply_need_not_end_with_the_mark() {
    let reply = with_options(&[53, 1, 5]).expect("a reply");
    assert_eq!(reply.kind, Kind::Ack);
    assert_eq!(reply.option(code::DNS), None);
}

#[test]
fn options_overflow_into_file_and_name() {
    let mut bytes = header();
    bytes[108..112].copy_from_slice(&[6, 2, 1, 2]);
    bytes[112] = code::END;
    bytes[44..48].copy_from_slice(&[6, 2, 3, 4]);
    bytes.extend_from_slice(&[53, 1, 5, 52, 1, 3, code::END]);
    let reply = Reply::decode(&bytes).expect("a reply");
    assert_eq!(reply.addresses(code::DNS), [Ipv4Addr::new(1, 2, 3, 4)]);
    // Without option 52 those fields are not options.
    bytes[243..246].fill(0);
    assert_eq!(Reply::decode(&bytes).expect("a reply").option(code::DNS), None);
}

#[test]
fn what_is_no_reply_is_refused_with_its_reason() {
    let spoilt = |at: usize, with: u8| {
        let mut bytes = [header(), vec![53, 1, 5, 255]].concat();
        bytes[at] = with;
        Reply::decode(&bytes).expect_err("refused")
    };
    assert_eq!(spoilt(0, 1), PacketError::NotReply);
    assert_eq!(spoilt(1, 6), PacketError::NotEthernet);
    assert_eq!(spoilt(2, 16), PacketError::NotEthernet);
    assert_eq!(spoilt(239, 0), PacketError::NoCookie);
    assert_eq!(spoilt(242, 8), PacketError::Kind);
    assert_eq!(spoilt(241, 9), PacketError::Option(53));
    assert_eq!(Reply::decode(&header()[..239]), Err(PacketError::Short));
    assert_eq!(with_options(&[]), Err(PacketError::Kind));
    assert_eq!(with_options(&[53, 1, 2, 6]), Err(PacketError::Option(6)));
}

#[test]
fn every_parameter_that_is_read_is_asked_for() {
    let bytes = Query {
        kind: Kind::Discover,
        xid: 0,
        secs: 0,
        broadcast: false,
        mac: MAC,
        current: Ipv4Addr::UNSPECIFIED,
        requested: None,
        server: None,
        hostname: None,
    }
    .encode();
    let seen = oracle::read(&bytes);
    let Some(DhcpOption::ParameterRequestList(list)) =
        seen.opts().get(OptionCode::ParameterRequestList)
    else {
        panic!("no parameter list");
    };
    let codes: Vec<u8> = list.iter().map(|code| u8::from(*code)).collect();
    for wanted in [1, 3, 6, 12, 15, 26, 28, 42, 51, 54, 58, 59, 119, 121] {
        assert!(codes.contains(&wanted), "{wanted} is missing");
    }
    let place = |code| codes.iter().position(|c| *c == code);
    assert!(place(121) < place(3), "RFC 3442: 121 before 3");
}
