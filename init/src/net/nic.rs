//! One interface on its way to an address: DHCP or the command line's, then a look whether anyone
//! else has it.

use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::rand::{GetRandomFlags, getrandom};

use super::arp;
use super::dhcp::client::{Client, Outcome};
use super::dhcp::frame;
use super::dhcp::lease::{Lease, Route};
use super::dhcp::packet::Reply;
use super::link::{Mac, NicReport};
use super::netlink::links::Link;
use super::socket::PacketSocket;
use super::spec::{Method, Request};
use super::{Address, How, Log, Said, Up};

/// While a node boots, DHCP is never silent for longer.
const LONGEST_WAIT: Duration = Duration::from_secs(4);
/// How long an answer to "who has this address" is waited for: hosts give it in a millisecond.
/// A server has looked itself before it granted, a command line has not.
const GRANTED_PROBE: Duration = Duration::from_millis(25);
const STATIC_PROBE: Duration = Duration::from_millis(200);

/// One interface.
#[derive(Debug)]
pub(super) struct Nic {
    pub(super) link: Link,
    pub(super) request: Request,
    driver: Option<String>,
    /// Since when it is asking, and with what.
    asking: Option<Asking>,
    probe: Option<Probe>,
    granted: Option<Grant>,
    /// The last thing worth telling.
    note: Option<String>,
    /// Messages sent before the link last went down.
    sent_before: u32,
    conflict: Option<(Ipv4Addr, Mac)>,
}

#[derive(Debug)]
struct Asking {
    since: Instant,
    socket: PacketSocket,
    client: Client,
}

#[derive(Debug)]
struct Probe {
    socket: PacketSocket,
    address: Ipv4Addr,
    until: Instant,
    holder: Option<Mac>,
}

/// An address that may be taken if no one else has it.
#[derive(Debug, Clone)]
enum Grant {
    Lease(Lease),
    Static { address: Ipv4Addr, prefix: u8, gateway: Option<Ipv4Addr> },
}

impl Grant {
    fn address(&self) -> Ipv4Addr {
        match self {
            Self::Lease(lease) => lease.address,
            Self::Static { address, .. } => *address,
        }
    }
}

/// How far an interface is.
#[derive(Debug)]
pub(super) enum Step {
    /// Nothing to do until something comes in, or until then.
    Wait(Option<Instant>),
    /// The command line's address is someone else's.
    Conflict(Ipv4Addr, Mac),
    /// The address can be taken.
    Ready,
}

impl Nic {
    /// An interface that nothing was done with yet.
    pub(super) fn new(link: Link, request: Request, driver: Option<String>) -> Self {
        Self {
            link,
            request,
            driver,
            asking: None,
            probe: None,
            granted: None,
            note: None,
            sent_before: 0,
            conflict: None,
        }
    }

    /// Whether the node may boot over it.
    pub(super) fn is_candidate(&self) -> bool {
        self.link.unfit().is_none() && self.request.method != Method::Off
    }

    /// Whether it has begun.
    pub(super) fn has_begun(&self) -> bool {
        self.asking.is_some() || self.granted.is_some()
    }

    /// Since when it asks by DHCP.
    pub(super) fn asking_since(&self) -> Option<Instant> {
        self.asking.as_ref().map(|asking| asking.since)
    }

    /// The DHCP messages it has sent.
    pub(super) fn sent(&self) -> u32 {
        self.sent_before + self.asking.as_ref().map_or(0, |asking| asking.client.sent())
    }

    /// The last address that turned out to be another's.
    pub(super) fn conflict(&self) -> Option<(Ipv4Addr, Mac)> {
        self.conflict
    }

    /// Notes what the table should say of it.
    pub(super) fn note(&mut self, text: String) {
        self.note = Some(text);
    }

