//! What a DHCP server granted, as values that are checked and fit to be applied.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use super::packet::{Reply, code};
use crate::net::Route;
use crate::net::spec::{class_prefix, is_domain, prefix_of_mask};

/// A grant of an address, with all that came along.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lease {
    /// The node's address.
    pub(crate) address: Ipv4Addr,
    /// The length of the network's prefix (option 1, or the address's class).
    pub(crate) prefix: u8,
    /// The subnet's broadcast address (option 28), where it is given.
    pub(crate) broadcast: Option<Ipv4Addr>,
    /// The server that granted it (option 54).
    pub(crate) server: Ipv4Addr,
    /// Routes: those of option 121, else the default route that option 3 stands for.
    pub(crate) routes: Vec<Route>,
    /// DNS servers (option 6).
    pub(crate) dns: Vec<Ipv4Addr>,
    /// Search domains (option 119, else option 15).
    pub(crate) search: Vec<String>,
    /// The node's name (option 12).
    pub(crate) hostname: Option<String>,
    /// The link's MTU (option 26), where it is above 576.
    pub(crate) mtu: Option<u32>,
    /// NTP servers (option 42).
    pub(crate) ntp: Vec<Ipv4Addr>,
    /// How long it holds.
    pub(crate) times: Times,
}

/// When a lease has to be renewed, counted from when it was granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Times {
    /// Never.
    Forever,
    /// For a while.
    Limited {
        /// T1: its server is asked to renew it (option 58, else half).
        renew: Duration,
        /// T2: any server is asked (option 59, else seven eighths).
        rebind: Duration,
        /// It ends (option 51).
        expire: Duration,
    },
}

/// Why an offer or a grant is of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LeaseError {
    /// The address is none that a host can have.
    #[error("{0} is not a host's address")]
    Address(Ipv4Addr),
    /// It does not say which server it is from.
    #[error("no server identifier")]
    Server,
    /// The mask's ones don't come first.
    #[error("{0} is not a netmask")]
    Mask(Ipv4Addr),
}

impl Lease {
    /// What `reply`, an offer or a grant, gives. Fields of no use are left out, save those without
    /// which there is no lease.
    pub(crate) fn from_reply(reply: &Reply) -> Result<Self, LeaseError> {
        let address = Some(reply.address).filter(|a| is_host(*a));
        let address = address.ok_or(LeaseError::Address(reply.address))?;
        let server = reply.address_option(code::SERVER_ID).filter(|s| is_host(*s));
        let prefix = match reply.address_option(code::SUBNET_MASK) {
            Some(mask) => prefix_of_mask(mask).filter(|p| *p > 0).ok_or(LeaseError::Mask(mask))?,
            None => class_prefix(address),
        };
        let hosts = |code| reply.addresses(code).into_iter().filter(|a| is_host(*a)).collect();
        let name =
            |code| reply.text(code).map(|t| t.trim_end_matches('.')).filter(|t| is_domain(t));
        let search = match reply.option(code::SEARCH).map(domains) {
            Some(search) if !search.is_empty() => search,
            // One name, by the RFC; several with spaces between, by many a server.
            _ => {
                let names = reply.text(code::DOMAIN).unwrap_or_default().split_ascii_whitespace();
                let names = names.map(|name| name.trim_end_matches('.'));
                names.filter(|name| is_domain(name)).map(str::to_owned).collect()
            }
        };
        let mtu = reply.option(code::MTU).and_then(|value| value.try_into().ok());
        Ok(Self {
            address,
            prefix,
            broadcast: reply.address_option(code::BROADCAST),
            server: server.ok_or(LeaseError::Server)?,
            routes: routes(reply),
            dns: hosts(code::DNS),
            search,
            hostname: name(code::HOSTNAME).map(str::to_owned),
            mtu: mtu.map(u16::from_be_bytes).map(u32::from).filter(|mtu| *mtu > MTU_IGNORED),
            ntp: hosts(code::NTP),
            times: times(reply),
        })
    }
}

/// An MTU of 576 and less is a server's misunderstanding of what every host must accept.
const MTU_IGNORED: u32 = 576;
/// A lease renewed more often than this would be nothing but traffic.
const RENEW_MIN: u32 = 1;

