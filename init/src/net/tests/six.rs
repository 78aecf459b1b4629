//! IPv6 from dnsmasq, as a router and as a DHCPv6 server.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use super::dhcp::squatted;
use super::world::{Namespace, RANGE, Server, at_bridge, rack, router_address, serve_address};
use crate::net::spec::{Method, NetConfig, Request};
use crate::net::{self, NetError, Up};

pub(super) const PATIENCE: Duration = Duration::from_secs(20);
/// The router, at its link and beyond.
pub(super) const ROUTER: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
/// The node's MAC and what it makes of 2001:db8::/64.
const MAC: &str = "02:00:00:00:00:77";
pub(super) const OWN: &str = "2001:db8::ff:fe00:77";
/// The node as a DHCPv6 client.
const DUID: &str = "id:00:03:00:01:02:00:00:00:00:77";
pub(super) const ADVERTISED: &str = "--dhcp-range=2001:db8::,ra-only,64,1h";
const LEASED: &str = "--dhcp-range=2001:db8::100,2001:db8::1ff,64,1h";

/// A rack and a node with that MAC.
pub(super) fn pair() -> (Namespace, Namespace) {
    let (node, rack) = rack();
    node.run(&format!("ip link set eth0 address {MAC}"));
    (node, rack)
}

pub(super) fn ip(text: &str) -> IpAddr {
    text.parse().expect(text)
}

/// An address of the command line, in a network of 64 bits.
fn fixed(address: &str, gateway: Option<&str>) -> NetConfig {
    let method = Method::Static { address: ip(address), prefix: 64, gateway: gateway.map(ip) };
    let request = Request { method, ..Request::any() };
    NetConfig { requests: vec![request], ..NetConfig::default() }
}

fn addresses(up: &Up) -> Vec<IpAddr> {
    up.addresses.iter().map(|address| address.ip).collect()
}

#[test]
fn an_address_is_made_from_the_routers_prefix() {
    let (node, rack) = pair();
    let options = "--dhcp-option=option6:dns-server,[2001:db8::53],[2001:db8::54] \
                   --dhcp-option=option6:domain-search,a.example,b.example --ra-param=port0,mtu:1400,0,1800";
    let _router = Server::router(&rack, &format!("{ADVERTISED} {options}"));
    let up = node.up(&[], PATIENCE).expect("a network");
    assert_eq!(addresses(&up), [ip(OWN)]);
    assert_eq!(up.how().to_string(), "as a router advertises");
    assert_eq!(up.gateway, Some(ROUTER.into()));
    assert_eq!(up.dns, [ip("2001:db8::53"), ip("2001:db8::54")]);
    assert_eq!(
        net::resolv_conf(&up),
        "# Written by zimg from the boot's network set-up.\n\
         search a.example b.example\nnameserver 2001:db8::53\nnameserver 2001:db8::54\n"
    );
    let shown = node.run("ip -6 address show dev eth0");
    assert_eq!(shown.matches("inet6 ").count(), 2, "the kernel adds none: {shown}");
    assert!(shown.contains(&format!("inet6 {OWN}/64 scope global")), "{shown}");
    assert!(shown.contains("inet6 fe80::ff:fe00:77/64 scope link"), "{shown}");
    assert_eq!(shown.matches("valid_lft forever").count(), 2, "no one takes them away: {shown}");
    assert!(!shown.contains("tentative"), "{shown}");
    let routes = node.run("ip -6 route");
    assert!(routes.contains("default via fe80::1 dev eth0 proto ra"), "{routes}");
    assert!(routes.contains("2001:db8::/64 dev eth0 proto ra"), "{routes}");
    assert!(routes.contains("mtu 1400"), "IPv6's alone: {routes}");
    assert!(node.run("ip link show eth0").contains("mtu 1500"));
    node.run("ping -c1 -W2 2001:db8:ffff::1");
}

#[test]
fn a_lease_of_dhcpv6_is_taken_where_routers_say_so() {
    let (node, rack) = pair();
    let options = format!(
        "{LEASED} --dhcp-host={DUID},[2001:db8::177] \
         --dhcp-option=option6:dns-server,[2001:db8::53] \
         --dhcp-option=option6:domain-search,a.example \
         --dhcp-option=option6:ntp-server,[2001:db8::123]"
    );
    let router = Server::router(&rack, &options);
    let up = node.up(&[], PATIENCE).expect("a network");
    assert_eq!(addresses(&up), [ip("2001:db8::177")], "by its DUID");
    assert_eq!(up.how().to_string(), "by DHCPv6");
    assert_eq!((up.gateway, up.dns.as_slice()), (Some(ROUTER.into()), &[ip("2001:db8::53")][..]));
    assert_eq!((up.search, up.ntp), (vec!["a.example".to_owned()], vec![ip("2001:db8::123")]));
    let shown = node.run("ip -6 address show dev eth0");
    assert!(shown.contains("inet6 2001:db8::177/128 scope global"), "{shown}");
    node.run("ping -c1 -W2 2001:db8::1");
    node.run("ping -c1 -W2 2001:db8:ffff::1");
    assert!(!router.log().contains("DHCPINFORMATION-REQUEST"), "{}", router.log());
}