    /// Begins, now that there is carrier.
    pub(super) fn begin(&mut self, now: Instant) -> Result<(), Errno> {
        let Some(mac) = self.link.mac else { return Ok(()) };
        match self.request.method {
            Method::Off => {}
            Method::Static { address, prefix, gateway } => {
                self.granted = Some(Grant::Static { address, prefix, gateway });
                self.look_for(mac, address, now + STATIC_PROBE);
            }
            Method::Dhcp { requested } => {
                let client = Client::new(mac, seed(mac)?, now, LONGEST_WAIT)
                    .wishing(self.request.hostname.clone(), requested);
                let socket = PacketSocket::dhcp(self.link.index)?;
                self.asking = Some(Asking { since: now, socket, client });
            }
        }
        Ok(())
    }

    /// Forgets what is under way: the link went down.
    pub(super) fn stop(&mut self) {
        self.sent_before = self.sent();
        self.asking = None;
        self.probe = None;
        self.granted = None;
    }

    /// The sockets to listen on.
    pub(super) fn sockets(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let asking = self.asking.as_ref().map(|asking| asking.socket.as_fd());
        asking.into_iter().chain(self.probe.as_ref().map(|probe| probe.socket.as_fd()))
    }

    /// Reads what came in and sends what is due.
    pub(super) fn step(&mut self, now: Instant, log: Log<'_>) -> Result<Step, Errno> {
        self.hear_arp()?;
        self.hear_dhcp(now, log)?;
        if let Some(step) = self.weigh_grant(now, log)? {
            return Ok(step);
        }
        let Some(asking) = &mut self.asking else { return Ok(Step::Wait(None)) };
        if let Some(message) = asking.client.message(now) {
            let datagram = frame::wrap(Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST, &message);
            asking.socket.broadcast(&datagram)?;
        }
        Ok(Step::Wait(Some(asking.client.due())))
    }

    /// Whether the granted address can be taken, where there is one.
    fn weigh_grant(&mut self, now: Instant, log: Log<'_>) -> Result<Option<Step>, Errno> {
        let Some(grant) = &self.granted else { return Ok(None) };
        let address = grant.address();
        let probe = self.probe.as_ref().filter(|probe| probe.address == address);
        let Some(holder) = probe.and_then(|probe| probe.holder) else {
            let until = probe.map(|probe| probe.until).filter(|until| now < *until);
            return Ok(Some(until.map_or(Step::Ready, |until| Step::Wait(Some(until)))));
        };
        self.conflict = Some((address, holder));
        let (Grant::Lease(lease), Some(asking)) = (grant, &mut self.asking) else {
            return Ok(Some(Step::Conflict(address, holder)));
        };
        log(&format!("{}: {address} is in use by {holder}; declined", self.link.name));
        let message = asking.client.decline(now, lease);
        let datagram = frame::wrap(Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST, &message);
        asking.socket.broadcast(&datagram)?;
        self.note = Some(format!("granted {address}, but {holder} has it"));
        self.granted = None;
        self.probe = None;
        Ok(None)
    }

    fn hear_arp(&mut self) -> Result<(), Errno> {
        let (Some(probe), Some(mac)) = (&mut self.probe, self.link.mac) else { return Ok(()) };
        for packet in probe.socket.receive()? {
            probe.holder = probe.holder.or(arp::holder(&packet, mac, probe.address));
        }
        Ok(())
    }

