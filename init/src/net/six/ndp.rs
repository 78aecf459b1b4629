//! Neighbour discovery (RFC 4861, 4862, 4191, 8106), as far as a booting node goes: asking for
//! routers, reading what they advertise, and looking for holders of an address. Reading any bytes
//! ends in a value or an error, never a panic.

use std::net::Ipv6Addr;

use crate::net::dhcp::lease::domains;
use crate::net::dhcp6::lease::is_host;
use crate::net::link::Mac;

const ROUTER_SOLICITATION: u8 = 133;
const ROUTER_ADVERTISEMENT: u8 = 134;
const NEIGHBOUR_SOLICITATION: u8 = 135;
const NEIGHBOUR_ADVERTISEMENT: u8 = 136;

/// Options by number.
const SOURCE_LINK: u8 = 1;
const TARGET_LINK: u8 = 2;
const PREFIX: u8 = 3;
const MTU: u8 = 5;
const ROUTE: u8 = 24;
const DNS_SERVERS: u8 = 25;
const DNS_SEARCH: u8 = 31;

/// The most of a kind that is taken from one advertisement.
const EACH_MAX: usize = 8;
/// No link of IPv6 may have a smaller MTU.
const MTU_MIN: u32 = 1280;

/// All routers of the link.
pub(crate) const ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);

/// A router's advertisement.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Advert {
    /// Addresses are to be had by DHCPv6.
    pub(crate) managed: bool,
    /// Other things are to be had by DHCPv6.
    pub(crate) other: bool,
    /// Which of several routers to take: the greater.
    pub(crate) preference: i8,
    /// For how many seconds it is a default router; 0 is not at all.
    pub(crate) lifetime: u16,
    /// The link's MTU, where it is one.
    pub(crate) mtu: Option<u32>,
    /// The link's networks.
    pub(crate) prefixes: Vec<PrefixInfo>,
    /// Networks behind this router: prefix and its length.
    pub(crate) routes: Vec<(Ipv6Addr, u8)>,
    /// DNS servers; `None` where nothing is said of them.
    pub(crate) dns: Option<Vec<Ipv6Addr>>,
    /// Search domains; `None` where nothing is said of them.
    pub(crate) search: Option<Vec<String>>,
}

/// What is said of one of the link's networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PrefixInfo {
    /// Its addresses' beginning; all after it is zero.
    pub(crate) prefix: Ipv6Addr,
    /// How many bits that is.
    pub(crate) len: u8,
    /// Whether its stations are reached without a router.
    pub(crate) on_link: bool,
    /// Whether stations make themselves addresses in it.
    pub(crate) autonomous: bool,
    /// Whether these may be used at all.
    pub(crate) valid: bool,
    /// Whether they should be used for what is new.
    pub(crate) preferred: bool,
}

/// Why a message is no advertisement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NdpError {
    #[error("cut short")]
    Short,
    #[error("not from an address of the link")]
    Source,
    #[error("option {0} is empty or runs past the end")]
    Option(u8),
}

/// Whether `message` is a router's advertisement.
pub(crate) fn is_advert(message: &[u8]) -> bool {
    message.starts_with(&[ROUTER_ADVERTISEMENT, 0])
}

/// Asks routers to advertise themselves; the answer may go to `mac` at once.
pub(crate) fn solicitation(mac: Mac) -> Vec<u8> {
    [[ROUTER_SOLICITATION, 0, 0, 0, 0, 0, 0, 0].as_slice(), &[SOURCE_LINK, 1], &mac.0].concat()
}

/// Asks whether anyone has `address`, without claiming it. It comes from no address.
pub(crate) fn probe(address: Ipv6Addr) -> Vec<u8> {
    [[NEIGHBOUR_SOLICITATION, 0, 0, 0, 0, 0, 0, 0].as_slice(), &address.octets()].concat()
}

/// The group that holders of `address` listen to.
pub(crate) fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b, c] = address.octets();
    let low = u16::from_be_bytes([b, c]);
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | u16::from(a), low)
}

/// Who, other than `own`, says in `message` that it has `address`.
pub(crate) fn holder(message: &[u8], own: Mac, address: Ipv6Addr) -> Option<Mac> {
    let (fixed, options) = message.split_first_chunk::<24>()?;
    let [NEIGHBOUR_ADVERTISEMENT, 0, _, _, _, _, _, _, target @ ..] = *fixed else { return None };
    if Ipv6Addr::from(target) != address {
        return None;
    }
    // One that does not tell its address of the link is there nevertheless.
    let mut mac = Mac([0; 6]);
    each_option(options, |kind, value| {
        if let (TARGET_LINK, Some(told)) = (kind, value.first_chunk()) {
            mac = Mac(*told);
        }
    })
    .ok()?;
    (mac != own).then_some(mac)
}

