//! Many links, late links, links that must not be touched.

use std::thread;
use std::time::{Duration, Instant};

use super::world::{Namespace, RANGE, Server, rack, serve_address};
use crate::net::netlink::{LinkEvents, News};
use crate::net::up::{HEAD_START, HEAD_START_LINK};

const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn of_sixteen_interfaces_the_one_that_is_connected_is_found() {
    let (node, rack) = rack();
    for number in 1..16 {
        node.cable(&format!("eth{number}"), &rack, &format!("port{number}"));
    }
    let _server = Server::start(&rack, "port0", "192.0.2.1/24", RANGE);
    let up = node.up(&[], PATIENCE).expect("a network");
    assert_eq!(up.interface.to_string(), "eth0");
}

#[test]
fn a_silent_network_does_not_hold_up_another() {
    let (node, rack) = rack();
    node.cable("eth1", &rack, "port1");
    rack.run("ip link set port0 up");
    let _server = Server::start(&rack, "port1", "192.0.2.1/24", RANGE);
    let up = node.up(&[], PATIENCE).expect("a network");
    assert_eq!(up.interface.to_string(), "eth1");
}

#[test]
fn a_cable_plugged_in_late_is_noticed() {
    let (node, rack) = rack();
    let _server = Server::start(&rack, "port0", "192.0.2.1/24", RANGE);
    rack.run("ip link set port0 down");
    thread::scope(|scope| {
        scope.spawn(|| {
            node.wait_until("eth0", "NO-CARRIER");
            rack.run("ip link set port0 up");
        });
        node.up(&[], PATIENCE).expect("a network");
    });
}

#[test]
fn an_interface_that_appears_late_is_raised() {
    let (node, rack) = (Namespace::new(), Namespace::new());
    let server = thread::scope(|scope| {
        let driver = scope.spawn(|| {
            // It has begun, and has found nothing else.
            node.wait_until("lo", "LOOPBACK,UP");
            node.cable("eth0", &rack, "port0");
            Server::start(&rack, "port0", "192.0.2.1/24", RANGE)
        });
        let up = node.up(&[], PATIENCE).expect("a network");
        assert_eq!(up.interface.to_string(), "eth0");
        driver.join().expect("a server")
    });
    drop(server);
}

#[test]
fn a_link_that_is_up_is_not_touched() {
    let (node, rack) = rack();
    let _server = Server::start(&rack, "port0", "192.0.2.1/24", RANGE);
    node.run("ip link set eth0 up");
    node.run("ip link set lo up");
    node.wait_until_up("eth0");
    let events = node.enter(LinkEvents::open).expect("events");
    node.up(&[], PATIENCE).expect("a network");
    let news = node.enter(|| events.read()).expect("news").expect("nothing lost");
    for event in news {
        let News::Changed(link) = event else { panic!("{event:?}") };
        assert!(link.has_carrier(), "{link:?}");
    }
}

#[test]
fn a_link_that_flaps_is_asked_again() {
    let (node, rack) = rack();
    serve_address(&rack, "192.0.2.1/24");
    thread::scope(|scope| {
        let flap = scope.spawn(|| {
            node.wait_until_up("eth0");
            rack.run("ip link set port0 down");
            node.wait_until("eth0", "NO-CARRIER");
            rack.run("ip link set port0 up");
            Server::restart(&rack, "port0", RANGE)
        });
        node.up(&[], PATIENCE).expect("a network");
        drop(flap.join());
    });
}

/// Two networks with a server each; the second's interface has a known MAC.
fn two_networks() -> (Namespace, Namespace, Namespace) {
    let (node, rack) = rack();
    let other = Namespace::new();
    node.cable("eth1", &other, "port1");
    node.run("ip link set eth1 address 02:00:00:00:00:81");
    (node, rack, other)
}

#[test]
fn the_interface_the_firmware_booted_from_goes_first() {
    let (node, rack, other) = two_networks();
    let first = Server::start(&rack, "port0", "192.0.2.1/24", RANGE);
    let _second = Server::start(&other, "port1", "192.0.2.1/24", RANGE);
    let up = node.up(&["BOOTIF=01-02-00-00-00-00-81"], PATIENCE).expect("a network");
    assert_eq!(up.interface.to_string(), "eth1");
    assert!(!first.log().contains("DHCPDISCOVER"), "the others wait");
}

/// How long the others wait for the interface the firmware booted from; no less is right.
fn head_start(other_end: &str) -> Duration {
    let (node, rack, other) = two_networks();
    let _first = Server::start(&rack, "port0", "192.0.2.1/24", RANGE);
    other.run(&format!("ip link set port1 {other_end}"));
    let before = Instant::now();
    let up = node.up(&["BOOTIF=01-02-00-00-00-00-81"], PATIENCE).expect("a network");
    assert_eq!(up.interface.to_string(), "eth0");
    before.elapsed()
}

#[test]
fn the_others_follow_after_a_short_head_start() {
    assert!(head_start("up") >= HEAD_START);
}

#[test]
fn the_others_wait_for_a_link_that_may_still_come_up() {
    assert!(head_start("down") >= HEAD_START_LINK);
}

#[test]
fn ports_of_a_bridge_are_not_asked() {
    let (node, rack) = rack();
    node.run("ip link add name br0 type bridge");
    node.run("ip link set eth0 master br0");
    node.run("ip link set eth0 up");
    let _server = Server::start(&rack, "port0", "192.0.2.1/24", RANGE);
    let up = node.up(&[], PATIENCE).expect("a network");
    assert_eq!(up.interface.to_string(), "br0");
}