    fn hear_dhcp(&mut self, now: Instant, log: Log<'_>) -> Result<(), Errno> {
        let (Some(asking), Some(mac)) = (&mut self.asking, self.link.mac) else { return Ok(()) };
        for datagram in asking.socket.receive()? {
            let Some((sender, message)) = frame::unwrap(&datagram) else { continue };
            let asking = match &mut self.asking {
                Some(asking) if self.granted.is_none() => asking,
                _ => return Ok(()),
            };
            let outcome = match Reply::decode(message) {
                Ok(reply) => asking.client.receive(now, &reply),
                Err(error) => Outcome::Ignored(format!("malformed message: {error}")),
            };
            let name = &self.link.name;
            match outcome {
                Outcome::Ignored(why) => {
                    self.note.get_or_insert_with(|| format!("from {sender}: {why}"));
                }
                Outcome::Refused(why) => {
                    log(&format!("{name}: {sender} refuses: {why}"));
                    self.note = Some(format!("{sender} refuses: {why}"));
                }
                Outcome::Offered(lease) => {
                    log(&format!("{name}: {} offers {}", lease.server, lease.address));
                    let (server, address) = (lease.server, lease.address);
                    self.note = Some(format!("{server} offered {address}, but never confirmed it"));
                    self.look_for(mac, address, now + GRANTED_PROBE);
                }
                Outcome::Granted(lease) => {
                    if self.probe.as_ref().is_none_or(|probe| probe.address != lease.address) {
                        self.look_for(mac, lease.address, now + GRANTED_PROBE);
                    }
                    self.granted = Some(Grant::Lease(lease));
                }
            }
        }
        Ok(())
    }

    /// Asks the link whether anyone has `address`.
    fn look_for(&mut self, mac: Mac, address: Ipv4Addr, until: Instant) {
        let probe = PacketSocket::arp(self.link.index).and_then(|socket| {
            socket.broadcast(&arp::probe(mac, address))?;
            Ok(Probe { socket, address, until, holder: None })
        });
        match probe {
            Ok(probe) => self.probe = Some(probe),
            // No reason to have no network: the address is most likely ours.
            Err(error) => self.note = Some(format!("looking for holders of {address}: {error}")),
        }
    }

    /// What the node will be, with the address that was granted.
    pub(super) fn outcome(
        &self,
        now: Instant,
        nameservers: &[IpAddr],
        speed: Option<u32>,
    ) -> Option<Up> {
        let grant = self.granted.clone()?;
        let request = &self.request;
        let said = Said {
            hostname: request.hostname.clone(),
            dns: nameservers.iter().chain(&request.dns).copied().collect(),
            ntp: request.ntp.clone(),
            mtu: request.mtu,
        };
        let up = Up {
            interface: self.link.name.clone(),
            index: self.link.index,
            mac: self.link.mac?,
            permanent_mac: self.link.permanent_mac,
            driver: self.driver.clone(),
            speed,
            addresses: Vec::new(),
            gateway: None,
            routes: Vec::new(),
            dns: said.dns.clone(),
            search: Vec::new(),
            hostname: said.hostname.clone(),
            mtu: said.mtu.unwrap_or(self.link.mtu),
            ntp: said.ntp.clone(),
            lease: None,
            how: How::Static,
            said,
            since: now,
            link_wait: Duration::ZERO,
            address_wait: Duration::ZERO,
        };
        Some(match grant {
            Grant::Lease(lease) => up.with_lease(lease),
            Grant::Static { address, prefix, gateway } => Up {
                addresses: vec![Address { ip: address.into(), prefix }],
                gateway: gateway.map(IpAddr::V4),
                routes: gateway.map(Route::default_via).into_iter().collect(),
                ..up
            },
        })
    }

    /// Its row in the table of a failure.
    pub(super) fn report(&self, now: Instant) -> NicReport {
        let outcome = if let Some(unfit) = self.link.unfit() {
            unfit.to_owned()
        } else if self.request.method == Method::Off {
            "left alone, as the command line says".to_owned()
        } else if self.sent() > 0 {
            let what = self.note.as_deref().unwrap_or("no answer");
            let since = self.asking_since().map(|since| (now - since).as_secs_f32());
            let when = since.map(|s| format!(" in {s:.1} s")).unwrap_or_default();
            format!("DHCP: {} sent{when}: {what}", self.sent())
        } else if let Some(note) = &self.note {
            note.clone()
        } else if self.link.has_carrier() {
            "waited its turn".to_owned()
        } else {
            "no cable, or the other end is down".to_owned()
        };
        NicReport {
            name: self.link.name.clone(),
            mac: self.link.mac,
            driver: self.driver.clone(),
            carrier: self.link.has_carrier(),
            outcome,
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
