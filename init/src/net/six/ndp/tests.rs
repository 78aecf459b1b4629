use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

const ROUTER: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
const NETWORK: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0);
const OWN: Mac = Mac([2, 0, 0, 0, 0, 1]);
const OTHER: Mac = Mac([2, 0, 0, 0, 0, 2]);

/// An advertisement with `flags`, a lifetime of half an hour, and these options.
fn advert(flags: u8, options: &[&[u8]]) -> Vec<u8> {
    let fixed = [ROUTER_ADVERTISEMENT, 0, 0, 0, 64, flags, 0x07, 0x08, 0, 0, 0, 0, 0, 0, 0, 0];
    [fixed.as_slice(), &options.concat()].concat()
}

fn decode(options: &[&[u8]]) -> Advert {
    Advert::decode(ROUTER, &advert(0, options)).expect("an advertisement")
}

/// A prefix option of an hour.
fn prefix(prefix: Ipv6Addr, len: u8, flags: u8, valid: u32, preferred: u32) -> Vec<u8> {
    [
        [PREFIX, 4, len, flags].as_slice(),
        &valid.to_be_bytes(),
        &preferred.to_be_bytes(),
        &[0; 4],
        &prefix.octets(),
    ]
    .concat()
}

#[test]
fn flags_lifetime_and_preference() {
    let read = |flags| Advert::decode(ROUTER, &advert(flags, &[])).expect("an advertisement");
    let preferences = |flags| read(flags).preference;
    assert_eq!(read(0), Advert { lifetime: 1800, ..Advert::default() });
    assert!(read(0x80).managed && !read(0x80).other);
    assert!(read(0x40).other && !read(0x40).managed);
    assert_eq!([0x08, 0x00, 0x18, 0x10].map(preferences), [1, 0, -1, 0], "10 is reserved");
}

#[test]
fn networks_of_the_link() {
    let option = prefix(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 1, 2, 3, 4), 64, 0xc0, 3600, 1800);
    let info = PrefixInfo {
        prefix: NETWORK,
        len: 64,
        on_link: true,
        autonomous: true,
        valid: true,
        preferred: true,
    };
    assert_eq!(decode(&[&option]).prefixes, [info], "bits after the prefix are cut off");
    let old = prefix(NETWORK, 64, 0x80, 3600, 0);
    let want = PrefixInfo { autonomous: false, preferred: false, ..info };
    assert_eq!(decode(&[&old]).prefixes, [want]);
    for bad in [
        prefix(NETWORK, 64, 0xc0, 10, 20),
        prefix(NETWORK, 129, 0xc0, 20, 10),
        prefix(NETWORK, 0, 0xc0, 20, 10),
        prefix(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 64, 0xc0, 20, 10),
        prefix(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0), 64, 0xc0, 20, 10),
        vec![PREFIX, 1, 64, 0xc0, 0, 0, 0, 9],
    ] {
        assert_eq!(decode(&[&bad, &option]).prefixes, [info], "{bad:?}");
    }
    let many = vec![option.as_slice(); 100];
    assert_eq!(decode(&many).prefixes.len(), EACH_MAX);
}

#[test]
fn names_and_servers() {
    let dns = |life: u8, tail: &[u8]| {
        let len = u8::try_from((8 + tail.len()) / 8).expect("short");
        [&[DNS_SERVERS, len, 0, 0, 0, 0, 0, life], tail].concat()
    };
    assert_eq!(decode(&[]).dns, None);
    let two = [ROUTER.octets(), NETWORK.octets()].concat();
    assert_eq!(decode(&[&dns(9, &two)]).dns, Some(vec![ROUTER, NETWORK]));
    assert_eq!(decode(&[&dns(0, &two)]).dns, Some(vec![]), "taken back");
    assert_eq!(decode(&[&dns(9, &two[..8])]).dns, Some(vec![]), "half a server");
    assert_eq!(decode(&[&dns(9, &[0; 16])]).dns, Some(vec![]), "no host's address");
    let search = b"\x1f\x04\0\0\0\0\0\x09\x01a\x07example\0\x01b\x07example\0\0\0";
    let want = vec!["a.example".to_owned(), "b.example".to_owned()];
    assert_eq!(decode(&[search]).search, Some(want));
    let taken_back = b"\x1f\x03\0\0\0\0\0\0\x01a\x07example\0\0\0\0\0\0";
    assert_eq!(decode(&[taken_back]).search, Some(vec![]));
}

