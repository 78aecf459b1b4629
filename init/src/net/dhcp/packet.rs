//! DHCPv4 messages (RFC 2131, 2132, 3396): encoded as a client sends them, decoded as a server
//! may send them. Decoding any bytes ends in a message or an error, never a panic.

use std::net::Ipv4Addr;

use crate::net::link::Mac;

/// Where a message's fields lie: op 0, htype 1, hlen 2, hops 3, xid 4, secs 8, flags 10, ciaddr
/// 12, yiaddr 16, siaddr 20, giaddr 24, chaddr 28 (16 bytes), sname 44 (64), file 108 (128),
/// magic cookie 236, options 240.
const OPTIONS: usize = 240;
const SNAME: std::ops::Range<usize> = 44..108;
const FILE: std::ops::Range<usize> = 108..236;
const COOKIE: [u8; 4] = [99, 130, 83, 99];
/// BOOTP's length: some relays drop what is shorter.
const LEN_MIN: usize = 300;
/// A datagram's largest payload in a frame of 1500 bytes.
const LEN_MAX: u16 = 1472;
const BOOTREQUEST: u8 = 1;
const BOOTREPLY: u8 = 2;
const ETHERNET: u8 = 1;

/// Options by number.
pub(crate) mod code {
    pub(crate) const PAD: u8 = 0;
    pub(crate) const SUBNET_MASK: u8 = 1;
    pub(crate) const ROUTER: u8 = 3;
    pub(crate) const DNS: u8 = 6;
    pub(crate) const HOSTNAME: u8 = 12;
    pub(crate) const DOMAIN: u8 = 15;
    pub(crate) const MTU: u8 = 26;
    pub(crate) const BROADCAST: u8 = 28;
    pub(crate) const NTP: u8 = 42;
    pub(crate) const REQUESTED_ADDRESS: u8 = 50;
    pub(crate) const LEASE_TIME: u8 = 51;
    pub(crate) const OVERLOAD: u8 = 52;
    pub(crate) const MESSAGE_TYPE: u8 = 53;
    pub(crate) const SERVER_ID: u8 = 54;
    pub(crate) const PARAMETERS: u8 = 55;
    pub(crate) const MESSAGE: u8 = 56;
    pub(crate) const MAX_SIZE: u8 = 57;
    pub(crate) const RENEWAL_TIME: u8 = 58;
    pub(crate) const REBINDING_TIME: u8 = 59;
    pub(crate) const CLIENT_ID: u8 = 61;
    pub(crate) const SEARCH: u8 = 119;
    pub(crate) const ROUTES: u8 = 121;
    pub(crate) const END: u8 = 255;
}

/// What is asked for. Option 121 comes before 3, as RFC 3442 wants it.
const PARAMETERS: [u8; 14] = [
    code::SUBNET_MASK,
    code::ROUTES,
    code::ROUTER,
    code::DNS,
    code::HOSTNAME,
    code::DOMAIN,
    code::MTU,
    code::BROADCAST,
    code::NTP,
    code::LEASE_TIME,
    code::SERVER_ID,
    code::RENEWAL_TIME,
    code::REBINDING_TIME,
    code::SEARCH,
];

/// What a message is for (option 53).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    Discover = 1,
    Offer = 2,
    Request = 3,
    Decline = 4,
    Ack = 5,
    Nak = 6,
}

/// A message to a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Query<'a> {
    pub(crate) kind: Kind,
    pub(crate) xid: u32,
    pub(crate) secs: u16,
    /// Whether the answer should be broadcast.
    pub(crate) broadcast: bool,
    pub(crate) mac: Mac,
    /// The address the node has and answers on; unspecified where it has none.
    pub(crate) current: Ipv4Addr,
    /// The address asked for.
    pub(crate) requested: Option<Ipv4Addr>,
    /// The server meant.
    pub(crate) server: Option<Ipv4Addr>,
    pub(crate) hostname: Option<&'a str>,
}

impl Query<'_> {
    /// The message's bytes.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = vec![BOOTREQUEST, ETHERNET, 6, 0];
        out.extend_from_slice(&self.xid.to_be_bytes());
        out.extend_from_slice(&self.secs.to_be_bytes());
        out.extend_from_slice(&[if self.broadcast { 0x80 } else { 0 }, 0]);
        out.extend_from_slice(&self.current.octets());
        out.resize(28, 0);
        out.extend_from_slice(&self.mac.0);
        out.resize(236, 0);
        out.extend_from_slice(&COOKIE);
        put(&mut out, code::MESSAGE_TYPE, &[self.kind as u8]);
        // Spelt as type and MAC, so that the booted system's client is taken for the same one.
        put(&mut out, code::CLIENT_ID, &[[ETHERNET].as_slice(), &self.mac.0].concat());
        if let Some(address) = self.requested {
            put(&mut out, code::REQUESTED_ADDRESS, &address.octets());
        }
        if let Some(server) = self.server {
            put(&mut out, code::SERVER_ID, &server.octets());
        }
        if self.kind != Kind::Decline {
            put(&mut out, code::MAX_SIZE, &LEN_MAX.to_be_bytes());
            put(&mut out, code::PARAMETERS, &PARAMETERS);
            if let Some(name) = self.hostname {
                put(&mut out, code::HOSTNAME, name.as_bytes());
            }
        }
        out.push(code::END);
        out.resize(out.len().max(LEN_MIN), code::PAD);
        out
    }
}

