//! Links: listing them, raising them, their MTU.

use linux_raw_sys::if_arp::ARPHRD_ETHER;
use linux_raw_sys::net::net_device_flags as iff;
use linux_raw_sys::netlink::{
    IFLA_ADDRESS, IFLA_IFNAME, IFLA_INFO_KIND, IFLA_LINK, IFLA_LINKINFO, IFLA_MASTER, IFLA_MTU,
    IFLA_PERM_ADDRESS, RTM_DELLINK, RTM_GETLINK, RTM_NEWLINK, RTM_SETLINK,
};
use rustix::io::Errno;

use super::wire::{Message, Received, attrs, u16_at, u32_at};
use super::{CHANGE, LIST, Netlink, News};
use crate::net::link::{IfName, Mac};

/// Kinds of links that lead nowhere, or only to this machine.
const NOWHERE: [&[u8]; 6] = [b"dummy", b"ifb", b"nlmon", b"netkit", b"vcan", b"vxcan"];
/// The size of `struct ifinfomsg`.
const IFINFOMSG: usize = 16;

/// A link as the kernel describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Link {
    /// Its index.
    pub(crate) index: u32,
    /// Its name.
    pub(crate) name: IfName,
    /// Its hardware address, where it is Ethernet.
    pub(crate) mac: Option<Mac>,
    /// The hardware address burnt into it.
    pub(crate) permanent_mac: Option<Mac>,
    /// Its MTU.
    pub(crate) mtu: u32,
    /// The link it is a port of (a bond, a bridge, a failover pair).
    pub(crate) master: Option<u32>,
    /// The link that a VLAN lies on.
    pub(crate) parent: Option<u32>,
    /// The kind of a virtual link; hardware has none.
    pub(crate) kind: Option<Vec<u8>>,
    /// `IFF_UP` and the like.
    pub(crate) flags: u32,
}

impl Link {
    /// Whether an administrator (or we) raised it.
    pub(crate) fn is_up(&self) -> bool {
        self.flags & iff::IFF_UP as u32 != 0
    }

    /// Whether the far end answers.
    pub(crate) fn has_carrier(&self) -> bool {
        self.is_up() && self.flags & iff::IFF_LOWER_UP as u32 != 0
    }

    /// Whether the kernel is sure to let packets pass: up to a second after carrier it may still
    /// drop what is sent, though it often does not.
    pub(crate) fn is_running(&self) -> bool {
        self.has_carrier() && self.flags & iff::IFF_RUNNING as u32 != 0
    }

    /// Whether it is a virtual link of this kind.
    pub(crate) fn is_kind(&self, kind: &[u8]) -> bool {
        self.kind.as_deref() == Some(kind)
    }

    /// Whether it is a bond or a VLAN: its hardware address is that of what it lies on.
    pub(crate) fn lies_on_others(&self) -> bool {
        self.is_kind(b"bond") || self.is_kind(b"vlan")
    }

    /// The hardware addresses that mean it: none where it lies on others; a bond's member goes by
    /// the one burnt into it.
    pub(crate) fn macs(&self) -> Vec<Mac> {
        let own = self.mac.filter(|_| self.master.is_none() || self.permanent_mac.is_none());
        let all = own.into_iter().chain(self.permanent_mac);
        if self.lies_on_others() { Vec::new() } else { all.collect() }
    }

    /// Whether it is the loopback.
    pub(crate) fn is_loopback(&self) -> bool {
        self.flags & iff::IFF_LOOPBACK as u32 != 0
    }

    /// Why the node can't boot over it, where it can't.
    pub(crate) fn unfit(&self) -> Option<&'static str> {
        let kind = self.kind.as_deref().unwrap_or_default();
        if self.is_loopback() {
            Some("loopback")
        } else if self.master.is_some() {
            Some("port of another link")
        } else if self.mac.is_none() {
            Some("not Ethernet")
        } else if NOWHERE.contains(&kind) {
            Some("leads nowhere")
        } else {
            None
        }
    }
}

impl Netlink {
    /// All links.
    pub(crate) fn links(&mut self) -> Result<Vec<Link>, Errno> {
        let message = Message::new(RTM_GETLINK as u16, LIST, &ifinfomsg(0, 0, 0));
        self.dump(&message, |answer| parse(answer.body))
    }

    /// Raises a link.
    pub(crate) fn set_up(&mut self, index: u32) -> Result<(), Errno> {
        let up = iff::IFF_UP as u32;
        self.request(Message::new(RTM_SETLINK as u16, CHANGE, &ifinfomsg(index, up, up)))
    }

    /// Sets a link's MTU.
    pub(crate) fn set_mtu(&mut self, index: u32, mtu: u32) -> Result<(), Errno> {
        let message = Message::new(RTM_SETLINK as u16, CHANGE, &ifinfomsg(index, 0, 0));
        self.request(message.attr(IFLA_MTU as u16, &mtu.to_ne_bytes()))
    }
}

/// `struct ifinfomsg`.
pub(super) fn ifinfomsg(index: u32, flags: u32, change: u32) -> Vec<u8> {
    [[0; 4], index.to_ne_bytes(), flags.to_ne_bytes(), change.to_ne_bytes()].concat()
}

/// What a message says about a link, where it does.
pub(super) fn news(message: Received<'_>) -> Option<News> {
    let link = parse(message.body)?;
    if message.kind == RTM_NEWLINK as u16 {
        return Some(News::Changed(link));
    }
    (message.kind == RTM_DELLINK as u16).then_some(News::Gone(link.index))
}

/// The link that `body` describes in full. Bridges and wireless links also tell of parts of
/// themselves, in the bridges' own family or without the MTU: those say nothing of the link.
pub(super) fn parse(body: &[u8]) -> Option<Link> {
    if body.first() != Some(&0) {
        return None;
    }
    let is_ethernet = u32::from(u16_at(body, 2)?) == ARPHRD_ETHER;
    let (mut name, mut mtu) = (None, None);
    let mut link = Link {
        index: u32_at(body, 4)?,
        name: IfName::new(b"?")?,
        mac: None,
        permanent_mac: None,
        mtu: 0,
        master: None,
        parent: None,
        kind: None,
        flags: u32_at(body, 8)?,
    };
    let mac = |value: &[u8]| value.try_into().ok().filter(|_| is_ethernet).map(Mac);
    for (kind, value) in attrs(body.get(IFINFOMSG..)?) {
        match u32::from(kind) {
            k if k == IFLA_IFNAME as u32 => name = IfName::new(value.strip_suffix(b"\0")?),
            k if k == IFLA_ADDRESS as u32 => link.mac = mac(value),
            k if k == IFLA_PERM_ADDRESS as u32 => link.permanent_mac = mac(value),
            k if k == IFLA_MTU as u32 => mtu = u32_at(value, 0),
            k if k == IFLA_MASTER as u32 => link.master = u32_at(value, 0),
            k if k == IFLA_LINK as u32 => link.parent = u32_at(value, 0),
            k if k == IFLA_LINKINFO as u32 => link.kind = info_kind(value),
            _ => {}
        }
    }
    // To others the number may be a link in another namespace.
    let parent = link.parent.filter(|_| link.is_kind(b"vlan"));
    Some(Link { name: name?, mtu: mtu?, parent, ..link })
}

fn info_kind(info: &[u8]) -> Option<Vec<u8>> {
    let (_, value) = attrs(info).find(|(kind, _)| *kind == IFLA_INFO_KIND as u16)?;
    Some(value.strip_suffix(b"\0").unwrap_or(value).to_vec())
}
