//! A station of IPv6: asks routers and DHCPv6 servers on one link, hears what they say for as long
//! as the node lives, and looks for holders of each address before it is taken.

mod servers;

use std::net::{IpAddr, Ipv6Addr};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::time::{Duration, Instant};

use rustix::io::Errno;

use super::frame::{self, Packet};
use super::holders::Holders;
use super::kernel::KernelWay;
use super::ndp::{self, Advert};
use super::{Fixed, Six};
use crate::net::acquire::Event;
use crate::net::dhcp6::client::{BOOT_WAIT, Client, Phase};
use crate::net::dhcp6::packet::Reply;
use crate::net::link::{IfName, Mac};
use crate::net::netlink::Netlink;
use crate::net::socket::PacketSocket;
use crate::net::spec::Method;

/// The wait for an answer to the first router solicitation; it doubles with each.
const FIRST_WAIT: Duration = Duration::from_millis(300);
/// A running node asks for routers so often, each time it has lost them.
const SOLICITATIONS: u32 = 3;
/// How long an answer to "who has this address" is waited for: hosts give it in a millisecond. The
/// address of a MAC, or one that a server gave, is hardly ever another's; the command line's may be.
const GRANTED_PROBE: Duration = Duration::from_millis(25);
const FIXED_PROBE: Duration = Duration::from_millis(200);
/// A running node has time for what the RFC wants.
const CALM_PROBE: Duration = Duration::from_secs(1);
/// How long DHCPv6 may take to tell what routers leave to it, once there is an address.
const DHCP_PATIENCE: Duration = Duration::from_secs(2);
/// How long the first router may take once there is an address.
const ROUTER_PATIENCE: Duration = Duration::from_secs(1);
/// When routers' word has come to nothing, and DHCPv6 is tried.
const EITHER_PATIENCE: Duration = Duration::from_secs(3);
/// All DHCPv6 servers and relays of the link.
const SERVERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 1, 2);

/// A link's IPv6, under way or kept.
#[derive(Debug)]
pub(crate) struct Station {
    mac: Mac,
    method: Method,
    seed: u32,
    socket: PacketSocket,
    kernel: Option<KernelWay>,
    six: Six,
    holders: Holders,
    client: Option<Client>,
    began: Instant,
    solicit_due: Option<Instant>,
    solicited: u32,
    is_booting: bool,
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// There is nothing to use yet.
    Nothing,
    /// There is an address; until then it is worth waiting for more.
    Usable(Instant),
    /// There is all that can be expected.
    Ready,
    /// The command line's address is someone else's.
    Conflict(Ipv6Addr, Mac),
}

impl Station {
    /// Whether `method` wants IPv6.
    pub(crate) fn is_wanted(method: Method) -> bool {
        match method {
            Method::Any | Method::Auto6 | Method::Dhcp6 | Method::Either6 | Method::Link6 => true,
            Method::Static { address, .. } => address.is_ipv6(),
            Method::Dhcp { .. } | Method::Off => false,
        }
    }

    /// Begins on link `index`, called `name`, with address `mac`; `seed` is random. The link gets
    /// its own address at once: two stations of one MAC could not share a link anyway.
    pub(crate) fn begin(
        (index, name, mac): (u32, &IfName, Mac),
        method: Method,
        seed: u32,
        now: Instant,
    ) -> Result<Self, Errno> {
        let fixed = match method {
            Method::Static { address: IpAddr::V6(address), prefix, gateway } => {
                Some(Fixed { address, prefix, gateway })
            }
            _ => None,
        };
        let is_autonomous = matches!(method, Method::Any | Method::Auto6 | Method::Either6);
        let six = Six::new(mac, is_autonomous, fixed);
        let kernel = KernelWay::suspend(name);
        Netlink::open()?.set_link_local(index, six.link_local)?;
        let mut station = Self::open(index, mac, method, seed, six, now)?;
        station.kernel = kernel;
        if method == Method::Dhcp6 {
            station.client = Some(Client::new(mac, true, seed, now));
        }
        Ok(station)
    }