/// Appends an option of at most 255 bytes; names are never longer.
fn put(out: &mut Vec<u8>, code: u8, value: &[u8]) {
    if let Ok(len) = u8::try_from(value.len()) {
        out.extend_from_slice(&[code, len]);
        out.extend_from_slice(value);
    }
}

/// A server's message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) kind: Kind,
    pub(crate) xid: u32,
    pub(crate) mac: Mac,
    /// The address offered or granted.
    pub(crate) address: Ipv4Addr,
    options: Vec<(u8, Vec<u8>)>,
}

/// Why bytes are no server's message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PacketError {
    #[error("cut short")]
    Short,
    #[error("not a server's message")]
    NotReply,
    #[error("not for an Ethernet client")]
    NotEthernet,
    #[error("no DHCP cookie")]
    NoCookie,
    #[error("option {0} runs past the end")]
    Option(u8),
    #[error("no message type that a server sends")]
    Kind,
}

impl Reply {
    /// Reads a message.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, PacketError> {
        let header: &[u8; OPTIONS] = bytes.first_chunk().ok_or(PacketError::Short)?;
        if header[0] != BOOTREPLY {
            return Err(PacketError::NotReply);
        }
        if (header[1], header[2]) != (ETHERNET, 6) {
            return Err(PacketError::NotEthernet);
        }
        if header[236..] != COOKIE {
            return Err(PacketError::NoCookie);
        }
        let mut options = Vec::new();
        gather(&mut options, bytes.get(OPTIONS..).unwrap_or_default())?;
        let overload = find(&options, code::OVERLOAD).and_then(<[u8]>::first).copied().unwrap_or(0);
        if overload & 1 != 0 {
            gather(&mut options, &header[FILE])?;
        }
        if overload & 2 != 0 {
            gather(&mut options, &header[SNAME])?;
        }
        let kind = match find(&options, code::MESSAGE_TYPE) {
            Some([2]) => Kind::Offer,
            Some([5]) => Kind::Ack,
            Some([6]) => Kind::Nak,
            _ => return Err(PacketError::Kind),
        };
        let [.., y0, y1, y2, y3] = header[..20] else { return Err(PacketError::Short) };
        let [.., m0, m1, m2, m3, m4, m5] = header[..34] else { return Err(PacketError::Short) };
        Ok(Self {
            kind,
            xid: u32::from_be_bytes([header[4], header[5], header[6], header[7]]),
            mac: Mac([m0, m1, m2, m3, m4, m5]),
            address: Ipv4Addr::new(y0, y1, y2, y3),
            options,
        })
    }

    /// The bytes of an option; the parts of a split one are joined (RFC 3396).
    pub(crate) fn option(&self, code: u8) -> Option<&[u8]> {
        find(&self.options, code)
    }

    /// An option that is one address.
    pub(crate) fn address_option(&self, code: u8) -> Option<Ipv4Addr> {
        self.option(code)?.try_into().ok().map(|octets: [u8; 4]| octets.into())
    }

    /// An option that is a list of addresses; empty where its length is no multiple of four.
    pub(crate) fn addresses(&self, code: u8) -> Vec<Ipv4Addr> {
        let (whole, rest) = self.option(code).unwrap_or_default().as_chunks::<4>();
        if rest.is_empty() { whole.iter().map(|o| (*o).into()).collect() } else { Vec::new() }
    }

    /// An option that is a number of 32 bits.
    pub(crate) fn u32_option(&self, code: u8) -> Option<u32> {
        self.option(code)?.try_into().ok().map(u32::from_be_bytes)
    }

    /// An option that is text, without the zero some servers end it with.
    pub(crate) fn text(&self, code: u8) -> Option<&str> {
        str::from_utf8(self.option(code)?).ok().map(|t| t.trim_end_matches('\0'))
    }
}

fn find(options: &[(u8, Vec<u8>)], code: u8) -> Option<&[u8]> {
    options.iter().find(|(c, _)| *c == code).map(|(_, value)| value.as_slice())
}

/// Adds the options in `bytes`, up to the end mark or the end, to `options`.
fn gather(options: &mut Vec<(u8, Vec<u8>)>, bytes: &[u8]) -> Result<(), PacketError> {
    let mut rest = bytes;
    loop {
        match rest {
            [] | [code::END, ..] => return Ok(()),
            [code::PAD, more @ ..] => rest = more,
            [code] => return Err(PacketError::Option(*code)),
            [code, len, more @ ..] => {
                let cut = PacketError::Option(*code);
                let (value, after) = more.split_at_checked(usize::from(*len)).ok_or(cut)?;
                match options.iter_mut().find(|(c, _)| c == code) {
                    Some((_, first)) => first.extend_from_slice(value),
                    None => options.push((*code, value.to_vec())),
                }
                rest = after;
            }
        }
    }
}

#[cfg(test)]
mod tests;
