//! Looking for holders of addresses before they are taken (RFC 4862, 5.4), for all at once.

use std::net::Ipv6Addr;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::time::{Duration, Instant};

use rustix::io::Errno;

use super::frame::{self, Packet};
use super::ndp;
use crate::net::link::Mac;
use crate::net::socket::PacketSocket;

/// Which addresses are free, and which are being looked into.
#[derive(Debug)]
pub(super) struct Holders {
    index: u32,
    /// This station, whose word does not count.
    own: Mac,
    free: Vec<Ipv6Addr>,
    probes: Vec<Probe>,
    /// What is read no more, and not closed while the node boots: that takes the kernel up to 16 ms.
    done: Vec<PacketSocket>,
    /// When the first address turned out to be free.
    since: Option<Instant>,
}

/// A question for holders of an address.
#[derive(Debug)]
struct Probe {
    socket: PacketSocket,
    address: Ipv6Addr,
    /// When it is asked once more, in case the first was lost.
    again: Option<Instant>,
    until: Instant,
    holder: Option<Mac>,
}

impl Holders {
    /// On link `index`, for the station `own`; the addresses `free` are known to be free.
    pub(super) fn new(index: u32, own: Mac, free: Vec<Ipv6Addr>) -> Self {
        Self { index, own, free, probes: Vec::new(), done: Vec::new(), since: None }
    }

    /// The addresses that no one else has.
    pub(super) fn free(&self) -> &[Ipv6Addr] {
        &self.free
    }

    /// When the first address turned out to be free.
    pub(super) fn since(&self) -> Option<Instant> {
        self.since
    }

    /// Whether any is being looked into.
    pub(super) fn is_looking(&self) -> bool {
        !self.probes.is_empty()
    }

    /// When [`Self::step`] has something to do.
    pub(super) fn due(&self) -> Option<Instant> {
        self.probes.iter().map(|probe| probe.again.unwrap_or(probe.until)).min()
    }

    /// The sockets to listen on.
    pub(super) fn sockets(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.probes.iter().map(|probe| probe.socket.as_fd())
    }

    /// Begins to look for holders of `address`, for as long as `patience`, where it is not known to
    /// be free. Where that can't be done, it is most likely free, and no reason to have no network.
    pub(super) fn look_for(
        &mut self,
        address: Ipv6Addr,
        patience: Duration,
        now: Instant,
    ) -> Result<(), Errno> {
        let is_asked = self.probes.iter().any(|probe| probe.address == address);
        if is_asked || self.free.contains(&address) {
            return Ok(());
        }
        match Probe::begin(self.index, address, now, patience) {
            Ok(probe) => self.probes.push(probe),
            Err(error) => {
                self.found_free(address, now);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Hears answers; gives the addresses that someone has, and who.
    pub(super) fn step(&mut self, now: Instant) -> Result<Vec<(Ipv6Addr, Mac)>, Errno> {
        let mut taken = Vec::new();
        for mut probe in std::mem::take(&mut self.probes) {
            probe.step(self.own, now)?;
            match probe.holder {
                None if now < probe.until => {
                    self.probes.push(probe);
                    continue;
                }
                None => self.found_free(probe.address, now),
                Some(holder) => taken.push((probe.address, holder)),
            }
            self.done.push(probe.socket);
        }
        Ok(taken)
    }

    /// Closes what is read no more.
    pub(super) fn close(&mut self) {
        self.done.clear();
    }

    fn found_free(&mut self, address: Ipv6Addr, now: Instant) {
        self.free.push(address);
        self.since.get_or_insert(now);
    }
}

impl Probe {
    fn begin(
        index: u32,
        address: Ipv6Addr,
        now: Instant,
        patience: Duration,
    ) -> Result<Self, Errno> {
        let socket = PacketSocket::neighbours(index)?;
        let (again, until) = (Some(now + patience / 2), now + patience);
        let probe = Self { socket, address, again, until, holder: None };
        probe.ask()?;
        Ok(probe)
    }

    fn step(&mut self, own: Mac, now: Instant) -> Result<(), Errno> {
        for datagram in self.socket.receive()? {
            if let Some(Packet::Icmp(_, message)) = frame::unwrap(&datagram) {
                self.holder = self.holder.or(ndp::holder(message, own, self.address));
            }
        }
        match self.again.take_if(|again| *again <= now) {
            Some(_) => self.ask(),
            None => Ok(()),
        }
    }

    fn ask(&self) -> Result<(), Errno> {
        let group = ndp::solicited_node(self.address);
        let datagram = frame::icmp(Ipv6Addr::UNSPECIFIED, group, &ndp::probe(self.address));
        self.socket.send(frame::group_mac(group), &datagram)
    }
}
