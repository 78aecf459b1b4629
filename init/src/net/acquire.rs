//! Coming to an address of IPv4 on one link: by DHCP or from the command line, then a look whether anyone
//! else has it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::time::{Duration, Instant};

use rustix::io::Errno;

use super::arp;
use super::dhcp::client::{Client, Outcome};
use super::dhcp::frame;
use super::dhcp::lease::Lease;
use super::dhcp::packet::Reply;
use super::link::Mac;
use super::socket::PacketSocket;
use super::spec::{Method, Request};

/// While a node boots, DHCP is never silent for longer.
const LONGEST_WAIT: Duration = Duration::from_secs(4);
/// How long an answer to "who has this address" is waited for: hosts give it in a millisecond.
/// A server has looked itself before it granted, a command line has not.
const GRANTED_PROBE: Duration = Duration::from_millis(25);
const STATIC_PROBE: Duration = Duration::from_millis(200);

/// The way to an address on one link.
#[derive(Debug)]
pub(super) struct Acquire {
    index: u32,
    mac: Mac,
    dhcp: Option<Dhcp>,
    probe: Option<Probe>,
    grant: Option<Grant>,
}

#[derive(Debug)]
struct Dhcp {
    socket: PacketSocket,
    client: Client,
}

/// A question for holders of an address.
#[derive(Debug)]
struct Probe {
    socket: PacketSocket,
    address: Ipv4Addr,
    /// When it is asked once more, in case the first was lost.
    again: Option<Instant>,
    until: Instant,
    holder: Option<Mac>,
}

/// An address that may be taken if no one else has it.
#[derive(Debug, Clone)]
pub(super) enum Grant {
    /// A server's.
    Lease(Lease),
    /// The command line's address.
    Static(Ipv4Addr),
}

/// How far it is.
#[derive(Debug)]
pub(super) enum Step {
    /// Nothing to do until something comes in, or until then.
    Wait(Option<Instant>),
    /// The command line's address is someone else's.
    Conflict(IpAddr, Mac),
    /// The address can be taken.
    Ready,
}

/// Something worth telling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Event {
    /// A server (the first address) offers the second.
    Offer(IpAddr, IpAddr),
    /// A router of IPv6 was heard.
    Router(Ipv6Addr),
    /// A server refuses, and says why.
    Refusal(IpAddr, String),
    /// A message was of no use, and why.
    Useless(IpAddr, String),
    /// The granted address is someone else's, and was declined.
    Declined(IpAddr, Mac),
    /// The link can have no IPv6.
    NoSix(Errno),
    /// The link could not be asked for holders of the address.
    NoProbe(IpAddr, Errno),
}

impl Acquire {
    /// Begins on link `index` with address `mac`; `seed` is random.
    pub(super) fn begin(
        index: u32,
        mac: Mac,
        request: &Request,
        seed: u32,
        now: Instant,
        tell: &mut dyn FnMut(Event),
    ) -> Result<Self, Errno> {
        let mut this = Self { index, mac, dhcp: None, probe: None, grant: None };
        match request.method {
            Method::Static { address: IpAddr::V4(address), .. } => {
                this.grant = Some(Grant::Static(address));
                this.look_for(address, now, STATIC_PROBE, tell);
            }
            Method::Any | Method::Dhcp { .. } => {
                let requested = match request.method {
                    Method::Dhcp { requested } => requested,
                    _ => None,
                };
                let client = Client::new(mac, seed, now, LONGEST_WAIT)
                    .wishing(request.hostname.clone(), requested);
                this.dhcp = Some(Dhcp { socket: PacketSocket::dhcp(index)?, client });
            }
            // None of IPv4's.
            _ => {}
        }
        Ok(this)
    }

    /// Whether `method` wants IPv4.
    pub(super) fn is_wanted(method: Method) -> bool {
        match method {
            Method::Any | Method::Dhcp { .. } => true,
            Method::Static { address, .. } => address.is_ipv4(),
            Method::Auto6 | Method::Dhcp6 | Method::Either6 | Method::Link6 | Method::Off => false,
        }
    }

    /// Whether a server has answered, so that it is worth a short wait.
    pub(super) fn is_promising(&self) -> bool {
        self.grant.is_some() || self.probe.is_some()
    }

    /// What was granted.
    pub(super) fn grant(&self) -> Option<&Grant> {
        self.grant.as_ref()
    }

    /// The DHCP messages it has sent.
    pub(super) fn sent(&self) -> u32 {
        self.dhcp.as_ref().map_or(0, |dhcp| dhcp.client.sent())
    }

    /// Asks once more: what was sent before may have been lost in the kernel.
    pub(super) fn nudge(&mut self, now: Instant) {
        if let Some(dhcp) = &mut self.dhcp {
            dhcp.client.nudge(now);
        }
    }

    /// The sockets to listen on.
    pub(super) fn sockets(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let dhcp = self.dhcp.as_ref().map(|dhcp| dhcp.socket.as_fd());
        dhcp.into_iter().chain(self.probe.as_ref().map(|probe| probe.socket.as_fd()))
    }

