//! Leases from dnsmasq.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use super::world::{Namespace, RANGE, Server, rack};
use crate::net::dhcp::lease::Times;
use crate::net::{self, NetError};

const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn a_lease_is_taken_and_applied() {
    let (node, rack) = rack();
    let _server = Server::start(&rack, "port0", "192.0.2.1/24", RANGE);
    let up = node.up(&[], PATIENCE).expect("a network");
    let shown = node.run("ip -4 address show dev eth0");
    let address = up.ipv4().expect("an address");
    assert!(shown.contains(&format!("inet {address}/24 brd 192.0.2.255 scope global")), "{shown}");
    assert!(shown.contains("valid_lft forever"), "no one else is to take it away: {shown}");
    assert_eq!((up.how().to_string().as_str(), up.mtu), ("by DHCP", 1500));
    assert_eq!(up.driver.as_deref(), Some("veth"));
    assert_eq!(up.gateway, Some(IpAddr::from([192, 0, 2, 1])));
    assert!(matches!(up.lease.expect("a lease").times, Times::Limited { .. }));
    node.run("ping -c1 -W2 192.0.2.1");
    let routes = node.run("ip route");
    assert!(routes.contains("default via 192.0.2.1 dev eth0 proto dhcp"), "{routes}");
    assert!(node.run("ip link show lo").contains("LOOPBACK,UP"), "the loopback is up");
}

#[test]
fn all_options_are_honoured() {
    let (node, rack) = rack();
    let options = "--dhcp-option=6,192.0.2.53,9.9.9.9 --dhcp-option=15,rack.example \
        --dhcp-option=119,a.example,b.example --dhcp-option=42,192.0.2.123 \
        --dhcp-option=26,1400 --dhcp-option=3,192.0.2.254 --dhcp-option=28,192.0.2.255 \
        --dhcp-option=121,10.0.0.0/8,192.0.2.7,0.0.0.0/0,192.0.2.1,198.51.100.0/24,0.0.0.0 \
        --dhcp-option=58,600 --dhcp-option=59,1200 --dhcp-host=02:00:00:00:00:77,node-77,192.0.2.77";
    node.run("ip link set eth0 address 02:00:00:00:00:77");
    let _server = Server::start(&rack, "port0", "192.0.2.1/24", &format!("{RANGE} {options}"));
    let up = node.up(&[], PATIENCE).expect("a network");
    assert_eq!(up.ipv4(), Some(Ipv4Addr::new(192, 0, 2, 77)));
    assert_eq!(up.hostname.as_deref(), Some("node-77"));
    assert_eq!(up.ntp, [IpAddr::from([192, 0, 2, 123])]);
    let Times::Limited { renew, rebind, .. } = up.lease.as_ref().expect("a lease").times else {
        panic!("a limited lease");
    };
    assert_eq!((renew.as_secs(), rebind.as_secs()), (600, 1200));
    assert_eq!(
        net::resolv_conf(&up),
        "# Written by zimg from the boot's network set-up.\n\
         search a.example b.example\nnameserver 192.0.2.53\nnameserver 9.9.9.9\n"
    );
    assert!(node.run("ip link show eth0").contains("mtu 1400"));
    assert_eq!(up.mtu, 1400);
    let routes = node.run("ip route");
    assert!(routes.contains("default via 192.0.2.1 dev eth0"), "121 replaces 3: {routes}");
    assert!(!routes.contains("192.0.2.254"), "121 replaces 3: {routes}");
    assert!(routes.contains("10.0.0.0/8 via 192.0.2.7 dev eth0"), "{routes}");
    assert!(routes.contains("198.51.100.0/24 dev eth0 proto dhcp scope link"), "{routes}");
}

#[test]
fn the_command_lines_word_goes_before_the_leases() {
    let (node, rack) = rack();
    let options = "--dhcp-option=6,192.0.2.53 --dhcp-option=26,1400 --dhcp-option=12,theirs";
    let _server = Server::start(&rack, "port0", "192.0.2.1/24", &format!("{RANGE} {options}"));
    let args = ["ip=eth0:dhcp:1300", "nameserver=9.9.9.9"];
    let up = node.up(&args, PATIENCE).expect("a network");
    assert_eq!(up.dns, [IpAddr::from([9, 9, 9, 9]), IpAddr::from([192, 0, 2, 53])]);
    assert_eq!(up.mtu, 1300);
    assert!(node.run("ip link show eth0").contains("mtu 1300"));
}

#[test]
fn the_command_lines_name_is_told_to_the_server_and_kept() {
    let (node, rack) = rack();
    let options = "--dhcp-option=12,theirs";
    let server = Server::start(&rack, "port0", "192.0.2.1/24", &format!("{RANGE} {options}"));
    let up = node.up(&["ip=::::ours::dhcp"], PATIENCE).expect("a network");
    assert_eq!(up.hostname.as_deref(), Some("ours"));
    server.wait_for("client provides name: ours");
}

