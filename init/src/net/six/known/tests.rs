use super::*;
use crate::net::dhcp::lease::Times;
use crate::net::six::ndp::PrefixInfo;

const MAC: Mac = Mac([0x52, 0x54, 0, 0x12, 0x34, 0x56]);
const A: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0xa);
const B: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0xb);
const NETWORK: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0);
const SECOND: Duration = Duration::from_secs(1);

fn prefix() -> PrefixInfo {
    PrefixInfo {
        prefix: NETWORK,
        len: 64,
        on_link: true,
        autonomous: true,
        valid: true,
        preferred: true,
    }
}

fn advert(lifetime: u16) -> Advert {
    Advert { lifetime, prefixes: vec![prefix()], ..Advert::default() }
}

fn known() -> Six {
    Six::new(MAC, true, None)
}

fn gateway(six: &Six) -> Option<IpAddr> {
    six.routes().iter().find(|route| route.is_default()).and_then(|route| route.gateway)
}

#[test]
fn addresses_are_made_of_the_mac() {
    let mut six = known();
    assert_eq!(six.link_local.to_string(), "fe80::5054:ff:fe12:3456");
    six.hear(A, &advert(60), MAC, Instant::now());
    let own: Vec<String> = six.own_addresses().map(|ip| ip.to_string()).collect();
    assert_eq!(own, ["2001:db8::5054:ff:fe12:3456"]);
    let (network, on_link) = (NETWORK.into(), six.routes()[0]);
    assert_eq!(on_link, Route { network, prefix: 64, gateway: None });
}

#[test]
fn no_address_is_made_where_none_should_be() {
    let now = Instant::now();
    for (info, is_autonomous) in [
        (prefix(), false),
        (PrefixInfo { autonomous: false, ..prefix() }, true),
        (PrefixInfo { len: 48, ..prefix() }, true),
        (PrefixInfo { valid: false, ..prefix() }, true),
    ] {
        let mut six = Six::new(MAC, is_autonomous, None);
        let advert = Advert { prefixes: vec![info], ..advert(60) };
        six.hear(A, &advert, MAC, now);
        assert_eq!(six.own_addresses().count(), 0, "{info:?}");
    }
}

#[test]
fn the_default_route_stays_with_its_router_while_that_lives() {
    let (now, mut six) = (Instant::now(), known());
    six.hear(A, &advert(60), MAC, now);
    let better = Advert { preference: 1, ..advert(600) };
    six.hear(B, &better, MAC, now);
    assert_eq!(gateway(&six), Some(A.into()), "a later one takes nothing over");
    assert_eq!(six.gateway_until(), Some(now + 60 * SECOND));
    six.choose_gateway(now + 61 * SECOND);
    assert_eq!(gateway(&six), Some(B.into()), "but it steps in");
    six.choose_gateway(now + 6000 * SECOND);
    assert_eq!(gateway(&six), Some(B.into()), "without another, the last stays");
}

#[test]
fn a_router_that_takes_its_leave_is_left_where_there_is_another() {
    let (now, mut six) = (Instant::now(), known());
    six.hear(A, &advert(60), MAC, now);
    six.hear(A, &advert(0), MAC, now);
    assert_eq!(gateway(&six), Some(A.into()));
    six.hear(B, &advert(60), MAC, now);
    assert_eq!(gateway(&six), Some(B.into()));
}

#[test]
fn a_router_of_lifetime_zero_is_no_gateway() {
    let mut six = known();
    six.hear(A, &advert(0), MAC, Instant::now());
    assert_eq!((gateway(&six), six.own_addresses().count()), (None, 1));
}

#[test]
fn of_two_routers_the_preferred_is_taken() {
    let (now, mut six) = (Instant::now(), known());
    six.hear(A, &advert(0), MAC, now);
    six.hear(B, &Advert { preference: -1, ..advert(0) }, MAC, now);
    assert_eq!(gateway(&six), None);
    for router in &mut six.routers {
        router.until = Some(now + SECOND);
    }
    six.choose_gateway(now);
    assert_eq!(gateway(&six), Some(A.into()));
}

#[test]
fn networks_that_end_are_kept_but_used_for_nothing_new() {
    let (now, mut six) = (Instant::now(), known());
    six.hear(A, &advert(60), MAC, now);
    let before: Vec<_> = six.own_addresses().collect();
    assert!(!six.is_deprecated(before[0].into()));
    let ending = PrefixInfo { valid: false, preferred: false, ..prefix() };
    six.hear(A, &Advert { prefixes: vec![ending], ..advert(60) }, MAC, now);
    assert_eq!(six.own_addresses().collect::<Vec<_>>(), before);
    assert!(six.is_deprecated(before[0].into()));
}

#[test]
fn what_each_router_says_of_dns_stands_until_it_says_otherwise() {
    let (now, mut six) = (Instant::now(), known());
    let with = |dns| Advert { dns, ..advert(60) };
    six.hear(B, &Advert { dns: Some(vec![B]), ..advert(0) }, MAC, now);
    six.hear(A, &with(Some(vec![A])), MAC, now);
    assert_eq!(six.dns(), [IpAddr::V6(A), B.into()], "the default route's router goes first");
    six.hear(A, &with(None), MAC, now);
    assert_eq!(six.dns().len(), 2);
    six.hear(A, &with(Some(vec![])), MAC, now);
    assert_eq!(six.dns(), [IpAddr::V6(B)]);
}

#[test]
fn there_is_an_end_to_what_is_remembered() {
    let (now, mut six) = (Instant::now(), known());
    for n in 0..100 {
        let network = Ipv6Addr::new(0x2001, 0xdb8, n, 0, 0, 0, 0, 0);
        let router = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, n);
        let prefixes = vec![PrefixInfo { prefix: network, ..prefix() }];
        six.hear(router, &Advert { prefixes, ..advert(60) }, MAC, now);
    }
    assert_eq!((six.routers.len(), six.networks.len()), (EACH_MAX, EACH_MAX));
}

#[test]
fn addresses_that_are_not_free_are_left_out() {
    let (now, mut six) = (Instant::now(), known());
    six.hear(A, &advert(60), MAC, now);
    let lease = Lease {
        server: vec![1],
        address: Some(B),
        times: Times::Forever,
        dns: vec![],
        search: vec![],
        ntp: vec![],
    };
    six.lease = Some(lease.clone());
    let own: Vec<_> = six.own_addresses().collect();
    assert_eq!(own.len(), 2);
    assert_eq!(six.with_only(&own), six);
    assert_eq!(six.with_only(&own[..1]).own_addresses().collect::<Vec<_>>(), own[..1]);
    assert_eq!(six.with_only(&[]).own_addresses().count(), 0);
    six.lease = Some(Lease { address: None, ..lease });
    assert!(six.with_only(&[]).lease.is_some(), "information has no address to be anyone's");
}

#[test]
fn an_address_of_the_command_line_has_its_network_and_gateway() {
    let address = "2001:db8::5".parse().expect("an address");
    let fixed = Fixed { address, prefix: 64, gateway: Some(B.into()) };
    let six = Six::new(MAC, false, Some(fixed));
    let on_link = Route { network: NETWORK.into(), prefix: 64, gateway: None };
    assert_eq!(six.routes(), [on_link, Route::default_via(B.into())]);
    let alone = Six::new(MAC, false, Some(Fixed { address, prefix: 128, gateway: None }));
    assert_eq!(alone.routes(), []);
}
