//! Many links, late links, links that must not be touched.

use std::thread;
use std::time::{Duration, Instant};

use super::world::{Namespace, RANGE, Server, rack, serve_address};
use crate::net::netlink::{LinkEvents, News};

const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn sixteen_interfaces_cost_no_more_than_the_one_that_is_connected() {
    let (node, rack) = rack();
    for number in 1..16 {
        node.cable(&format!("eth{number}"), &rack, &format!("port{number}"));
    }
    let _server = Server::start(&rack, "port0", "192.0.2.1/24", RANGE);
    let before = Instant::now();
    let up = node.up(&[], PATIENCE).expect("a network");
    let took = before.elapsed();
    assert_eq!(up.interface.to_string(), "eth0");
    assert!(took < Duration::from_secs(3), "{took:?}");
}

#[test]
fn a_silent_network_does_not_hold_up_another() {
    let (node, rack) = rack();
    node.cable("eth1", &rack, "port1");
    rack.run("ip link set port0 up");
    let _server = Server::start(&rack, "port1", "192.0.2.1/24", RANGE);
    let before = Instant::now();
    let up = node.up(&[], PATIENCE).expect("a network");
    assert_eq!(up.interface.to_string(), "eth1");
    assert!(before.elapsed() < Duration::from_secs(2), "{:?}", before.elapsed());
}

#[test]
fn a_cable_plugged_in_late_is_noticed_at_once() {
    let (node, rack) = rack();
    let server = Server::start(&rack, "port0", "192.0.2.1/24", RANGE);
    rack.run("ip link set port0 down");
    let plugged = thread::scope(|scope| {
        let plug = scope.spawn(|| {
            thread::sleep(Duration::from_millis(1500));
            rack.run("ip link set port0 up");
            Instant::now()
        });
        let up = node.up(&[], PATIENCE).expect("a network");
        let now = Instant::now();
        assert!(up.link_wait >= Duration::from_millis(1400), "{:?}", up.link_wait);
        now - plug.join().expect("plugged in")
    });
    assert!(plugged < Duration::from_secs(2), "{plugged:?} after the cable was plugged in");
    drop(server);
}

#[test]
fn an_interface_that_appears_late_is_raised() {
    let (node, rack) = (Namespace::new(), Namespace::new());
    let server = thread::scope(|scope| {
        let driver = scope.spawn(|| {
            thread::sleep(Duration::from_millis(700));
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
            thread::sleep(Duration::from_millis(500));
            rack.run("ip link set port0 down");
            thread::sleep(Duration::from_millis(500));
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
    let before = Instant::now();
    let up = node.up(&["BOOTIF=01-02-00-00-00-00-81"], PATIENCE).expect("a network");
    assert_eq!(up.interface.to_string(), "eth1");
    assert!(before.elapsed() < Duration::from_millis(1500), "{:?}", before.elapsed());
    assert!(!first.log().contains("DHCPDISCOVER"), "the others wait");
}

#[test]
fn the_others_follow_after_a_short_head_start() {
    let (node, rack, other) = two_networks();
    let _first = Server::start(&rack, "port0", "192.0.2.1/24", RANGE);
    other.run("ip link set port1 up");
    let before = Instant::now();
    let up = node.up(&["BOOTIF=01-02-00-00-00-00-81"], PATIENCE).expect("a network");
    assert_eq!(up.interface.to_string(), "eth0");
    let took = before.elapsed();
    assert!((Duration::from_secs(2)..Duration::from_secs(5)).contains(&took), "{took:?}");
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