#[test]
fn an_mtu_of_576_is_ignored() {
    let (node, rack) = rack();
    let options = format!("{RANGE} --dhcp-option=26,576");
    let _server = Server::start(&rack, "port0", "192.0.2.1/24", &options);
    assert_eq!(node.up(&[], PATIENCE).expect("a network").mtu, 1500);
    assert!(node.run("ip link show eth0").contains("mtu 1500"));
}

#[test]
fn an_mtu_the_link_cannot_have_does_not_stop_the_boot() {
    let (node, rack) = rack();
    node.run("ip link add link eth0 name mac0 address 02:00:00:00:00:09 type macvlan");
    let options = format!("{RANGE} --dhcp-option=26,9000");
    let _server = Server::start(&rack, "port0", "192.0.2.1/24", &options);
    node.run("ip link set eth0 up");
    let up = node.up(&["ip=mac0:dhcp"], PATIENCE).expect("a network");
    assert_eq!(up.interface.to_string(), "mac0");
    assert!(node.run("ip link show mac0").contains("mtu 1500"));
    assert_eq!(up.mtu, 1500, "what it really is");
}

#[test]
fn a_gateway_outside_the_subnet_works() {
    let (node, rack) = rack();
    let options = "--dhcp-range=192.0.2.100,192.0.2.150,1h --dhcp-option=1,255.255.255.255";
    let _server = Server::start(&rack, "port0", "192.0.2.1/24", options);
    let up = node.up(&[], PATIENCE).expect("a network");
    assert_eq!(up.addresses[0].prefix, 32);
    node.run("ping -c1 -W2 192.0.2.1");
}

#[test]
fn the_client_is_known_by_its_mac() {
    let (node, rack) = rack();
    node.run("ip link set eth0 address 02:00:00:00:00:78");
    let options = format!("{RANGE} --dhcp-host=id:01:02:00:00:00:00:78,192.0.2.78");
    let _server = Server::start(&rack, "port0", "192.0.2.1/24", &options);
    let up = node.up(&[], PATIENCE).expect("a network");
    assert_eq!(up.ipv4(), Some(Ipv4Addr::new(192, 0, 2, 78)), "client id: type and MAC");
}

#[test]
fn a_wished_address_is_asked_for() {
    let (node, rack) = rack();
    let _server = Server::start(&rack, "port0", "192.0.2.1/24", RANGE);
    let up = node.up(&["ip=192.0.2.123::::::dhcp"], PATIENCE).expect("a network");
    assert_eq!(up.ipv4(), Some(Ipv4Addr::new(192, 0, 2, 123)));
}

/// A node, a rack with a bridge `br0`, and someone who has `address` on it.
pub(super) fn squatted(address: &str) -> (Namespace, Namespace, Namespace) {
    let (node, rack, squatter) = (Namespace::new(), Namespace::new(), Namespace::new());
    rack.run("ip link add name br0 type bridge");
    rack.cable("port0", &node, "eth0");
    rack.cable("port1", &squatter, "eth0");
    for port in ["port0", "port1"] {
        rack.run(&format!("ip link set {port} master br0"));
        rack.run(&format!("ip link set {port} up"));
    }
    squatter.run("ip link set eth0 address 02:00:00:00:00:66");
    let nodad = if address.contains(':') { "nodad" } else { "" };
    squatter.run(&format!("ip address add {address} dev eth0 {nodad}"));
    squatter.run("ip link set eth0 up");
    (node, rack, squatter)
}

#[test]
fn an_address_that_someone_has_is_declined_and_another_taken() {
    let (node, rack, _squatter) = squatted("192.0.2.101/24");
    let options = "--dhcp-range=192.0.2.100,192.0.2.101,255.255.255.0,1h";
    let server = Server::start(&rack, "br0", "192.0.2.1/24", options);
    let up = node.up(&["ip=192.0.2.101::::::dhcp"], PATIENCE).expect("a network");
    assert_eq!(up.ipv4(), Some(Ipv4Addr::new(192, 0, 2, 100)));
    server.wait_for("DHCPDECLINE");
}

#[test]
fn addresses_that_are_all_taken_are_a_conflict() {
    let (node, rack, _squatter) = squatted("192.0.2.100/24");
    let options = "--dhcp-range=192.0.2.100,192.0.2.100,255.255.255.0,1h";
    let _server = Server::start(&rack, "br0", "192.0.2.1/24", options);
    let error = node.up(&[], Duration::from_secs(4)).expect_err("the address is taken");
    assert_eq!(error.to_string(), "192.0.2.100 on eth0 is in use by 02:00:00:00:00:66");
    assert!(matches!(error, NetError::Conflict { .. }));
    assert!(error.nics()[0].outcome.contains("02:00:00:00:00:66 has it"), "{:?}", error.nics());
}