    /// Reads what came in and sends what is due.
    pub(super) fn step(
        &mut self,
        now: Instant,
        tell: &mut dyn FnMut(Event),
    ) -> Result<Step, Errno> {
        self.hear_arp(now)?;
        self.hear_dhcp(now, tell)?;
        if let Some(step) = self.weigh_grant(now, tell)? {
            return Ok(step);
        }
        let Some(dhcp) = &mut self.dhcp else { return Ok(Step::Wait(None)) };
        if let Some(message) = dhcp.client.message(now) {
            dhcp.broadcast(&message)?;
        }
        Ok(Step::Wait(Some(dhcp.client.due())))
    }

    /// Whether the granted address can be taken, where there is one.
    fn weigh_grant(
        &mut self,
        now: Instant,
        tell: &mut dyn FnMut(Event),
    ) -> Result<Option<Step>, Errno> {
        let Some(grant) = &self.grant else { return Ok(None) };
        let address = grant.address();
        let probe = self.probe.as_ref().filter(|probe| IpAddr::V4(probe.address) == address);
        let Some(holder) = probe.and_then(|probe| probe.holder) else {
            let asking = probe.filter(|probe| now < probe.until);
            let wake = |probe: &Probe| Step::Wait(Some(probe.again.unwrap_or(probe.until)));
            return Ok(Some(asking.map_or(Step::Ready, wake)));
        };
        let (Grant::Lease(lease), Some(dhcp)) = (grant, &mut self.dhcp) else {
            return Ok(Some(Step::Conflict(address, holder)));
        };
        let message = dhcp.client.decline(now, lease);
        dhcp.broadcast(&message)?;
        tell(Event::Declined(lease.address.into(), holder));
        self.grant = None;
        self.probe = None;
        Ok(None)
    }

    fn hear_arp(&mut self, now: Instant) -> Result<(), Errno> {
        let Some(probe) = &mut self.probe else { return Ok(()) };
        if probe.again.take_if(|again| *again <= now).is_some() {
            probe.socket.broadcast(&arp::probe(self.mac, probe.address))?;
        }
        for packet in probe.socket.receive()? {
            probe.holder = probe.holder.or(arp::holder(&packet, self.mac, probe.address));
        }
        Ok(())
    }

    fn hear_dhcp(&mut self, now: Instant, tell: &mut dyn FnMut(Event)) -> Result<(), Errno> {
        let Some(dhcp) = &self.dhcp else { return Ok(()) };
        for datagram in dhcp.socket.receive()? {
            let Some((sender, message)) = frame::unwrap(&datagram) else { continue };
            match (Reply::decode(message), &mut self.dhcp) {
                (Ok(reply), Some(dhcp)) if self.grant.is_none() => {
                    let outcome = dhcp.client.receive(now, &reply);
                    self.take(outcome, sender, now, tell);
                }
                (Ok(_), _) => {}
                (Err(error), _) => {
                    tell(Event::Useless(sender.into(), format!("malformed: {error}")));
                }
            }
        }
        Ok(())
    }

    fn take(
        &mut self,
        outcome: Outcome,
        sender: Ipv4Addr,
        now: Instant,
        tell: &mut dyn FnMut(Event),
    ) {
        match outcome {
            Outcome::Ignored(why) => tell(Event::Useless(sender.into(), why)),
            Outcome::Refused(why) => tell(Event::Refusal(sender.into(), why)),
            Outcome::Offered(lease) => {
                tell(Event::Offer(lease.server.into(), lease.address.into()));
                // While the server makes up its mind: so it costs no time.
                self.look_for(lease.address, now, GRANTED_PROBE, tell);
            }
            Outcome::Granted(lease) => {
                if self.probe.as_ref().is_none_or(|probe| probe.address != lease.address) {
                    self.look_for(lease.address, now, GRANTED_PROBE, tell);
                }
                self.grant = Some(Grant::Lease(lease));
            }
        }
    }

    /// Asks the link whether anyone has `address`. Where that can't be done, it is most likely
    /// free, and no reason to have no network.
    fn look_for(
        &mut self,
        address: Ipv4Addr,
        now: Instant,
        patience: Duration,
        tell: &mut dyn FnMut(Event),
    ) {
        let probe = PacketSocket::arp(self.index).and_then(|socket| {
            socket.broadcast(&arp::probe(self.mac, address))?;
            let (again, until) = (Some(now + patience / 2), now + patience);
            Ok(Probe { socket, address, again, until, holder: None })
        });
        match probe {
            Ok(probe) => self.probe = Some(probe),
            Err(error) => tell(Event::NoProbe(address.into(), error)),
        }
    }
}

impl Dhcp {
    fn broadcast(&self, message: &[u8]) -> Result<(), Errno> {
        let datagram = frame::wrap(Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST, message);
        self.socket.broadcast(&datagram)
    }
}

impl Grant {
    fn address(&self) -> IpAddr {
        match self {
            Self::Lease(lease) => lease.address.into(),
            Self::Static(address) => (*address).into(),
        }
    }
}
