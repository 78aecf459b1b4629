use dhcproto::v6::{DhcpOption, MessageType, OptionCode};
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::net::dhcp6::oracle::{self, MAC, NODE, SERVER, raw};

fn query(ask: Ask) -> Query<'static> {
    Query { ask, xid: 0x0012_3456, mac: MAC, server: None, address: None, elapsed: 150 }
}

#[test]
fn a_solicitation_reads_the_same_to_the_oracle() {
    let message = oracle::read(&query(Ask::Solicit).encode());
    assert_eq!((message.msg_type(), message.xid_num()), (MessageType::Solicit, 0x0012_3456));
    let get = |code| message.opts().get(code);
    let duid = vec![0, 3, 0, 1, 0x52, 0x54, 0, 1, 2, 3];
    assert_eq!(get(OptionCode::ClientId), Some(&DhcpOption::ClientId(duid)));
    assert_eq!(get(OptionCode::ServerId), None);
    assert_eq!(get(OptionCode::ElapsedTime), Some(&DhcpOption::ElapsedTime(150)));
    assert_eq!(get(OptionCode::RapidCommit), Some(&DhcpOption::RapidCommit));
    let Some(DhcpOption::IANA(ia)) = get(OptionCode::IANA) else { panic!("no association") };
    assert_eq!((ia.id, ia.t1, ia.t2), (0x0001_0203, 0, 0));
    assert_eq!(ia.opts.iter().count(), 0);
    let Some(DhcpOption::ORO(wanted)) = get(OptionCode::ORO) else { panic!("no wishes") };
    let wanted: Vec<u16> = wanted.opts.iter().map(|code| u16::from(*code)).collect();
    assert_eq!(wanted, [23, 24, 31, 56, 82]);
}

#[test]
fn a_request_names_server_and_address() {
    for (ask, kind) in [
        (Ask::Request, MessageType::Request),
        (Ask::Renew, MessageType::Renew),
        (Ask::Decline, MessageType::Decline),
    ] {
        let query = Query { server: Some(SERVER), address: Some(NODE), ..query(ask) };
        let message = oracle::read(&query.encode());
        assert_eq!(message.msg_type(), kind);
        let server = Some(&DhcpOption::ServerId(SERVER.to_vec()));
        assert_eq!(message.opts().get(OptionCode::ServerId), server);
        assert_eq!(message.opts().get(OptionCode::RapidCommit), None);
        let Some(DhcpOption::IANA(ia)) = message.opts().get(OptionCode::IANA) else {
            panic!("no association")
        };
        let Some(DhcpOption::IAAddr(address)) = ia.opts.get(OptionCode::IAAddr) else {
            panic!("no address")
        };
        assert_eq!((address.addr, address.valid_life), (NODE, 0));
    }
}

#[test]
fn a_question_for_information_asks_for_no_address() {
    let message = oracle::read(&query(Ask::Information).encode());
    assert_eq!(message.msg_type(), MessageType::InformationRequest);
    assert_eq!(message.opts().get(OptionCode::IANA), None);
    let Some(DhcpOption::ORO(wanted)) = message.opts().get(OptionCode::ORO) else {
        panic!("no wishes")
    };
    let wanted: Vec<u16> = wanted.opts.iter().map(|code| u16::from(*code)).collect();
    assert_eq!(wanted, [23, 24, 31, 56, 32, 83]);
}

#[test]
fn a_servers_message_is_read() {
    let reply = oracle::reply(MessageType::Reply, 7, vec![oracle::grant()]);
    assert_eq!((reply.kind, reply.xid), (Kind::Reply, 7));
    assert_eq!((reply.client, reply.server.as_slice()), (client_id(MAC), SERVER));
    assert_eq!(reply.options.all(code::IA_NA).count(), 1);
    let offer = oracle::reply(MessageType::Advertise, 7, vec![]);
    assert_eq!(offer.kind, Kind::Advertise);
}

#[test]
fn what_no_server_sends_is_refused_by_name() {
    let whole = oracle::message(MessageType::Reply, 7, SERVER, vec![]);
    let spoilt = |spoil: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = whole.clone();
        spoil(&mut bytes);
        Reply::decode(&bytes)
    };
    assert!(spoilt(&|_| ()).is_ok());
    assert_eq!(spoilt(&|b| b.truncate(3)), Err(PacketError::Short));
    assert_eq!(spoilt(&|b| b[0] = 1), Err(PacketError::Kind));
    assert_eq!(spoilt(&|b| b[0] = 13), Err(PacketError::Kind));
    assert_eq!(spoilt(&|b| b.push(0)), Err(PacketError::Short));
    assert_eq!(spoilt(&|b| b[7] = 200), Err(PacketError::Option(1)));
    assert_eq!(spoilt(&|b| b[5] = 99), Err(PacketError::Client));
    assert_eq!(spoilt(&|b| b[19] = 99), Err(PacketError::Server));
    let many = oracle::message(MessageType::Reply, 7, SERVER, vec![raw(200, b""); 63]);
    assert_eq!(Reply::decode(&many), Err(PacketError::Many));
    let long = oracle::message(MessageType::Reply, 7, &[0; 131], vec![]);
    assert_eq!(Reply::decode(&long), Err(PacketError::Server));
}

proptest! {
    #[test]
    fn garbage_never_panics(bytes in vec(any::<u8>(), 0..400)) {
        drop(Reply::decode(&bytes));
    }

    #[test]
    fn a_spoilt_message_never_panics(at: prop::sample::Index, with: u8, cut: prop::sample::Index) {
        let mut bytes = oracle::message(MessageType::Reply, 7, SERVER, vec![oracle::grant()]);
        *at.get_mut(&mut bytes) = with;
        bytes.truncate(cut.index(bytes.len() + 1));
        drop(Reply::decode(&bytes));
    }

    #[test]
    fn options_come_back_as_the_oracle_has_them(
        options in vec((200..300_u16, vec(any::<u8>(), 0..40)), 0..20),
    ) {
        let all = options.iter().map(|(code, bytes)| raw(*code, bytes)).collect();
        let reply = oracle::reply(MessageType::Reply, 7, all);
        for (code, bytes) in &options {
            prop_assert!(reply.options.all(*code).any(|value| value == bytes));
        }
    }
}
