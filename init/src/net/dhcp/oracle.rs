//! For the tests: servers' and clients' messages as another implementation reads and writes them.

use std::net::Ipv4Addr;

use dhcproto::v4::{DhcpOption, Message, MessageType, Opcode, OptionCode, UnknownOption};
use dhcproto::{Decodable as _, Decoder, Encodable as _};

use super::packet::Reply;
use crate::net::link::Mac;

pub(crate) const MAC: Mac = Mac([0x52, 0x54, 0, 1, 2, 3]);
pub(crate) const NODE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 9);
pub(crate) const SERVER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

/// What a server sends to the client with `mac`.
pub(crate) fn message(
    kind: MessageType,
    xid: u32,
    mac: Mac,
    address: Ipv4Addr,
    options: Vec<DhcpOption>,
) -> Vec<u8> {
    let zero = Ipv4Addr::UNSPECIFIED;
    let mut message = Message::new_with_id(xid, zero, address, zero, zero, &mac.0);
    message.set_opcode(Opcode::BootReply);
    message.opts_mut().insert(DhcpOption::MessageType(kind));
    for option in options {
        message.opts_mut().insert(option);
    }
    message.to_vec().expect("the oracle writes it")
}

/// The same, read.
pub(crate) fn reply(
    kind: MessageType,
    xid: u32,
    address: Ipv4Addr,
    server: Ipv4Addr,
    mut options: Vec<DhcpOption>,
) -> Reply {
    options.push(DhcpOption::ServerIdentifier(server));
    Reply::decode(&message(kind, xid, MAC, address, options)).expect("a reply")
}

/// What a client sent.
pub(crate) fn read(bytes: &[u8]) -> Message {
    Message::decode(&mut Decoder::new(bytes)).expect("the oracle reads it")
}

/// An option that is just bytes.
pub(crate) fn raw(code: u8, bytes: &[u8]) -> DhcpOption {
    DhcpOption::Unknown(UnknownOption::new(OptionCode::from(code), bytes.to_vec()))
}
