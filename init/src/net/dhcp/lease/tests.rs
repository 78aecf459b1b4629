use dhcproto::v4::{DhcpOption, MessageType, OptionCode};
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::net::dhcp::oracle::{self, MAC, NODE, SERVER, raw};

/// A grant with option 54 and these options.
fn message(address: Ipv4Addr, options: Vec<DhcpOption>) -> Vec<u8> {
    let server = DhcpOption::ServerIdentifier(SERVER);
    let options = [vec![server], options].concat();
    oracle::message(MessageType::Ack, 1, MAC, address, options)
}

fn lease(options: Vec<DhcpOption>) -> Lease {
    let reply = Reply::decode(&message(NODE, options)).expect("a reply");
    Lease::from_reply(&reply).expect("a lease")
}

fn seconds(renew: u64, rebind: u64, expire: u64) -> Times {
    let [renew, rebind, expire] = [renew, rebind, expire].map(Duration::from_secs);
    Times::Limited { renew, rebind, expire }
}

/// The default route's gateway.
fn default(route: &Route) -> Option<IpAddr> {
    route.gateway.filter(|_| route.is_default())
}

#[test]
fn all_that_a_server_says_is_taken() {
    let lease = lease(vec![
        DhcpOption::SubnetMask(Ipv4Addr::new(255, 255, 255, 128)),
        DhcpOption::Router(vec![SERVER]),
        DhcpOption::DomainNameServer(vec![Ipv4Addr::new(192, 0, 2, 53), Ipv4Addr::new(9, 9, 9, 9)]),
        DhcpOption::Hostname("node-7".into()),
        DhcpOption::DomainName("rack.example".into()),
        DhcpOption::InterfaceMtu(9000),
        DhcpOption::BroadcastAddr(Ipv4Addr::new(192, 0, 2, 127)),
        DhcpOption::NtpServers(vec![SERVER]),
        DhcpOption::AddressLeaseTime(3600),
        DhcpOption::Renewal(600),
        DhcpOption::Rebinding(1200),
    ]);
    assert_eq!(
        lease,
        Lease {
            address: NODE,
            prefix: 25,
            broadcast: Some(Ipv4Addr::new(192, 0, 2, 127)),
            server: SERVER,
            routes: vec![Route::default_via(SERVER.into())],
            dns: vec![Ipv4Addr::new(192, 0, 2, 53), Ipv4Addr::new(9, 9, 9, 9)],
            search: vec!["rack.example".into()],
            hostname: Some("node-7".into()),
            mtu: Some(9000),
            ntp: vec![SERVER],
            times: seconds(600, 1200, 3600),
        }
    );
    assert_eq!(lease.routes.iter().find_map(default), Some(SERVER.into()));
}

#[test]
fn a_bare_grant_is_for_ever_and_of_its_class() {
    let lease = lease(vec![]);
    assert_eq!((lease.prefix, lease.times), (24, Times::Forever));
    assert_eq!((lease.routes, lease.mtu), (vec![], None));
}

#[test]
fn times_out_of_order_are_made_good() {
    let times = |time, t1, t2| {
        lease(vec![
            DhcpOption::AddressLeaseTime(time),
            DhcpOption::Renewal(t1),
            DhcpOption::Rebinding(t2),
        ])
        .times
    };
    assert_eq!(times(800, 0, 0), seconds(400, 700, 800));
    assert_eq!(times(800, 750, 700), seconds(400, 700, 800));
    assert_eq!(times(800, 100, 900), seconds(100, 700, 800));
    assert_eq!(times(u32::MAX, 100, 200), Times::Forever);
    let Times::Limited { renew, .. } = times(0, 0, 0) else { panic!("a limit") };
    assert!(renew >= Duration::from_secs(1), "a lease of no time must not make a storm");
}

#[test]
fn an_mtu_of_576_and_less_is_ignored() {
    assert_eq!(lease(vec![DhcpOption::InterfaceMtu(576)]).mtu, None);
    assert_eq!(lease(vec![DhcpOption::InterfaceMtu(577)]).mtu, Some(577));
}

#[test]
fn names_that_would_break_a_file_are_left_out() {
    let lease = lease(vec![
        DhcpOption::Hostname("a\nnameserver 6.6.6.6".into()),
        DhcpOption::DomainName("x;y -z".into()),
    ]);
    assert_eq!((lease.hostname, lease.search), (None, vec![]));
}

#[test]
fn option_15_may_hold_several_names() {
    let lease = lease(vec![DhcpOption::DomainName("a.example. b.example".into())]);
    assert_eq!(lease.search, ["a.example", "b.example"]);
}

