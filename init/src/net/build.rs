//! Making what the command line asks for, names, bonds and VLANs, as soon as what it stands on is
//! there.

use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, Instant};

use rustix::io::Errno;

use super::Log;
use super::link::{IfName, NicReport};
use super::netlink::Netlink;
use super::netlink::links::Link;
use super::spec::{Bond, Device, NetConfig, Vlan};

/// How long a bond waits for the rest of its members once one is there. They join later all the
/// same; but the hardware address of the first decides what lease the node gets.
const MEMBERS: Duration = Duration::from_secs(2);

/// What is made, and what was tried.
#[derive(Debug, Default)]
pub(super) struct Builder {
    /// What was done, or refused by the kernel: each is tried once.
    tried: HashSet<Deed>,
    /// When a bond's first member was there.
    since: BTreeMap<IfName, Instant>,
    /// Links that the kernel refused to make, and how.
    refused: Vec<(IfName, String)>,
}

/// When to look again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Again {
    /// When there is news of links.
    No,
    /// Then at the latest.
    At(Instant),
    /// At once, with a new list of links.
    AtOnce,
}

/// Something to do.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Deed {
    /// Name a link; another one that has the name gets the next free one.
    Rename { index: u32, name: IfName, holder: Option<u32> },
    /// Make a bond, or give the one that there is its options.
    Bond(IfName),
    /// Make a link a member of a bond.
    Join { member: u32, bond: u32 },
    /// Make a member the preferred one.
    Prefer { member: u32, bond: IfName },
    /// Make a VLAN on a link.
    Vlan { name: IfName, parent: u32 },
}

impl Builder {
    /// Does what can be done with `links`, and says when to look again: at once where a link got
    /// another name, which may be one that is waited for.
    pub(super) fn advance(
        &mut self,
        config: &NetConfig,
        links: &[Link],
        netlink: &mut Netlink,
        now: Instant,
        log: Log<'_>,
    ) -> Again {
        let (deeds, wake) = self.due(config, links, now);
        let mut again = wake.map_or(Again::No, Again::At);
        for deed in deeds {
            match carry_out(&deed, config, links, netlink, log) {
                Ok(()) => log(&deed.told(links)),
                Err(error) => {
                    let what =
                        format!("{}: refused: {error}{}", deed.told(links), deed.hint(error));
                    log(&what);
                    self.refused.extend(deed.makes().map(|name| (name.clone(), what)));
                }
            }
            if matches!(deed, Deed::Rename { .. }) {
                again = Again::AtOnce;
            }
            self.tried.insert(deed);
        }
        again
    }

    /// What there is to do with `links`, and when to look again.
    fn due(
        &mut self,
        config: &NetConfig,
        links: &[Link],
        now: Instant,
    ) -> (Vec<Deed>, Option<Instant>) {
        // One at a time, before all else: each changes what others find.
        let mut renames = renames(config, links).filter(|deed| !self.tried.contains(deed));
        if let Some(rename) = renames.next() {
            return (vec![rename], None);
        }
        drop(renames);
        let (mut deeds, mut wakes) = (Vec::new(), Vec::new());
        for bond in &config.bonds {
            match self.bond(bond, links, now) {
                Ok(more) => deeds.extend(more),
                Err(wake) => wakes.push(wake),
            }
        }
        for vlan in config.vlans.iter().filter(|vlan| named(links, &vlan.name).is_none()) {
            let parent = links.iter().find(|link| means(&vlan.parent, link));
            deeds.extend(parent.map(|p| Deed::Vlan { name: vlan.name.clone(), parent: p.index }));
        }
        deeds.retain(|deed| !self.tried.contains(deed));
        (deeds, wakes.into_iter().min())
    }

