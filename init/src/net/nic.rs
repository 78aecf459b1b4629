//! One interface while the network comes up: what the kernel says of it, how far it is, and its
//! row in the table of a failure.

use std::fmt;
use std::net::IpAddr;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::rand::{GetRandomFlags, getrandom};

use super::acquire::{Event, Step};
use super::build::preferred;
use super::dual::Dual;
use super::link::{IfName, Mac, NicReport};
use super::netlink::links::Link;
use super::spec::{Method, NetConfig, Over, Request};
use super::{Log, Said, Up};

/// One interface.
#[derive(Debug)]
pub(super) struct Nic {
    link: Link,
    request: Request,
    driver: Option<String>,
    /// What the command line lays over it.
    over: Option<Over>,
    was_raised: bool,
    acquire: Option<Dual>,
    /// When it first asked for an address.
    asking_since: Option<Instant>,
    /// Messages sent before the link last went down.
    sent_before: u32,
    /// The last thing worth telling.
    note: Option<String>,
    /// The last address that turned out to be another's, and whose.
    conflict: Option<(IpAddr, Mac)>,
    /// What the kernel refused last.
    error: Option<Errno>,
}

impl Nic {
    /// An interface that nothing was done with yet.
    pub(super) fn new(link: Link, request: Request, driver: Option<String>) -> Self {
        Self {
            link,
            request,
            driver,
            over: None,
            was_raised: false,
            acquire: None,
            asking_since: None,
            sent_before: 0,
            note: None,
            conflict: None,
            error: None,
        }
    }

    /// The link as the kernel describes it.
    pub(super) fn link(&self) -> &Link {
        &self.link
    }

    /// The hardware address that the command line gives it, where that is another.
    pub(super) fn new_mac(&self) -> Option<Mac> {
        self.request.mac.filter(|mac| Some(*mac) != self.link.mac)
    }

    pub(super) fn name(&self) -> &IfName {
        &self.link.name
    }

    pub(super) fn mtu(&self) -> u32 {
        self.link.mtu
    }

    pub(super) fn has_carrier(&self) -> bool {
        self.link.has_carrier()
    }

    pub(super) fn is_running(&self) -> bool {
        self.link.is_running()
    }

    /// When it first asked for an address.
    pub(super) fn asking_since(&self) -> Option<Instant> {
        self.asking_since
    }

    /// The last address that turned out to be another's, and whose.
    pub(super) fn conflict(&self) -> Option<(IpAddr, Mac)> {
        self.conflict
    }

    /// What the kernel refused last.
    pub(super) fn error(&self) -> Option<Errno> {
        self.error
    }

    /// The messages it has sent.
    pub(super) fn sent(&self) -> u32 {
        self.sent_before + self.acquire.as_ref().map_or(0, Dual::sent)
    }

    /// Whether the node may boot over it.
    pub(super) fn is_candidate(&self) -> bool {
        self.link.unfit().is_none() && self.request.method != Method::Off
    }

    /// Whether it may begin. A static address needs a link that surely sends, as nothing would
    /// show that packets were lost.
    pub(super) fn is_ready(&self) -> bool {
        let asks = !matches!(self.request.method, Method::Static { .. });
        self.is_candidate() && (self.is_running() || asks && self.has_carrier())
    }

    /// Whether it waits to be raised: it may carry the node, or a VLAN that does.
    pub(super) fn should_be_raised(&self) -> bool {
        let carries = matches!(self.over, Some(Over::Vlan(_))) && self.link.unfit().is_none();
        (carries || self.is_candidate()) && !self.was_raised && !self.link.is_up()
    }

    /// Takes note of how raising it went.
    pub(super) fn raised(&mut self, result: Result<(), Errno>, log: Log<'_>) {
        self.was_raised = true;
        if let Err(error) = result {
            log(&format!("{self}: can't be raised: {error}"));
            self.note = Some(format!("can't be raised: {error}"));
        }
    }

    /// Takes in what is known of the link now, and what the command line lays over it.
    pub(super) fn update(
        &mut self,
        link: Link,
        request: Request,
        over: Option<Over>,
        now: Instant,
    ) {
        self.over = over;
        let was_running = self.link.is_running();
        self.link = link;
        if self.acquire.is_none() {
            self.request = request;
        }
        if !self.is_ready() {
            self.stop();
        } else if let Some(acquire) = &mut self.acquire
            && !was_running
            && self.link.is_running()
        {
            acquire.nudge(now);
        }
    }

    /// Begins if it has not, and goes on.
    pub(super) fn step(&mut self, now: Instant, log: Log<'_>) -> Result<Step, Errno> {
        let Some(mac) = self.link.mac else { return Ok(Step::Wait(None)) };
        let mut events = Vec::new();
        let mut tell = |event| events.push(event);
        let acquire = match self.acquire.take() {
            Some(acquire) => acquire,
            None => {
                let link = (self.link.index, &self.link.name, mac);
                Dual::begin(link, &self.request, seed(mac)?, now, &mut tell)?
            }
        };
        if !matches!(self.request.method, Method::Static { .. }) {
            self.asking_since.get_or_insert(now);
        }
        let step = self.acquire.insert(acquire).step(now, &mut tell);
        for event in events {
            self.note_event(event, log);
        }
        if let Ok(Step::Conflict(address, holder)) = step {
            self.conflict = Some((address, holder));
            self.note = Some(format!("{address} is in use by {holder}"));
        }
        step
    }

