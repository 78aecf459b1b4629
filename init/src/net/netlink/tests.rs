//! Messages against another implementation, and against the kernel in a namespace of its own.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netlink_packet_core::{NetlinkMessage, NetlinkPayload};
use netlink_packet_route::AddressFamily;
use netlink_packet_route::RouteNetlinkMessage as Message;
use netlink_packet_route::address::{AddressAttribute, AddressScope};
use netlink_packet_route::link::{
    InfoKind, LinkAttribute, LinkFlags, LinkInfo, LinkLayerType, LinkMessage,
};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteProtocol, RouteScope, RouteType,
};
use proptest::prelude::*;

use super::routes::{IpNet, Origin, address, route_message};
use super::*;
use crate::net::Route;
use crate::net::link::Mac;

const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 9));
const GATEWAY: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const ADDRESS_6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 9));
const GATEWAY_6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);

fn net(address: IpAddr, prefix: u8) -> IpNet {
    IpNet { address, prefix, broadcast: None, deprecated: false }
}

/// A route to 10.1.0.0/16.
fn to_ten(gateway: Option<IpAddr>) -> Route {
    Route { network: [10, 1, 0, 0].into(), prefix: 16, gateway }
}

/// What the oracle reads in `message`, which must be all of it.
fn read(message: wire::Message) -> (u16, Message) {
    let bytes = message.finish(77);
    let read = NetlinkMessage::<Message>::deserialize(&bytes).expect("the oracle reads it");
    assert_eq!(usize::try_from(read.header.length), Ok(bytes.len()));
    assert_eq!(read.header.sequence_number, 77);
    let NetlinkPayload::InnerMessage(inner) = read.payload else { panic!("{:?}", read.payload) };
    (read.header.flags, inner)
}

/// A link message as the oracle writes it.
fn link_message(attributes: Vec<LinkAttribute>) -> Vec<u8> {
    let mut message = LinkMessage::default();
    message.header.index = 3;
    message.header.link_layer_type = LinkLayerType::Ether;
    message.header.flags = LinkFlags::Up | LinkFlags::LowerUp | LinkFlags::Running;
    message.attributes = attributes;
    let mut message = NetlinkMessage::from(Message::NewLink(message));
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    bytes
}

/// Datagrams of the kernel: links that are new, and what links have lost.
pub(crate) fn samples() -> [(&'static str, Vec<u8>); 2] {
    let link = link_message(vec![
        LinkAttribute::IfName("bond0.5".into()),
        LinkAttribute::Mtu(1500),
        LinkAttribute::Address(vec![2, 0, 0, 0, 0, 3]),
        LinkAttribute::Controller(5),
        LinkAttribute::Link(4),
        LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::Vlan)]),
    ]);
    let route = route_message(25, 0, 6, to_ten(Some(GATEWAY.into())), Origin::Dhcp);
    let losses =
        [address(21, 0, 6, net(ADDRESS, 25)), address(21, 0, 6, net(ADDRESS_6, 64)), route];
    let refusal = wire::Message::new(2, 0, &(-13_i32).to_ne_bytes());
    let losses = losses.into_iter().chain([refusal]).flat_map(|message| message.finish(1));
    [("links", [link.clone(), link].concat()), ("losses", losses.collect())]
}

/// The one link that a datagram tells of.
fn parse(datagram: &[u8]) -> Link {
    let news: Vec<_> = messages(datagram).filter_map(links::news).collect();
    let [News::Changed(link)] = news.as_slice() else { panic!("{news:?}") };
    link.clone()
}

#[test]
fn a_link_of_the_oracle_is_read() {
    let link = parse(&link_message(vec![
        LinkAttribute::IfName("enp0s3".into()),
        LinkAttribute::Mtu(9000),
        LinkAttribute::Address(vec![2, 0, 0, 0, 0, 3]),
        LinkAttribute::PermAddress(vec![2, 0, 0, 0, 0, 4]),
        LinkAttribute::Controller(5),
        LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::Veth)]),
    ]));
    assert_eq!((link.index, link.name.to_string().as_str(), link.mtu), (3, "enp0s3", 9000));
    assert_eq!(link.mac, Some(Mac([2, 0, 0, 0, 0, 3])));
    assert_eq!(link.permanent_mac, Some(Mac([2, 0, 0, 0, 0, 4])));
    assert_eq!(link.kind.as_deref(), Some(&b"veth"[..]));
    assert!(link.has_carrier() && link.is_running() && !link.is_loopback());
    assert_eq!((link.master, link.unfit()), (Some(5), Some("port of another link")));
}

