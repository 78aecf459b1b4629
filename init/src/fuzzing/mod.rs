//! What the fuzz targets of `init/fuzz` run: any bytes from outside are read or refused, never a
//! panic, and what was read keeps its promises. Its seeds run in ordinary tests, too.

#[cfg(test)]
mod corpus;
mod text;

use crate::clock;
use crate::net::fuzzing as net;
use crate::tpm;

/// What a target does with an input.
pub type Target = fn(&[u8]);

/// Each target and its name.
pub const TARGETS: [(&str, Target); 11] = [
    ("arp", net::arp),
    ("cmdline", text::cmdline),
    ("dhcp", net::dhcp),
    ("dhcp6", net::dhcp6),
    ("modules", text::modules),
    ("ndp", net::ndp),
    ("netlink", net::netlink),
    ("network", net::network),
    ("ntp", clock::fuzz),
    ("tpm", tpm::fuzz),
    ("uevent", text::uevent),
];

/// Runs the target called `name`.
pub fn run(name: &str, input: &[u8]) {
    let target = TARGETS.iter().find(|(known, _)| *known == name);
    assert!(target.is_some(), "no target is called {name}");
    target.into_iter().for_each(|(_, run)| run(input));
}