    /// What there is to do for a bond, or when to look again.
    fn bond(&mut self, bond: &Bond, links: &[Link], now: Instant) -> Result<Vec<Deed>, Instant> {
        let members: Vec<&Link> = members(bond, links).collect();
        if members.is_empty() {
            return Ok(Vec::new());
        }
        let patience = *self.since.entry(bond.name.clone()).or_insert(now) + MEMBERS;
        let make = Deed::Bond(bond.name.clone());
        if !self.tried.contains(&make) {
            let whole = members.len() == bond.members.len();
            return if whole || now >= patience { Ok(vec![make]) } else { Err(patience) };
        }
        let Some(made) = named(links, &bond.name) else { return Ok(Vec::new()) };
        let (joined, free): (Vec<&Link>, Vec<&Link>) =
            members.into_iter().partition(|link| link.master == Some(made.index));
        let joins = free.iter().map(|link| Deed::Join { member: link.index, bond: made.index });
        let primary = bond.primary.as_ref();
        let primary = joined.iter().find(|link| primary.is_some_and(|wanted| means(wanted, link)));
        let prefer = primary.map(|l| Deed::Prefer { member: l.index, bond: bond.name.clone() });
        Ok(joins.chain(prefer).collect())
    }

    /// Rows for the links that are asked for and not there.
    pub(super) fn missing(&self, config: &NetConfig, links: &[Link]) -> Vec<NicReport> {
        let absent = |device: &&Device| !links.iter().any(|link| means(device, link));
        let list = |devices: Vec<&Device>| {
            let names: Vec<String> = devices.iter().map(ToString::to_string).collect();
            format!("not made: {} is not there", names.join(", "))
        };
        let bonds = config
            .bonds
            .iter()
            .map(|bond| (&bond.name, "bond", list(bond.members.iter().filter(absent).collect())));
        let vlans = config.vlans.iter().map(|vlan| (&vlan.name, "vlan", list(vec![&vlan.parent])));
        let missing = bonds.chain(vlans).filter(|(name, ..)| named(links, name).is_none());
        let row = |(name, kind, waits): (&IfName, &str, String)| {
            let refused = self.refused.iter().find(|(refused, _)| refused == name);
            NicReport {
                name: name.clone(),
                mac: None,
                driver: Some(kind.to_owned()),
                carrier: false,
                outcome: refused.map_or(waits, |(_, why)| why.clone()),
            }
        };
        missing.map(row).collect()
    }
}

/// All links that `index` lies on, the nearest first.
pub(super) fn beneath(links: &[Link], index: u32) -> Vec<Link> {
    let mut found: Vec<Link> = Vec::new();
    let mut todo = vec![index];
    while let Some(above) = todo.pop() {
        let parent = links.iter().find(|link| link.index == above).and_then(|link| link.parent);
        for link in links {
            let holds = link.master == Some(above) || parent == Some(link.index);
            if holds && link.index != index && !found.iter().any(|f| f.index == link.index) {
                todo.push(link.index);
                found.push(link.clone());
            }
        }
    }
    found
}

/// Of the bonds that the command line asks for, the one that prefers one of the links `beneath`.
pub(super) fn preferred(config: &NetConfig, beneath: &[Link]) -> Option<(IfName, u32)> {
    config.bonds.iter().find_map(|bond| {
        let primary = bond.primary.as_ref()?;
        let member = beneath.iter().find(|link| link.master.is_some() && means(primary, link))?;
        Some((bond.name.clone(), member.index))
    })
}

impl Deed {
    /// The link it makes.
    fn makes(&self) -> Option<&IfName> {
        match self {
            Self::Bond(name) | Self::Vlan { name, .. } => Some(name),
            Self::Rename { .. } | Self::Join { .. } | Self::Prefer { .. } => None,
        }
    }

