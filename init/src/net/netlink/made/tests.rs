//! Requests as another implementation writes them, byte for byte.

use netlink_packet_core::{NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REQUEST, NetlinkMessage};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{
    BondMode, BondXmitHashPolicy, InfoBond, InfoData, InfoKind, InfoVlan, LinkAttribute, LinkInfo,
    LinkMessage,
};

use super::*;
use crate::net::spec::{Device, NetConfig};

/// A request to make or change a link, as the oracle writes it.
fn oracle(flags: u16, attributes: Vec<LinkAttribute>) -> Vec<u8> {
    let mut link = LinkMessage::default();
    link.attributes = attributes;
    let mut message = NetlinkMessage::from(RouteNetlinkMessage::NewLink(link));
    message.header.flags = NLM_F_REQUEST | NLM_F_ACK | flags;
    message.header.sequence_number = 7;
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    bytes
}

fn info(kind: InfoKind, data: Option<InfoData>) -> LinkAttribute {
    let data = data.map(LinkInfo::Data);
    LinkAttribute::LinkInfo([Some(LinkInfo::Kind(kind)), data].into_iter().flatten().collect())
}

fn name(text: &str) -> IfName {
    IfName::new(text.as_bytes()).expect("a name")
}

#[test]
fn a_vlan_is_asked_for_as_the_oracle_does() {
    let vlan = Vlan { name: name("vlan5"), id: 5, parent: Device::Name(name("eth0")) };
    let wanted = oracle(
        NLM_F_CREATE | NLM_F_EXCL,
        vec![
            LinkAttribute::IfName("vlan5".into()),
            LinkAttribute::Link(3),
            info(InfoKind::Vlan, Some(InfoData::Vlan(vec![InfoVlan::Id(5)]))),
        ],
    );
    assert_eq!(vlan_message(&vlan, 3).finish(7), wanted);
}

fn bond(value: &str) -> Bond {
    let args = [("bond".to_owned(), Some(value.to_owned()))];
    NetConfig::parse(&args).expect(value).bonds.remove(0)
}

#[test]
fn a_bond_is_asked_for_as_the_oracle_does() {
    let mac = Mac([2, 0, 0, 0, 0, 1]);
    let wanted = oracle(
        NLM_F_CREATE | NLM_F_EXCL,
        vec![
            LinkAttribute::IfName("bond0".into()),
            LinkAttribute::Address(mac.0.to_vec()),
            LinkAttribute::Mtu(9000),
            info(InfoKind::Bond, Some(InfoData::Bond(vec![]))),
        ],
    );
    let message = bond_message(&bond("bond0:eth0:mode=4:9000"), Some(mac));
    assert_eq!(message.finish(7), wanted);
}

#[test]
fn a_bonds_options_are_set_as_the_oracle_does() {
    let line = "bond0:eth0:mode=802.3ad,miimon=50,xmit_hash_policy=layer3+4,ad_actor_sys_prio=99,\
                arp_ip_target=192.0.2.1;192.0.2.2";
    let options = bond(line).options;
    let targets = ["192.0.2.1", "192.0.2.2"].map(|ip| ip.parse().expect("an address"));
    let wanted = [
        InfoBond::Mode(BondMode::Ieee8023Ad),
        InfoBond::MiiMon(50),
        InfoBond::XmitHashPolicy(BondXmitHashPolicy::Layer34),
        InfoBond::AdActorSysPrio(99),
        InfoBond::ArpIpTarget(targets.to_vec()),
    ];
    assert_eq!(options.len(), wanted.len());
    for (option, wanted) in options.iter().zip(wanted) {
        let wanted = oracle(
            0,
            vec![
                LinkAttribute::IfName("bond0".into()),
                info(InfoKind::Bond, Some(InfoData::Bond(vec![wanted]))),
            ],
        );
        let message = option_message(&name("bond0"), option.attribute, &payload(&option.value));
        assert_eq!(message.finish(7), wanted, "{}", option.text);
    }
}