    /// Goes on with `six` on a node that has booted.
    pub(crate) fn resume(
        (index, mac): (u32, Mac),
        method: Method,
        seed: u32,
        six: Six,
        (since, now): (Instant, Instant),
    ) -> Result<Self, Errno> {
        let mut station = Self::open(index, mac, method, seed, six, now)?;
        station.is_booting = false;
        let free = station.six.own_addresses().collect();
        station.holders = Holders::new(index, mac, free);
        let lease = station.six.lease.clone();
        let wants_address = match (&lease, method) {
            (Some(lease), _) => Some(lease.address.is_some()),
            (None, Method::Dhcp6) => Some(true),
            (None, _) => None,
        };
        let client = wants_address.map(|wants| Client::new(mac, wants, seed, now));
        station.client = client.map(|client| client.keeping(lease, since));
        if station.six.has_heard() {
            station.solicit_due = None;
        }
        Ok(station)
    }

    fn open(
        index: u32,
        mac: Mac,
        method: Method,
        seed: u32,
        six: Six,
        now: Instant,
    ) -> Result<Self, Errno> {
        let has_gateway = matches!(method, Method::Static { gateway: Some(_), .. });
        let asks_routers = !has_gateway && method != Method::Link6;
        Ok(Self {
            mac,
            method,
            seed,
            socket: PacketSocket::six(index)?,
            kernel: None,
            six,
            holders: Holders::new(index, mac, Vec::new()),
            client: None,
            began: now,
            solicit_due: asks_routers.then_some(now),
            solicited: 0,
            is_booting: true,
        })
    }

    /// What was come to: the addresses in it are free.
    pub(crate) fn outcome(&self) -> Six {
        self.six.with_only(self.holders.free())
    }

    /// The node is going to use this link: the kernel's own way stays off.
    pub(crate) fn settle(&mut self) {
        if let Some(kernel) = self.kernel.take() {
            kernel.end();
        }
    }

    /// The node is not going to use this link: it is the kernel's again.
    pub(crate) fn give_back(&mut self) {
        self.kernel = None;
    }

    /// The messages it has sent.
    pub(crate) fn sent(&self) -> u32 {
        self.solicited + self.client.as_ref().map_or(0, Client::sent)
    }

    /// Whether anyone has answered, so that it is worth a short wait.
    pub(crate) fn is_promising(&self) -> bool {
        self.six.has_heard() || self.holders.is_looking()
    }

    /// Where a lease of DHCPv6 is in its life, where there should be one.
    pub(crate) fn phase(&self, now: Instant) -> Option<Phase> {
        self.client.as_ref().map(|client| client.phase(now))
    }

    /// Asks once more: what was sent before may have been lost in the kernel.
    pub(crate) fn nudge(&mut self, now: Instant) {
        if let Some(client) = &mut self.client {
            client.nudge(now);
        }
        self.solicit_due = self.solicit_due.map(|_| now);
    }

    /// The sockets to listen on.
    pub(crate) fn sockets(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        std::iter::once(self.socket.as_fd()).chain(self.holders.sockets())
    }

    /// Reads what came in and sends what is due; gives how far it is, and when it must be called
    /// again at the latest.
    pub(crate) fn step(
        &mut self,
        now: Instant,
        tell: &mut dyn FnMut(Event),
    ) -> Result<(Progress, Option<Instant>), Errno> {
        self.hear(now, tell)?;
        self.six.choose_gateway(now);
        if let Some((address, holder)) = self.look_for_holders(now, tell)? {
            return Ok((Progress::Conflict(address, holder), None));
        }
        self.solicit(now)?;
        self.ask(now)?;
        let progress = self.progress(now);
        let better = match progress {
            Progress::Usable(until) => Some(until),
            _ => None,
        };
        let client = self.client.as_ref().and_then(Client::due);
        let router = self.six.gateway_until().filter(|until| *until > now);
        let either = self.either_due();
        let all = [self.holders.due(), self.solicit_due, client, router, better, either];
        Ok((progress, all.into_iter().flatten().min()))
    }

    /// Takes in what routers and servers say.
    fn hear(&mut self, now: Instant, tell: &mut dyn FnMut(Event)) -> Result<(), Errno> {
        for datagram in self.socket.receive()? {
            match frame::unwrap(&datagram) {
                Some(Packet::Icmp(source, message)) if ndp::is_advert(message) => {
                    match Advert::decode(source, message) {
                        Ok(advert) => self.hear_router(source, &advert, now, tell),
                        Err(error) => {
                            let why = format!("malformed advertisement: {error}");
                            tell(Event::Useless(source.into(), why));
                        }
                    }
                }
                Some(Packet::Dhcp(source, message)) => match Reply::decode(message) {
                    Ok(reply) => self.hear_server(source, &reply, now, tell),
                    Err(error) => {
                        tell(Event::Useless(source.into(), format!("malformed: {error}")));
                    }
                },
                _ => {}
            }
        }
        Ok(())
    }

