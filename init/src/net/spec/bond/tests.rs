use super::*;
use crate::net::link::Mac;
use crate::net::spec::NetConfig;

fn parse(value: &str) -> Result<Bond, SpecError> {
    let args = [("bond".to_owned(), Some(value.to_owned()))];
    NetConfig::parse(&args).map(|mut config| config.bonds.remove(0))
}

fn bond(value: &str) -> Bond {
    parse(value).expect(value)
}

fn name(text: &str) -> IfName {
    IfName::new(text.as_bytes()).expect("a name")
}

fn by_name(text: &str) -> Device {
    Device::Name(name(text))
}

/// The options as attribute and number.
fn numbers(value: &str) -> Vec<(u16, u64)> {
    let number = |option: BondOption| match option.value {
        BondValue::Number(bytes) => {
            let number = bytes.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
            (option.attribute, number)
        }
        BondValue::Addresses(all) => panic!("{all:?}"),
    };
    bond(value).options.into_iter().map(number).collect()
}

#[test]
fn the_whole_form() {
    let all = bond("bond1:eth0,eth1:mode=active-backup,primary=eth1,miimon=50,updelay=200:9000");
    assert_eq!(all.name, name("bond1"));
    assert_eq!(all.members, [by_name("eth0"), by_name("eth1")]);
    assert_eq!((all.primary, all.mtu), (Some(by_name("eth1")), Some(9000)));
    let texts: Vec<&str> = all.options.iter().map(|option| option.text.as_str()).collect();
    assert_eq!(texts, ["mode=active-backup", "miimon=50", "updelay=200"]);
}

#[test]
fn what_is_left_out_is_as_dracut_has_it() {
    for value in ["", "bond0", "bond0:eth0,eth1", ":", ":::"] {
        let bond = bond(value);
        assert_eq!(bond.name, name("bond0"), "{value}");
        assert_eq!(bond.members, [by_name("eth0"), by_name("eth1")], "{value}");
        assert_eq!((bond.primary, bond.mtu), (None, None));
        assert_eq!(numbers(value), [(3, 100)], "a member that fails must be noticed");
    }
}

#[test]
fn members_go_by_mac_too() {
    let bond = bond("bond0:52:54:00:12:34:56,eth1,52-54-00-12-34-57:mode=1,primary=eth1:1400");
    let mac = |last| Device::Mac(Mac([0x52, 0x54, 0, 0x12, 0x34, last]));
    assert_eq!(bond.members, [mac(0x56), by_name("eth1"), mac(0x57)]);
    assert_eq!((bond.primary, bond.mtu), (Some(by_name("eth1")), Some(1400)));
}

#[test]
fn modes_by_word_and_number() {
    let words = [
        "balance-rr",
        "active-backup",
        "balance-xor",
        "broadcast",
        "802.3ad",
        "balance-tlb",
        "balance-alb",
    ];
    for (number, word) in (0..).zip(words) {
        for value in [word.to_owned(), number.to_string()] {
            assert_eq!(numbers(&format!("::mode={value}"))[0], (1, number), "{value}");
        }
    }
}

#[test]
fn options_come_in_the_kernels_order_with_its_numbers() {
    let line = "::lacp_rate=fast,xmit_hash_policy=layer3+4,downdelay=7,miimon=80,fail_over_mac=follow,\
                min_links=1,mode=802.3ad,ad_actor_sys_prio=65535,primary_reselect=better,num_grat_arp=3";
    // IFLA_BOND_*: mode, miimon, downdelay, primary_reselect, fail_over_mac, xmit_hash_policy,
    // num_peer_notif, min_links, ad_lacp_rate, ad_actor_sys_prio.
    assert_eq!(
        numbers(line),
        [
            (1, 4),
            (3, 80),
            (5, 7),
            (12, 1),
            (13, 2),
            (14, 1),
            (16, 3),
            (18, 1),
            (21, 1),
            (24, 65535)
        ]
    );
}

#[test]
fn arp_watches_in_the_place_of_miimon() {
    let bond = bond("::mode=1,arp_interval=500,arp_ip_target=192.0.2.1;192.0.2.2,arp_validate=all");
    let texts: Vec<&str> = bond.options.iter().map(|option| option.text.as_str()).collect();
    assert_eq!(
        texts,
        ["mode=1", "arp_interval=500", "arp_validate=all", "arp_ip_target=192.0.2.1;192.0.2.2"]
    );
    let targets = [Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 2)];
    assert_eq!(bond.options[3].value, BondValue::Addresses(targets.to_vec()));
}

#[test]
fn what_cannot_be_read_is_named_with_its_place() {
    for (value, what, text) in [
        ("bond0:eth0,eth/1", "device", "eth/1"),
        ("bond0:eth0,", "member", ""),
        ("a-name-of-16-byt:eth0", "name", "a-name-of-16-byt"),
        ("bond0:eth0:mode=backup", "mode", "backup"),
        ("bond0:eth0:mode=7", "mode", "7"),
        ("bond0:eth0:mode=1,mimon=100", "option of a bond", "mimon=100"),
        ("bond0:eth0:mode", "option of a bond", "mode"),
        ("bond0:eth0:miimon=-1", "miimon", "-1"),
        ("bond0:eth0:num_grat_arp=256", "num_grat_arp", "256"),
        ("bond0:eth0:lacp_rate=2", "lacp_rate", "2"),
        ("bond0:eth0:arp_ip_target=192.0.2.1;x", "arp_ip_target", "192.0.2.1;x"),
        ("bond0:eth0:primary=", "primary", ""),
        ("bond0:eth0:mode=1:500", "MTU", "500"),
        ("bond0:eth0:mode=1:1500:x", "a fifth field", "x"),
    ] {
        let error = parse(value).expect_err(value);
        assert_eq!((error.what, error.text.as_str()), (what, text), "{value}");
        assert!(value[error.position..].starts_with(text), "{error}");
        assert!(value.ends_with(&value[error.position..]), "{error}");
    }
    let error = parse("bond0:eth0:mode=fast").expect_err("no mode");
    assert_eq!(
        error.to_string(),
        "bond=bond0:eth0:mode=fast: mode at position 16 (\"fast\"): expected balance-rr, \
         active-backup, balance-xor, broadcast, 802.3ad, balance-tlb, balance-alb, or 0 to 6"
    );
}

#[test]
fn every_option_is_in_the_form_that_errors_show() {
    for known in &KNOWN {
        assert!(OPTIONS_FORM.contains(known.key), "{}", known.key);
    }
}
