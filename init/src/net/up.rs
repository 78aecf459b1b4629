//! Raising all links and taking the first address that any of them comes to.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::acquire::Step;
use super::apply::apply;
use super::build::{Builder, beneath};
use super::error::NetError;
use super::link::{IfName, NicReport};
use super::netlink::links::Link;
use super::netlink::{LinkEvents, Netlink, News};
use super::nic::Nic;
use super::spec::NetConfig;
use super::{Log, Up};
use crate::{aside, sys};

mod links;

/// How long to wait before what an interface refused is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// How long the others wait once the interface that the firmware booted from has carrier.
pub(in crate::net) const HEAD_START: Duration = Duration::from_secs(2);
/// How long they wait for it to have carrier at all: gigabit links take three seconds.
pub(in crate::net) const HEAD_START_LINK: Duration = Duration::from_secs(6);

/// Brings the network up as `config` says, by `deadline`: raises the links, waits for carrier,
/// gets an address on whichever interface has one first, and configures it.
pub(crate) fn up(config: &NetConfig, deadline: Instant, log: Log<'_>) -> Result<Up, NetError> {
    if config.is_off() {
        return Err(NetError::Off);
    }
    let mut attempt = Attempt::new(config, log)?;
    attempt.list_links()?;
    loop {
        let now = Instant::now();
        let next = match attempt.step(now)? {
            Progress::Up(up) => {
                close(attempt.nics, &up);
                return Ok(*up);
            }
            Progress::Wait(_) if now >= deadline => return Err(attempt.failure(now)),
            Progress::Wait(next) => next.map_or(deadline, |next| next.min(deadline)),
        };
        attempt.sleep(next)?;
    }
}

/// Closes what listened on the links. The boot goes on meanwhile: the kernel takes up to 16 ms for
/// each such socket, as it waits until no processor is about to hand it a packet.
///
/// Not so where there are addresses of IPv6: the kernel takes packets for one only a moment after it
/// was set, so that the first answer would be lost, and asked for again a second later.
fn close(mut nics: BTreeMap<u32, Nic>, up: &Up) {
    if up.addresses.iter().any(|address| address.ip.is_ipv6()) {
        return;
    }
    nics.values_mut().for_each(Nic::give_back);
    // Where there can be no thread, they are closed by now.
    drop(aside::start("close", move || drop(nics)));
}

struct Attempt<'a> {
    config: &'a NetConfig,
    log: Log<'a>,
    netlink: Netlink,
    events: LinkEvents,
    nics: BTreeMap<u32, Nic>,
    builder: Builder,
    started: Instant,
    first_carrier: Option<Instant>,
    /// When the interface the firmware booted from had carrier.
    bootif_carrier: Option<Instant>,
}

enum Progress {
    Wait(Option<Instant>),
    Up(Box<Up>),
}

impl<'a> Attempt<'a> {
    fn new(config: &'a NetConfig, log: Log<'a>) -> Result<Self, NetError> {
        let kernel = |what: &str| {
            let what = what.to_owned();
            move |error| NetError::Kernel { what, error, nics: Vec::new() }
        };
        // Events first, so that no change after the list is missed.
        let events = LinkEvents::open().map_err(kernel("listening for network interfaces"))?;
        let netlink = Netlink::open().map_err(kernel("opening rtnetlink"))?;
        Ok(Self {
            config,
            log,
            netlink,
            events,
            nics: BTreeMap::new(),
            builder: Builder::default(),
            started: Instant::now(),
            first_carrier: None,
            bootif_carrier: None,
        })
    }

    /// Takes stock of all links.
    fn list_links(&mut self) -> Result<(), NetError> {
        let links = self.netlink.links();
        let links = links.map_err(|error| self.kernel("listing network interfaces", error))?;
        self.nics.retain(|index, _| links.iter().any(|link| link.index == *index));
        for link in links {
            self.changed(link)?;
        }
        Ok(())
    }

    /// Moves every interface on; the first that has an address is configured.
    fn step(&mut self, now: Instant) -> Result<Progress, NetError> {
        let mut wakes: Vec<Instant> = self.build(now)?.into_iter().collect();
        self.raise();
        let mut end = None;
        for (index, begin) in self.begins() {
            let Some(nic) = self.nics.get_mut(&index).filter(|_| now >= begin) else {
                wakes.push(begin);
                continue;
            };
            match nic.step(now, self.log) {
                Ok(Step::Wait(time)) => wakes.extend(time),
                Ok(end_of_it) => {
                    end = Some((index, end_of_it));
                    break;
                }
                Err(error) => {
                    // Most likely the link is going: its event follows. If not, it is tried again.
                    nic.fail(error);
                    wakes.push(now + RETRY);
                }
            }
        }
        match end {
            Some((index, Step::Conflict(address, holder))) => {
                let interface = self.nics.get(&index).map(|nic| nic.name().clone());
                let interface = interface.ok_or_else(|| self.vanished())?;
                Err(NetError::Conflict { interface, address, holder, nics: self.reports(now) })
            }
            Some((index, _)) => self.configure(index, now).map(|up| Progress::Up(Box::new(up))),
            None => Ok(Progress::Wait(wakes.into_iter().min())),
        }
    }

