//! Raising all links and taking the first address that any of them comes to.

use std::collections::BTreeMap;
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::apply::apply;
use super::error::NetError;
use super::link::{IfName, NicReport};
use super::netlink::links::Link;
use super::netlink::{LinkEvents, Netlink, News};
use super::nic::{Nic, Step};
use super::spec::NetConfig;
use super::{Log, Up};
use crate::sys;

/// How long the others wait once the interface that the firmware booted from has carrier.
const HEAD_START: Duration = Duration::from_secs(2);
/// How long they wait for it to have carrier at all: gigabit links take three seconds.
const HEAD_START_LINK: Duration = Duration::from_secs(6);

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
            Progress::Up(up) => return Ok(*up),
            Progress::Wait(_) if now >= deadline => return Err(attempt.failure(now)),
            Progress::Wait(next) => next.map_or(deadline, |next| next.min(deadline)),
        };
        attempt.sleep(next)?;
    }
}

struct Attempt<'a> {
    config: &'a NetConfig,
    log: Log<'a>,
    netlink: Netlink,
    events: LinkEvents,
    nics: BTreeMap<u32, Nic>,
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
        let mut next: Option<Instant> = None;
        let mut wake_by = |time: Instant| next = Some(next.map_or(time, |n| n.min(time)));
        let mut ready = None;
        let mut trouble = None;
        let start = |nic: &Nic| may_begin(self.config, nic, self.started, self.bootif_carrier);
        for (index, nic) in &mut self.nics {
            if !nic.is_candidate() || !nic.link.has_carrier() {
                continue;
            }
            let begin = start(nic);
            if now < begin {
                wake_by(begin);
                continue;
            }
            let begun = if nic.has_begun() { Ok(()) } else { nic.begin(now) };
            match begun.and_then(|()| nic.step(now, self.log)) {
                Ok(Step::Wait(time)) => time.into_iter().for_each(&mut wake_by),
                Ok(Step::Ready) => {
                    ready = Some(*index);
                    break;
                }
                Ok(Step::Conflict(address, holder)) => {
                    trouble = Some((nic.link.name.clone(), address, holder));
                }
                Err(error) => {
                    // Most likely the link is going: its event follows. If not, it is tried again.
                    nic.note(format!("{error}"));
                    nic.stop();
                    wake_by(now + Duration::from_secs(1));
                }
            }
        }
        match (ready, trouble) {
            (Some(index), _) => self.configure(index, now).map(|up| Progress::Up(Box::new(up))),
            (None, Some((interface, address, holder))) => {
                Err(NetError::Conflict { interface, address, holder, nics: self.reports(now) })
            }
            (None, None) => Ok(Progress::Wait(next)),
        }
    }

    /// Takes the address that interface `index` came to.
    fn configure(&mut self, index: u32, now: Instant) -> Result<Up, NetError> {
        let nic = self.nics.get(&index);
        let speed = nic.and_then(|nic| {
            // Virtual links know no speed; that is nothing to report.
            sys::net::speed(self.netlink.as_fd(), nic.link.name.as_bytes()).ok().flatten()
        });
        let found = nic.and_then(|nic| {
            Some((nic.link.mtu, nic.outcome(now, &self.config.nameservers, speed)?))
        });
        let Some((link_mtu, up)) = found else {
            return Err(self.kernel("finding the interface again", Errno::NODEV));
        };
        apply(&mut self.netlink, &up, link_mtu, self.log)
            .map_err(|refused| self.kernel(&refused.what, refused.error))?;
        let carrier = self.first_carrier.unwrap_or(now);
        Ok(Up { link_wait: carrier - self.started, address_wait: carrier.elapsed(), ..up })
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

    /// Takes in what is known of a link now, and raises it if it should be up.
    fn changed(&mut self, link: Link) -> Result<(), NetError> {
        let index = link.index;
        if link.is_loopback() {
            return if link.is_up() { Ok(()) } else { self.raise_loopback(index) };
        }
        let request = match link.mac {
            Some(mac) => self.config.for_link(&link.name, mac),
            None => self.config.for_link(&link.name, super::Mac::BROADCAST),
        };
        let had_carrier = self.nics.get(&index).is_some_and(|nic| nic.link.has_carrier());
        let is_new = !self.nics.contains_key(&index);
        let netlink = self.netlink.as_fd();
        let nic = self.nics.entry(index).or_insert_with(|| {
            let driver = sys::net::driver(netlink, link.name.as_bytes()).ok();
            Nic::new(link.clone(), request.clone(), driver)
        });
        nic.link = link;
        if !nic.has_begun() {
            nic.request = request;
        }
        if !nic.is_candidate() || !nic.link.has_carrier() {
            nic.stop();
        }
        if nic.is_candidate()
            && is_new
            && !nic.link.is_up()
            && let Err(error) = self.netlink.set_up(index)
        {
            let name = &nic.link.name;
            (self.log)(&format!("{name}: can't be raised: {error}"));
            nic.note(format!("can't be raised: {error}"));
        }
        if nic.is_candidate() && nic.link.has_carrier() != had_carrier {
            let what = if had_carrier { "carrier lost" } else { "carrier" };
            let line = format!(
                "{} ({}): {what}",
                nic.link.name,
                nic.report(self.started).driver.unwrap_or_default()
            );
            (self.log)(&line);
            self.note_carrier(index);
        }
        Ok(())
    }

    fn raise_loopback(&mut self, index: u32) -> Result<(), NetError> {
        self.netlink.set_up(index).map_err(|error| self.kernel("raising the loopback", error))
    }

    fn note_carrier(&mut self, index: u32) {
        let now = Instant::now();
        let Some(nic) = self.nics.get(&index).filter(|nic| nic.link.has_carrier()) else { return };
        self.first_carrier.get_or_insert(now);
        if self.config.bootif.is_some() && nic.link.mac == self.config.bootif {
            self.bootif_carrier.get_or_insert(now);
        }
    }

    fn kernel(&self, what: &str, error: Errno) -> NetError {
        NetError::Kernel { what: what.to_owned(), error, nics: self.reports(Instant::now()) }
    }

    fn reports(&self, now: Instant) -> Vec<NicReport> {
        self.nics.values().map(|nic| nic.report(now)).collect()
    }

    /// Why there is no network, now that time is up.
    fn failure(&self, now: Instant) -> NetError {
        let nics = self.reports(now);
        let waited = now - self.started;
        let candidates: Vec<&Nic> = self.nics.values().filter(|nic| nic.is_candidate()).collect();
        if candidates.is_empty() {
            return NetError::NoInterface { waited, nics };
        }
        let conflict = |nic: &&Nic| Some((nic.link.name.clone(), nic.conflict()?));
        if let Some((interface, (address, holder))) = candidates.iter().find_map(conflict) {
            return NetError::Conflict { interface, address, holder, nics };
        }
        let asked: Vec<&&Nic> = candidates.iter().filter(|nic| nic.sent() > 0).collect();
        if asked.is_empty() {
            return NetError::NoCarrier { waited, nics };
        }
        let interfaces: Vec<IfName> = asked.iter().map(|nic| nic.link.name.clone()).collect();
        let since = asked.iter().filter_map(|nic| nic.asking_since()).min();
        NetError::NoAnswer {
            interfaces,
            waited: since.map_or(waited, |since| now - since),
            sends: asked.iter().map(|nic| nic.sent()).sum(),
            nics,
        }
    }
}

/// When `nic` may begin: at once, or after the one the firmware booted from had its head start.
fn may_begin(
    config: &NetConfig,
    nic: &Nic,
    started: Instant,
    bootif_carrier: Option<Instant>,
) -> Instant {
    if config.bootif.is_none() || nic.link.mac == config.bootif {
        return started;
    }
    bootif_carrier.map_or(started + HEAD_START_LINK, |carrier| carrier + HEAD_START)
}