    fn hear_router(
        &mut self,
        source: Ipv6Addr,
        advert: &Advert,
        now: Instant,
        tell: &mut dyn FnMut(Event),
    ) {
        if !self.asks_routers() {
            return;
        }
        if !self.six.has_heard() {
            tell(Event::Router(source));
        }
        self.six.hear(source, advert, self.mac, now);
        self.solicit_due = None;
        self.solicited = 0;
        let follows_flags = !matches!(self.method, Method::Static { .. });
        let wants_address = advert.managed && follows_flags;
        let has = self.client.as_ref().map(Client::wants_address);
        if wants_address && has != Some(true) || advert.other && follows_flags && has.is_none() {
            self.client = Some(self.new_client(wants_address, now));
        }
    }

    /// Asks the link for holders of addresses that are not known to be free; gives the conflict
    /// that can't be got over.
    fn look_for_holders(
        &mut self,
        now: Instant,
        tell: &mut dyn FnMut(Event),
    ) -> Result<Option<(Ipv6Addr, Mac)>, Errno> {
        let wanted: Vec<Ipv6Addr> = self.six.own_addresses().collect();
        for address in &wanted {
            self.look_for(*address, now, tell);
        }
        let taken = self.holders.step(now)?;
        if !self.is_booting {
            self.holders.close();
        }
        for (address, holder) in taken {
            if self.six.is_fixed(address) {
                return Ok(Some((address, holder)));
            }
            // One that was only offered is asked for again should it be granted.
            if wanted.contains(&address) {
                self.give_up(address, holder, now, tell)?;
            }
        }
        Ok(None)
    }

    fn look_for(&mut self, address: Ipv6Addr, now: Instant, tell: &mut dyn FnMut(Event)) {
        let patience = match (self.is_booting, self.six.is_fixed(address)) {
            (true, true) => FIXED_PROBE,
            (true, false) => GRANTED_PROBE,
            (false, _) => CALM_PROBE,
        };
        if let Err(error) = self.holders.look_for(address, patience, now) {
            tell(Event::NoProbe(address.into(), error));
        }
    }

    /// Asks for routers, where that is due.
    fn solicit(&mut self, now: Instant) -> Result<(), Errno> {
        if self.solicit_due.is_none_or(|due| now < due) {
            return Ok(());
        }
        let message = ndp::solicitation(self.mac);
        let datagram = frame::icmp(self.six.link_local, ndp::ROUTERS, &message);
        self.socket.send(frame::group_mac(ndp::ROUTERS), &datagram)?;
        let wait = FIRST_WAIT.saturating_mul(1 << self.solicited.min(16)).min(BOOT_WAIT);
        self.solicited = self.solicited.saturating_add(1);
        let goes_on = self.is_booting || self.solicited < SOLICITATIONS;
        self.solicit_due = goes_on.then_some(now + wait);
        Ok(())
    }

    fn asks_routers(&self) -> bool {
        !matches!(self.method, Method::Static { gateway: Some(_), .. } | Method::Link6)
    }

    fn progress(&self, now: Instant) -> Progress {
        let since = match (self.method, self.holders.since()) {
            // The kernel uses the link's own address only a moment after it was set.
            (Method::Link6, _) => {
                let until = self.began + GRANTED_PROBE;
                return if now < until { Progress::Usable(until) } else { Progress::Ready };
            }
            (_, None) => return Progress::Nothing,
            (Method::Static { .. }, Some(_)) => return Progress::Ready,
            (_, Some(since)) => since,
        };
        let is_open = |client: &Client| client.phase(now) == Phase::None;
        let tells_later = self.client.as_ref().is_some_and(is_open);
        let patience = if !self.six.has_gateway() {
            ROUTER_PATIENCE
        } else if tells_later && self.six.dns().is_empty() {
            DHCP_PATIENCE
        } else {
            return Progress::Ready;
        };
        let until = since + patience;
        if now < until { Progress::Usable(until) } else { Progress::Ready }
    }
}
