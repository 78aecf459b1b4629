//! A DHCP server in another network, behind a relay that is the node's router.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use super::keep::keep;
use super::world::{Namespace, RANGE, Server, rack, serve_address};

const PATIENCE: Duration = Duration::from_secs(20);

/// A rack that routes between the node's network, 192.0.2.0/24, and the server's, 198.51.100.0/24.
fn routed() -> (Namespace, Namespace, Namespace) {
    let (node, rack) = rack();
    let office = Namespace::new();
    rack.cable("up0", &office, "eth0");
    serve_address(&rack, "192.0.2.1/24");
    rack.run("ip address add 198.51.100.1/24 dev up0");
    rack.run("ip link set up0 up");
    rack.run("sysctl -q -w net.ipv4.ip_forward=1");
    office.run("ip address add 198.51.100.2/24 dev eth0");
    office.run("ip link set eth0 up");
    office.run("ip route add 192.0.2.0/24 via 198.51.100.1");
    (node, rack, office)
}

#[test]
fn a_lease_is_granted_through_a_relay_and_renewed_without_it() {
    let (node, rack, office) = routed();
    let server = Server::restart(&office, "eth0", &format!("{RANGE} --dhcp-option=3,192.0.2.1"));
    let relay = Server::relay(&rack, "port0", "192.0.2.1,198.51.100.2");
    let mut up = node.up(&["ip=dhcp"], PATIENCE).expect("a network");
    assert_eq!(up.gateway, Some(IpAddr::from([192, 0, 2, 1])));
    let lease = up.lease.clone().expect("a lease");
    assert_eq!(lease.server, Ipv4Addr::new(198, 51, 100, 2), "not who passed it on");
    server.wait_for("DHCPACK(");
    let granted = server.log().matches("DHCPACK(").count();
    // Its server alone is asked from now on, through the router: a little more than half of an hour
    // goes by in no time.
    drop(relay);
    up.since -= Duration::from_secs(1810);
    let (_said, changed) = keep(&node, up);
    server.wait_for_count("DHCPACK(", granted + 1);
    assert!(changed.try_recv().is_err(), "the same lease");
}

/// The control: without the relay nothing gets there.
#[test]
fn without_the_relay_no_server_answers() {
    let (node, _rack, office) = routed();
    let server = Server::restart(&office, "eth0", RANGE);
    node.up(&["ip=dhcp"], Duration::from_secs(2)).expect_err("no relay");
    assert!(!server.log().contains("DHCPDISCOVER"), "{}", server.log());
}
