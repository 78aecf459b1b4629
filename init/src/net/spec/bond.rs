//! `bond=<name>:<members>:<options>:<mtu>`, and what the kernel calls each option.

use std::net::Ipv4Addr;

use linux_raw_sys::netlink as nl;

use super::arg::{Arg, Field};
use super::{Device, SpecError};
use crate::net::link::IfName;

const FORM: &str = "<name>:<members>:<options>:<mtu>, as bond0:eth0,eth1:mode=active-backup,miimon=100:9000; \
                    members by name or MAC";
const OPTIONS_FORM: &str = "key=value, joined by ',', of mode, miimon, updelay, downdelay, \
    xmit_hash_policy, lacp_rate, lacp_active, min_links, ad_select, ad_actor_sys_prio, ad_user_port_key, \
    primary, primary_reselect, fail_over_mac, arp_interval, arp_ip_target (joined by ';'), arp_validate, \
    arp_all_targets, missed_max, use_carrier, all_slaves_active, resend_igmp, num_grat_arp, \
    num_unsol_na, peer_notif_delay, packets_per_slave, lp_interval, tlb_dynamic_lb";

/// How often a member's carrier is looked at, in milliseconds, where nothing says how members are
/// watched: the kernel's own default would never notice that one fails.
const MIIMON: u32 = 100;
/// The most targets of `arp_ip_target=` that the kernel takes.
const TARGETS_MAX: usize = 16;

/// A bond to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bond {
    /// Its name.
    pub(crate) name: IfName,
    /// Its members, in order.
    pub(crate) members: Vec<Device>,
    /// Its options, in the order to set them.
    pub(crate) options: Vec<BondOption>,
    /// The member to be preferred.
    pub(crate) primary: Option<Device>,
    /// Its MTU.
    pub(crate) mtu: Option<u32>,
}

/// An option of a bond, ready for the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BondOption {
    /// As the command line has it, for what is told of it.
    pub(crate) text: String,
    /// The kernel's attribute (`IFLA_BOND_...`).
    pub(crate) attribute: u16,
    /// The attribute's value.
    pub(crate) value: BondValue,
}

/// The value of a bond's option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum BondValue {
    /// A number in the attribute's width.
    Number(Vec<u8>),
    /// Addresses, numbered from 0.
    Addresses(Vec<Ipv4Addr>),
}

/// What the kernel takes for an option.
struct Known {
    key: &'static str,
    attribute: u16,
    /// Bytes of the number.
    width: u8,
    /// The values' words, in the order of their numbers.
    words: &'static [&'static str],
    expected: &'static str,
}

const fn known(
    key: &'static str,
    attribute: nl::_bindgen_ty_27,
    width: u8,
    words: &'static [&'static str],
    expected: &'static str,
) -> Known {
    Known { key, attribute: attribute as u16, width, words, expected }
}

const NUMBER: &str = "a number";
const SWITCH: (&[&str], &str) = (&["off", "on"], "off, on, 0 or 1");