#[test]
fn option_121_replaces_3() {
    // RFC 3442's own shape: 10/8 via .2, 192.0.2.128/25 on the link, default via .1.
    let routes = [8, 10, 192, 0, 2, 2, 25, 192, 0, 2, 128, 0, 0, 0, 0, 0, 192, 0, 2, 1];
    let lease = lease(vec![DhcpOption::Router(vec![NODE]), raw(121, &routes)]);
    let route = |network: [u8; 4], prefix, gateway: Option<[u8; 4]>| Route {
        network: network.into(),
        prefix,
        gateway: gateway.map(IpAddr::from),
    };
    assert_eq!(
        lease.routes,
        [
            route([10, 0, 0, 0], 8, Some([192, 0, 2, 2])),
            route([192, 0, 2, 128], 25, None),
            route([0, 0, 0, 0], 0, Some([192, 0, 2, 1])),
        ]
    );
    assert_eq!(lease.routes.iter().find_map(default), Some(SERVER.into()));
}

#[test]
fn option_121_that_is_cut_short_gives_way_to_3() {
    let lease = lease(vec![DhcpOption::Router(vec![SERVER]), raw(121, &[24, 10, 0, 0, 192, 0])]);
    assert_eq!(lease.routes, [Route::default_via(SERVER.into())]);
}

#[test]
fn option_119_is_unpacked_and_goes_before_15() {
    // RFC 3397's example: eng.apple.com and marketing.apple.com, which points into the first.
    let names = b"\x03eng\x05apple\x03com\x00\x09marketing\xc0\x04";
    let lease = lease(vec![DhcpOption::DomainName("other".into()), raw(119, names)]);
    assert_eq!(lease.search, ["eng.apple.com", "marketing.apple.com"]);
}

#[test]
fn a_search_list_that_points_at_itself_ends() {
    assert_eq!(domains(b"\x01a\xc0\x00"), [] as [&str; 0]);
    assert_eq!(domains(b"\xc0\x00"), [] as [&str; 0]);
    assert_eq!(domains(b"\x01a\x00\x01b\xc0\x03"), ["a"]);
}

#[test]
fn what_is_no_lease_says_why() {
    let error = |address, options| {
        let reply = Reply::decode(&message(address, options)).expect("a reply");
        Lease::from_reply(&reply).expect_err("no lease")
    };
    // What a PXE proxy sends: an offer of nothing.
    assert_eq!(error(Ipv4Addr::UNSPECIFIED, vec![]), LeaseError::Address(Ipv4Addr::UNSPECIFIED));
    for bad in [[127, 0, 0, 1], [224, 0, 0, 1], [255; 4], [0, 1, 2, 3]].map(Ipv4Addr::from) {
        assert_eq!(error(bad, vec![]), LeaseError::Address(bad));
    }
    let mask = Ipv4Addr::new(255, 0, 255, 0);
    assert_eq!(error(NODE, vec![DhcpOption::SubnetMask(mask)]), LeaseError::Mask(mask));
    let nowhere = DhcpOption::ServerIdentifier(Ipv4Addr::UNSPECIFIED);
    assert_eq!(error(NODE, vec![nowhere]), LeaseError::Server);
}

proptest! {
    #[test]
    fn routes_read_the_same_to_the_oracle(
        routes in vec((0..=32_u8, any::<u32>(), any::<u32>()), 1..20),
    ) {
        let mut bytes = Vec::new();
        for (prefix, network, gateway) in &routes {
            bytes.push(*prefix);
            let significant = usize::from(prefix.div_ceil(8));
            bytes.extend_from_slice(&network.to_be_bytes()[..significant]);
            bytes.extend_from_slice(&gateway.to_be_bytes());
        }
        let message = message(NODE, vec![raw(121, &bytes)]);
        let seen = oracle::read(&message);
        let Some(DhcpOption::ClasslessStaticRoute(theirs)) =
            seen.opts().get(OptionCode::ClasslessStaticRoute)
        else { panic!("no routes") };
        let theirs: Vec<Route> = theirs.iter().map(|(net, gateway)| Route {
            network: net.network().into(),
            prefix: net.prefix_len(),
            gateway: Some(*gateway).filter(|g| !g.is_unspecified()).map(IpAddr::V4),
        }).collect();
        prop_assert_eq!(classless_routes(&bytes), Some(theirs));
    }

    #[test]
    fn garbage_never_panics(
        codes in vec((any::<u8>(), vec(any::<u8>(), 0..60)), 0..10), address: u32,
    ) {
        let options = codes.into_iter().filter(|(c, _)| !matches!(c, 0 | 52 | 53 | 255));
        let options = options.map(|(code, bytes)| raw(code, &bytes)).collect();
        if let Ok(reply) = Reply::decode(&message(address.into(), options)) {
            drop(Lease::from_reply(&reply));
        }
    }

    #[test]
    fn garbage_as_domains_never_panics(bytes in vec(any::<u8>(), 0..400)) {
        prop_assert!(domains(&bytes).iter().all(|d| is_domain(d)));
    }

    #[test]
    fn times_are_always_in_order(
        time in proptest::option::of(any::<u32>()), t1: u32, t2: u32,
    ) {
        let time = time.map(DhcpOption::AddressLeaseTime);
        let options = time.into_iter().chain([DhcpOption::Renewal(t1), DhcpOption::Rebinding(t2)]);
        if let Times::Limited { renew, rebind, expire } = lease(options.collect()).times {
            prop_assert!(Duration::from_secs(1) <= renew && renew <= rebind && rebind <= expire);
        }
    }
}
