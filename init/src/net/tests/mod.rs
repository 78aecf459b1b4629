//! The network against real kernels' links and a real DHCP server, each in namespaces of its own.
//! These tests need root and dnsmasq; without them they fail and say so.

mod dhcp;
mod failures;
mod keep;
mod links;
mod manual;
mod pace;
mod relay;
mod rogue;
mod six;
mod six_kept;
mod stp;
pub(crate) mod world;
