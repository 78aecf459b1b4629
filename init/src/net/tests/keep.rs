//! Leases kept, changed and lost.

use std::path::Path;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use super::world::{Namespace, RANGE, Server, rack};
use crate::net::Up;
use crate::net::keep::Keeper;
use crate::sys;

const PATIENCE: Duration = Duration::from_secs(20);
/// T1 and T2 so early that a test can wait for them; dnsmasq gives no lease below two minutes.
const SHORT: &str = "--dhcp-option=58,2 --dhcp-option=59,4";

/// Keeps the lease on a thread that outlives the test; what it says and changes comes back.
///
/// The thread's root is an empty directory, removed by now: of /proc and /sys it has nothing.
pub(super) fn keep(node: &Namespace, up: Up) -> (Receiver<String>, Receiver<Up>) {
    let (say, said) = channel();
    let (change, changed) = channel();
    let (ready, is_ready) = channel();
    let inside = node.entry();
    let nothing = tempfile::tempdir().expect("a directory");
    let root = nothing.path().to_owned();
    thread::spawn(move || {
        inside();
        sys::net::unshare_root().expect("these tests change the root directory: run them as root");
        rustix::process::chroot(root).expect("another root");
        rustix::process::chdir("/").expect("the other root");
        assert!(!Path::new("/proc").exists());
        let say = Mutex::new(say);
        let log = move |line: &str| {
            eprintln!("keep: {line}");
            // The test may have ended.
            drop(say.lock().expect("log").send(line.to_owned()));
        };
        let keeper = Keeper::new(up, &log);
        ready.send(()).expect("the test");
        keeper.run(&mut |up| drop(change.send(up.clone())));
    });
    is_ready.recv().expect("a thread that keeps the lease");
    (said, changed)
}

pub(super) fn wait_for(said: &Receiver<String>, text: &str) {
    let until = Instant::now() + PATIENCE;
    while let Ok(line) = said.recv_timeout(until.saturating_duration_since(Instant::now())) {
        if line.contains(text) {
            return;
        }
    }
    panic!("never said {text:?}");
}

fn has_address(node: &Namespace, up: &Up) -> bool {
    let address = up.ipv4().expect("an address");
    node.run("ip -4 address show dev eth0").contains(&format!("inet {address}/"))
}

#[test]
fn the_lease_is_renewed_by_its_server() {
    let (node, rack) = rack();
    let server = Server::start(&rack, "port0", "192.0.2.1/24", &format!("{RANGE} {SHORT}"));
    let up = node.up(&[], PATIENCE).expect("a network");
    server.wait_for("DHCPACK(port0)");
    let began = server.log().matches("DHCPDISCOVER(port0)").count();
    let (said, changed) = keep(&node, up.clone());
    // The grant that began it, and two renewals.
    server.wait_for_count("DHCPACK(port0)", 3);
    let log = server.log();
    assert_eq!(log.matches("DHCPDISCOVER(port0)").count(), began, "{log}");
    assert!(has_address(&node, &up));
    assert!(said.try_recv().is_err(), "a renewal is no news");
    assert!(changed.try_recv().is_err(), "and no change");
}

#[test]
fn a_server_that_is_gone_leaves_the_address_and_may_come_back() {
    let (node, rack) = rack();
    let options = format!("{RANGE} {SHORT}");
    let server = Server::start(&rack, "port0", "192.0.2.1/24", &options);
    let mut up = node.up(&[], PATIENCE).expect("a network");
    drop(server);
    // An hour, less a little, goes by in no time.
    up.since -= Duration::from_secs(3590);
    let (said, changed) = keep(&node, up.clone());
    wait_for(&said, "asking all servers");
    wait_for(&said, "the lease is over; the address stays");
    assert!(has_address(&node, &up));
    node.run("ping -c1 -W2 192.0.2.1");
    let _server = Server::restart(&rack, "port0", &options);
    wait_for(&said, "192.0.2.1 granted the lease");
    assert!(has_address(&node, &up));
    assert!(changed.try_recv().is_err(), "the same address is no change");
}

#[test]
fn another_server_may_take_over() {
    let (node, rack) = rack();
    let options = format!("{RANGE} {SHORT} --dhcp-authoritative");
    let server = Server::start(&rack, "port0", "192.0.2.1/24", &options);
    let up = node.up(&[], PATIENCE).expect("a network");
    drop(server);
    rack.run("ip address flush dev port0");
    let second = Server::start(&rack, "port0", "192.0.2.2/24", &options);
    let (said, _changed) = keep(&node, up.clone());
    wait_for(&said, "192.0.2.2 granted the lease");
    assert!(has_address(&node, &up));
    second.wait_for_count("DHCPACK(port0)", 2);
}

