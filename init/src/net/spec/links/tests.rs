use super::*;
use crate::net::spec::{Method, NetConfig, Over, Request};

fn parse(args: &[(&str, &str)]) -> Result<NetConfig, SpecError> {
    let args: Vec<_> =
        args.iter().map(|(key, value)| ((*key).to_owned(), Some((*value).to_owned()))).collect();
    NetConfig::parse(&args)
}

fn error(key: &str, value: &str) -> (&'static str, usize) {
    let error = parse(&[(key, value)]).expect_err(value);
    (error.what, error.position)
}

fn name(text: &str) -> IfName {
    IfName::new(text.as_bytes()).expect("a name")
}

const MAC: Mac = Mac([0x52, 0x54, 0, 0x12, 0x34, 0x56]);

#[test]
fn vlans_by_all_their_names() {
    for (text, id) in
        [("vlan5", 5), ("vlan0005", 5), ("eth0.5", 5), ("eth0.0005", 5), ("lan.4094", 4094)]
    {
        let config = parse(&[("vlan", &format!("{text}:eth0"))]).expect(text);
        let parent = Device::Name(name("eth0"));
        assert_eq!(config.vlans, [Vlan { name: name(text), id, parent }]);
    }
    let by_mac = parse(&[("vlan", "vlan7:52:54:00:12:34:56")]).expect("fine");
    assert_eq!(by_mac.vlans[0].parent, Device::Mac(MAC));
    let form = ("VLAN's name", 0);
    for bad in ["vlan", "vlan0", "vlan4095", "eth0.", "storage", "vlan+5", "vlan00005"] {
        assert_eq!(error("vlan", &format!("{bad}:eth0")), form, "{bad}");
    }
    assert_eq!(error("vlan", "vlan5"), ("VLAN", 0));
    assert_eq!(error("vlan", "vlan5:eth0:x"), ("VLAN", 0));
    assert_eq!(error("vlan", "vlan5:"), ("parent", 6));
}

#[test]
fn names_are_given_by_mac() {
    let config = parse(&[("ifname", "lan0:52:54:00:12:34:56")]).expect("fine");
    assert_eq!(config.renames, [Rename { name: name("lan0"), mac: MAC }]);
    assert_eq!(error("ifname", "lan0"), ("name", 0));
    assert_eq!(error("ifname", "lan0:eth0"), ("MAC", 5));
    assert_eq!(error("ifname", "a/b:52:54:00:12:34:56"), ("name", 0));
}

#[test]
fn routes_of_both_families() {
    let route = |value: &str| parse(&[("rd.route", value)]).expect(value).routes.remove(0);
    let ip = |text: &str| text.parse::<IpAddr>().expect("an address");
    let eth0 = || Some(Device::Name(name("eth0")));
    for (value, network, prefix, gateway, device) in [
        ("10.1.2.3/8:192.0.2.1", "10.0.0.0", 8, Some("192.0.2.1"), None),
        ("10.0.0.0/255.0.0.0:192.0.2.1:eth0", "10.0.0.0", 8, Some("192.0.2.1"), eth0()),
        ("10.0.0.0/8::eth0", "10.0.0.0", 8, None, eth0()),
        ("0.0.0.0/0:192.0.2.1", "0.0.0.0", 0, Some("192.0.2.1"), None),
        ("[2001:db8:3::1/48]:[fe80::1]:eth0", "2001:db8:3::", 48, Some("fe80::1"), eth0()),
        ("[2001:db8::]/32:[fe80::1]", "2001:db8::", 32, Some("fe80::1"), None),
        ("[::]/0:[fe80::1]", "::", 0, Some("fe80::1"), None),
        ("10.0.0.0/32::52:54:00:12:34:56", "10.0.0.0", 32, None, Some(Device::Mac(MAC))),
    ] {
        let route_wanted = Route { network: ip(network), prefix, gateway: gateway.map(ip) };
        assert_eq!(route(value), SaidRoute { route: route_wanted, device }, "{value}");
    }
    for (value, wanted) in [
        ("10.0.0.0/8", ("route", 0)),
        ("10.0.0.0/8:", ("gateway", 11)),
        ("10.0.0.0/33:192.0.2.1", ("network", 0)),
        ("10.0.0.0:192.0.2.1", ("network", 0)),
        ("[2001:db8::/129]:[fe80::1]", ("network", 0)),
        ("10.0.0.0/8:[fe80::1]", ("gateway", 11)),
        ("10.0.0.0/8:x:eth0", ("gateway", 11)),
        ("10.0.0.0/8:192.0.2.1:eth0:x", ("route", 0)),
    ] {
        assert_eq!(error("rd.route", value), wanted, "{value}");
    }
}

#[test]
fn routes_go_over_the_interface_they_name() {
    let args = [("rd.route", "10.0.0.0/8:192.0.2.1:eth0"), ("rd.route", "172.16.0.0/12:192.0.2.2")];
    let config = parse(&args).expect("fine");
    assert_eq!(config.routes_over(&name("eth0"), &[]).len(), 2);
    assert_eq!(config.routes_over(&name("eth1"), &[]).len(), 1);
}

#[test]
fn what_carries_another_link_gets_an_address_only_by_name() {
    let args = [("bond", "bond0:eth0,eth1"), ("vlan", "bond0.5:bond0"), ("vlan", "vlan6:eth2")];
    let config = parse(&args).expect("fine");
    let method = |config: &NetConfig, text: &str| config.for_link(&name(text), &[]).method;
    let members = config.over(&name("eth1"), &[]);
    assert_eq!(members, Some(Over::Bond(name("bond0"))));
    assert_eq!(config.over(&name("bond0"), &[]), Some(Over::Vlan(name("bond0.5"))));
    assert_eq!(config.over(&name("eth3"), &[]), None);
    for (text, gets) in
        [("eth0", false), ("bond0", false), ("eth2", false), ("bond0.5", true), ("eth3", true)]
    {
        let wanted = if gets { Method::Any } else { Method::Off };
        assert_eq!(method(&config, text), wanted, "{text}");
    }
    let named = [&args[..], &[("ip", "eth2:dhcp"), ("ip", "eth0:dhcp"), ("ip", "vlan6:dhcp")]];
    let config = parse(&named.concat()).expect("fine");
    assert_ne!(method(&config, "eth2"), Method::Off);
    assert_ne!(method(&config, "vlan6"), Method::Off);
    assert_eq!(method(&config, "eth0"), Method::Off, "a bond's member never");
    assert_eq!(method(&config, "bond0.5"), Method::Off, "others are named");
}

#[test]
fn only_the_boot_device_carries_the_node() {
    for value in ["eth1", "52:54:00:12:34:56"] {
        let config = parse(&[("bootdev", value), ("ip", "dhcp")]).expect("fine");
        let dhcp = Method::Dhcp { requested: None };
        assert_eq!(
            config.for_link(&name("eth1"), &[MAC]),
            Request { method: dhcp, ..Request::any() }
        );
        assert_eq!(config.for_link(&name("eth0"), &[Mac::BROADCAST]).method, Method::Off);
    }
    assert_eq!(error("bootdev", ""), ("device", 0));
}