#[test]
fn what_comes_without_an_address_is_asked_for_too() {
    let (node, rack) = pair();
    // dnsmasq advertises DNS servers of option 23 by itself; NTP servers only DHCPv6 can tell.
    let options = "--dhcp-range=2001:db8::,ra-stateless,64,1h --dhcp-option=option6:dns-server \
                   --dhcp-option=option6:sntp-server,[2001:db8::123] \
                   --dhcp-option=option6:domain-search";
    let router = Server::router(&rack, options);
    let up = node.up(&[], PATIENCE).expect("a network");
    assert_eq!(addresses(&up), [ip(OWN)]);
    assert_eq!(up.ntp, [ip("2001:db8::123")]);
    router.wait_for("DHCPINFORMATION-REQUEST(port0)");
    assert!(!router.log().contains("DHCPSOLICIT"), "{}", router.log());
}

#[test]
fn the_command_lines_words_choose_the_way() {
    let (node, rack) = pair();
    let both = format!("{LEASED},slaac").replace("64,1h,slaac", "slaac,64,1h");
    let router = Server::router(&rack, &both);
    let leased = |up: &Up| up.how().dhcp6;
    let dhcp6 = node.up(&["ip=dhcp6"], PATIENCE).expect("a network");
    assert!(leased(&dhcp6) && dhcp6.addresses.len() == 1, "{:?}", dhcp6.addresses);
    assert_eq!(dhcp6.gateway, Some(ROUTER.into()), "routers tell the routes");
    node.run("ip -6 address flush dev eth0");
    let auto6 = node.up(&["ip=eth0:auto6"], PATIENCE).expect("a network");
    assert!(addresses(&auto6).contains(&ip(OWN)), "{:?}", auto6.addresses);
    let link6 = node.up(&["ip=link6"], PATIENCE).expect("a network");
    assert_eq!((addresses(&link6), link6.gateway), (vec![], None));
    node.run("ping -c1 -W2 fe80::1%eth0");
    let asked = router.log().matches("DHCPSOLICIT").count();
    drop(router);
    let _router = Server::restart(&rack, "port0", &format!("--enable-ra {ADVERTISED}"));
    let either6 = node.up(&["ip=either6"], PATIENCE).expect("a network");
    assert_eq!(addresses(&either6), [ip(OWN)]);
    assert!(asked > 0);
}

#[test]
fn either6_tries_dhcpv6_where_routers_say_nothing_of_it() {
    let (node, rack) = pair();
    router_address(&rack);
    // No --enable-ra: a server without a router.
    let _server = Server::silent(&rack, LEASED);
    let up = node.up(&["ip=either6"], PATIENCE).expect("a network");
    assert!(up.how().dhcp6, "{:?}", up.addresses);
    let error = node.up(&["ip=auto6"], Duration::from_secs(1)).expect_err("no router");
    assert!(matches!(error, NetError::NoAnswer { .. }), "{error}");
}

#[test]
fn both_families_are_taken_where_both_answer() {
    let (node, rack) = pair();
    let options = "--dhcp-option=6,192.0.2.53,192.0.2.54,192.0.2.55 \
                   --dhcp-option=option6:dns-server,[2001:db8::53]";
    rack.run("ip address add 192.0.2.1/24 dev port0");
    let _server = Server::router(&rack, &format!("{ADVERTISED} {RANGE} {options}"));
    // Or what is lost of the first packets decides which is first.
    node.run("ip link set eth0 up");
    node.wait_until_up("eth0");
    rack.wait_until_up("port0");
    let up = node.up(&[], PATIENCE).expect("a network");
    assert!(up.ipv4().is_some() && addresses(&up).contains(&ip(OWN)), "{:?}", up.addresses);
    let dns = [ip("192.0.2.53"), ip("2001:db8::53"), ip("192.0.2.54"), ip("192.0.2.55")];
    assert_eq!(up.dns, dns, "both are among the three that resolvers ask");
    node.run("ping -c1 -W2 192.0.2.1");
    node.run("ping -c1 -W2 2001:db8:ffff::1");
}

#[test]
fn ip_dhcp_is_ipv4_alone() {
    let (node, rack) = pair();
    rack.run("ip address add 192.0.2.1/24 dev port0");
    let server = Server::router(&rack, &format!("{ADVERTISED} {RANGE}"));
    let up = node.up(&["ip=dhcp"], PATIENCE).expect("a network");
    assert!(up.ipv4().is_some() && up.addresses.len() == 1, "{:?}", up.addresses);
    assert_eq!(up.six, None);
    server.wait_for("DHCPACK");
}

