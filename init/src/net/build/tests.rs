//! What is due, for links that come one by one. The kernel's part is tested in machines.

use super::*;
use crate::net::link::Mac;

fn config(args: &[(&str, &str)]) -> NetConfig {
    let args: Vec<_> =
        args.iter().map(|(key, value)| ((*key).to_owned(), Some((*value).to_owned()))).collect();
    NetConfig::parse(&args).expect("kernel arguments")
}

fn name(text: &str) -> IfName {
    IfName::new(text.as_bytes()).expect("a name")
}

fn mac(last: u8) -> Mac {
    Mac([2, 0, 0, 0, 0, last])
}

/// Hardware with the address that ends like its index.
fn nic(index: u32, text: &str) -> Link {
    let mac = mac(u8::try_from(index).expect("few"));
    Link {
        index,
        name: name(text),
        mac: Some(mac),
        permanent_mac: Some(mac),
        mtu: 1500,
        master: None,
        parent: None,
        kind: None,
        flags: 0,
    }
}

fn made(index: u32, text: &str, kind: &[u8], parent: Option<u32>) -> Link {
    let kind = Some(kind.to_vec());
    Link { kind, parent, permanent_mac: None, mac: Some(mac(1)), ..nic(index, text) }
}

fn member_of(bond: u32, link: Link) -> Link {
    Link { master: Some(bond), mac: Some(mac(1)), ..link }
}

/// A builder whose deeds all succeed.
struct Bench {
    builder: Builder,
    config: NetConfig,
    now: Instant,
}

impl Bench {
    fn new(args: &[(&str, &str)]) -> Self {
        Self { builder: Builder::default(), config: config(args), now: Instant::now() }
    }

    fn due(&mut self, links: &[Link]) -> (Vec<Deed>, Option<Duration>) {
        let (deeds, wake) = self.builder.due(&self.config, links, self.now);
        self.builder.tried.extend(deeds.iter().cloned());
        (deeds, wake.map(|wake| wake - self.now))
    }

    fn deeds(&mut self, links: &[Link]) -> Vec<Deed> {
        self.due(links).0
    }
}

fn vlan(text: &str, parent: u32) -> Deed {
    Deed::Vlan { name: name(text), parent }
}

#[test]
fn a_vlan_is_made_once_its_parent_is_there() {
    let mut bench = Bench::new(&[("vlan", "vlan5:eth1"), ("vlan", "eth0.6:02:00:00:00:00:01")]);
    assert_eq!(bench.deeds(&[]), []);
    let first = [nic(1, "eth0")];
    assert_eq!(bench.deeds(&first), [vlan("eth0.6", 1)]);
    assert_eq!(bench.deeds(&first), [], "once");
    let six = made(9, "eth0.6", b"vlan", Some(1));
    let both = [nic(1, "eth0"), six, nic(2, "eth1")];
    assert_eq!(
        bench.deeds(&both),
        [vlan("vlan5", 2)],
        "its own MAC is its parent's and means it not"
    );
}

#[test]
fn a_bond_is_made_when_its_members_are_there_then_they_join() {
    let args = [("bond", "bond0:eth1,02:00:00:00:00:01:primary=eth1"), ("vlan", "bond0.5:bond0")];
    let mut bench = Bench::new(&args);
    let (eth0, eth1) = (nic(1, "eth0"), nic(2, "eth1"));
    assert_eq!(bench.due(&[]), (vec![], None));
    assert_eq!(
        bench.due(std::slice::from_ref(&eth0)),
        (vec![], Some(MEMBERS)),
        "the other may come"
    );
    let both = [eth0.clone(), eth1.clone()];
    assert_eq!(bench.due(&both), (vec![Deed::Bond(name("bond0"))], None));
    assert_eq!(bench.deeds(&both), [], "once");
    let bond = made(3, "bond0", b"bond", None);
    let join = |member| Deed::Join { member, bond: 3 };
    let free = [eth0.clone(), eth1.clone(), bond.clone()];
    assert_eq!(bench.deeds(&free), [join(2), join(1), vlan("bond0.5", 3)]);
    let joined = [member_of(3, eth0), member_of(3, eth1), bond];
    let prefer = Deed::Prefer { member: 2, bond: name("bond0") };
    assert_eq!(bench.deeds(&joined), [vlan("bond0.5", 3)].map(|_| prefer.clone()));
    assert_eq!(bench.deeds(&joined), []);
}

