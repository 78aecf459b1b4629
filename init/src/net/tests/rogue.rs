//! Servers that answer in unusual or evil ways.

use std::net::{Ipv4Addr, UdpSocket};
use std::thread;
use std::time::Duration;

use dhcproto::v4::{DhcpOption, Message, MessageType};

use super::world::{Namespace, rack, serve_address};
use crate::net::dhcp::{frame, oracle};
use crate::net::link::Mac;
use crate::net::netlink::Netlink;
use crate::net::socket::PacketSocket;

const PATIENCE: Duration = Duration::from_secs(20);
const NODE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 9);
const SERVER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

/// A server in `namespace` that broadcasts, for each message it hears, the datagrams that
/// `answer` makes of it; it ends with the test, at the latest after a minute.
fn serve(namespace: &Namespace, mut answer: impl FnMut(&Message) -> Vec<Vec<u8>> + Send + 'static) {
    serve_address(namespace, "192.0.2.1/24");
    namespace.run("ip route add 255.255.255.255 dev port0");
    let socket = namespace.enter(|| UdpSocket::bind("0.0.0.0:67")).expect("port 67");
    socket.set_broadcast(true).expect("broadcast");
    socket.set_read_timeout(Some(Duration::from_secs(60))).expect("timeout");
    thread::spawn(move || {
        let mut buffer = [0; 2048];
        while let Ok((len, _)) = socket.recv_from(&mut buffer) {
            for datagram in answer(&oracle::read(&buffer[..len])) {
                if socket.send_to(&datagram, "255.255.255.255:68").is_err() {
                    return;
                }
            }
        }
    });
}

/// The proper answer of the server with `id` to `heard`, which offers and grants `address`.
fn proper(heard: &Message, id: Ipv4Addr, address: Ipv4Addr) -> Vec<u8> {
    let kind = match heard.opts().msg_type() {
        Some(MessageType::Discover) => MessageType::Offer,
        _ => MessageType::Ack,
    };
    answer(
        heard,
        kind,
        address,
        vec![
            DhcpOption::ServerIdentifier(id),
            DhcpOption::SubnetMask(Ipv4Addr::new(255, 255, 255, 0)),
            DhcpOption::AddressLeaseTime(3600),
        ],
    )
}

fn answer(
    heard: &Message,
    kind: MessageType,
    address: Ipv4Addr,
    options: Vec<DhcpOption>,
) -> Vec<u8> {
    let mac = Mac(heard.chaddr().try_into().expect("a MAC"));
    oracle::message(kind, heard.xid(), mac, address, options)
}

#[test]
fn answers_by_broadcast_are_taken() {
    let (node, rack) = rack();
    serve(&rack, |heard| vec![proper(heard, SERVER, NODE)]);
    assert_eq!(node.up(&[], PATIENCE).expect("a network").ipv4(), Some(NODE));
}

#[test]
fn malformed_messages_and_answers_to_others_are_passed_over() {
    let (node, rack) = rack();
    serve(&rack, |heard| {
        let good = proper(heard, SERVER, NODE);
        let evil = proper(heard, Ipv4Addr::new(192, 0, 2, 66), Ipv4Addr::new(192, 0, 2, 66));
        let spoilt = |spoil: &dyn Fn(&mut Vec<u8>)| {
            let mut bytes = evil.clone();
            spoil(&mut bytes);
            bytes
        };
        vec![
            vec![],
            vec![0xff; 700],
            spoilt(&|b| b.truncate(200)),
            spoilt(&|b| b[4] ^= 1),
            spoilt(&|b| b[33] ^= 1),
            spoilt(&|b| b[0] = 1),
            spoilt(&|b| b[236] = 0),
            spoilt(&|b| b[241] = 200),
            spoilt(&|b| b[16..20].fill(0)),
            spoilt(&|b| b[16..20].fill(255)),
            good,
        ]
    });
    assert_eq!(node.up(&[], PATIENCE).expect("a network").ipv4(), Some(NODE));
}

#[test]
fn of_several_offers_one_is_taken_and_its_server_named() {
    let (node, rack) = rack();
    let other = Ipv4Addr::new(192, 0, 2, 2);
    serve(&rack, move |heard| match heard.opts().msg_type() {
        Some(MessageType::Discover) => {
            vec![proper(heard, SERVER, NODE), proper(heard, other, Ipv4Addr::new(192, 0, 2, 99))]
        }
        // The other one's answer to a request that is not for it must not confuse.
        _ => vec![proper(heard, other, Ipv4Addr::new(192, 0, 2, 99)), proper(heard, SERVER, NODE)],
    });
    // Or the first of the offers may be lost.
    node.run("ip link set eth0 up");
    node.wait_until_up("eth0");
    rack.wait_until_up("port0");
    let up = node.up(&[], PATIENCE).expect("a network");
    assert_eq!(up.ipv4(), Some(NODE));
    assert_eq!(up.lease.expect("a lease").server, SERVER);
}

