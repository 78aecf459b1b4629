//! IPv6 kept on a running node, and routers that are not to be believed.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use super::keep::{keep, wait_for};
use super::six::{ADVERTISED, OWN, PATIENCE, ROUTER, ip, pair};
use super::world::{Namespace, RANGE, Server, router_address};
use crate::net::netlink::Netlink;
use crate::net::six::frame;
use crate::net::socket::PacketSocket;

const ALL: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

fn has(node: &Namespace, address: &str) -> bool {
    node.run("ip -6 address show dev eth0").contains(&format!("inet6 {address}/"))
}

#[test]
fn what_the_booted_system_takes_away_is_put_back() {
    let (node, rack) = pair();
    let _router = Server::router(&rack, ADVERTISED);
    let up = node.up(&["ip=auto6"], PATIENCE).expect("a network");
    let (said, _changed) = keep(&node, up);
    for harm in ["ip -6 address flush dev eth0", "ip link set eth0 down", "ip -6 route del default"]
    {
        node.run(harm);
        wait_for(&said, "it is back");
        assert!(has(&node, OWN), "after {harm}");
        let routes = node.run("ip -6 route");
        assert!(routes.contains("default via fe80::1"), "after {harm}: {routes}");
        node.wait_until_up("eth0");
        node.run("ping -c1 -W5 2001:db8:ffff::1");
    }
}

#[test]
fn a_router_that_says_otherwise_is_followed() {
    let (node, rack) = pair();
    let dns = |server: &str| format!("{ADVERTISED} --dhcp-option=option6:dns-server,[{server}]");
    let router = Server::router(&rack, &dns("2001:db8::53"));
    let up = node.up(&["ip=auto6"], PATIENCE).expect("a network");
    let (_said, changed) = keep(&node, up);
    drop(router);
    let _router = Server::restart(&rack, "port0", &format!("--enable-ra {}", dns("2001:db8::54")));
    let new = changed.recv_timeout(PATIENCE).expect("a change");
    assert_eq!(new.dns, [ip("2001:db8::54")]);
    assert!(has(&node, OWN));
}

#[test]
fn a_router_that_comes_late_is_taken_along() {
    let (node, rack) = pair();
    let server = Server::start(&rack, "port0", "192.0.2.1/24", RANGE);
    let up = node.up(&[], PATIENCE).expect("a network");
    assert!(up.ipv4().is_some() && up.addresses.len() == 1);
    let (_said, changed) = keep(&node, up);
    drop(server);
    let _router = Server::router(&rack, ADVERTISED);
    // The route first, then the address, which is looked for on the link before.
    let mut new = changed.recv_timeout(PATIENCE).expect("a change");
    if new.addresses.len() < 2 {
        new = changed.recv_timeout(PATIENCE).expect("another change");
    }
    assert!(new.ipv4().is_some() && new.addresses.len() == 2, "{:?}", new.addresses);
    assert!(has(&node, OWN));
}

#[test]
fn a_lease_that_comes_late_is_taken_along() {
    let (node, rack) = pair();
    let router = Server::router(&rack, ADVERTISED);
    let up = node.up(&[], PATIENCE).expect("a network");
    assert_eq!(up.ipv4(), None);
    let (_said, changed) = keep(&node, up);
    drop(router);
    let _server = Server::start(&rack, "port0", "192.0.2.1/24", RANGE);
    let new = changed.recv_timeout(PATIENCE).expect("a change");
    assert!(new.ipv4().is_some(), "{:?}", new.addresses);
    assert!(has(&node, OWN));
}

#[test]
fn a_lease_of_dhcpv6_is_renewed_and_outlives_its_server() {
    let (node, rack) = pair();
    let options = "--dhcp-range=2001:db8::100,2001:db8::1ff,64,1h";
    let server = Server::router(&rack, options);
    let mut up = node.up(&["ip=dhcp6"], PATIENCE).expect("a network");
    let leased = up.addresses[0].ip.to_string();
    // More than half of the hour goes by in no time.
    up.since -= Duration::from_secs(2000);
    let (_said, _changed) = keep(&node, up.clone());
    server.wait_for("DHCPRENEW");
    drop(server);
    up.since -= Duration::from_secs(2000);
    let (said, _changed) = keep(&node, up);
    wait_for(&said, "DHCPv6 lease is over; the address stays");
    assert!(has(&node, &leased));
    node.run("ping -c1 -W2 2001:db8::1");
}

/// A router's advertisement of half an hour of `network`::/64.
fn advert(network: &str) -> Vec<u8> {
    let network: Ipv6Addr = network.parse().expect("a network");
    let fixed = [134, 0, 0, 0, 64, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0];
    let option = [3, 4, 64, 0xc0, 0, 0, 7, 8, 0, 0, 7, 8, 0, 0, 0, 0];
    [fixed.as_slice(), &option, &network.octets()].concat()
}

/// A node hears all of `datagrams` of the rack whenever it asks for routers; its own address.
fn heard(datagrams: Vec<Vec<u8>>) -> Option<IpAddr> {
    let (node, rack) = pair();
    router_address(&rack);
    let index = rack.enter(|| Netlink::open().and_then(|mut netlink| netlink.links()));
    let links = index.expect("links");
    let port = links.iter().find(|link| link.name.to_string() == "port0").expect("port0");
    let socket = rack.enter(|| PacketSocket::six(port.index)).expect("a socket");
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let sender = std::thread::spawn(move || {
        while stopped.recv_timeout(Duration::from_millis(50)).is_err() {
            for datagram in &datagrams {
                // Until the cable is plugged in at both ends, nothing goes out.
                let _lost = socket.send(frame::group_mac(ALL), datagram);
            }
        }
    });
    let up = node.up(&["ip=auto6"], Duration::from_secs(2));
    stop.send(()).expect("the sender");
    sender.join().expect("the sender");
    up.ok().and_then(|up| up.addresses.first().map(|address| address.ip))
}

#[test]
fn advertisements_that_are_not_to_be_believed_are_passed_over() {
    let evil = advert("2001:db8:666::");
    let by = |source, message: &[u8]| frame::icmp(source, ALL, message);
    let mut passed_on = by(ROUTER, &evil);
    passed_on[7] = 64;
    let mut torn = by(ROUTER, &evil);
    torn[60] ^= 1;
    let endless = [evil.as_slice(), &[99, 0, 0, 0, 0, 0, 0, 0]].concat();
    let bad = vec![
        passed_on,
        torn,
        by("2001:db8::1".parse().expect("an address"), &evil),
        by(ROUTER, &endless),
        by(ROUTER, &evil[..40]),
        by(ROUTER, &evil[..10]),
    ];
    assert_eq!(heard(bad.clone()), None);
    let good = [bad, vec![by(ROUTER, &advert("2001:db8::"))]].concat();
    assert_eq!(heard(good), Some(ip(OWN)), "the control");
    assert_eq!(heard(vec![by(ROUTER, &evil)]), Some(ip("2001:db8:666:0:0:ff:fe00:77")), "another");
}
