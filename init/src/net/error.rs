//! Why the node has no network, with what was tried on each interface.

use std::net::IpAddr;
use std::time::Duration;

use super::link::{IfName, Mac, NicReport};
use super::spec::SpecError;

/// Why [`up`](super::up) did not bring a network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NetError {
    /// The command line can't be read.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// The command line switches the network off.
    #[error("the command line switches the network off (ip=off)")]
    Off,
    /// The kernel knows no interface that could be used.
    #[error("no network interface was found in {:.1} s", waited.as_secs_f32())]
    NoInterface {
        /// How long one was waited for.
        waited: Duration,
        /// Interfaces that there are, and why none will do.
        nics: Vec<NicReport>,
    },
    /// No interface has a link.
    #[error("no interface has a link after {:.1} s", waited.as_secs_f32())]
    NoCarrier {
        /// How long one was waited for.
        waited: Duration,
        /// The interfaces.
        nics: Vec<NicReport>,
    },
    /// No server, and no router of IPv6, gave an address.
    #[error(
        "no server gave an address on {} in {:.1} s ({sends} requests sent)",
        list(interfaces), waited.as_secs_f32()
    )]
    NoAnswer {
        /// The interfaces that asked.
        interfaces: Vec<IfName>,
        /// How long, since the first question.
        waited: Duration,
        /// How many messages went out, on all interfaces.
        sends: u32,
        /// The interfaces.
        nics: Vec<NicReport>,
    },
    /// Another station holds the address.
    #[error("{address} on {interface} is in use by {holder}")]
    Conflict {
        /// The interface.
        interface: IfName,
        /// The address.
        address: IpAddr,
        /// Who answered for it.
        holder: Mac,
        /// The interfaces.
        nics: Vec<NicReport>,
    },
    /// The kernel refused something.
    #[error("{what}: {error}")]
    Kernel {
        /// What was asked of it.
        what: String,
        /// Its answer.
        error: rustix::io::Errno,
        /// The interfaces.
        nics: Vec<NicReport>,
    },
}

impl NetError {
    /// The interfaces there were, and what happened on each.
    pub(crate) fn nics(&self) -> &[NicReport] {
        match self {
            Self::Spec(_) | Self::Off => &[],
            Self::NoInterface { nics, .. }
            | Self::NoCarrier { nics, .. }
            | Self::NoAnswer { nics, .. }
            | Self::Conflict { nics, .. }
            | Self::Kernel { nics, .. } => nics,
        }
    }
}

fn list(names: &[IfName]) -> String {
    names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