#[test]
fn a_link_that_leads_nowhere_is_unfit() {
    let link = |kind| {
        parse(&link_message(vec![
            LinkAttribute::IfName("x0".into()),
            LinkAttribute::Mtu(1500),
            LinkAttribute::Address(vec![2, 0, 0, 0, 0, 3]),
            LinkAttribute::LinkInfo(vec![LinkInfo::Kind(kind)]),
        ]))
    };
    assert_eq!(link(InfoKind::Dummy).unfit(), Some("leads nowhere"));
    assert_eq!(link(InfoKind::Ifb).unfit(), Some("leads nowhere"));
    assert_eq!(link(InfoKind::Vlan).unfit(), None);
}

#[test]
fn a_message_that_tells_of_a_part_is_no_link() {
    let count = |bytes: &[u8]| messages(bytes).filter_map(links::news).count();
    let name = || LinkAttribute::IfName("eth0".into());
    assert_eq!(count(&link_message(vec![LinkAttribute::Mtu(1500)])), 0);
    // A wireless link's news of its radio.
    assert_eq!(count(&link_message(vec![name()])), 0);
    let mut bytes = link_message(vec![name(), LinkAttribute::Mtu(1500)]);
    assert_eq!(count(&bytes), 1);
    // A bridge's news of its port.
    bytes[16] = 7;
    assert_eq!(count(&bytes), 0);
}

#[test]
fn losses_of_the_oracle_are_read() {
    let losses = |message: wire::Message| {
        messages(&message.finish(1)).filter_map(losses::loss).collect::<Vec<_>>()
    };
    let net = net(ADDRESS, 25);
    let (_, Message::DelAddress(seen)) = read(address(21, 0, 6, net)) else { panic!("another") };
    assert_eq!(seen.header.index, 6);
    assert_eq!(losses(address(21, 0, 6, net)), [losses::Loss::Address(6, ADDRESS)]);
    assert_eq!(losses(address(20, 0, 6, net)), [], "an address that is new");
    let six = address(21, 0, 6, self::net(ADDRESS_6, 64));
    assert_eq!(losses(six), [losses::Loss::Address(6, ADDRESS_6)]);
    let route = to_ten(Some(GATEWAY.into()));
    let gone = || route_message(25, 0, 6, route, Origin::Dhcp);
    assert!(matches!(read(gone()), (_, Message::DelRoute(_))));
    assert_eq!(losses(gone()), [losses::Loss::Route(6, route.network, 16)]);
    let default = |gateway| route_message(25, 0, 6, Route::default_via(gateway), Origin::Dhcp);
    let any = |ip: IpAddr| [losses::Loss::Route(6, ip, 0)];
    assert_eq!(losses(default(GATEWAY.into())), any(Ipv4Addr::UNSPECIFIED.into()));
    assert_eq!(losses(default(GATEWAY_6.into())), any(Ipv6Addr::UNSPECIFIED.into()));
}

#[test]
fn an_address_reads_the_same_to_the_oracle() {
    let scopes = [
        (ADDRESS, AddressFamily::Inet, AddressScope::Universe),
        (ADDRESS_6, AddressFamily::Inet6, AddressScope::Universe),
        (GATEWAY_6.into(), AddressFamily::Inet6, AddressScope::Link),
    ];
    for (ip, family, scope) in scopes {
        let (_, Message::NewAddress(seen)) = read(address(20, CHANGE, 6, net(ip, 25))) else {
            panic!("no address");
        };
        assert_eq!((seen.header.prefix_len, seen.header.index), (25, 6));
        assert_eq!((seen.header.family, seen.header.scope), (family, scope));
        assert_eq!(seen.attributes, [AddressAttribute::Local(ip), AddressAttribute::Address(ip)]);
    }
}

