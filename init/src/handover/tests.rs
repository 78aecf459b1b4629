use super::*;
use crate::net::{Address, IfName, Mac, Method, Route, Said, Six};
use std::time::{Duration, Instant};

fn given(path: &str, text: &str) -> GivenFile {
    GivenFile { path: path.to_owned(), text: text.to_owned() }
}

#[test]
fn masks() {
    assert_eq!(netmask(24), Ipv4Addr::new(255, 255, 255, 0));
    assert_eq!(netmask(32), Ipv4Addr::new(255, 255, 255, 255));
    assert_eq!(netmask(0), Ipv4Addr::UNSPECIFIED);
}

#[test]
fn what_a_server_sends_stays_within_its_quotes() {
    assert_eq!(quoted("a'; reboot; '\nb"), "a; reboot; b");
}

#[test]
fn resolv_conf_goes_into_the_root() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("etc")).unwrap();
    fs::write(root.path().join("etc/resolv.conf"), "old").unwrap();
    write(&[given("/etc/resolv.conf", "nameserver 10.0.2.3\n")], root.path()).unwrap();
    let text = fs::read_to_string(root.path().join("etc/resolv.conf")).unwrap();
    assert_eq!(text, "nameserver 10.0.2.3\n");
}

#[test]
fn a_link_out_of_the_root_is_replaced() {
    let root = tempfile::tempdir().unwrap();
    let outside = root.path().join("outside");
    fs::create_dir(root.path().join("etc")).unwrap();
    std::os::unix::fs::symlink(&outside, root.path().join("etc/resolv.conf")).unwrap();
    write(&[given("/etc/resolv.conf", "x")], root.path()).unwrap();
    assert!(!outside.exists());
    assert!(fs::symlink_metadata(root.path().join("etc/resolv.conf")).unwrap().is_file());
}

#[test]
fn links_into_run_are_followed_there() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("etc")).unwrap();
    let link = root.path().join("etc/resolv.conf");
    for (target, want) in [
        ("../run/systemd/resolve/stub-resolv.conf", Some("/run/systemd/resolve/stub-resolv.conf")),
        ("/run/resolvconf/resolv.conf", Some("/run/resolvconf/resolv.conf")),
        ("/var/run/x/resolv.conf", Some("/run/x/resolv.conf")),
        ("../../../run/x", Some("/run/x")),
        ("/run/../etc/shadow", None),
        ("resolv.conf.real", None),
    ] {
        std::os::unix::fs::symlink(target, &link).unwrap();
        let got = link_into_run(root.path(), Path::new("/etc/resolv.conf"));
        assert_eq!(got.as_deref(), want.map(Path::new), "{target}");
        fs::remove_file(&link).unwrap();
    }
}

#[test]
fn a_system_without_the_directory_gets_no_file() {
    let root = tempfile::tempdir().unwrap();
    write(&[given("/etc/network/interfaces.d/zimg", "x")], root.path()).unwrap();
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
}

fn up() -> Up {
    let mac = Mac([0x52, 0x54, 0, 0x12, 0x34, 0x56]);
    Up {
        interface: IfName::new(b"eth0").unwrap(),
        index: 2,
        mac,
        permanent_mac: Some(mac),
        driver: Some("virtio_net".to_owned()),
        speed: None,
        beneath: Vec::new(),
        preferred: None,
        addresses: vec![Address { ip: [10, 0, 2, 15].into(), prefix: 24 }],
        gateway: Some([10, 0, 2, 2].into()),
        routes: vec![Route::default_via([10, 0, 2, 2].into())],
        dns: vec![[10, 0, 2, 3].into()],
        search: vec!["example.org".to_owned()],
        hostname: Some("node'1".to_owned()),
        mtu: 1500,
        ntp: Vec::new(),
        lease: None,
        method: Method::Static { address: [10, 0, 2, 15].into(), prefix: 24, gateway: None },
        six: None,
        said: Said::default(),
        since: Instant::now(),
        link_wait: Duration::ZERO,
        address_wait: Duration::ZERO,
    }
}

fn text_of(up: &Up, path: &str) -> String {
    let files = files(up, 77);
    files.into_iter().find(|file| file.path == path).unwrap_or_else(|| panic!("no {path}")).text
}

#[test]
fn networkd_keeps_the_address() {
    assert_eq!(
        text_of(&up(), "/run/systemd/network/05-zimg-eth0.network"),
        "# The root file system comes over this interface: its address is kept by zimg.\n\
         [Match]\nPermanentMACAddress=52:54:00:12:34:56\n\n\
         [Network]\nDHCP=no\nKeepConfiguration=yes\nDNS=10.0.2.3\nDomains=example.org\n"
    );
    let virtual_one = Up { permanent_mac: None, ..up() };
    let text = text_of(&virtual_one, "/run/systemd/network/05-zimg-eth0.network");
    assert!(text.contains("\nMACAddress=52:54:00:12:34:56\n"), "{text}");
}

#[test]
fn resolved_has_servers_without_a_network_manager() {
    let text = text_of(&up(), "/run/systemd/resolved.conf.d/05-zimg.conf");
    assert_eq!(text, "[Resolve]\nDNS=10.0.2.3\nDomains=example.org\n");
}

#[test]
fn network_manager_does_not_manage_it() {
    let text = text_of(&up(), "/run/NetworkManager/conf.d/05-zimg.conf");
    assert!(text.contains("unmanaged-devices+=mac:52:54:00:12:34:56\n"), "{text}");
}

