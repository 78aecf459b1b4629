//! The root is read over one address of one link. What the booted system takes of these, an
//! `ifdown` or a flush, is put back at once.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use rustix::io::Errno;

use super::apply::{Refused, apply};
use super::netlink::Netlink;
use super::netlink::links::Link;
use super::netlink::losses::{Loss, Losses};
use super::{IfName, Log, Up};

/// How long whoever takes something away is left to finish: losses come in groups.
const SETTLE: Duration = Duration::from_millis(50);
/// Someone who takes it away again and again is answered ever more slowly, up to this.
const SETTLE_MAX: Duration = Duration::from_secs(10);
/// After so long without a loss, the next is answered quickly again.
const PEACE: Duration = Duration::from_secs(30);

/// Watches over a network that is up.
#[derive(Debug)]
pub(super) struct Guard {
    losses: Losses,
    settle: Duration,
    /// When to put back what was lost.
    due: Option<Instant>,
    /// Whether something surely was: so much may have happened that it can't be told.
    is_certain: bool,
    restored: Option<Instant>,
    /// The name that the bond's preferred member is known by: with another one, which udev may give
    /// it, the bond takes it for another.
    preferred: Option<IfName>,
    /// Whether the bond must be told anew which member it prefers.
    prefer: bool,
}

impl Guard {
    /// Watches from here on.
    pub(super) fn open() -> Result<Self, Errno> {
        Ok(Self {
            losses: Losses::open()?,
            settle: SETTLE,
            due: None,
            is_certain: false,
            restored: None,
            preferred: None,
            prefer: false,
        })
    }

    /// When [`Self::restore`] has something to do.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Reads what was lost, and whether any of it belongs to `up`.
    pub(super) fn hear(&mut self, up: &Up, now: Instant) -> Result<(), Errno> {
        let losses = self.losses.read()?;
        let hit = losses.as_ref().map(|all| all.iter().any(|loss| concerns(loss, up)));
        self.is_certain |= hit == Some(true);
        let before = self.prefer;
        losses.iter().flatten().for_each(|loss| self.hear_name(loss, up));
        if hit == Some(false) && before == self.prefer || self.due.is_some() {
            return Ok(());
        }
        let quiet = self.restored.is_none_or(|last| now.saturating_duration_since(last) > PEACE);
        self.settle = if quiet { SETTLE } else { (self.settle * 2).min(SETTLE_MAX) };
        self.due = Some(now + self.settle);
        Ok(())
    }

    /// Takes note where the bond's preferred member has got another name.
    fn hear_name(&mut self, loss: &Loss, up: &Up) {
        let (Loss::Name(index, name), Some((_, member))) = (loss, &up.preferred) else { return };
        let first = up.beneath.iter().find(|link| link.index == *member).map(|link| &link.name);
        if index == member && self.preferred.as_ref().or(first) != Some(name) {
            self.preferred = Some(name.clone());
            self.prefer = true;
        }
    }

    /// Passes over what was lost so far: the keeper's own doing.
    pub(super) fn forget(&self) -> Result<(), Errno> {
        self.losses.read().map(|_own| ())
    }

    /// Puts back all that `up` says, where it is time to.
    pub(super) fn restore(&mut self, up: &Up, now: Instant, log: Log<'_>) -> Result<(), Refused> {
        if self.due.is_none_or(|due| now < due) {
            return Ok(());
        }
        // Should it fail, it is tried again.
        self.due = Some(now + SETTLE_MAX);
        let name = &up.interface;
        let refused = |error| Refused { what: format!("raising {name}"), error };
        let mut netlink = Netlink::open().map_err(refused)?;
        let links = netlink.links().map_err(refused)?;
        let link = links.iter().find(|link| link.index == up.index);
        let is_taken_over = link.ok_or(refused(Errno::NODEV))?.master.is_some();
        if !is_taken_over {
            for wanted in up.beneath.iter().rev() {
                restore_beneath(&mut netlink, wanted, &links).map_err(|error| Refused {
                    what: format!("raising {} beneath {name}", wanted.name),
                    error,
                })?;
            }
            self.prefer(&mut netlink, up, log);
            netlink.set_up(up.index).map_err(refused)?;
            apply(&mut netlink, up, up.mtu, log)?;
        }
        self.due = None;
        self.restored = Some(now);
        if std::mem::take(&mut self.is_certain) {
            let what = if is_taken_over {
                "the system has made it part of another link, which has the address now"
            } else {
                "the root's address was taken away; it is back"
            };
            log(&format!("{name}: {what}"));
        }
        Ok(())
    }
}

impl Guard {
    /// Tells the bond which member it prefers, where it has lost sight of it.
    fn prefer(&mut self, netlink: &mut Netlink, up: &Up, log: Log<'_>) {
        let (true, Some((bond, member))) = (std::mem::take(&mut self.prefer), &up.preferred) else {
            return;
        };
        if let Err(error) = netlink.set_bond_primary(bond, *member) {
            log(&format!("{bond}: preferring its member again: {error}"));
        }
    }
}

impl AsFd for Guard {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.losses.as_fd()
    }
}

/// Puts a link that carries the root's back to where it was: up, and in its bond. What another
/// link has taken, or what is gone, is left.
fn restore_beneath(netlink: &mut Netlink, wanted: &Link, links: &[Link]) -> Result<(), Errno> {
    let Some(now) = links.iter().find(|link| link.index == wanted.index) else { return Ok(()) };
    match (now.master, wanted.master) {
        (None, Some(bond)) => {
            if now.is_up() {
                netlink.set_down(now.index)?;
            }
            netlink.set_master(now.index, bond)
        }
        (is, was) if is == was && !now.is_up() => netlink.set_up(now.index),
        _ => Ok(()),
    }
}

/// Whether `loss` is one of something that `up` says.
fn concerns(loss: &Loss, up: &Up) -> bool {
    match loss {
        Loss::Up(index) => *index == up.index || up.beneath.iter().any(|link| link.index == *index),
        Loss::Name(..) => false,
        Loss::Address(index, address) => {
            *index == up.index && up.nets().any(|own| own.address == *address)
        }
        Loss::Route(index, network, prefix) => {
            let same = |route: &super::Route| (route.network, route.prefix) == (*network, *prefix);
            *index == up.index && up.routes.iter().any(same)
        }
    }
}
