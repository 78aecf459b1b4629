//! What a DHCP server granted, as values that are checked and fit to be applied.

use std::net::Ipv4Addr;
use std::time::Duration;

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

/// A route that a lease or the command line brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Route {
    /// The network it leads to.
    pub(crate) network: Ipv4Addr,
    /// The length of that network's prefix; 0 is the default route.
    pub(crate) prefix: u8,
    /// The gateway; `None` where the network is on the link itself.
    pub(crate) gateway: Option<Ipv4Addr>,
}

impl Route {
    /// The default route through `gateway`.
    pub(crate) fn default_via(gateway: Ipv4Addr) -> Self {
        Self { network: Ipv4Addr::UNSPECIFIED, prefix: 0, gateway: Some(gateway) }
    }
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
