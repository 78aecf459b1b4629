//! What is kept beside the lease: IPv6, heard for as long as the node lives, and for a while a
//! lease that did not come in time for the boot.

use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use rustix::io::Errno;

use crate::net::acquire::{Acquire, Event, Grant, Step};
use crate::net::dhcp6::client::Phase;
use crate::net::six::{Six, Station};
use crate::net::spec::{Method, Request};
use crate::net::{Lease, Up};

/// How long after the boot DHCP is asked for an address beside those of IPv6.
const LATE: Duration = Duration::from_secs(120);
/// How long to rest after the link refused something.
const REST: Duration = Duration::from_secs(10);

/// A lease beside addresses of IPv6, which may come yet.
pub(super) struct LateLease {
    acquire: Acquire,
    until: Instant,
    wake: Option<Instant>,
}

impl LateLease {
    /// Asks for one where `up` may have it and has not.
    pub(super) fn begin(up: &Up, seed: u32, now: Instant) -> Option<Self> {
        let is_wanted = up.method == Method::Any && up.lease.is_none();
        let request = Request { hostname: up.said.hostname.clone(), ..Request::any() };
        let begin = || Acquire::begin(up.index, up.mac, &request, seed, now, &mut |_event| {});
        let acquire = is_wanted.then(begin)?.ok()?;
        Some(Self { acquire, until: now + LATE, wake: Some(now) })
    }

    /// Goes on; `None` where it is over.
    pub(super) fn step(&mut self, now: Instant) -> Option<Option<Lease>> {
        match self.acquire.step(now, &mut |_event| {}) {
            Ok(Step::Wait(wake)) if now < self.until => {
                self.wake = wake;
                Some(None)
            }
            Ok(Step::Ready) => match self.acquire.grant() {
                Some(Grant::Lease(lease)) => Some(Some(lease.clone())),
                _ => None,
            },
            Ok(_) | Err(_) => None,
        }
    }

    /// When [`Self::step`] has something to do.
    pub(super) fn due(&self) -> Instant {
        self.wake.map_or(self.until, |wake| wake.min(self.until))
    }

    /// The sockets to listen on.
    pub(super) fn sockets(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.acquire.sockets()
    }
}

/// IPv6 on a node that runs.
pub(super) struct SixKeeper {
    station: Station,
    wake: Option<Instant>,
    phase: Phase,
}

impl SixKeeper {
    /// Goes on with what `up` has of it.
    pub(super) fn begin(up: &Up, seed: u32, now: Instant) -> Result<Option<Self>, Errno> {
        let Some(six) = up.six.clone() else { return Ok(None) };
        let link = (up.index, up.mac);
        let station = Station::resume(link, up.method, seed, six, (up.since, now))?;
        Ok(Some(Self { station, wake: Some(now), phase: Phase::Bound }))
    }

    /// Goes on; gives what is known now, and hands what is worth telling to `tell`.
    pub(super) fn step(
        &mut self,
        now: Instant,
        tell: &mut dyn FnMut(String),
    ) -> Result<Six, Errno> {
        let mut events = Vec::new();
        let result = self.station.step(now, &mut |event| events.push(event));
        for event in events {
            match event {
                Event::Refusal(server, why) => tell(format!("{server} refuses: {why}")),
                Event::Declined(address, holder) => {
                    tell(format!("{address} is in use by {holder}"));
                }
                Event::NoProbe(..)
                | Event::NoSix(_)
                | Event::Offer(..)
                | Event::Router(_)
                | Event::Useless(..) => {}
            }
        }
        match result {
            Ok((_, wake)) => self.wake = wake,
            Err(error) => {
                self.wake = Some(now + REST);
                return Err(error);
            }
        }
        let phase = self.station.phase(now).unwrap_or(Phase::Bound);
        if phase > self.phase && phase == Phase::Rebinding {
            tell("its DHCPv6 server does not renew the lease; asking all servers".to_owned());
        }
        if phase > self.phase && phase == Phase::None {
            tell(
                "the DHCPv6 lease is over; the address stays, and servers are asked on".to_owned(),
            );
        }
        self.phase = phase;
        Ok(self.station.outcome())
    }

    /// When [`Self::step`] has something to do.
    pub(super) fn due(&self) -> Option<Instant> {
        self.wake
    }

    /// The sockets to listen on.
    pub(super) fn sockets(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.station.sockets()
    }
}