    /// Gives up what is under way, because of `error`.
    pub(super) fn fail(&mut self, error: Errno) {
        self.note = Some(error.to_string());
        self.error = Some(error);
        self.stop();
    }

    /// The sockets to listen on.
    pub(super) fn sockets(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.acquire.iter().flat_map(Dual::sockets)
    }

    /// The node boots over another one, or is done with this one's sockets.
    pub(super) fn give_back(&mut self) {
        if let Some(acquire) = &mut self.acquire {
            acquire.give_back();
        }
    }

    fn stop(&mut self) {
        self.sent_before = self.sent();
        self.acquire = None;
    }

    fn note_event(&mut self, event: Event, log: Log<'_>) {
        match event {
            Event::Offer(server, address) => {
                log(&format!("{self}: {server} offers {address}"));
                self.note = Some(format!("{server} offered {address}, but did not confirm it"));
            }
            Event::Router(router) => {
                log(&format!("{self}: {router} is a router"));
                self.note = Some(format!("{router} is a router, but leads to no address"));
            }
            Event::Refusal(server, why) => {
                log(&format!("{self}: {server} refuses: {why}"));
                self.note = Some(format!("{server} refused: {why}"));
            }
            Event::Useless(server, why) => {
                self.note.get_or_insert_with(|| format!("message from {server} ignored: {why}"));
            }
            Event::Declined(address, holder) => {
                log(&format!("{self}: {address} is in use by {holder}"));
                self.conflict = Some((address, holder));
                self.note = Some(format!("{address} was to be had, but {holder} has it"));
            }
            Event::NoSix(error) => log(&format!("{self}: has no IPv6: {error}")),
            Event::NoProbe(address, error) => {
                log(&format!("{self}: could not look for holders of {address}: {error}"));
            }
        }
    }

    /// What the node will be, with the address that was granted.
    pub(super) fn outcome(
        &mut self,
        now: Instant,
        config: &NetConfig,
        beneath: Vec<Link>,
        speed: Option<u32>,
    ) -> Option<Up> {
        let (lease, six) = self.acquire.as_mut()?.outcome();
        let request = &self.request;
        let said = Said {
            hostname: request.hostname.clone(),
            dns: config.nameservers.iter().chain(&request.dns).copied().collect(),
            ntp: request.ntp.clone(),
            mtu: request.mtu,
            routes: config.routes_over(&self.link.name, &self.link.macs()),
        };
        let up = Up {
            interface: self.link.name.clone(),
            index: self.link.index,
            mac: self.link.mac?,
            permanent_mac: self.link.permanent_mac,
            driver: self.driver.clone(),
            speed,
            preferred: preferred(config, &beneath),
            beneath,
            addresses: Vec::new(),
            gateway: None,
            routes: Vec::new(),
            dns: Vec::new(),
            search: Vec::new(),
            hostname: None,
            mtu: self.link.mtu,
            ntp: Vec::new(),
            method: request.method,
            lease,
            six,
            said,
            since: now,
            link_wait: Duration::ZERO,
            address_wait: Duration::ZERO,
        };
        Some(up.composed())
    }

    /// Its row in the table of a failure.
    pub(super) fn report(&self, now: Instant) -> NicReport {
        let outcome = if let Some(Over::Bond(bond)) = &self.over {
            format!("member of {bond}")
        } else if let Some(unfit) = self.link.unfit() {
            unfit.to_owned()
        } else if let (Some(Over::Vlan(vlan)), Method::Off) = (&self.over, self.request.method) {
            format!("carries {vlan}")
        } else if self.request.method == Method::Off {
            "left alone, as the command line says".to_owned()
        } else if let Some(since) = self.asking_since {
            let what = self.note.as_deref().unwrap_or("no answer");
            let seconds = now.saturating_duration_since(since).as_secs_f32();
            let lost = if self.has_carrier() { "" } else { "; then carrier was lost" };
            let by = match self.request.method {
                Method::Any => "DHCP and IPv6",
                Method::Dhcp { .. } => "DHCP",
                _ => "IPv6",
            };
            format!("{by}: {} sent in {seconds:.1} s: {what}{lost}", self.sent())
        } else if let Some(note) = &self.note {
            note.clone()
        } else if self.has_carrier() {
            "waited for the interface of BOOTIF=".to_owned()
        } else {
            "no cable, or the other end is down".to_owned()
        };
        let (name, driver) = (self.link.name.clone(), self.driver.clone());
        NicReport { name, mac: self.link.mac, driver, carrier: self.has_carrier(), outcome }
    }
}

impl fmt::Display for Nic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.driver {
            Some(driver) => write!(f, "{} ({driver})", self.link.name),
            None => write!(f, "{}", self.link.name),
        }
    }
}

/// A random number; early in the boot, one that is merely unlikely to be another node's.
pub(super) fn seed(mac: Mac) -> Result<u32, Errno> {
    let mut bytes = [0; 4];
    getrandom(&mut bytes, GetRandomFlags::INSECURE)?;
    let [_, _, a, b, c, d] = mac.0;
    Ok(u32::from_ne_bytes(bytes) ^ u32::from_ne_bytes([a, b, c, d]))
}
