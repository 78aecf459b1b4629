//! DHCPv6 messages (RFC 8415): encoded as a client sends them, decoded as a server may send them.
//! Decoding any bytes ends in a message or an error, never a panic.

use std::net::Ipv6Addr;

use crate::net::link::Mac;

/// Where a message's fields lie: type 0, transaction id 1 (3 bytes), options 4.
const HEADER: usize = 4;
/// The longest server identifier that a server may have (RFC 8415, 11.1).
const DUID_MAX: usize = 130;
/// The most options, and the most addresses, that are read of a message.
const OPTIONS_MAX: usize = 64;

/// Options by number.
pub(crate) mod code {
    pub(crate) const CLIENT_ID: u16 = 1;
    pub(crate) const SERVER_ID: u16 = 2;
    pub(crate) const IA_NA: u16 = 3;
    pub(crate) const IA_ADDRESS: u16 = 5;
    pub(crate) const REQUESTED: u16 = 6;
    pub(crate) const ELAPSED: u16 = 8;
    pub(crate) const STATUS: u16 = 13;
    pub(crate) const RAPID_COMMIT: u16 = 14;
    pub(crate) const DNS: u16 = 23;
    pub(crate) const SEARCH: u16 = 24;
    pub(crate) const SNTP: u16 = 31;
    pub(crate) const REFRESH: u16 = 32;
    pub(crate) const NTP: u16 = 56;
    pub(crate) const SOL_MAX_RT: u16 = 82;
    pub(crate) const INF_MAX_RT: u16 = 83;
}

/// What a client sends (the numbers are the protocol's).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Ask {
    Solicit = 1,
    Request = 3,
    Renew = 5,
    Rebind = 6,
    Decline = 9,
    Information = 11,
}

/// What a server sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Advertise,
    Reply,
}

/// A message to servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Query<'a> {
    pub(crate) ask: Ask,
    /// The transaction's number, of which 24 bits count.
    pub(crate) xid: u32,
    pub(crate) mac: Mac,
    /// The server meant, by its identifier.
    pub(crate) server: Option<&'a [u8]>,
    /// The address asked for.
    pub(crate) address: Option<Ipv6Addr>,
    /// Hundredths of a second since the first message of this exchange.
    pub(crate) elapsed: u16,
}

impl Query<'_> {
    /// The message's bytes.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let [_, a, b, c] = self.xid.to_be_bytes();
        let mut out = vec![self.ask as u8, a, b, c];
        put(&mut out, code::CLIENT_ID, &client_id(self.mac));
        if let Some(server) = self.server {
            put(&mut out, code::SERVER_ID, server);
        }
        put(&mut out, code::ELAPSED, &self.elapsed.to_be_bytes());
        if self.ask != Ask::Information {
            let mut ia = [association(self.mac).to_be_bytes(), [0; 4], [0; 4]].concat();
            if let Some(address) = self.address {
                // Lifetimes of zero: no wish.
                put(&mut ia, code::IA_ADDRESS, &[address.octets().as_slice(), &[0; 8]].concat());
            }
            put(&mut out, code::IA_NA, &ia);
        }
        if self.ask == Ask::Solicit {
            put(&mut out, code::RAPID_COMMIT, &[]);
        }
        let wanted: &[u16] = match self.ask {
            Ask::Decline => &[],
            Ask::Information => {
                &[code::DNS, code::SEARCH, code::SNTP, code::NTP, code::REFRESH, code::INF_MAX_RT]
            }
            _ => &[code::DNS, code::SEARCH, code::SNTP, code::NTP, code::SOL_MAX_RT],
        };
        if !wanted.is_empty() {
            let codes: Vec<u8> = wanted.iter().flat_map(|code| code.to_be_bytes()).collect();
            put(&mut out, code::REQUESTED, &codes);
        }
        out
    }
}

/// Who this client is: by its link's address (DUID-LL), so that it is the same in every boot.
pub(crate) fn client_id(mac: Mac) -> Vec<u8> {
    [[0, 3, 0, 1].as_slice(), &mac.0].concat()
}

