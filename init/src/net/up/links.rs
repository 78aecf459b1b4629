//! The part of the attempt that has to do with links: making, naming and raising them, and which
//! goes first.

use std::time::Instant;

use super::{Attempt, HEAD_START, HEAD_START_LINK};
use crate::net::build::{Again, beneath};
use crate::net::error::NetError;
use crate::net::netlink::links::Link;
use crate::net::nic::Nic;

/// How often in a row a list of links may be out of date.
const RENAMES_MAX: usize = 64;

impl Attempt<'_> {
    /// Makes and names what the command line asks for, as far as it can be done by now; when to
    /// look again.
    pub(super) fn build(&mut self, now: Instant) -> Result<Option<Instant>, NetError> {
        for _ in 0..RENAMES_MAX {
            if self.config.renames.is_empty()
                && self.config.bonds.is_empty()
                && self.config.vlans.is_empty()
            {
                break;
            }
            let links = self.links();
            let netlink = &mut self.netlink;
            match self.builder.advance(self.config, &links, netlink, now, self.log) {
                Again::No => break,
                Again::At(time) => return Ok(Some(time)),
                Again::AtOnce => self.list_links()?,
            }
        }
        Ok(None)
    }

    /// Raises what should be up, with the hardware address that the command line gives it.
    pub(super) fn raise(&mut self) {
        for (index, nic) in &mut self.nics {
            if !nic.should_be_raised() {
                continue;
            }
            if let Some(mac) = nic.new_mac()
                && let Err(error) = self.netlink.set_mac(*index, mac)
            {
                (self.log)(&format!("{nic}: MAC {mac} refused: {error}"));
            }
            let result = self.netlink.set_up(*index);
            nic.raised(result, self.log);
        }
    }

    /// All links that are known.
    pub(super) fn links(&self) -> Vec<Link> {
        self.nics.values().map(|nic| nic.link().clone()).collect()
    }

    /// Whether the firmware booted over the interface `index`, or over one that it lies on.
    pub(super) fn is_bootif(&self, index: u32) -> bool {
        let Some(mac) = self.config.bootif else { return false };
        let is = |link: &Link| link.mac == Some(mac) || link.permanent_mac == Some(mac);
        let own = self.nics.get(&index).is_some_and(|nic| is(nic.link()));
        own || beneath(&self.links(), index).iter().any(is)
    }

    /// The interfaces that may carry the node, and when each may begin: at once, or after the one
    /// the firmware booted from had its head start.
    pub(super) fn begins(&self) -> Vec<(u32, Instant)> {
        let others = match (self.config.bootif, self.bootif_carrier) {
            (None, _) => self.started,
            (Some(_), None) => self.started + HEAD_START_LINK,
            (Some(_), Some(carrier)) => carrier + HEAD_START,
        };
        let ready = self.nics.iter().filter(|(_, nic): &(&u32, &Nic)| nic.is_ready());
        let begin = |index| if self.is_bootif(index) { self.started } else { others };
        ready.map(|(index, _)| (*index, begin(*index))).collect()
    }
}