#[test]
fn after_a_refusal_all_begins_again() {
    let (node, rack) = rack();
    let mut refused = false;
    serve(&rack, move |heard| match heard.opts().msg_type() {
        Some(MessageType::Request) if !refused => {
            refused = true;
            let options =
                vec![DhcpOption::ServerIdentifier(SERVER), DhcpOption::Message("not today".into())];
            vec![answer(heard, MessageType::Nak, Ipv4Addr::UNSPECIFIED, options)]
        }
        _ => vec![proper(heard, SERVER, NODE)],
    });
    assert_eq!(node.up(&[], PATIENCE).expect("a network").ipv4(), Some(NODE));
}

#[test]
fn a_server_that_only_refuses_is_quoted() {
    let (node, rack) = rack();
    serve(&rack, |heard| match heard.opts().msg_type() {
        Some(MessageType::Discover) => vec![proper(heard, SERVER, NODE)],
        _ => {
            let options =
                vec![DhcpOption::ServerIdentifier(SERVER), DhcpOption::Message("not you".into())];
            vec![answer(heard, MessageType::Nak, Ipv4Addr::UNSPECIFIED, options)]
        }
    });
    let error = node.up(&[], Duration::from_secs(3)).expect_err("refused");
    let outcome = &error.nics()[0].outcome;
    assert!(outcome.ends_with("192.0.2.1 refused: not you"), "{outcome}");
}

#[test]
fn a_grant_of_another_address_than_the_one_offered_is_looked_at_too() {
    let (node, rack) = rack();
    let taken = Ipv4Addr::new(192, 0, 2, 66);
    rack.run("ip address add 192.0.2.66/24 dev port0");
    let mut requests = 0;
    serve(&rack, move |heard| {
        requests += u32::from(heard.opts().msg_type() == Some(MessageType::Request));
        let is_first = heard.opts().msg_type() == Some(MessageType::Request) && requests == 1;
        vec![proper(heard, SERVER, if is_first { taken } else { NODE })]
    });
    assert_eq!(node.up(&[], PATIENCE).expect("a network").ipv4(), Some(NODE));
}

#[test]
fn a_server_that_never_confirms_is_told_of() {
    let (node, rack) = rack();
    serve(&rack, |heard| match heard.opts().msg_type() {
        Some(MessageType::Discover) => vec![proper(heard, SERVER, NODE)],
        _ => vec![],
    });
    let error = node.up(&[], Duration::from_secs(2)).expect_err("never confirmed");
    let outcome = &error.nics()[0].outcome;
    assert!(outcome.ends_with("192.0.2.1 offered 192.0.2.9, but did not confirm it"), "{outcome}");
}

#[test]
fn only_what_is_for_a_dhcp_client_reaches_the_socket() {
    let (node, rack) = rack();
    serve_address(&rack, "192.0.2.1/24");
    node.run("ip address add 192.0.2.9/24 dev eth0");
    node.run("ip link set eth0 up");
    rack.wait_until_up("port0");
    let links = node.enter(|| Netlink::open().and_then(|mut netlink| netlink.links()));
    let links = links.expect("links");
    let eth0 = links.iter().find(|link| link.name.to_string() == "eth0").expect("eth0");
    let socket = node.enter(|| PacketSocket::dhcp(eth0.index)).expect("a socket");
    let sender = rack.enter(|| UdpSocket::bind("192.0.2.1:67")).expect("port 67");
    for (port, text) in [(67, "server"), (9999, "other"), (68, "client"), (69, "last")] {
        sender.send_to(text.as_bytes(), (NODE, port)).expect("sent");
    }
    // A long one comes in fragments; only the first has ports, and it is too long for DHCP.
    sender.send_to(&[68; 4000], (NODE, 9999)).expect("sent");
    node.run("ping -c1 -W2 192.0.2.1");
    let heard = socket.receive().expect("packets");
    let messages: Vec<_> = heard.iter().filter_map(|packet| frame::unwrap(packet)).collect();
    assert_eq!(heard.len(), 1, "{heard:?}");
    assert_eq!(messages, [(SERVER, &b"client"[..])]);
}