/// In the order to set them: some need others, all need the mode.
const KNOWN: [Known; 27] = [
    known(
        "mode",
        nl::IFLA_BOND_MODE,
        1,
        &[
            "balance-rr",
            "active-backup",
            "balance-xor",
            "broadcast",
            "802.3ad",
            "balance-tlb",
            "balance-alb",
        ],
        "balance-rr, active-backup, balance-xor, broadcast, 802.3ad, balance-tlb, balance-alb, or 0 to 6",
    ),
    known("miimon", nl::IFLA_BOND_MIIMON, 4, &[], NUMBER),
    known("updelay", nl::IFLA_BOND_UPDELAY, 4, &[], NUMBER),
    known("downdelay", nl::IFLA_BOND_DOWNDELAY, 4, &[], NUMBER),
    known("use_carrier", nl::IFLA_BOND_USE_CARRIER, 1, SWITCH.0, SWITCH.1),
    known("arp_interval", nl::IFLA_BOND_ARP_INTERVAL, 4, &[], NUMBER),
    known(
        "arp_validate",
        nl::IFLA_BOND_ARP_VALIDATE,
        4,
        &["none", "active", "backup", "all", "filter", "filter_active", "filter_backup"],
        "none, active, backup, all, filter, filter_active, filter_backup, or 0 to 6",
    ),
    known("arp_all_targets", nl::IFLA_BOND_ARP_ALL_TARGETS, 4, &["any", "all"], "any or all"),
    known("missed_max", nl::IFLA_BOND_MISSED_MAX, 1, &[], NUMBER),
    known(
        "primary_reselect",
        nl::IFLA_BOND_PRIMARY_RESELECT,
        1,
        &["always", "better", "failure"],
        "always, better, failure, or 0 to 2",
    ),
    known(
        "fail_over_mac",
        nl::IFLA_BOND_FAIL_OVER_MAC,
        1,
        &["none", "active", "follow"],
        "none, active, follow, or 0 to 2",
    ),
    known(
        "xmit_hash_policy",
        nl::IFLA_BOND_XMIT_HASH_POLICY,
        1,
        &["layer2", "layer3+4", "layer2+3", "encap2+3", "encap3+4", "vlan+srcmac"],
        "layer2, layer3+4, layer2+3, encap2+3, encap3+4, vlan+srcmac, or 0 to 5",
    ),
    known("resend_igmp", nl::IFLA_BOND_RESEND_IGMP, 4, &[], NUMBER),
    known("num_grat_arp", nl::IFLA_BOND_NUM_PEER_NOTIF, 1, &[], NUMBER),
    known("num_unsol_na", nl::IFLA_BOND_NUM_PEER_NOTIF, 1, &[], NUMBER),
    known("peer_notif_delay", nl::IFLA_BOND_PEER_NOTIF_DELAY, 4, &[], NUMBER),
    known(
        "all_slaves_active",
        nl::IFLA_BOND_ALL_SLAVES_ACTIVE,
        1,
        &["dropped", "delivered"],
        "dropped, delivered, 0 or 1",
    ),
    known("min_links", nl::IFLA_BOND_MIN_LINKS, 4, &[], NUMBER),
    known("lp_interval", nl::IFLA_BOND_LP_INTERVAL, 4, &[], NUMBER),
    known("packets_per_slave", nl::IFLA_BOND_PACKETS_PER_SLAVE, 4, &[], NUMBER),
    known("lacp_active", nl::IFLA_BOND_AD_LACP_ACTIVE, 1, SWITCH.0, SWITCH.1),
    known("lacp_rate", nl::IFLA_BOND_AD_LACP_RATE, 1, &["slow", "fast"], "slow, fast, 0 or 1"),
    known(
        "ad_select",
        nl::IFLA_BOND_AD_SELECT,
        1,
        &["stable", "bandwidth", "count"],
        "stable, bandwidth, count, or 0 to 2",
    ),
    known("ad_actor_sys_prio", nl::IFLA_BOND_AD_ACTOR_SYS_PRIO, 2, &[], NUMBER),
    known("ad_user_port_key", nl::IFLA_BOND_AD_USER_PORT_KEY, 2, &[], NUMBER),
    known("tlb_dynamic_lb", nl::IFLA_BOND_TLB_DYNAMIC_LB, 1, SWITCH.0, SWITCH.1),
    // Not a number: read apart.
    known("arp_ip_target", nl::IFLA_BOND_ARP_IP_TARGET, 0, &[], "IPv4 addresses joined by ';'"),
];

