//! For the tests: servers' and clients' messages as another implementation reads and writes them.

use std::net::Ipv6Addr;

use dhcproto::v6::{
    DhcpOption, DhcpOptions, IAAddr, IANA, Message, MessageType, OptionCode, Status, StatusCode,
    UnknownOption,
};
use dhcproto::{Decodable as _, Decoder, Encodable as _};

use super::packet::{Reply, association, client_id};
use crate::net::link::Mac;

pub(crate) const MAC: Mac = Mac([0x52, 0x54, 0, 1, 2, 3]);
pub(crate) const NODE: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 9);
pub(crate) const SERVER: &[u8] = &[0, 3, 0, 1, 2, 0, 0, 0, 0, 1];

/// What the server with identifier `server` sends to the client with `MAC`.
pub(crate) fn message(
    kind: MessageType,
    xid: u32,
    server: &[u8],
    options: Vec<DhcpOption>,
) -> Vec<u8> {
    let mut message = Message::new(kind);
    message.set_xid_num(xid);
    message.opts_mut().insert(DhcpOption::ClientId(client_id(MAC)));
    message.opts_mut().insert(DhcpOption::ServerId(server.to_vec()));
    options.into_iter().for_each(|option| message.opts_mut().insert(option));
    message.to_vec().expect("the oracle writes it")
}

/// The same by `SERVER`, read.
pub(crate) fn reply(kind: MessageType, xid: u32, options: Vec<DhcpOption>) -> Reply {
    Reply::decode(&message(kind, xid, SERVER, options)).expect("a reply")
}

/// An association of `MAC` with these options.
pub(crate) fn association_of(t1: u32, t2: u32, options: Vec<DhcpOption>) -> DhcpOption {
    let opts: DhcpOptions = options.into_iter().collect();
    DhcpOption::IANA(IANA { id: association(MAC), t1, t2, opts })
}

/// An address that holds so long.
pub(crate) fn address(addr: Ipv6Addr, preferred_life: u32, valid_life: u32) -> DhcpOption {
    let opts = DhcpOptions::new();
    DhcpOption::IAAddr(IAAddr { addr, preferred_life, valid_life, opts })
}

/// The proper grant of `NODE` for an hour.
pub(crate) fn grant() -> DhcpOption {
    association_of(600, 1200, vec![address(NODE, 1800, 3600)])
}

/// A refusal.
pub(crate) fn status(status: Status, text: &str) -> DhcpOption {
    DhcpOption::StatusCode(StatusCode { status, msg: text.to_owned() })
}

/// What a client sent.
pub(crate) fn read(bytes: &[u8]) -> Message {
    Message::decode(&mut Decoder::new(bytes)).expect("the oracle reads it")
}

/// An option that is just bytes.
pub(crate) fn raw(code: u16, bytes: &[u8]) -> DhcpOption {
    DhcpOption::Unknown(UnknownOption::new(OptionCode::from(code), bytes.to_vec()))
}
