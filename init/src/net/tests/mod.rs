//! The network against real kernels' links and a real DHCP server, each in namespaces of its own.
//! These tests need root; without it they fail and say so.

mod dhcp;
mod world;