impl Arg<'_> {
    /// The value of `bond=`. Like dracut's, what is left out is bond0 of eth0 and eth1.
    pub(super) fn bond(&self) -> Result<Bond, SpecError> {
        let fields = self.fields(&[1]);
        if let Some(extra) = fields.get(4) {
            return Err(self.error(*extra, "a fifth field", FORM));
        }
        let at = |index: usize| fields.get(index).copied().unwrap_or((self.end(), ""));
        let or = |index, text: &'static str| match at(index) {
            (_, "") => (0, text),
            field => field,
        };
        let members = items(or(1, "eth0,eth1"), ',').map(|item| self.some_device(item, "member"));
        let (options, primary) = self.bond_options(at(2))?;
        Ok(Bond {
            name: self.name(or(0, "bond0"))?,
            members: members.collect::<Result<_, _>>()?,
            options,
            primary,
            mtu: self.optional_mtu(at(3))?,
        })
    }

    fn bond_options(
        &self,
        field: Field<'_>,
    ) -> Result<(Vec<BondOption>, Option<Device>), SpecError> {
        let mut found = Vec::new();
        let mut primary = None;
        for item in items(field, ',').filter(|item| !item.1.is_empty()) {
            let (key, value) = split_option(item).ok_or_else(|| self.bad_option(item))?;
            if key == "primary" {
                primary = Some(self.some_device(value, "primary")?);
                continue;
            }
            let place = KNOWN.iter().position(|known| known.key == key);
            let place = place.ok_or_else(|| self.bad_option(item))?;
            found.push((place, item.1, value));
        }
        found.sort_by_key(|(place, ..)| *place);
        let mut options = Vec::new();
        for (place, text, value) in found {
            let Some(known) = KNOWN.get(place) else { continue };
            let value = self.bond_value(known, value)?;
            options.push(BondOption { text: text.to_owned(), attribute: known.attribute, value });
        }
        let watches = [nl::IFLA_BOND_MIIMON as u16, nl::IFLA_BOND_ARP_INTERVAL as u16];
        if !options.iter().any(|option| watches.contains(&option.attribute)) {
            let after_mode = usize::from(options.first().is_some_and(|o| o.attribute == MODE));
            options.insert(after_mode, miimon());
        }
        Ok((options, primary))
    }

    fn bad_option(&self, item: Field<'_>) -> SpecError {
        self.error(item, "option of a bond", OPTIONS_FORM)
    }

    fn bond_value(&self, known: &Known, field: Field<'_>) -> Result<BondValue, SpecError> {
        let bad = || self.error(field, known.key, known.expected);
        if known.width == 0 {
            let targets = items(field, ';').map(|(_, text)| text.parse().ok());
            let targets = targets.collect::<Option<Vec<Ipv4Addr>>>();
            let few = targets.filter(|targets| targets.len() <= TARGETS_MAX);
            return few.map(BondValue::Addresses).ok_or_else(bad);
        }
        let word = known.words.iter().position(|word| *word == field.1);
        let word = word.and_then(|at| u32::try_from(at).ok());
        let number = word.or_else(|| field.1.parse().ok()).ok_or_else(bad)?;
        let in_range = known.words.is_empty()
            || usize::try_from(number).is_ok_and(|number| number < known.words.len());
        let bytes = match known.width {
            1 => u8::try_from(number).ok().map(|n| n.to_ne_bytes().to_vec()),
            2 => u16::try_from(number).ok().map(|n| n.to_ne_bytes().to_vec()),
            _ => Some(number.to_ne_bytes().to_vec()),
        };
        bytes.filter(|_| in_range).map(BondValue::Number).ok_or_else(bad)
    }
}

const MODE: u16 = nl::IFLA_BOND_MODE as u16;

fn miimon() -> BondOption {
    BondOption {
        text: format!("miimon={MIIMON}"),
        attribute: nl::IFLA_BOND_MIIMON as u16,
        value: BondValue::Number(MIIMON.to_ne_bytes().to_vec()),
    }
}

fn split_option(item: Field<'_>) -> Option<(&str, Field<'_>)> {
    let (key, value) = item.1.split_once('=')?;
    Some((key, (item.0 + key.len() + 1, value)))
}

/// The parts of a field between `separator`s.
fn items(field: Field<'_>, separator: char) -> impl Iterator<Item = Field<'_>> {
    let mut at = field.0;
    field.1.split(separator).map(move |text| {
        let item = (at, text);
        at += text.len() + 1;
        item
    })
}

#[cfg(test)]
mod tests;
