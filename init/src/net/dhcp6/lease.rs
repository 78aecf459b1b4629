//! What a DHCPv6 server granted or told, as values that are checked and fit to be applied.

use std::net::Ipv6Addr;
use std::time::Duration;

use super::packet::{Options, Reply, association, code};
use crate::net::dhcp::lease::{Times, domains};
use crate::net::link::Mac;

/// How long what a server told without an address holds, where it does not say (RFC 8415, 21.23).
const REFRESH: u32 = 86_400;
/// The shortest such time that is believed.
const REFRESH_MIN: u32 = 600;
/// A lease renewed more often than this would be nothing but traffic.
const RENEW_MIN: u32 = 1;
/// The most addresses of a kind that are taken.
const EACH_MAX: usize = 8;

/// A grant of an address with all that came along, or only that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lease {
    /// The server's identifier.
    pub(crate) server: Vec<u8>,
    /// The node's address, where one was asked for.
    pub(crate) address: Option<Ipv6Addr>,
    /// How long it holds.
    pub(crate) times: Times,
    /// DNS servers (option 23).
    pub(crate) dns: Vec<Ipv6Addr>,
    /// Search domains (option 24).
    pub(crate) search: Vec<String>,
    /// NTP servers (option 56, else option 31).
    pub(crate) ntp: Vec<Ipv6Addr>,
}

/// Why a message grants nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LeaseError {
    /// The server says that it can't.
    #[error("{}{}", name(*.0), said(.1))]
    Status(u16, String),
    /// There is no address in it that a host could have.
    #[error("no address")]
    NoAddress,
}

/// Status codes that call for more than another try.
pub(crate) const NO_BINDING: u16 = 3;

fn name(status: u16) -> String {
    match status {
        2 => "no addresses available".to_owned(),
        NO_BINDING => "no such binding".to_owned(),
        4 => "the address is not of this link".to_owned(),
        5 => "multicast is wanted".to_owned(),
        other => format!("status {other}"),
    }
}

fn said(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(" ({text})") }
}

impl Lease {
    /// What `reply`, an offer or a grant, gives the interface with `mac`.
    pub(crate) fn grant(reply: &Reply, mac: Mac) -> Result<Self, LeaseError> {
        check(&reply.options)?;
        let mut associations = reply.options.all(code::IA_NA).filter_map(Association::read);
        let own = associations.find(|ia| ia.id == association(mac));
        let own = own.ok_or(LeaseError::NoAddress)?;
        check(&own.options)?;
        let (address, preferred, valid) =
            own.options.all(code::IA_ADDRESS).find_map(address).ok_or(LeaseError::NoAddress)?;
        let times = times(own.renew, own.rebind, preferred, valid);
        Ok(Self { address: Some(address), times, ..Self::told(reply) })
    }

    /// What `reply` tells besides addresses.
    pub(crate) fn information(reply: &Reply) -> Result<Self, LeaseError> {
        check(&reply.options)?;
        Ok(Self::told(reply))
    }

    fn told(reply: &Reply) -> Self {
        let options = &reply.options;
        let hosts = |addresses: Vec<Ipv6Addr>| {
            addresses.into_iter().filter(is_host).take(EACH_MAX).collect::<Vec<_>>()
        };
        let ntp = options.all(code::NTP).flat_map(ntp_addresses).collect();
        let ntp = Some(hosts(ntp)).filter(|servers| !servers.is_empty());
        let refresh = options.get(code::REFRESH).and_then(|value| number(value, 0));
        let refresh = Duration::from_secs(refresh.unwrap_or(REFRESH).max(REFRESH_MIN).into());
        Self {
            server: reply.server.clone(),
            address: None,
            times: Times::Limited { renew: refresh, rebind: refresh, expire: refresh },
            dns: hosts(options.addresses(code::DNS)),
            search: domains(options.get(code::SEARCH).unwrap_or_default()),
            ntp: ntp.unwrap_or_else(|| hosts(options.addresses(code::SNTP))),
        }
    }
}

/// Refuses what the server says is no success.
fn check(options: &Options) -> Result<(), LeaseError> {
    match options.status() {
        (0, _) => Ok(()),
        (status, text) => Err(LeaseError::Status(status, text)),
    }
}

/// An association of addresses (option 3).
struct Association {
    id: u32,
    renew: u32,
    rebind: u32,
    options: Options,
}

impl Association {
    /// Reads one; `None` where it is malformed, or its times are out of order.
    fn read(value: &[u8]) -> Option<Self> {
        let (renew, rebind) = (number(value, 4)?, number(value, 8)?);
        let options = Options::decode(value.get(12..)?).ok()?;
        let in_order = rebind == 0 || renew <= rebind;
        in_order.then_some(Self { id: number(value, 0)?, renew, rebind, options })
    }
}

/// An address with its preferred and valid lifetime (option 5), where it can be used.
fn address(value: &[u8]) -> Option<(Ipv6Addr, u32, u32)> {
    let (octets, rest) = value.split_first_chunk::<16>()?;
    let (preferred, valid) = (number(rest, 0)?, number(rest, 4)?);
    let options = Options::decode(rest.get(8..)?).ok()?;
    let address = Ipv6Addr::from(*octets);
    let usable = is_host(&address) && !address.is_unicast_link_local();
    (usable && valid > 0 && preferred <= valid && options.status().0 == 0)
        .then_some((address, preferred, valid))
}

/// T1, T2 and the end; where the server leaves them open, RFC 8415's parts of the whole.
fn times(renew: u32, rebind: u32, preferred: u32, valid: u32) -> Times {
    if valid == u32::MAX {
        return Times::Forever;
    }
    let valid = valid.max(RENEW_MIN * 4);
    let whole = if preferred == 0 { valid } else { preferred.min(valid) };
    let part = |told: u32, part: u32| match told {
        0 => part,
        told => told.min(valid),
    };
    let rebind = part(rebind, whole - whole / 5).max(RENEW_MIN);
    let renew = part(renew, whole / 2).clamp(RENEW_MIN, rebind);
    let seconds = |s: u32| Duration::from_secs(s.into());
    Times::Limited { renew: seconds(renew), rebind: seconds(rebind), expire: seconds(valid) }
}

/// The unicast addresses among option 56's parts (RFC 5908).
fn ntp_addresses(value: &[u8]) -> Vec<Ipv6Addr> {
    Options::decode(value).map_or_else(|_malformed| Vec::new(), |parts| parts.addresses(1))
}

/// Whether a host can have `address`.
pub(crate) fn is_host(address: &Ipv6Addr) -> bool {
    !address.is_multicast() && !address.is_unspecified() && !address.is_loopback()
}

/// The number at `at`.
fn number(value: &[u8], at: usize) -> Option<u32> {
    value.get(at..)?.first_chunk().map(|b| u32::from_be_bytes(*b))
}

#[cfg(test)]
mod tests;
