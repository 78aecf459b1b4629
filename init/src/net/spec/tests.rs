use proptest::prelude::*;

use super::*;

fn parse(args: &[(&str, &str)]) -> Result<NetConfig, SpecError> {
    let args: Vec<_> =
        args.iter().map(|(key, value)| ((*key).to_owned(), Some((*value).to_owned()))).collect();
    NetConfig::parse(&args)
}

fn ip(value: &str) -> Request {
    parse(&[("ip", value)]).expect(value).requests.remove(0)
}

fn error(value: &str) -> SpecError {
    parse(&[("ip", value)]).expect_err(value)
}

fn name(text: &str) -> Option<Device> {
    IfName::new(text.as_bytes()).map(Device::Name)
}

const MAC: Mac = Mac([0x52, 0x54, 0, 0x12, 0x34, 0x56]);
const ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 5);
const GATEWAY: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

fn fixed(prefix: u8, gateway: Option<Ipv4Addr>) -> Method {
    Method::Static { address: ADDRESS.into(), prefix, gateway: gateway.map(IpAddr::V4) }
}

fn dhcp() -> Request {
    Request { method: Method::Dhcp { requested: None }, ..Request::any() }
}

#[test]
fn nothing_said_means_whatever_answers_everywhere() {
    let config = parse(&[("zimg.url", "http://x/"), ("quiet", "")]).expect("fine");
    assert_eq!(config, NetConfig::default());
    let eth0 = IfName::new(b"eth0").expect("a name");
    assert_eq!(config.for_link(&eth0, &[MAC]), Request::any());
    assert!(!config.is_off());
}

#[test]
fn one_word_stands_alone() {
    for word in ["on", "any"] {
        assert_eq!(ip(word), Request::any(), "{word}");
    }
    assert_eq!(ip("dhcp"), dhcp());
    assert_eq!(ip("auto6").method, Method::Auto6);
    assert_eq!(ip("dhcp6").method, Method::Dhcp6);
    assert_eq!(ip("either6").method, Method::Either6);
    assert_eq!(ip("link6").method, Method::Link6);
    for word in ["off", "none"] {
        assert_eq!(ip(word).method, Method::Off, "{word}");
        assert!(parse(&[("ip", word)]).expect(word).is_off());
    }
}

#[test]
fn the_kernels_long_form_in_full() {
    let request = ip(
        "192.0.2.5:192.0.2.7:192.0.2.1:255.255.255.128:node:eth1:off:9.9.9.9:8.8.8.8:192.0.2.123",
    );
    assert_eq!(
        request,
        Request {
            device: name("eth1"),
            method: fixed(25, Some(GATEWAY)),
            hostname: Some("node".into()),
            dns: vec![[9, 9, 9, 9].into(), [8, 8, 8, 8].into()],
            ntp: vec![[192, 0, 2, 123].into()],
            mtu: None,
            mac: None,
        }
    );
}

#[test]
fn fields_may_be_empty_or_missing() {
    assert_eq!(ip("192.0.2.5::192.0.2.1:24::eth0:none").method, fixed(24, Some(GATEWAY)));
    assert_eq!(ip("192.0.2.5::192.0.2.1:24").method, fixed(24, Some(GATEWAY)));
    assert_eq!(ip("192.0.2.5:").method, fixed(24, None), "the class's mask, as the kernel has it");
    assert_eq!(ip("192.0.2.5::0.0.0.0:32").method, fixed(32, None), "an address of zeros is none");
    assert_eq!(ip(":::::eth1:dhcp"), Request { device: name("eth1"), ..dhcp() });
    assert_eq!(ip("::::node::dhcp").hostname.as_deref(), Some("node"));
    assert_eq!(ip(":::::eth1:off").method, Method::Off);
    assert_eq!(ip("::::::"), Request::any());
}

#[test]
fn an_address_with_dhcp_is_a_wish() {
    assert_eq!(ip("192.0.2.5::::::dhcp").method, Method::Dhcp { requested: Some(ADDRESS) });
}

#[test]
fn dracuts_short_form() {
    assert_eq!(ip("eth0:dhcp"), Request { device: name("eth0"), ..dhcp() });
    assert_eq!(ip("eth0:off").method, Method::Off);
    assert_eq!(ip("eth0:dhcp:9000").mtu, Some(9000));
    let all = Request { device: name("eth0"), mtu: Some(9000), mac: Some(MAC), ..dhcp() };
    assert_eq!(ip("eth0:dhcp:9000:52:54:00:12:34:56"), all);
    assert_eq!(ip("eth0:dhcp::52:54:00:12:34:56"), Request { mtu: None, ..all });
    for (word, method) in [
        ("dhcp6", Method::Dhcp6),
        ("auto6", Method::Auto6),
        ("either6", Method::Either6),
        ("link6", Method::Link6),
        ("on", Method::Any),
        ("any", Method::Any),
        ("single-dhcp", Method::Dhcp { requested: None }),
    ] {
        assert_eq!(ip(&format!("eth0:{word}:1400")).method, method, "{word}");
        assert_eq!(ip(word).method, method, "{word}");
        assert_eq!(ip(&format!(":::::eth0:{word}")).method, method, "{word}");
    }
}