    /// Takes the address that interface `index` came to.
    fn configure(&mut self, index: u32, now: Instant) -> Result<Up, NetError> {
        let (vanished, under) = (self.vanished(), beneath(&self.links(), index));
        let Some(nic) = self.nics.get_mut(&index) else { return Err(vanished) };
        // Virtual links know no speed; that is nothing to report.
        let speed = sys::net::speed(self.netlink.as_fd(), nic.name().as_bytes()).ok().flatten();
        let up = nic.outcome(now, self.config, under, speed);
        let (mtu, up) = (nic.mtu(), up.ok_or(vanished)?);
        let mtu = apply(&mut self.netlink, &up, mtu, self.log)
            .map_err(|refused| self.kernel(&refused.what, refused.error))?;
        let carrier = self.first_carrier.unwrap_or(now);
        Ok(Up { mtu, link_wait: carrier - self.started, address_wait: carrier.elapsed(), ..up })
    }

    /// Waits for packets, news of links, or `until`.
    fn sleep(&mut self, until: Instant) -> Result<(), NetError> {
        let timeout = until.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(timeout).ok();
        let sockets = self.nics.values().flat_map(Nic::sockets);
        let all = std::iter::once(self.events.as_fd()).chain(sockets);
        let mut polled: Vec<_> =
            all.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
        match poll(&mut polled, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(self.kernel("waiting for packets", error)),
        }
        let events = self.events.read();
        match events.map_err(|error| self.kernel("reading news of interfaces", error))? {
            None => self.list_links(),
            Some(news) => news.into_iter().try_for_each(|news| match news {
                News::Changed(link) => self.changed(link),
                News::Gone(index) => {
                    self.nics.remove(&index);
                    Ok(())
                }
            }),
        }
    }

    /// Takes in what is known of a link now.
    fn changed(&mut self, link: Link) -> Result<(), NetError> {
        let (index, now) = (link.index, Instant::now());
        if link.is_loopback() {
            return if link.is_up() { Ok(()) } else { self.raise_loopback(index) };
        }
        let (name, macs) = (&link.name, link.macs());
        let (request, over) = (self.config.for_link(name, &macs), self.config.over(name, &macs));
        let netlink = &self.netlink;
        let nic = match self.nics.entry(index) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => {
                let driver = sys::net::driver(netlink.as_fd(), link.name.as_bytes()).ok();
                // As if nothing were known of it yet: what it is now is its first change.
                new.insert(Nic::new(Link { flags: 0, ..link.clone() }, request.clone(), driver))
            }
        };
        let had_carrier = nic.has_carrier();
        nic.update(link, request, over, now);
        if !nic.is_candidate() || had_carrier == nic.has_carrier() {
            return Ok(());
        }
        let change = if had_carrier { "carrier lost" } else { "carrier" };
        (self.log)(&format!("{nic}: {change}"));
        if nic.has_carrier() {
            self.first_carrier.get_or_insert(now);
            if self.is_bootif(index) {
                self.bootif_carrier.get_or_insert(now);
            }
        }
        Ok(())
    }

    fn raise_loopback(&mut self, index: u32) -> Result<(), NetError> {
        self.netlink.set_up(index).map_err(|error| self.kernel("raising the loopback", error))
    }

    fn vanished(&self) -> NetError {
        self.kernel("finding the interface again", Errno::NODEV)
    }

    fn kernel(&self, what: &str, error: Errno) -> NetError {
        NetError::Kernel { what: what.to_owned(), error, nics: self.reports(Instant::now()) }
    }

    fn reports(&self, now: Instant) -> Vec<NicReport> {
        let rows = self.nics.values().map(|nic| nic.report(now));
        rows.chain(self.builder.missing(self.config, &self.links())).collect()
    }

    /// Why there is no network, now that time is up.
    fn failure(&self, now: Instant) -> NetError {
        let nics = self.reports(now);
        let waited = now - self.started;
        let candidates: Vec<&Nic> = self.nics.values().filter(|nic| nic.is_candidate()).collect();
        if candidates.is_empty() {
            return NetError::NoInterface { waited, nics };
        }
        let conflict = |nic: &&Nic| Some((nic.name().clone(), nic.conflict()?));
        if let Some((interface, (address, holder))) = candidates.iter().find_map(conflict) {
            return NetError::Conflict { interface, address, holder, nics };
        }
        let asked: Vec<&&Nic> = candidates.iter().filter(|nic| nic.sent() > 0).collect();
        let refused = |nic: &&Nic| Some((nic.name().clone(), nic.error()?));
        if asked.is_empty() && !candidates.iter().any(|nic| nic.is_ready()) {
            return NetError::NoCarrier { waited, nics };
        }
        if asked.is_empty()
            && let Some((name, error)) = candidates.iter().find_map(refused)
        {
            return NetError::Kernel { what: format!("asking on {name}"), error, nics };
        }
        let interfaces: Vec<IfName> = asked.iter().map(|nic| nic.name().clone()).collect();
        let since = asked.iter().filter_map(|nic| nic.asking_since()).min();
        NetError::NoAnswer {
            interfaces,
            waited: since.map_or(waited, |since| now - since),
            sends: asked.iter().map(|nic| nic.sent()).sum(),
            nics,
        }
    }
}
