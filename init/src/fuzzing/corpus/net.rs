//! Seeds that come over a network, written by other implementations where there are such.

use std::net::Ipv4Addr;

use dhcproto::v4::{DhcpOption, Message, MessageType};
use dhcproto::{Encodable as _, v6};

use super::Seeds;
use crate::net::fuzzing::samples::{announcement, oracle, oracle6, probe, samples};
use crate::net::{Mac, fuzzing::MAC};

const OTHER: [u8; 6] = [2, 0, 0, 0, 0, 2];

/// Packets as the targets take them: each behind its length.
fn packets(all: &[Vec<u8>]) -> Vec<u8> {
    let behind = |packet: &Vec<u8>| {
        let len = u16::try_from(packet.len()).unwrap();
        [&len.to_be_bytes()[..], packet].concat()
    };
    all.iter().flat_map(behind).collect()
}

pub(super) fn arp() -> Seeds {
    let claim = announcement(Mac(OTHER), Ipv4Addr::new(192, 0, 2, 9));
    let question = probe(MAC, Ipv4Addr::new(192, 0, 2, 9));
    Seeds::from([("announcement", claim), ("probe", question)])
}

pub(super) fn dhcp() -> Seeds {
    let of = |kind, more: Vec<DhcpOption>| {
        let server = DhcpOption::ServerIdentifier(oracle::SERVER);
        let all = [vec![server], more].concat();
        oracle::message(kind, 1, oracle::MAC, oracle::NODE, all)
    };
    let offer = || of(MessageType::Offer, vec![]);
    let times = || {
        vec![
            DhcpOption::AddressLeaseTime(3600),
            DhcpOption::Renewal(600),
            DhcpOption::Rebinding(1200),
        ]
    };
    let full = of(MessageType::Ack, [times(), everything()].concat());
    let nak = of(MessageType::Nak, vec![DhcpOption::Message("not today".into())]);
    let renewed = of(MessageType::Ack, times());
    Seeds::from([
        ("lease", packets(&[offer(), full])),
        ("refusal", packets(&[offer(), nak.clone(), offer(), renewed.clone()])),
        ("renewals", packets(&[offer(), renewed.clone(), renewed, nak, offer()])),
        ("overload", packets(&[overloaded()])),
    ])
}

fn everything() -> Vec<DhcpOption> {
    let host = Ipv4Addr::new(192, 0, 2, 53);
    vec![
        DhcpOption::SubnetMask(Ipv4Addr::new(255, 255, 255, 128)),
        DhcpOption::Router(vec![oracle::SERVER]),
        DhcpOption::DomainNameServer(vec![host, oracle::SERVER]),
        DhcpOption::Hostname("node-7".into()),
        DhcpOption::DomainName("rack.example".into()),
        DhcpOption::InterfaceMtu(9000),
        DhcpOption::BroadcastAddr(Ipv4Addr::new(192, 0, 2, 127)),
        DhcpOption::NtpServers(vec![host]),
        oracle::raw(119, b"\x04rack\x07example\0\x01b\xc0\x05"),
        oracle::raw(121, &[8, 10, 192, 0, 2, 7, 0, 192, 0, 2, 1]),
    ]
}

/// Options that go on where the server's name and the boot file stand.
fn overloaded() -> Vec<u8> {
    let zero = Ipv4Addr::UNSPECIFIED;
    let mut message = Message::new_with_id(1, zero, oracle::NODE, zero, zero, &oracle::MAC.0);
    message.set_opcode(dhcproto::v4::Opcode::BootReply);
    message.opts_mut().insert(DhcpOption::MessageType(MessageType::Offer));
    message.opts_mut().insert(oracle::raw(52, &[3]));
    let mut bytes = message.to_vec().unwrap();
    bytes[44..51].copy_from_slice(&[54, 4, 192, 0, 2, 1, 255]);
    bytes[108..115].copy_from_slice(&[1, 4, 255, 255, 255, 0, 255]);
    bytes
}

pub(super) fn dhcp6() -> Seeds {
    use v6::{DhcpOption as Option6, Status};
    let server = || Option6::ServerId(oracle6::SERVER.to_vec());
    let of = |kind: u8, options: Vec<Option6>| {
        let options: v6::DhcpOptions = options.into_iter().collect();
        [vec![kind], options.to_vec().unwrap()].concat()
    };
    let told = || {
        let dns = Option6::DomainNameServers(vec![oracle6::NODE]);
        let search = oracle6::raw(24, b"\x04rack\x07example\0");
        let ntp = oracle6::raw(56, &[&[0, 1, 0, 16][..], &oracle6::NODE.octets()].concat());
        vec![server(), dns, search, ntp, oracle6::raw(32, &[0, 0, 3, 232])]
    };
    let advertise = of(2, vec![server(), oracle6::grant()]);
    let reply = of(7, [told(), vec![oracle6::grant()]].concat());
    let full = of(7, vec![server(), oracle6::status(Status::NoAddrsAvail, "none left")]);
    let whole = |wish: u8, all: &[Vec<u8>]| [vec![wish], packets(all)].concat();
    Seeds::from([
        ("lease", whole(0, &[advertise.clone(), reply.clone(), reply])),
        ("refusal", whole(0, &[advertise, full])),
        ("information", whole(1, &[of(7, told())])),
    ])
}

pub(super) fn ndp() -> Seeds {
    let network = [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let head = |flags: u8| vec![134, 0, 0, 0, 64, flags, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0];
    let hour = [0, 0, 0x0e, 0x10];
    let prefix = [&[3, 4, 64, 0xc0][..], &hour, &hour, &[0; 4], &network].concat();
    let mtu = vec![5, 1, 0, 0, 0, 0, 5, 0x78];
    let route = [&[24, 2, 48, 0][..], &hour, &network[..8]].concat();
    let dns = [&[25, 3, 0, 0][..], &hour, &oracle6::NODE.octets()].concat();
    let search = [&[31, 3, 0, 0][..], &hour, b"\x04rack\x07example\0\0\0"].concat();
    let full = [head(0), prefix.clone(), mtu, route, dns, search].concat();
    let preferred = [head(0x88), prefix].concat();
    let leaving = vec![134, 0, 0, 0, 64, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let holder = [&[136, 0, 0, 0, 0x60, 0, 0, 0][..], &network, &[2, 1], &OTHER].concat();
    Seeds::from([
        ("router", packets(&[full])),
        ("routers", packets(&[leaving.clone(), preferred, leaving])),
        ("holder", holder),
    ])
}

pub(super) fn ntp() -> Seeds {
    let mut answer = [0; 48];
    (answer[0], answer[1], answer[3]) = (4 << 3 | 4, 2, 0xe9);
    answer[32..40].copy_from_slice(&[0xee, 0xb2, 0x85, 0x18, 0x40, 0, 0, 0]);
    answer[40..].copy_from_slice(&[0xee, 0xb2, 0x85, 0x18, 0x80, 0, 0, 0]);
    let mut kiss = answer;
    kiss[1] = 0;
    kiss[12..16].copy_from_slice(b"RATE");
    Seeds::from([("answer", answer.to_vec()), ("kiss", kiss.to_vec())])
}

pub(super) fn netlink() -> Seeds {
    Seeds::from(samples())
}
