//! Making links and changing what they are: names, VLANs, bonds and their members.

use linux_raw_sys::net::net_device_flags as iff;
use linux_raw_sys::netlink::{
    IFLA_ADDRESS, IFLA_BOND_PRIMARY, IFLA_IFNAME, IFLA_INFO_DATA, IFLA_INFO_KIND, IFLA_LINK,
    IFLA_LINKINFO, IFLA_MASTER, IFLA_MTU, IFLA_VLAN_ID, NLM_F_CREATE, NLM_F_EXCL, RTM_NEWLINK,
    RTM_SETLINK,
};
use rustix::io::Errno;

use super::links::ifinfomsg;
use super::wire::Message;
use super::{CHANGE, Netlink};
use crate::net::link::{IfName, Mac};
use crate::net::narrow::to_u16;
use crate::net::spec::{Bond, BondOption, BondValue, Vlan};

/// The flags of a request that makes something which is not there yet.
const MAKE: u16 = CHANGE | to_u16(NLM_F_CREATE | NLM_F_EXCL);

impl Netlink {
    /// Takes a link down.
    pub(crate) fn set_down(&mut self, index: u32) -> Result<(), Errno> {
        self.request(set_link(index, iff::IFF_UP as u32))
    }

    /// Names a link; `eth%d` stands for the first such name that is free.
    pub(crate) fn rename(&mut self, index: u32, name: &[u8]) -> Result<(), Errno> {
        self.request(named(set_link(index, 0), name))
    }

    /// Gives a link, which should be down, a hardware address.
    pub(crate) fn set_mac(&mut self, index: u32, mac: Mac) -> Result<(), Errno> {
        self.request(set_link(index, 0).attr(IFLA_ADDRESS as u16, &mac.0))
    }

    /// Makes a link a member of the bond `master`.
    pub(crate) fn set_master(&mut self, index: u32, master: u32) -> Result<(), Errno> {
        self.request(set_link(index, 0).attr(IFLA_MASTER as u16, &master.to_ne_bytes()))
    }

    /// Makes a VLAN on the link `parent`.
    pub(crate) fn add_vlan(&mut self, vlan: &Vlan, parent: u32) -> Result<(), Errno> {
        self.request(vlan_message(vlan, parent))
    }

    /// Makes a bond with the hardware address `mac`, as yet without options and members.
    pub(crate) fn add_bond(&mut self, bond: &Bond, mac: Option<Mac>) -> Result<(), Errno> {
        self.request(bond_message(bond, mac))
    }

    /// Sets an option of the bond called `name`.
    pub(crate) fn set_bond_option(
        &mut self,
        name: &IfName,
        option: &BondOption,
    ) -> Result<(), Errno> {
        self.request(option_message(name, option.attribute, &payload(&option.value)))
    }

    /// Makes the link with this index the preferred member of the bond called `name`.
    pub(crate) fn set_bond_primary(&mut self, name: &IfName, index: u32) -> Result<(), Errno> {
        self.request(option_message(name, IFLA_BOND_PRIMARY as u16, &index.to_ne_bytes()))
    }
}

/// A message that changes the link with this index: of its flags those in `change`, to zero.
fn set_link(index: u32, change: u32) -> Message {
    Message::new(RTM_SETLINK as u16, CHANGE, &ifinfomsg(index, 0, change))
}

fn new_link(flags: u16, name: &IfName) -> Message {
    named(Message::new(RTM_NEWLINK as u16, flags, &ifinfomsg(0, 0, 0)), name.as_bytes())
}

fn named(message: Message, name: &[u8]) -> Message {
    message.attr(IFLA_IFNAME as u16, &[name, b"\0"].concat())
}

/// The message with what is particular to a kind of link.
fn of_kind(message: Message, kind: &[u8], data: &Attributes) -> Message {
    let info = Attributes::default().with(IFLA_INFO_KIND as u16, kind);
    message.attr(IFLA_LINKINFO as u16, &info.with(IFLA_INFO_DATA as u16, &data.0).0)
}

pub(super) fn vlan_message(vlan: &Vlan, parent: u32) -> Message {
    let message = new_link(MAKE, &vlan.name).attr(IFLA_LINK as u16, &parent.to_ne_bytes());
    let data = Attributes::default().with(IFLA_VLAN_ID as u16, &vlan.id.to_ne_bytes());
    of_kind(message, b"vlan\0", &data)
}

pub(super) fn bond_message(bond: &Bond, mac: Option<Mac>) -> Message {
    let mut message = new_link(MAKE, &bond.name);
    if let Some(mac) = mac {
        message = message.attr(IFLA_ADDRESS as u16, &mac.0);
    }
    if let Some(mtu) = bond.mtu {
        message = message.attr(IFLA_MTU as u16, &mtu.to_ne_bytes());
    }
    of_kind(message, b"bond\0", &Attributes::default())
}

pub(super) fn option_message(name: &IfName, attribute: u16, value: &[u8]) -> Message {
    let data = Attributes::default().with(attribute, value);
    of_kind(new_link(CHANGE, name), b"bond\0", &data)
}

/// The bytes of an option's value.
pub(super) fn payload(value: &BondValue) -> Vec<u8> {
    match value {
        BondValue::Number(bytes) => bytes.clone(),
        BondValue::Addresses(all) => {
            let numbered = (0_u16..).zip(all);
            let put = |list: Attributes, (at, address): (u16, &std::net::Ipv4Addr)| {
                list.with(at, &address.octets())
            };
            numbered.fold(Attributes::default(), put).0
        }
    }
}

/// Attributes that stand in another one.
#[derive(Debug, Clone, Default)]
struct Attributes(Vec<u8>);

impl Attributes {
    fn with(mut self, kind: u16, value: &[u8]) -> Self {
        self.0.extend_from_slice(&Message::attribute(kind, value));
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }
}

#[cfg(test)]
mod tests;