#[test]
fn mtu_and_routes() {
    let mtu = |mtu: u32| decode(&[&[&[MTU, 1, 0, 0][..], &mtu.to_be_bytes()].concat()]).mtu;
    assert_eq!([1500, 1280, 1279].map(mtu), [Some(1500), Some(1280), None]);
    let route = [ROUTE, 2, 48, 0, 0, 0, 0, 9, 0x20, 1, 0x0d, 0xb8, 0, 7, 0xff, 0xff];
    let network = Ipv6Addr::new(0x2001, 0xdb8, 7, 0, 0, 0, 0, 0);
    assert_eq!(decode(&[&route]).routes, [(network, 48)]);
    let too_short = [ROUTE, 1, 48, 0, 0, 0, 0, 9];
    let ended = [ROUTE, 2, 48, 0, 0, 0, 0, 0, 0x20, 1, 0x0d, 0xb8, 0, 7, 0, 0];
    assert_eq!(decode(&[&too_short, &ended]).routes, []);
}

#[test]
fn what_is_malformed_is_refused_as_a_whole() {
    let read = |source, message: &[u8]| Advert::decode(source, message);
    let whole = advert(0, &[&prefix(NETWORK, 64, 0xc0, 20, 10)]);
    assert!(read(ROUTER, &whole).is_ok());
    assert_eq!(read(NETWORK, &whole), Err(NdpError::Source));
    assert_eq!(read(ROUTER, &whole[..15]), Err(NdpError::Short));
    assert_eq!(read(ROUTER, &whole[..40]), Err(NdpError::Option(PREFIX)));
    assert_eq!(read(ROUTER, &advert(0, &[&[PREFIX]])), Err(NdpError::Option(PREFIX)));
    let empty = advert(0, &[&prefix(NETWORK, 64, 0xc0, 20, 10), &[99, 0, 0, 0, 0, 0, 0, 0]]);
    assert_eq!(read(ROUTER, &empty), Err(NdpError::Option(99)));
}

/// A neighbour's advertisement of `address`.
fn neighbour(address: Ipv6Addr, options: &[u8]) -> Vec<u8> {
    let fixed = [NEIGHBOUR_ADVERTISEMENT, 0, 0, 0, 0x20, 0, 0, 0];
    [fixed.as_slice(), &address.octets(), options].concat()
}

#[test]
fn who_answers_for_the_address_holds_it() {
    let link = |mac: Mac| [[TARGET_LINK, 1].as_slice(), &mac.0].concat();
    let told = neighbour(ROUTER, &link(OTHER));
    assert_eq!(holder(&told, OWN, ROUTER), Some(OTHER));
    assert_eq!(holder(&told, OWN, NETWORK), None, "another address");
    assert_eq!(holder(&neighbour(ROUTER, &link(OWN)), OWN, ROUTER), None, "own words");
    assert_eq!(holder(&neighbour(ROUTER, &[]), OWN, ROUTER), Some(Mac([0; 6])), "a shy one");
    assert_eq!(holder(&probe(ROUTER), OWN, ROUTER), None, "a question is no word");
    assert_eq!(holder(&neighbour(ROUTER, &[9, 0]), OWN, ROUTER), None, "malformed");
}

#[test]
fn groups() {
    let address: Ipv6Addr = "2001:db8::1:800:200e:8c6c".parse().expect("an address");
    // RFC 4291's own example.
    assert_eq!(solicited_node(address).to_string(), "ff02::1:ff0e:8c6c");
}

proptest! {
    #[test]
    fn garbage_never_panics(bytes in vec(any::<u8>(), 0..300)) {
        drop(Advert::decode(ROUTER, &bytes));
        holder(&bytes, OWN, ROUTER);
    }

    #[test]
    fn garbage_in_options_never_panics(
        options in vec((prop::sample::select(vec![1_u8, 3, 5, 24, 25, 31, 99]), vec(any::<u8>(), 0..64)), 0..8),
        cut: prop::sample::Index,
    ) {
        let mut bytes = advert(0, &[]);
        for (kind, mut value) in options {
            value.resize((value.len() + 2).next_multiple_of(8) - 2, 0);
            bytes.extend([kind, u8::try_from((value.len() + 2) / 8).expect("short")]);
            bytes.extend(value);
        }
        prop_assert!(Advert::decode(ROUTER, &bytes).is_ok(), "all options have their length");
        bytes.truncate(cut.index(bytes.len() + 1));
        drop(Advert::decode(ROUTER, &bytes));
    }
}