#[test]
fn a_member_that_never_comes_is_not_waited_for_long_and_joins_late() {
    let mut bench = Bench::new(&[("bond", "bond0:eth0,eth1")]);
    let eth1 = nic(2, "eth1");
    assert_eq!(bench.due(std::slice::from_ref(&eth1)).1, Some(MEMBERS));
    bench.now += MEMBERS;
    assert_eq!(bench.deeds(std::slice::from_ref(&eth1)), [Deed::Bond(name("bond0"))]);
    let bond = made(3, "bond0", b"bond", None);
    let late = [member_of(3, eth1), bond, nic(4, "eth0")];
    assert_eq!(bench.deeds(&late), [Deed::Join { member: 4, bond: 3 }]);
}

#[test]
fn a_member_with_the_bonds_address_is_not_taken_for_the_other() {
    let mut bench = Bench::new(&[("bond", "bond0:02:00:00:00:00:01,02:00:00:00:00:02")]);
    let both = [nic(1, "eth0"), nic(2, "eth1")];
    bench.deeds(&both);
    let bond = made(3, "bond0", b"bond", None);
    let [eth0, eth1] = both;
    let half = [member_of(3, eth0), bond, eth1];
    assert_eq!(bench.deeds(&half), [Deed::Join { member: 2, bond: 3 }]);
}

#[test]
fn names_are_given_one_by_one_before_all_else() {
    let args = [
        ("ifname", "eth0:02:00:00:00:00:02"),
        ("ifname", "eth1:02:00:00:00:00:01"),
        ("vlan", "vlan5:eth0"),
    ];
    let mut bench = Bench::new(&args);
    let rename = |index, text: &str, holder| vec![Deed::Rename { index, name: name(text), holder }];
    assert_eq!(bench.deeds(&[nic(1, "eth0"), nic(2, "eth1")]), rename(2, "eth0", Some(1)));
    assert_eq!(bench.deeds(&[nic(1, "eth2"), nic(2, "eth0")]), rename(1, "eth1", None));
    assert_eq!(bench.deeds(&[nic(1, "eth1"), nic(2, "eth0")]), [vlan("vlan5", 2)]);
}

#[test]
fn what_is_not_there_is_told() {
    let bench = Bench::new(&[("bond", "bond0:eth0,eth1"), ("vlan", "bond0.5:bond0")]);
    let rows = bench.builder.missing(&bench.config, &[nic(1, "eth0")]);
    let rows: Vec<String> = rows.iter().map(ToString::to_string).collect();
    assert_eq!(
        rows,
        [
            "bond0      -                 bond         no carrier not made: eth1 is not there",
            "bond0.5    -                 vlan         no carrier not made: bond0 is not there",
        ]
    );
}

#[test]
fn all_that_a_link_lies_on_is_found() {
    let links = [
        nic(1, "eth0"),
        member_of(4, nic(2, "eth1")),
        member_of(4, nic(3, "eth2")),
        made(4, "bond0", b"bond", None),
        made(5, "bond0.5", b"vlan", Some(4)),
    ];
    let names = |index| -> Vec<String> {
        beneath(&links, index).iter().map(|link| link.name.to_string()).collect()
    };
    assert_eq!(names(5), ["bond0", "eth1", "eth2"]);
    assert_eq!(names(4), ["eth1", "eth2"]);
    assert!(names(1).is_empty());
    // No kernel makes a circle; one that did would not hang the node.
    let circle = [made(1, "a", b"vlan", Some(2)), made(2, "b", b"vlan", Some(1))];
    assert_eq!(beneath(&circle, 1).len(), 1);
}