impl Advert {
    /// Reads the advertisement `message` that comes from `source`.
    pub(crate) fn decode(source: Ipv6Addr, message: &[u8]) -> Result<Self, NdpError> {
        let (fixed, options) = message.split_first_chunk::<16>().ok_or(NdpError::Short)?;
        if !source.is_unicast_link_local() {
            return Err(NdpError::Source);
        }
        let flags = fixed[5];
        let mut advert = Self {
            managed: flags & 0x80 != 0,
            other: flags & 0x40 != 0,
            preference: match flags >> 3 & 3 {
                1 => 1,
                3 => -1,
                _ => 0,
            },
            lifetime: u16::from_be_bytes([fixed[6], fixed[7]]),
            ..Self::default()
        };
        each_option(options, |kind, value| advert.take(kind, value))?;
        Ok(advert)
    }

    /// Takes an option; one that makes no sense is passed over.
    fn take(&mut self, kind: u8, value: &[u8]) {
        match kind {
            PREFIX => push(&mut self.prefixes, PrefixInfo::decode(value)),
            MTU => {
                let mtu = value.get(2..6).and_then(|v| v.try_into().ok()).map(u32::from_be_bytes);
                self.mtu = mtu.filter(|mtu| *mtu >= MTU_MIN).or(self.mtu);
            }
            ROUTE => push(&mut self.routes, route(value)),
            DNS_SERVERS => {
                let servers = self.dns.get_or_insert_default();
                let (addresses, _) = value.get(6..).unwrap_or_default().as_chunks::<16>();
                // A lifetime of 0 takes them back.
                if lifetime(value, 2) > Some(0) {
                    let hosts = addresses.iter().map(|a| Ipv6Addr::from(*a)).filter(is_host);
                    hosts.for_each(|server| push(servers, Some(server)));
                }
            }
            DNS_SEARCH => {
                let search = self.search.get_or_insert_default();
                if lifetime(value, 2) > Some(0) {
                    let names = domains(value.get(6..).unwrap_or_default());
                    names.into_iter().for_each(|name| push(search, Some(name)));
                }
            }
            _ => {}
        }
    }
}

impl PrefixInfo {
    fn decode(value: &[u8]) -> Option<Self> {
        let [len, flags, ..] = *value else { return None };
        let (valid, preferred) = (lifetime(value, 2)?, lifetime(value, 6)?);
        let prefix = masked(value.get(14..30)?.try_into().ok()?, len)?;
        let usable = !prefix.is_multicast() && !prefix.is_unicast_link_local() && len > 0;
        (usable && preferred <= valid).then_some(Self {
            prefix,
            len,
            on_link: flags & 0x80 != 0,
            autonomous: flags & 0x40 != 0,
            valid: valid > 0,
            preferred: preferred > 0,
        })
    }
}

/// Option 24's route; one that has ended is none.
fn route(value: &[u8]) -> Option<(Ipv6Addr, u8)> {
    let [len, _, rest @ ..] = value else { return None };
    let mut octets = [0; 16];
    let given = rest.get(4..)?.get(..usize::from(len.div_ceil(8)))?;
    octets.iter_mut().zip(given).for_each(|(place, octet)| *place = *octet);
    let live = lifetime(value, 2) > Some(0) && *len > 0;
    masked(octets, *len).filter(|_| live).map(|prefix| (prefix, *len))
}

/// The first `len` bits of an address.
fn masked(octets: [u8; 16], len: u8) -> Option<Ipv6Addr> {
    let mask = u128::MAX.checked_shl(128_u32.checked_sub(len.into())?).unwrap_or(0);
    Some(Ipv6Addr::from_bits(u128::from_be_bytes(octets) & mask))
}

/// The seconds at `at`.
fn lifetime(value: &[u8], at: usize) -> Option<u32> {
    value.get(at..)?.first_chunk().map(|b| u32::from_be_bytes(*b))
}

fn push<T>(all: &mut Vec<T>, one: Option<T>) {
    if all.len() < EACH_MAX {
        all.extend(one);
    }
}

/// Hands each option's kind and what follows its length to `take`.
fn each_option(options: &[u8], mut take: impl FnMut(u8, &[u8])) -> Result<(), NdpError> {
    let mut rest = options;
    while let [kind, more @ ..] = rest {
        let error = NdpError::Option(*kind);
        let len = usize::from(*more.first().ok_or(error)?) * 8;
        let (option, after) = rest.split_at_checked(len).filter(|_| len > 0).ok_or(error)?;
        take(*kind, option.get(2..).unwrap_or_default());
        rest = after;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
