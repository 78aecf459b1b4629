//! Addresses from the command line.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use super::world::{Server, rack, serve_address};
use crate::net::NetError;

const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn the_command_lines_address_is_taken() {
    let (node, rack) = rack();
    serve_address(&rack, "192.0.2.1/24");
    let args = ["ip=192.0.2.5::192.0.2.1:255.255.255.0:node:eth0:off:9.9.9.9:8.8.8.8:192.0.2.123"];
    let up = node.up(&args, PATIENCE).expect("a network");
    assert_eq!(up.ipv4(), Some(Ipv4Addr::new(192, 0, 2, 5)));
    assert_eq!(up.how().to_string(), "from the command line");
    assert_eq!(up.hostname.as_deref(), Some("node"));
    assert_eq!(up.dns, [IpAddr::from([9, 9, 9, 9]), IpAddr::from([8, 8, 8, 8])]);
    assert_eq!(up.ntp, [IpAddr::from([192, 0, 2, 123])]);
    assert_eq!(up.lease, None);
    let shown = node.run("ip -4 address show dev eth0");
    assert!(shown.contains("inet 192.0.2.5/24 brd 192.0.2.255"), "{shown}");
    let routes = node.run("ip route");
    assert!(routes.contains("default via 192.0.2.1 dev eth0 proto static"), "{routes}");
    node.run("ping -c1 -W2 192.0.2.1");
}

#[test]
fn no_server_is_asked() {
    let (node, rack) = rack();
    let options = "--dhcp-range=192.0.2.100,192.0.2.150,1h";
    let server = Server::start(&rack, "port0", "192.0.2.1/24", options);
    node.up(&["ip=192.0.2.5::192.0.2.1:24::eth0:none"], PATIENCE).expect("a network");
    node.run("ping -c1 -W2 192.0.2.1");
    assert!(!server.log().contains("DHCPDISCOVER"), "{}", server.log());
}

#[test]
fn a_mac_names_the_interface() {
    let (node, rack) = rack();
    node.run("ip link set eth0 address 02:00:00:00:00:79");
    node.cable("eth1", &rack, "port1");
    serve_address(&rack, "192.0.2.1/24");
    rack.run("ip link set port1 up");
    let args = ["ip=192.0.2.5::192.0.2.1:24::02:00:00:00:00:79:none"];
    let up = node.up(&args, PATIENCE).expect("a network");
    assert_eq!(up.interface.to_string(), "eth0");
    let eth1 = node.run("ip link show eth1");
    assert!(!eth1.contains("UP"), "what is not named is left alone: {eth1}");
}

#[test]
fn a_gateway_outside_the_subnet_works() {
    let (node, rack) = rack();
    serve_address(&rack, "198.51.100.1/24");
    rack.run("ip route add 192.0.2.5/32 dev port0");
    node.up(&["ip=192.0.2.5::198.51.100.1:32::eth0:none"], PATIENCE).expect("a network");
    node.run("ping -c1 -W2 198.51.100.1");
}

#[test]
fn an_address_that_someone_has_is_a_conflict() {
    let (node, rack) = rack();
    rack.run("ip link set port0 address 02:00:00:00:00:66");
    serve_address(&rack, "192.0.2.5/24");
    // A cable just plugged in loses the first packets, here as in life.
    node.run("ip link set eth0 up");
    rack.wait_until_up("port0");
    let error = node.up(&["ip=192.0.2.5:::24::eth0:none"], PATIENCE).expect_err("it is taken");
    assert_eq!(error.to_string(), "192.0.2.5 on eth0 is in use by 02:00:00:00:00:66");
    assert!(matches!(error, NetError::Conflict { .. }));
    let shown = node.run("ip -4 address show dev eth0");
    assert!(!shown.contains("inet "), "nothing is configured: {shown}");
}