#[test]
fn dracuts_static_form_has_the_mtu_and_the_mac_where_the_kernels_has_servers() {
    let long = "192.0.2.5::192.0.2.1:24:node:eth0:none";
    let request = ip(long);
    let wanted = Request { mtu: Some(9000), mac: Some(MAC), ..request.clone() };
    assert_eq!(ip(&format!("{long}:9000:52:54:00:12:34:56")), wanted);
    assert_eq!(ip(&format!("{long}:9000")), Request { mac: None, ..wanted.clone() });
    assert_eq!(ip(&format!("{long}::52:54:00:12:34:56")), Request { mtu: None, ..wanted });
    let servers = ip(&format!("{long}:9.9.9.9:[2620:fe::fe]"));
    let dns: [IpAddr; 2] = [[9, 9, 9, 9].into(), "2620:fe::fe".parse().expect("an address")];
    assert_eq!(servers, Request { dns: dns.to_vec(), ..request });
}

#[test]
fn ipv6_stands_in_brackets() {
    let address: IpAddr = "2001:db8::5".parse().expect("an address");
    let gateway: IpAddr = "fe80::1".parse().expect("an address");
    let fixed = |prefix, gateway| Method::Static { address, prefix, gateway };
    let request = ip("[2001:db8::5]::[fe80::1]:48:node:eth0:none:[2620:fe::fe]");
    assert_eq!((request.method, request.device), (fixed(48, Some(gateway)), name("eth0")));
    assert_eq!(request.dns, ["2620:fe::fe".parse::<IpAddr>().expect("an address")]);
    assert_eq!(request.hostname.as_deref(), Some("node"));
    assert_eq!(ip("[2001:db8::5]:").method, fixed(64, None));
    assert_eq!(ip("[2001:db8::5]:::128::eth0:off:9000").mtu, Some(9000));
    assert_eq!(ip("[2001:db8::5]::[::]:64").method, fixed(64, None), "an address of zeros is none");
}

#[test]
fn a_mac_stands_in_the_devices_place() {
    let device = Some(Device::Mac(MAC));
    assert_eq!(ip("52:54:00:12:34:56:dhcp"), Request { device: device.clone(), ..dhcp() });
    assert_eq!(ip("52-54-00-12-34-56:dhcp").device, device);
    let long = ip("192.0.2.5::192.0.2.1:24:node:52:54:00:12:34:56:none:9.9.9.9");
    assert_eq!((long.device, long.method), (device.clone(), fixed(24, Some(GATEWAY))));
    assert_eq!(long.dns, [IpAddr::from([9, 9, 9, 9])]);
    assert_eq!(ip("192.0.2.5::::node:52:54:00:12:34:56").device, device);
}

