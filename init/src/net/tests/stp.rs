//! A switch port with spanning tree: it drops what comes in until it forwards, and whoever takes the
//! link down and up begins that anew.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::world::{Namespace, RANGE, Server};
use crate::net::netlink::Netlink;
use crate::net::socket::PacketSocket;

/// More than two of the resends that follow the four seconds for which a port is silent.
const PATIENCE: Duration = Duration::from_secs(20);

/// A node on a port of a bridge with spanning tree, whose delays are as short as the standard
/// allows: two seconds listening, two learning.
struct Rack {
    node: Namespace,
    rack: Namespace,
    server: Server,
    /// What comes in by the port, before the bridge may drop it.
    tap: PacketSocket,
}

impl Rack {
    fn new() -> Self {
        let (node, rack) = (Namespace::new(), Namespace::new());
        rack.run("ip link add name br0 type bridge stp_state 1 forward_delay 200");
        rack.cable("port0", &node, "eth0");
        rack.run("ip link set port0 master br0");
        rack.run("ip link set port0 up");
        let server = Server::start(&rack, "br0", "192.0.2.1/24", RANGE);
        let links = rack.enter(|| Netlink::open().and_then(|mut netlink| netlink.links()));
        let links = links.expect("links");
        let port = links.iter().find(|link| link.name.to_string() == "port0").expect("port0");
        let tap = rack.enter(|| PacketSocket::tap(port.index)).expect("a tap");
        Self { node, rack, server, tap }
    }

    fn port_is(&self, state: &str) -> bool {
        self.rack.run("ip -details link show port0").contains(&format!("state {state} "))
    }

    /// How many DISCOVERs came in by the port, and how many of them got past it.
    fn discovers(&self) -> (usize, usize) {
        self.server.wait_for("DHCPACK(br0)");
        const KIND: usize = 20 + 8 + 242;
        let came_in = self.tap.receive().expect("what came in");
        let discovers = came_in.iter().filter(|datagram| datagram.get(KIND) == Some(&1)).count();
        (discovers, self.server.log().matches("DHCPDISCOVER(br0)").count())
    }
}

#[test]
fn spanning_tree_costs_its_own_delay_and_one_resend() {
    let rack = Rack::new();
    let up = rack.node.up(&["ip=dhcp"], PATIENCE).expect("a network");
    assert!(up.ipv4() > Some(Ipv4Addr::new(192, 0, 2, 99)), "{up}");
    assert!(rack.port_is("forwarding"), "or there had been no lease");
    let (sent, passed) = rack.discovers();
    assert_eq!(passed, 1, "the first that passes is answered: one resend after the port forwards");
    // At 0, 0.3, 0.9 and 2.1 s, if nothing is late; the next, at 4.5 s, passes.
    assert!(sent - passed >= 2, "the port was silent, or this shows nothing: {sent} sent");
}

/// The control, and that a link which is up is never taken down: its port would be silent again.
#[test]
fn a_port_that_forwards_goes_on_forwarding() {
    let rack = Rack::new();
    rack.node.run("ip link set eth0 up");
    rack.rack.wait_until_up("br0");
    assert!(rack.port_is("forwarding"), "a bridge is up once a port forwards");
    rack.node.up(&["ip=dhcp"], PATIENCE).expect("a network");
    assert!(rack.port_is("forwarding"));
    assert_eq!(rack.discovers(), (1, 1));
}