    /// What is told of it.
    fn told(&self, links: &[Link]) -> String {
        let name = |index: &u32| {
            let link = links.iter().find(|link| link.index == *index);
            link.map_or_else(String::new, |link| link.name.to_string())
        };
        match self {
            Self::Rename { index, name: new, .. } => format!("{} is named {new}", name(index)),
            Self::Bond(bond) => format!("{bond}: a bond is made"),
            Self::Join { member, bond } => format!("{}: {} is a member", name(bond), name(member)),
            Self::Prefer { member, bond } => format!("{bond}: {} is preferred", name(member)),
            Self::Vlan { name: vlan, parent } => format!("{vlan}: a VLAN on {}", name(parent)),
        }
    }

    /// What a refusal likely comes from.
    fn hint(&self, error: Errno) -> &'static str {
        match (self, error) {
            (Self::Bond(_), Errno::OPNOTSUPP) => {
                "; the initramfs needs the module bonding: --modules vm,bonding"
            }
            (Self::Vlan { .. }, Errno::OPNOTSUPP) => {
                "; the initramfs needs the module 8021q: --modules vm,8021q"
            }
            (Self::Rename { .. }, Errno::BUSY) => {
                "; it is up, and this kernel renames none that is"
            }
            _ => "",
        }
    }
}

fn carry_out(
    deed: &Deed,
    config: &NetConfig,
    links: &[Link],
    netlink: &mut Netlink,
    log: Log<'_>,
) -> Result<(), Errno> {
    match deed {
        Deed::Rename { index, name, holder } => {
            if let Some(holder) = holder {
                netlink.rename(*holder, b"eth%d")?;
            }
            netlink.rename(*index, name.as_bytes())
        }
        Deed::Bond(name) => {
            let bond = config.bonds.iter().find(|bond| bond.name == *name);
            bond.map_or(Ok(()), |bond| make_bond(bond, links, netlink, log))
        }
        Deed::Join { member, bond } => {
            // The kernel takes no member that is up; it raises it again itself.
            if links.iter().any(|link| link.index == *member && link.is_up()) {
                netlink.set_down(*member)?;
            }
            netlink.set_master(*member, *bond)
        }
        Deed::Prefer { member, bond } => netlink.set_bond_primary(bond, *member),
        Deed::Vlan { name, parent } => {
            let vlan: Option<&Vlan> = config.vlans.iter().find(|vlan| vlan.name == *name);
            vlan.map_or(Ok(()), |vlan| netlink.add_vlan(vlan, *parent))
        }
    }
}

/// Makes a bond; an option that the kernel refuses is told to `log`.
fn make_bond(
    bond: &Bond,
    links: &[Link],
    netlink: &mut Netlink,
    log: Log<'_>,
) -> Result<(), Errno> {
    let mac = members(bond, links).next().and_then(|link| link.mac);
    match netlink.add_bond(bond, mac) {
        // A kernel that has bonding built in makes a bond0 by itself.
        Ok(()) | Err(Errno::EXIST) => {}
        Err(error) => return Err(error),
    }
    for option in &bond.options {
        if let Err(error) = netlink.set_bond_option(&bond.name, option) {
            log(&format!("{}: {} is refused: {error}", bond.name, option.text));
        }
    }
    Ok(())
}

fn renames(config: &NetConfig, links: &[Link]) -> impl Iterator<Item = Deed> {
    config.renames.iter().filter_map(|rename| {
        let link = links.iter().find(|link| link.macs().contains(&rename.mac))?;
        let holder = named(links, &rename.name).map(|holder| holder.index);
        let name = rename.name.clone();
        (link.name != rename.name).then_some(Deed::Rename { index: link.index, name, holder })
    })
}

fn named<'a>(links: &'a [Link], name: &IfName) -> Option<&'a Link> {
    links.iter().find(|link| link.name == *name)
}

fn means(device: &Device, link: &Link) -> bool {
    device.is(&link.name, &link.macs())
}

/// Those of a bond's members that are there, in its order.
fn members<'a>(bond: &'a Bond, links: &'a [Link]) -> impl Iterator<Item = &'a Link> {
    bond.members.iter().filter_map(|device| links.iter().find(|link| means(device, link)))
}

#[cfg(test)]
mod tests;