#[test]
fn klibc_and_cloud_init_read_the_address() {
    assert_eq!(
        text_of(&up(), "/run/net-eth0.conf"),
        "DEVICE='eth0'\nPROTO='none'\nIPV4ADDR='10.0.2.15'\nIPV4BROADCAST='10.0.2.255'\n\
         IPV4NETMASK='255.255.255.0'\nIPV4GATEWAY='10.0.2.2'\nIPV4DNS0='10.0.2.3'\n\
         HOSTNAME='node1'\nDNSDOMAIN='example.org'\n"
    );
}

#[test]
fn both_families_are_handed_over() {
    let six = Six::new(up().mac, true, None);
    let address = Address { ip: "2001:db8::9".parse().unwrap(), prefix: 64 };
    let mut both = Up { six: Some(six), ..up() };
    both.addresses.push(address);
    both.routes.push(Route::default_via("fe80::1".parse().unwrap()));
    both.dns.push("2001:db8::53".parse().unwrap());
    let text = text_of(&both, "/run/systemd/network/05-zimg-eth0.network");
    assert!(text.contains("\nIPv6AcceptRA=no\nDNS=10.0.2.3\nDNS=2001:db8::53\n"), "{text}");
    let text = text_of(&both, "/run/net-eth0.conf");
    assert!(text.contains("\nIPV4GATEWAY='10.0.2.2'\nIPV4DNS0='10.0.2.3'\n"), "{text}");
    let six = "\nIPV6PROTO='none'\nIPV6ADDR='2001:db8::9'\nIPV6NETMASK='64'\n\
               IPV6GATEWAY='fe80::1'\nIPV6DNS0='2001:db8::53'\n";
    assert!(text.contains(six), "{text}");
    let text = text_of(&both, RESOLV_CONF);
    assert!(text.ends_with("nameserver 10.0.2.3\nnameserver 2001:db8::53\n"), "{text}");
}

#[test]
fn sysvinit_spares_the_root_daemon() {
    assert_eq!(text_of(&up(), "/run/sendsigs.omit.d/zimg"), "77\n");
}

#[test]
fn without_dns_the_image_keeps_its_resolv_conf() {
    let has = |up: &Up| files(up, 1).iter().any(|file| file.path == RESOLV_CONF);
    assert!(has(&up()));
    assert!(!has(&Up { dns: Vec::new(), ..up() }));
}

/// A VLAN on a bond of eth0 and eth1, the first as all know it, the second with the bond's address.
fn vlan_on_bond() -> Up {
    let link = |index, name: &[u8], kind: Option<&[u8]>, last: u8| Link {
        index,
        name: IfName::new(name).unwrap(),
        mac: Some(up().mac),
        permanent_mac: kind.is_none().then_some(Mac([0x52, 0x54, 0, 0x12, 0x34, last])),
        mtu: 1500,
        master: kind.is_none().then_some(4),
        parent: None,
        kind: kind.map(<[u8]>::to_vec),
        flags: 1,
    };
    let beneath = vec![
        link(4, b"bond0", Some(b"bond"), 0),
        link(2, b"eth0", None, 0x56),
        link(3, b"eth1", None, 0x57),
    ];
    Up { interface: IfName::new(b"bond0.5").unwrap(), permanent_mac: None, beneath, ..up() }
}

#[test]
fn what_the_roots_interface_lies_on_is_left_alone_too() {
    let up = vlan_on_bond();
    let network =
        |name: &str| text_of(&up, &format!("/run/systemd/network/05-zimg-{name}.network"));
    assert!(network("bond0.5").contains("[Match]\nName=bond0.5\n\n[Network]\nDHCP=no\n"));
    assert!(network("bond0").ends_with("[Match]\nName=bond0\n\n[Link]\nUnmanaged=yes\n"));
    for (name, mac) in [("eth0", "52:54:00:12:34:56"), ("eth1", "52:54:00:12:34:57")] {
        let wanted = format!("[Match]\nPermanentMACAddress={mac}\n\n[Link]\nUnmanaged=yes\n");
        assert!(network(name).ends_with(&wanted), "{}", network(name));
    }
    let devices =
        "interface-name:bond0.5;interface-name:bond0;mac:52:54:00:12:34:56;mac:52:54:00:12:34:57";
    assert_eq!(
        text_of(&up, "/run/NetworkManager/conf.d/05-zimg.conf"),
        format!(
            "# The root file system comes over this interface: its address is kept by zimg.\n\
             [keyfile]\nunmanaged-devices+={devices}\n\n\
             [device-zimg]\nmatch-device={devices}\nmanaged=0\n"
        )
    );
    assert_eq!(
        text_of(&up, "/run/network/ifstate"),
        "bond0.5=zimg-bond0.5\nbond0=zimg-bond0\neth0=zimg-eth0\neth1=zimg-eth1\n"
    );
    assert_eq!(text_of(&up, "/run/network/ifstate.eth1"), "zimg-eth1\n");
    let config = text_of(&up, "/etc/network/interfaces.d/zimg");
    for name in ["bond0.5", "bond0", "eth0", "eth1"] {
        assert!(config.contains(&format!("no-auto-down {name}\n")), "{config}");
    }
    assert_eq!(text_of(&up, "/run/udev/rules.d/79-zimg.rules").matches("RUN+=").count(), 4);
    assert_eq!(text_of(&up, "/run/net-bond0.5.conf").lines().next(), Some("DEVICE='bond0.5'"));
}
