//! IPv6 on one link: what its routers say, what a DHCPv6 server grants, and the addresses that
//! come of it.
//!
//! The kernel's own way (`accept_ra`) is switched off. Its addresses end with the lifetimes that
//! routers announce, and a root would end with them; it looks a second or more for holders of
//! each address, one after the other; and it knows no DNS servers.

pub(crate) mod frame;
mod holders;
mod kernel;
mod known;
pub(crate) mod ndp;
mod station;

pub(crate) use known::{Fixed, Six};
pub(super) use station::{Progress, Station};