#[test]
fn what_cannot_be_read_is_named_with_place_and_form() {
    let at = |value: &str| {
        let error = error(value);
        assert_eq!(
            value.get(error.position..).map(|rest| rest.starts_with(&error.text)),
            Some(true)
        );
        (error.what, error.position, error.text)
    };
    assert_eq!(at("dhpc"), ("autoconf", 0, "dhpc".into()));
    assert_eq!(at("eth0:dhpc"), ("autoconf", 5, "dhpc".into()));
    assert_eq!(at("192.0.2.500::192.0.2.1:24"), ("client address", 0, "192.0.2.500".into()));
    assert_eq!(at("192.0.2.5::192.0.2:24"), ("gateway", 11, "192.0.2".into()));
    assert_eq!(at("192.0.2.5:::255.0.255.0"), ("netmask", 12, "255.0.255.0".into()));
    assert_eq!(at("192.0.2.5:::33"), ("netmask", 12, "33".into()));
    assert_eq!(at("192.0.2.5:::24:no name"), ("hostname", 15, "no name".into()));
    assert_eq!(at("192.0.2.5:::24::eth/0"), ("device", 16, "eth/0".into()));
    assert_eq!(at("192.0.2.5:::24::eth0:bootp"), ("autoconf", 21, "bootp".into()));
    assert_eq!(at("192.0.2.5:::24::eth0::x"), ("server address", 22, "x".into()));
    assert_eq!(at("::::::dhcp::::x"), ("an eleventh field", 14, "x".into()));
    assert_eq!(at("eth0:dhcp:500"), ("MTU", 10, "500".into()));
    assert_eq!(at("192.0.2.5:::24::eth0::9.9.9.9:x"), ("server address", 30, "x".into()));
    assert_eq!(at("eth0:dhcp:9000:x"), ("MAC", 15, "x".into()));
    assert_eq!(at("eth0:ibft"), ("autoconf", 5, "ibft".into()));
    assert_eq!(at("[2001:db8::1]:::129"), ("netmask", 16, "129".into()));
    assert_eq!(at("[2001:db8::1]:::255.0.0.0"), ("netmask", 16, "255.0.0.0".into()));
    assert_eq!(at("[2001:db8::1]::192.0.2.1:64"), ("gateway", 15, "192.0.2.1".into()));
    assert_eq!(at("[2001:db8::1]::::::dhcp"), ("client address", 0, "[2001:db8::1]".into()));
    assert_eq!(at("2001:db8::1"), ("client address", 0, "2001".into()));
    assert_eq!(at("[2001:db8::1"), ("client address", 0, "[2001".into()));
    let text = error("192.0.2.5:::255.0.255.0").to_string();
    assert_eq!(
        text,
        "ip=192.0.2.5:::255.0.255.0: netmask at position 12 (\"255.0.255.0\"): \
         expected a netmask (255.255.255.0) or a prefix length (24)"
    );
}

#[test]
fn several_requests_find_their_interfaces() {
    let config = parse(&[("ip", "eth0:off"), ("ip", "192.0.2.5:::24::eth1:none")]).expect("fine");
    let method = |name: &[u8]| config.for_link(&IfName::new(name).expect("a name"), &[MAC]).method;
    assert_eq!(method(b"eth0"), Method::Off);
    assert_eq!(method(b"eth1"), fixed(24, None));
    assert_eq!(method(b"eth2"), Method::Off, "what is not named is left alone");
    let config = parse(&[("ip", "eth0:off")]).expect("fine");
    let method = |name: &[u8]| config.for_link(&IfName::new(name).expect("a name"), &[MAC]).method;
    assert_eq!(method(b"eth0"), Method::Off);
    assert_eq!(method(b"eth2"), Method::Any, "all others ask");
    assert!(!config.is_off());
    let config = parse(&[("ip", "dhcp"), ("ip", "52:54:00:12:34:56:off")]).expect("fine");
    let eth0 = IfName::new(b"eth0").expect("a name");
    assert_eq!(config.for_link(&eth0, &[MAC]).method, Method::Off);
    assert_eq!(config.for_link(&eth0, &[Mac::BROADCAST]).method, Method::Dhcp { requested: None });
}

#[test]
fn nameservers_keep_their_order() {
    let config =
        parse(&[("nameserver", "9.9.9.9"), ("nameserver", "[2620:fe::fe]")]).expect("fine");
    let wanted: [IpAddr; 2] = [[9, 9, 9, 9].into(), "2620:fe::fe".parse().expect("an address")];
    assert_eq!(config.nameservers, wanted);
    assert!(parse(&[("nameserver", "dns.example")]).is_err());
}

#[test]
fn bootif_in_all_its_spellings() {
    let bootif = |value| parse(&[("BOOTIF", value)]).map(|config| config.bootif);
    for value in ["01-52-54-00-12-34-56", "01:52:54:00:12:34:56", "52-54-00-12-34-56"] {
        assert_eq!(bootif(value), Ok(Some(MAC)), "{value}");
    }
    for value in ["", "01-52-54-00-12", "20-52-54-00-12-34-56", "eth0"] {
        assert!(bootif(value).is_err(), "{value}");
    }
}

const KEYS: [&str; 8] =
    ["ip", "nameserver", "BOOTIF", "bootdev", "ifname", "vlan", "bond", "rd.route"];

proptest! {
    #[test]
    fn any_text_is_read_or_refused(value in "\\PC{0,80}") {
        for key in KEYS {
            drop(parse(&[(key, &value)]));
        }
    }

    #[test]
    fn text_like_the_real_thing_is_read_or_refused_at_a_true_place(
        key in prop::sample::select(&KEYS[..]),
        value in "([0-9a-z.:,;=/\\[\\]-]|192\\.0\\.2\\.5|\\[fe80::1\\]|eth0|52:54:00:12:34:56|dhcp|mode=|bond0|:|,){0,30}",
    ) {
        if let Err(error) = parse(&[(key, &value)]) {
            prop_assert!(value[error.position..].starts_with(&error.text), "{error}");
        }
    }
}
