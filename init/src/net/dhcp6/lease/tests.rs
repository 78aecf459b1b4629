use dhcproto::v6::{DhcpOption, MessageType, NtpSuboption, Status};
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::net::dhcp6::oracle::{self, MAC, NODE, SERVER, address, association_of, raw};

fn lease(options: Vec<DhcpOption>) -> Result<Lease, LeaseError> {
    Lease::grant(&oracle::reply(MessageType::Reply, 1, options), MAC)
}

fn limited(renew: u64, rebind: u64, expire: u64) -> Times {
    let seconds = Duration::from_secs;
    Times::Limited { renew: seconds(renew), rebind: seconds(rebind), expire: seconds(expire) }
}

fn times(t1: u32, t2: u32, preferred: u32, valid: u32) -> Option<Times> {
    let ia = association_of(t1, t2, vec![address(NODE, preferred, valid)]);
    lease(vec![ia]).ok().map(|lease| lease.times)
}

#[test]
fn a_grant_in_full() {
    let server: Ipv6Addr = "2001:db8::53".parse().expect("an address");
    let ntp: Ipv6Addr = "2001:db8::123".parse().expect("an address");
    let lease = lease(vec![
        oracle::grant(),
        DhcpOption::DomainNameServers(vec![server, Ipv6Addr::UNSPECIFIED]),
        raw(24, b"\x01a\x07example\x00\x01b\x07example\x00"),
        raw(31, &Ipv6Addr::LOCALHOST.octets()),
        DhcpOption::NtpServer(vec![NtpSuboption::ServerAddress(ntp)]),
    ]);
    assert_eq!(
        lease,
        Ok(Lease {
            server: SERVER.to_vec(),
            address: Some(NODE),
            times: limited(600, 1200, 3600),
            dns: vec![server],
            search: vec!["a.example".to_owned(), "b.example".to_owned()],
            ntp: vec![ntp],
        })
    );
}

#[test]
fn old_servers_tell_ntp_by_option_31() {
    let lease = lease(vec![oracle::grant(), raw(31, &NODE.octets())]).expect("a grant");
    assert_eq!(lease.ntp, [NODE]);
}

#[test]
fn times_are_filled_in_and_put_in_order() {
    assert_eq!(times(600, 1200, 1800, 3600), Some(limited(600, 1200, 3600)));
    assert_eq!(times(0, 0, 1000, 3600), Some(limited(500, 800, 3600)));
    assert_eq!(times(0, 0, 0, 1000), Some(limited(500, 800, 1000)), "not to be used for long");
    assert_eq!(times(5000, 6000, 1000, 1000), Some(limited(1000, 1000, 1000)));
    assert_eq!(times(0, 0, 1, 1), Some(limited(1, 1, 4)), "but not more often than each second");
    assert_eq!(times(0, 0, u32::MAX, u32::MAX), Some(Times::Forever));
    assert_eq!(times(700, 600, 1800, 3600), None, "out of order: not to be used");
}

#[test]
fn what_gives_no_address_is_told() {
    let error = |options| lease(options).expect_err("no grant").to_string();
    assert_eq!(error(vec![]), "no address");
    assert_eq!(error(vec![association_of(0, 0, vec![])]), "no address");
    assert_eq!(error(vec![association_of(0, 0, vec![address(NODE, 10, 0)])]), "no address");
    assert_eq!(error(vec![association_of(0, 0, vec![address(NODE, 20, 10)])]), "no address");
    for bad in ["::", "::1", "ff02::1", "fe80::1"] {
        let bad = address(bad.parse().expect("an address"), 10, 10);
        assert_eq!(error(vec![association_of(0, 0, vec![bad])]), "no address");
    }
    let none = oracle::status(Status::NoAddrsAvail, "full\n");
    let within = error(vec![association_of(0, 0, vec![none.clone()])]);
    assert_eq!(within, "no addresses available (full\\n)");
    assert_eq!(error(vec![none]), "no addresses available (full\\n)");
    assert_eq!(error(vec![oracle::status(Status::UnspecFail, "")]), "status 1");
    let other = DhcpOption::Unknown(dhcproto::v6::UnknownOption::new(
        3_u16.into(),
        [[0; 12].as_slice(), &[0, 5, 0, 24], &NODE.octets(), &[0, 0, 0, 9], &[0, 0, 0, 9]].concat(),
    ));
    assert_eq!(error(vec![other]), "no address", "another association's");
}

#[test]
fn of_several_addresses_the_first_that_can_be_used_is_taken() {
    let bad = address("fe80::1".parse().expect("an address"), 10, 10);
    let lease = lease(vec![association_of(0, 0, vec![bad, address(NODE, 10, 10)])]);
    assert_eq!(lease.expect("a grant").address, Some(NODE));
}

#[test]
fn information_alone_is_asked_for_again_after_a_while() {
    let told = |options| {
        Lease::information(&oracle::reply(MessageType::Reply, 1, options)).expect("information")
    };
    assert_eq!(told(vec![]).times, limited(86_400, 86_400, 86_400));
    let refresh = |seconds| told(vec![DhcpOption::InformationRefreshTime(seconds)]).times;
    assert_eq!(refresh(1000), limited(1000, 1000, 1000));
    assert_eq!(refresh(1), limited(600, 600, 600));
    assert_eq!(told(vec![oracle::grant()]).address, None, "none was asked for");
}

proptest! {
    #[test]
    fn garbage_never_panics(options in vec((3..60_u16, vec(any::<u8>(), 0..80)), 0..12)) {
        let options = options.iter().map(|(code, bytes)| raw(*code, bytes)).collect();
        let message = oracle::message(MessageType::Reply, 1, SERVER, options);
        if let Ok(reply) = Reply::decode(&message) {
            drop(Lease::grant(&reply, MAC));
            drop(Lease::information(&reply));
        }
    }

    #[test]
    fn a_grant_has_times_in_order(t1: u32, t2: u32, preferred: u32, valid: u32) {
        if let Some(Times::Limited { renew, rebind, expire }) = times(t1, t2, preferred, valid) {
            prop_assert!(renew.as_secs() >= 1 && renew <= rebind && rebind <= expire);
        }
    }
}