/// The number of the one address wanted: as other clients do, the end of the MAC.
pub(crate) fn association(mac: Mac) -> u32 {
    let [_, _, a, b, c, d] = mac.0;
    u32::from_be_bytes([a, b, c, d])
}

/// Appends an option of at most 65,535 bytes; none made here comes near that.
fn put(out: &mut Vec<u8>, code: u16, value: &[u8]) {
    if let Ok(len) = u16::try_from(value.len()) {
        out.extend_from_slice(&[code.to_be_bytes(), len.to_be_bytes()].concat());
        out.extend_from_slice(value);
    }
}

/// A server's message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) kind: Kind,
    pub(crate) xid: u32,
    /// Whom it is for.
    pub(crate) client: Vec<u8>,
    /// Whom it is from.
    pub(crate) server: Vec<u8>,
    pub(crate) options: Options,
}

/// Why bytes are no server's message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PacketError {
    #[error("cut short")]
    Short,
    #[error("no message type that a server sends")]
    Kind,
    #[error("option {0} runs past the end")]
    Option(u16),
    #[error("more than {OPTIONS_MAX} options")]
    Many,
    #[error("no server identifier")]
    Server,
    #[error("no client identifier")]
    Client,
}

impl Reply {
    /// Reads a message.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, PacketError> {
        let [kind, a, b, c] = *bytes.first_chunk::<HEADER>().ok_or(PacketError::Short)?;
        let kind = match kind {
            2 => Kind::Advertise,
            7 => Kind::Reply,
            _ => return Err(PacketError::Kind),
        };
        let options = Options::decode(bytes.get(HEADER..).unwrap_or_default())?;
        let server = options.get(code::SERVER_ID).filter(|id| (1..=DUID_MAX).contains(&id.len()));
        Ok(Self {
            kind,
            xid: u32::from_be_bytes([0, a, b, c]),
            client: options.get(code::CLIENT_ID).ok_or(PacketError::Client)?.to_vec(),
            server: server.ok_or(PacketError::Server)?.to_vec(),
            options,
        })
    }
}

/// The options of a message or within an option, in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Options(Vec<(u16, Vec<u8>)>);

impl Options {
    /// Reads all of `bytes` as options.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, PacketError> {
        let mut options = Vec::new();
        let mut rest = bytes;
        while !rest.is_empty() {
            let ([a, b, c, d], after) = rest.split_first_chunk().ok_or(PacketError::Short)?;
            let code = u16::from_be_bytes([*a, *b]);
            let len = usize::from(u16::from_be_bytes([*c, *d]));
            let (value, after) = after.split_at_checked(len).ok_or(PacketError::Option(code))?;
            if options.len() == OPTIONS_MAX {
                return Err(PacketError::Many);
            }
            options.push((code, value.to_vec()));
            rest = after;
        }
        Ok(Self(options))
    }

    /// The bytes of the first option `code`.
    pub(crate) fn get(&self, code: u16) -> Option<&[u8]> {
        self.all(code).next()
    }

    /// The bytes of each option `code`.
    pub(crate) fn all(&self, code: u16) -> impl Iterator<Item = &[u8]> {
        self.0.iter().filter(move |(c, _)| *c == code).map(|(_, value)| value.as_slice())
    }

    /// An option that is a list of addresses; empty where its length is no multiple of sixteen.
    pub(crate) fn addresses(&self, code: u16) -> Vec<Ipv6Addr> {
        let (whole, rest) = self.get(code).unwrap_or_default().as_chunks::<16>();
        if rest.is_empty() { whole.iter().map(|o| (*o).into()).collect() } else { Vec::new() }
    }

    /// The status: its number and its text. Where there is none, all is well.
    pub(crate) fn status(&self) -> (u16, String) {
        let Some(([a, b], text)) = self.get(code::STATUS).and_then(|s| s.split_first_chunk())
        else {
            return (0, String::new());
        };
        let text = String::from_utf8_lossy(text).escape_debug().to_string();
        (u16::from_be_bytes([*a, *b]), text)
    }
}

#[cfg(test)]
mod tests;