#[test]
fn a_node_whose_kernel_has_no_ipv6_boots_by_ipv4() {
    let (node, rack) = pair();
    node.run("sysctl -q -w net.ipv6.conf.eth0.disable_ipv6=1");
    let _server = Server::start(&rack, "port0", "192.0.2.1/24", RANGE);
    let up = node.up(&[], PATIENCE).expect("a network");
    assert!(up.ipv4().is_some() && up.six.is_none());
    let error = node.up(&["ip=auto6"], Duration::from_secs(1)).expect_err("no IPv6");
    assert!(matches!(error, NetError::Kernel { .. }), "{error}");
}

#[test]
fn the_command_lines_address_is_taken() {
    let (node, rack) = pair();
    router_address(&rack);
    let up = node.up_by(&fixed("2001:db8::5", Some("2001:db8::1")), PATIENCE).expect("a network");
    assert_eq!((addresses(&up), up.gateway), (vec![ip("2001:db8::5")], Some(ip("2001:db8::1"))));
    assert_eq!(up.how().to_string(), "from the command line");
    let routes = node.run("ip -6 route");
    assert!(routes.contains("default via 2001:db8::1 dev eth0 proto static"), "{routes}");
    assert!(routes.contains("2001:db8::/64 dev eth0 proto static"), "{routes}");
    node.run("ping -c1 -W2 2001:db8:ffff::1");
}

#[test]
fn an_address_that_someone_has_is_a_conflict() {
    let (node, rack, _squatter) = squatted("2001:db8::5/64");
    at_bridge(&rack);
    let error = node.up_by(&fixed("2001:db8::5", None), PATIENCE).expect_err("it is taken");
    assert_eq!(error.to_string(), "2001:db8::5 on eth0 is in use by 02:00:00:00:00:66");
    let free = node.up_by(&fixed("2001:db8::6", None), PATIENCE).expect("it is free");
    assert_eq!(addresses(&free), [ip("2001:db8::6")]);
}

#[test]
fn a_leased_address_that_someone_has_is_declined_and_another_taken() {
    let (node, rack, _squatter) = squatted("2001:db8::177/64");
    node.run(&format!("ip link set eth0 address {MAC}"));
    at_bridge(&rack);
    let options = format!("--enable-ra {LEASED} --dhcp-host={DUID},[2001:db8::177]");
    let server = Server::restart(&rack, "br0", &options);
    let up = node.up(&[], PATIENCE).expect("a network");
    server.wait_for("DHCPDECLINE");
    assert!(up.how().dhcp6 && addresses(&up) != [ip("2001:db8::177")], "{:?}", up.addresses);
    node.run("ping -c1 -W2 2001:db8::1");
}

#[test]
fn an_own_address_that_someone_has_is_left_to_them() {
    let (node, rack, _squatter) = squatted(&format!("{OWN}/64"));
    node.run(&format!("ip link set eth0 address {MAC}"));
    at_bridge(&rack);
    let _router = Server::restart(&rack, "br0", &format!("--enable-ra {ADVERTISED}"));
    let error = node.up(&[], Duration::from_secs(2)).expect_err("it is taken");
    let NetError::Conflict { address, .. } = error else { panic!("{error}") };
    assert_eq!(address, ip(OWN));
}

#[test]
fn a_server_that_has_no_address_is_quoted() {
    let (node, rack) = pair();
    let router = Server::router(&rack, "--dhcp-range=2001:db8::,static,64,1h");
    let error = node.up(&["ip=auto6"], Duration::from_secs(2)).expect_err("no address");
    let outcome = &error.nics()[0].outcome;
    assert!(outcome.contains("refused: no addresses available"), "{outcome}");
    drop(router);
    let host = format!("--dhcp-host={DUID},[2001:db8::177]");
    let options = format!("--enable-ra --dhcp-range=2001:db8::,static,64,1h {host}");
    let _router = Server::restart(&rack, "port0", &options);
    let up = node.up(&["ip=auto6"], PATIENCE).expect("a network");
    assert_eq!(addresses(&up), [ip("2001:db8::177")]);
}

#[test]
fn a_router_that_leads_nowhere_is_no_gateway() {
    let (node, rack) = pair();
    let _router = Server::router(&rack, &format!("{ADVERTISED} --ra-param=port0,0,0"));
    let up = node.up(&["ip=auto6"], PATIENCE).expect("a network");
    assert_eq!((addresses(&up), up.gateway), (vec![ip(OWN)], None));
    assert!(!node.run("ip -6 route").contains("default"));
    node.run("ping -c1 -W2 2001:db8::1");
}

#[test]
fn a_network_of_ipv4_alone_is_none_of_ipv6s_affair() {
    let (node, rack) = pair();
    let _server = Server::start(&rack, "port0", "192.0.2.1/24", RANGE);
    let up = node.up(&[], PATIENCE).expect("a network");
    assert!(matches!(addresses(&up).as_slice(), [IpAddr::V4(_)]), "{:?}", up.addresses);
    assert!(up.ipv4().is_some_and(|ip| ip != Ipv4Addr::UNSPECIFIED));
    serve_address(&rack, "192.0.2.2/24");
    node.run("ping -c1 -W2 192.0.2.2");
}