#[test]
fn a_refused_lease_is_followed_to_the_new_one() {
    let (node, rack) = rack();
    let server = Server::start(&rack, "port0", "192.0.2.1/24", &format!("{RANGE} {SHORT}"));
    let up = node.up(&[], PATIENCE).expect("a network");
    drop(server);
    let moved = "--dhcp-range=192.0.2.200,192.0.2.210,255.255.255.0,1h --dhcp-authoritative \
                 --dhcp-option=6,192.0.2.53";
    let _server = Server::restart(&rack, "port0", moved);
    let (said, changed) = keep(&node, up.clone());
    wait_for(&said, "the lease is refused");
    let new = changed.recv_timeout(PATIENCE).expect("a change");
    assert!(new.ipv4().expect("an address").octets()[3] >= 200);
    assert_eq!(new.dns.len(), 1);
    assert!(has_address(&node, &new) && !has_address(&node, &up));
    let routes = node.run("ip route");
    assert!(routes.contains("default via 192.0.2.1 dev eth0"), "{routes}");
    node.run("ping -c1 -W2 192.0.2.1");
    thread::sleep(Duration::from_millis(500));
    let own_doing: Vec<String> = said.try_iter().collect();
    assert!(!own_doing.iter().any(|line| line.contains("taken away")), "{own_doing:?}");
}

#[test]
fn a_renewed_lease_with_other_routes_is_followed() {
    let (node, rack) = rack();
    let routes = "--dhcp-option=121,0.0.0.0/0,192.0.2.1,10.0.0.0/8,192.0.2.7";
    let options = format!("{RANGE} {SHORT} --dhcp-authoritative");
    let server = Server::start(&rack, "port0", "192.0.2.1/24", &format!("{options} {routes}"));
    let up = node.up(&[], PATIENCE).expect("a network");
    drop(server);
    let routes = "--dhcp-option=121,0.0.0.0/0,192.0.2.1,10.1.0.0/16,192.0.2.8";
    let _server = Server::restart(&rack, "port0", &format!("{options} {routes}"));
    let (_said, changed) = keep(&node, up.clone());
    let new = changed.recv_timeout(PATIENCE).expect("a change");
    assert_eq!(new.ipv4(), up.ipv4());
    let routes = node.run("ip route");
    assert!(routes.contains("10.1.0.0/16 via 192.0.2.8"), "{routes}");
    assert!(!routes.contains("10.0.0.0/8"), "{routes}");
    assert!(routes.contains("default via 192.0.2.1"), "{routes}");
}

#[test]
fn what_the_booted_system_takes_away_is_put_back() {
    let (node, rack) = rack();
    let _server = Server::start(&rack, "port0", "192.0.2.1/24", RANGE);
    let up = node.up(&[], PATIENCE).expect("a network");
    let (said, changed) = keep(&node, up.clone());
    for harm in ["ip address flush dev eth0", "ip link set eth0 down", "ip route del default"] {
        node.run(harm);
        wait_for(&said, "it is back");
        assert!(has_address(&node, &up), "after {harm}");
        let routes = node.run("ip route");
        assert!(routes.contains("default via 192.0.2.1"), "after {harm}: {routes}");
        node.wait_until_up("eth0");
        node.run("ping -c1 -W5 192.0.2.1");
    }
    assert!(changed.try_recv().is_err(), "nothing has changed in the end");
}

#[test]
fn an_address_of_the_command_line_is_put_back_too() {
    let (node, rack) = rack();
    super::world::serve_address(&rack, "192.0.2.1/24");
    let up = node.up(&["ip=192.0.2.5::192.0.2.1:24"], PATIENCE).expect("a network");
    let (said, _changed) = keep(&node, up.clone());
    node.run("ip address del 192.0.2.5/24 dev eth0");
    wait_for(&said, "it is back");
    assert!(has_address(&node, &up));
}

#[test]
fn a_link_that_becomes_part_of_a_bridge_is_left_to_it() {
    let (node, rack) = rack();
    super::world::serve_address(&rack, "192.0.2.1/24");
    let up = node.up(&["ip=192.0.2.5::192.0.2.1:24"], PATIENCE).expect("a network");
    let (said, _changed) = keep(&node, up.clone());
    node.run("ip link add name br0 type bridge");
    node.run("ip link set br0 up");
    node.run("ip link set eth0 master br0");
    node.run("ip address add 192.0.2.5/24 dev br0");
    node.run("ip address del 192.0.2.5/24 dev eth0");
    wait_for(&said, "part of another link");
    assert!(!has_address(&node, &up));
    node.run("ping -c1 -W5 192.0.2.1");
}

#[test]
fn what_the_booted_system_adds_and_removes_of_its_own_is_its_affair() {
    let (node, rack) = rack();
    super::world::serve_address(&rack, "192.0.2.1/24");
    let up = node.up(&["ip=192.0.2.5::192.0.2.1:24"], PATIENCE).expect("a network");
    let (said, _changed) = keep(&node, up);
    node.run("ip address add 198.51.100.5/24 dev eth0");
    node.run("ip route add 10.0.0.0/8 via 192.0.2.7");
    node.run("ip route del 10.0.0.0/8");
    node.run("ip address del 198.51.100.5/24 dev eth0");
    node.run("ip link add eth7 type veth peer name eth8");
    node.run("ip link del eth7");
    let quiet = said.recv_timeout(Duration::from_millis(500));
    assert!(quiet.is_err(), "{quiet:?}");
}