/// Whether a host can have `address`.
fn is_host(address: Ipv4Addr) -> bool {
    let reserved = address.octets()[0] == 0 || address.octets()[0] >= 240;
    !reserved && !address.is_multicast() && !address.is_loopback()
}

/// T1, T2 and the end; where they are missing or out of order, RFC 2131's parts of the whole.
fn times(reply: &Reply) -> Times {
    let Some(expire) = reply.u32_option(code::LEASE_TIME).filter(|t| *t != u32::MAX) else {
        return Times::Forever;
    };
    let expire = expire.max(RENEW_MIN * 4);
    let rebind = reply.u32_option(code::REBINDING_TIME).filter(|t| (2..=expire).contains(t));
    let rebind = rebind.unwrap_or(expire - expire / 8);
    let renew = reply.u32_option(code::RENEWAL_TIME).filter(|t| (RENEW_MIN..=rebind).contains(t));
    let renew = renew.unwrap_or((expire / 2).min(rebind));
    let seconds = |s: u32| Duration::from_secs(s.into());
    Times::Limited { renew: seconds(renew), rebind: seconds(rebind), expire: seconds(expire) }
}

/// The routes: option 121's, where it is there and can be read, else one by option 3.
fn routes(reply: &Reply) -> Vec<Route> {
    let classless = reply.option(code::ROUTES).and_then(classless_routes);
    classless.unwrap_or_else(|| {
        let gateway = reply.addresses(code::ROUTER).into_iter().find(|g| is_host(*g));
        gateway.map(|g| Route::default_via(g.into())).into_iter().collect()
    })
}

/// Option 121's routes (RFC 3442); `None` where it is malformed.
fn classless_routes(option: &[u8]) -> Option<Vec<Route>> {
    let mut routes = Vec::new();
    let mut rest = option;
    while let [prefix, after @ ..] = rest {
        let significant = usize::from(Some(*prefix).filter(|p| *p <= 32)?.div_ceil(8));
        let (network, after) = after.split_at_checked(significant)?;
        let (gateway, after) = after.split_first_chunk::<4>()?;
        let mut octets = [0; 4];
        for (place, octet) in octets.iter_mut().zip(network) {
            *place = *octet;
        }
        let mask = u32::MAX.checked_shl(32 - u32::from(*prefix)).unwrap_or(0);
        let gateway = Ipv4Addr::from(*gateway);
        routes.push(Route {
            network: Ipv4Addr::from(u32::from_be_bytes(octets) & mask).into(),
            prefix: *prefix,
            gateway: Some(gateway).filter(|g| !g.is_unspecified()).map(IpAddr::V4),
        });
        rest = after;
    }
    Some(routes).filter(|routes| !routes.is_empty())
}

/// Option 119's domains (RFC 3397: DNS names, compressed), up to the first that is malformed.
pub(crate) fn domains(option: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < option.len() && found.len() < SEARCH_MAX {
        let Some((name, next)) = domain(option, at) else { break };
        if is_domain(&name) {
            found.push(name);
        }
        at = next;
    }
    found
}

/// The most search domains taken: resolvers read six to thirty-two.
const SEARCH_MAX: usize = 32;

/// The name at `start`, and where the next begins.
fn domain(option: &[u8], start: usize) -> Option<(String, usize)> {
    let mut labels: Vec<&str> = Vec::new();
    let (mut at, mut end) = (start, None);
    // A pointer must lead backwards, so this ends.
    loop {
        let len = *option.get(at)?;
        match len {
            0 => return Some((labels.join("."), end.unwrap_or(at + 1))),
            1..64 => {
                let from = at + 1;
                at = from + usize::from(len);
                labels.push(str::from_utf8(option.get(from..at)?).ok()?);
            }
            64..192 => return None,
            192.. => {
                let low = *option.get(at + 1)?;
                let target = usize::from(len & 0x3f) << 8 | usize::from(low);
                end = end.or(Some(at + 2));
                at = Some(target).filter(|target| *target < at)?;
            }
        }
        if labels.len() > 127 {
            return None;
        }
    }
}

#[cfg(test)]
mod tests;