#[test]
fn a_route_reads_the_same_to_the_oracle() {
    let route = to_ten(Some(GATEWAY.into()));
    let (_, Message::NewRoute(seen)) = read(route_message(24, CHANGE, 6, route, Origin::Dhcp))
    else {
        panic!("no route");
    };
    assert_eq!(seen.header.destination_prefix_length, 16);
    assert_eq!((seen.header.table, seen.header.kind), (254, RouteType::Unicast));
    assert_eq!(seen.header.protocol, RouteProtocol::Dhcp);
    assert_eq!(seen.header.scope, RouteScope::Universe);
    assert_eq!(seen.header.flags, RouteFlags::Onlink);
    assert_eq!(
        seen.attributes,
        [
            RouteAttribute::Oif(6),
            RouteAttribute::Destination(RouteAddress::Inet([10, 1, 0, 0].into())),
            RouteAttribute::Gateway(RouteAddress::Inet(GATEWAY)),
        ]
    );
    let on_link = Route { gateway: None, ..route };
    let (_, Message::NewRoute(seen)) = read(route_message(24, CHANGE, 6, on_link, Origin::Static))
    else {
        panic!("no route");
    };
    assert_eq!((seen.header.scope, seen.header.flags), (RouteScope::Link, RouteFlags::empty()));
    assert_eq!(seen.header.protocol, RouteProtocol::Static);
}

#[test]
fn a_route_of_ipv6_reads_the_same_to_the_oracle() {
    let network = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0);
    let route = Route { network: network.into(), prefix: 48, gateway: Some(GATEWAY_6.into()) };
    let (_, Message::NewRoute(seen)) = read(route_message(24, CHANGE, 6, route, Origin::Static))
    else {
        panic!("no route");
    };
    assert_eq!(seen.header.address_family, AddressFamily::Inet6);
    assert_eq!(seen.header.destination_prefix_length, 48);
    assert_eq!(
        seen.attributes,
        [
            RouteAttribute::Oif(6),
            RouteAttribute::Destination(RouteAddress::Inet6(network)),
            RouteAttribute::Gateway(RouteAddress::Inet6(GATEWAY_6)),
        ]
    );
    let default = route_message(24, CHANGE, 6, Route::default_via(GATEWAY_6.into()), Origin::Dhcp);
    let (_, Message::NewRoute(seen)) = read(default) else { panic!("no route") };
    assert_eq!(seen.header.destination_prefix_length, 0);
    assert_eq!(seen.attributes.len(), 2);
}

#[test]
fn a_refusal_carries_its_number() {
    assert_eq!(status(&[0; 20]), Ok(()));
    assert_eq!(status(&(-1_i32).to_ne_bytes()), Err(Errno::PERM));
    assert_eq!(status(&[0]), Err(Errno::BADMSG));
}

proptest! {
    #[test]
    fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        drop(messages(&bytes).filter_map(links::news).collect::<Vec<_>>());
        drop(messages(&bytes).filter_map(losses::loss).collect::<Vec<_>>());
    }

    #[test]
    fn a_spoilt_message_never_panics(at: prop::sample::Index, with: u8, cut: prop::sample::Index) {
        let mut bytes = link_message(vec![
            LinkAttribute::IfName("eth0".into()),
            LinkAttribute::Mtu(1500),
            LinkAttribute::Address(vec![2, 0, 0, 0, 0, 3]),
            LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::Veth)]),
        ]);
        *at.get_mut(&mut bytes) = with;
        bytes.truncate(cut.index(bytes.len()));
        drop(messages(&bytes).filter_map(links::news).collect::<Vec<_>>());
    }

    #[test]
    fn attributes_come_back(
        values in proptest::collection::vec((1..0x3fff_u16, proptest::collection::vec(any::<u8>(), 0..40)), 0..8),
    ) {
        let message = wire::Message::new(16, 0, &[]);
        let message = values.iter().fold(message, |message, (kind, value)| message.attr(*kind, value));
        let bytes = message.finish(1);
        let all: Vec<_> = messages(&bytes).collect();
        prop_assert_eq!(all.len(), 1);
        let seen: Vec<_> = wire::attrs(all[0].body).map(|(kind, value)| (kind, value.to_vec())).collect();
        prop_assert_eq!(seen, values);
    }
}
