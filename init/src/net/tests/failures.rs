//! What is said where there is no network.

use std::time::{Duration, Instant};

use super::world::{Namespace, config, rack};
use crate::net::{NetConfig, NetError};

#[test]
fn no_interface_at_all() {
    let node = Namespace::new();
    let patience = Duration::from_millis(400);
    let before = Instant::now();
    let error = node.up(&[], patience).expect_err("there is none");
    assert!(before.elapsed() >= patience, "one may still come");
    assert!(matches!(error, NetError::NoInterface { .. }), "{error:?}");
    assert!(error.nics().is_empty(), "the loopback is none: {error:?}");
    assert!(node.run("ip link show lo").contains("LOOPBACK,UP"));
}

#[test]
fn no_interface_that_will_do() {
    let node = Namespace::new();
    node.run("ip tuntap add dev tun0 mode tun");
    node.run("ip link add eth0 type veth peer name eth1");
    let args = ["ip=eth0:off", "ip=eth1:off"];
    let error = node.up(&args, Duration::from_millis(200)).expect_err("none will do");
    assert!(matches!(error, NetError::NoInterface { .. }), "{error:?}");
    let outcome = |name: &str| {
        let nic = error.nics().iter().find(|nic| nic.name.to_string() == name);
        nic.map(|nic| nic.outcome.as_str()).expect("a row")
    };
    assert_eq!(outcome("tun0"), "not Ethernet");
    assert_eq!(outcome("eth0"), "left alone, as the command line says");
    for name in ["tun0", "eth0"] {
        let shown = node.run(&format!("ip link show {name}"));
        assert!(!shown.contains(",UP"), "{shown}");
    }
}

#[test]
fn no_cable_anywhere() {
    let (node, _rack) = rack();
    node.run("ip link set eth0 address 02:00:00:00:00:80");
    let error = node.up(&[], Duration::from_millis(500)).expect_err("no cable");
    let NetError::NoCarrier { waited, nics } = error else { panic!("{error}") };
    assert!(waited >= Duration::from_millis(500));
    let [nic] = nics.as_slice() else { panic!("{nics:?}") };
    assert_eq!(
        nic.to_string(),
        "eth0       02:00:00:00:00:80 veth         no carrier no cable, or the other end is down"
    );
}

#[test]
fn no_answer() {
    let (node, rack) = rack();
    node.cable("eth1", &rack, "port1");
    rack.run("ip link set port0 up");
    let patience = Duration::from_millis(3500);
    let error = node.up(&["ip=dhcp"], patience).expect_err("no server");
    let text = error.to_string();
    let NetError::NoAnswer { interfaces, waited, sends, nics } = error else { panic!("{error}") };
    assert_eq!(interfaces.len(), 1);
    assert_eq!(interfaces[0].to_string(), "eth0");
    assert!(waited >= Duration::from_secs(3) && waited <= patience + Duration::from_millis(500));
    // At 0, 0.3, 0.9 and 2.1 s; once more where the link was not running at first.
    assert!((4..=5).contains(&sends), "{sends} sent");
    assert_eq!(
        text,
        format!(
            "no server gave an address on eth0 in {:.1} s ({sends} requests sent)",
            waited.as_secs_f32()
        )
    );
    let row = |name: &str| nics.iter().find(|n| n.name.to_string() == name).expect("a row");
    let eth0 = row("eth0");
    assert!(eth0.carrier);
    assert!(eth0.outcome.starts_with(&format!("DHCP: {sends} sent in 3.")), "{}", eth0.outcome);
    assert!(eth0.outcome.ends_with("no answer"), "{}", eth0.outcome);
    assert!(!row("eth1").carrier);
    assert!(row("eth1").outcome.contains("no cable"), "{}", row("eth1").outcome);
}

#[test]
fn no_answer_of_either_family() {
    let (node, rack) = rack();
    rack.run("ip link set port0 up");
    for (args, by) in [(&[][..], "DHCP and IPv6: "), (&["ip=auto6"], "IPv6: ")] {
        let error = node.up(args, Duration::from_millis(500)).expect_err("no server");
        let NetError::NoAnswer { nics, .. } = error else { panic!("{error}") };
        assert!(nics[0].outcome.starts_with(by), "{}", nics[0].outcome);
        assert!(nics[0].outcome.ends_with("no answer"), "{}", nics[0].outcome);
    }
    let accepts = node.run("sysctl -n net.ipv6.conf.eth0.accept_ra");
    assert_eq!(accepts.trim(), "1", "a link that is not used is the kernel's again");
}

#[test]
fn the_network_is_switched_off() {
    let node = Namespace::new();
    let error = node.up(&["ip=off"], Duration::from_secs(5)).expect_err("it is off");
    assert_eq!(error, NetError::Off);
    assert_eq!(config(&["quiet"]), NetConfig::default());
}
