//! Leases from dnsmasq.

use std::time::{Duration, Instant};

use super::world::{Namespace, Server};
use crate::net::{How, Times};

const RANGE: &str = "--dhcp-range=192.0.2.100,192.0.2.150,255.255.255.0,1h ";

#[test]
fn a_lease_is_taken_and_applied() {
    let (node, rack) = (Namespace::new(), Namespace::new());
    node.cable("eth0", &rack, "port0");
    let _server = Server::start(&rack, "port0", "192.0.2.1/24", RANGE);
    let before = Instant::now();
    let up = node.up(&[], Duration::from_secs(10)).expect("a network");
    eprintln!("took {:?}: {up:#?}", before.elapsed());
    let shown = node.run("ip -4 address show dev eth0");
    assert!(shown.contains(&format!("inet {}/24", up.ipv4().unwrap())), "{shown}");
    assert_eq!(up.how, How::Dhcp);
    assert!(matches!(up.lease.unwrap().times, Times::Limited { .. }));
    node.run("ping -c1 -W2 192.0.2.1");
}
