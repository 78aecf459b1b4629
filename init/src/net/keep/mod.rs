//! The network, kept for the node's life. Whatever servers and the booted system do, the address
//! stays until there is another: without it there is no root.

mod extra;

use std::net::Ipv4Addr;
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::apply::{Refused, replace};
use super::dhcp::frame;
use super::dhcp::packet::Reply;
use super::dhcp::renewal::{Answer, Outgoing, Phase, Renewal};
use super::guard::Guard;
use super::netlink::Netlink;
use super::nic::seed;
use super::socket::{PacketSocket, send_routed};
use super::{Lease, Log, Six, Up};
use extra::{LateLease, SixKeeper};

/// How long to wait after the kernel refused something.
const PAUSE: Duration = Duration::from_secs(10);

/// Keeps the network of `up` for as long as the node runs: puts back what the booted system takes
/// away, renews the lease, asks other servers, follows the lease where it changes and then calls
/// `on_change`. Never comes back. Needs neither `/proc` nor `/sys`.
pub(crate) fn keep(up: Up, log: Log<'_>, on_change: &mut dyn FnMut(&Up)) {
    Keeper::new(up, log).run(on_change);
}

pub(super) struct Keeper<'a> {
    up: Up,
    log: Log<'a>,
    /// The lease; none where the command line gave the address, or it never ends.
    renewal: Option<Renewal>,
    /// Open only while an answer is awaited.
    socket: Option<PacketSocket>,
    guard: Option<Guard>,
    late: Option<LateLease>,
    six: Option<SixKeeper>,
    phase: Phase,
    /// The trouble that was told and has not ended.
    told: Option<String>,
    /// Whether the lease ended by a server's refusal.
    refused: bool,
}

/// Says what was done when the kernel refused it.
fn doing(what: &str) -> impl FnOnce(Errno) -> Refused {
    move |error| Refused { what: what.to_owned(), error }
}

impl<'a> Keeper<'a> {
    /// Watches over `up` from here on.
    pub(super) fn new(up: Up, log: Log<'a>) -> Self {
        // Without a random number, a mix-up with another node is merely less unlikely.
        let seed = seed(up.mac).unwrap_or(up.index);
        let hostname = up.said.hostname.clone();
        let lease = up.lease.clone();
        let renewal = lease.and_then(|lease| Renewal::new(up.mac, hostname, lease, up.since, seed));
        let now = Instant::now();
        let six = SixKeeper::begin(&up, seed, now).unwrap_or_else(|error| {
            log(&format!("{}: IPv6 is not followed: {error}", up.interface));
            None
        });
        let late = LateLease::begin(&up, seed, now);
        let (socket, phase) = (None, Phase::Bound);
        // Where that fails, it is tried again and told.
        let guard = Guard::open().ok();
        Self { up, log, renewal, socket, guard, late, six, phase, told: None, refused: false }
    }

    /// Never comes back.
    pub(super) fn run(mut self, on_change: &mut dyn FnMut(&Up)) {
        loop {
            if let Err(refused) = self.turn(on_change) {
                self.trouble(&refused.to_string());
                std::thread::sleep(PAUSE);
            }
        }
    }

    /// Does what is due, then waits for more.
    fn turn(&mut self, on_change: &mut dyn FnMut(&Up)) -> Result<(), Refused> {
        let now = Instant::now();
        if self.guard.is_none() {
            self.guard = Some(Guard::open().map_err(doing("watching the network"))?);
        }
        if let Some(guard) = &mut self.guard {
            guard.restore(&self.up, now, self.log)?;
        }
        self.ask(now)?;
        self.sleep(now)?;
        if let Some(guard) = &mut self.guard {
            guard.hear(&self.up, Instant::now()).map_err(doing("reading news of the network"))?;
        }
        self.listen(on_change)?;
        self.attend_late(on_change);
        self.attend_six(on_change);
        Ok(())
    }

    /// Goes on asking for a lease beside addresses of IPv6.
    fn attend_late(&mut self, on_change: &mut dyn FnMut(&Up)) {
        let now = Instant::now();
        match self.late.as_mut().map(|late| late.step(now)) {
            None | Some(Some(None)) => {}
            Some(None) => self.late = None,
            Some(Some(Some(lease))) => {
                self.late = None;
                let seed = seed(self.up.mac).unwrap_or(self.up.index);
                let hostname = self.up.said.hostname.clone();
                self.renewal = Renewal::new(self.up.mac, hostname, lease.clone(), now, seed);
                self.granted(lease, on_change);
            }
        }
    }

    /// Hears routers and DHCPv6 servers, and follows what they say.
    fn attend_six(&mut self, on_change: &mut dyn FnMut(&Up)) {
        let Some(six) = &mut self.six else { return };
        let mut told = Vec::new();
        let known = six.step(Instant::now(), &mut |what| told.push(what));
        told.iter().for_each(|what| self.trouble(what));
        let new = match known {
            Ok(known) if self.up.six.as_ref() == Some(&known) => return,
            Ok(known) => self.up.with_six(known),
            Err(error) => return self.trouble(&format!("asking for IPv6: {error}")),
        };
        if same_network(&self.up, &new) {
            self.up = Up { mtu: self.up.mtu, ..new };
            return;
        }
        self.tell("what its routers or DHCPv6 servers say has changed");
        self.take_over(new, on_change);
    }

    /// Sends to servers what is due.
    fn ask(&mut self, now: Instant) -> Result<(), Refused> {
        let Some(phase) = self.renewal.as_ref().map(|renewal| renewal.phase(now)) else {
            return Ok(());
        };
        self.enter(phase).map_err(doing("opening a socket for DHCP"))?;
        let outgoing = self.renewal.as_mut().and_then(|renewal| renewal.message(now));
        if let Some(outgoing) = outgoing {
            self.send(&outgoing);
        }
        Ok(())
    }

    /// Takes servers' answers.
    fn listen(&mut self, on_change: &mut dyn FnMut(&Up)) -> Result<(), Refused> {
        let Some(socket) = &self.socket else { return Ok(()) };
        for datagram in socket.receive().map_err(doing("listening for DHCP"))? {
            let reply = frame::unwrap(&datagram).map(|(_, message)| Reply::decode(message));
            let (Some(Ok(reply)), Some(renewal)) = (reply, &mut self.renewal) else { continue };
            match renewal.receive(Instant::now(), &reply) {
                Answer::Ignored => {}
                Answer::Refused(why) => {
                    self.refused = true;
                    self.trouble(&format!(
                        "the lease is refused ({why}); the address stays until there is another"
                    ));
                }
                Answer::Granted(lease) => self.granted(lease, on_change),
            }
        }
        Ok(())
    }

    /// Opens or closes the socket as `phase` needs it, and tells of what went amiss.
    fn enter(&mut self, phase: Phase) -> Result<(), Errno> {
        if phase == Phase::Bound {
            self.socket = None;
        } else if self.socket.is_none() {
            self.socket = Some(PacketSocket::dhcp(self.up.index)?);
        }
        if phase > self.phase && phase == Phase::Rebinding {
            self.trouble("its server does not renew the lease; asking all servers");
        }
        if phase > self.phase && phase == Phase::Lost && !self.refused {
            self.trouble("the lease is over; the address stays, and servers are asked on");
        }
        self.phase = phase;
        Ok(())
    }

    fn send(&mut self, outgoing: &Outgoing) {
        let Outgoing { to, from, message } = outgoing;
        let target = to.unwrap_or(Ipv4Addr::BROADCAST);
        let datagram = frame::wrap(*from, target, message);
        let sent = match (to, &self.socket) {
            (Some(server), _) => send_routed(&datagram, *server),
            (None, Some(socket)) => socket.broadcast(&datagram),
            (None, None) => Ok(()),
        };
        if let Err(error) = sent {
            self.trouble(&format!("asking for the lease's renewal: {error}"));
        }
    }

    /// Waits for an answer, for news of the network, or until something is due.
    fn sleep(&self, now: Instant) -> Result<(), Refused> {
        let renewal = self.renewal.as_ref().and_then(Renewal::due);
        let guard = self.guard.as_ref().and_then(Guard::due);
        let late = self.late.as_ref().map(LateLease::due);
        let six = self.six.as_ref().and_then(SixKeeper::due);
        let due = [renewal, guard, late, six].into_iter().flatten().min();
        let timeout = due.map(|due| due.saturating_duration_since(now));
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        let socket = self.socket.as_ref().map(|socket| socket.as_fd());
        let all = socket.into_iter().chain(self.guard.as_ref().map(|guard| guard.as_fd()));
        let all = all.chain(self.late.iter().flat_map(LateLease::sockets));
        let all = all.chain(self.six.iter().flat_map(SixKeeper::sockets));
        let mut polled: Vec<_> =
            all.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
        match poll(&mut polled, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(doing("waiting for packets")(error)),
        }
    }

    /// Takes over what was granted.
    fn granted(&mut self, lease: Lease, on_change: &mut dyn FnMut(&Up)) {
        let server = lease.server;
        self.refused = false;
        let new = Up { since: Instant::now(), ..self.up.with_lease(lease) };
        if self.told.take().is_some() {
            self.tell(&format!("{server} granted the lease"));
        }
        if same_network(&self.up, &new) {
            self.up = Up { mtu: self.up.mtu, ..new };
            return;
        }
        self.tell(&match (self.up.ipv4(), new.ipv4()) {
            (Some(old), Some(new)) if old != new => format!("the address is {new} now, not {old}"),
            _ => "the lease has changed".to_owned(),
        });
        self.take_over(new, on_change);
    }

    fn take_over(&mut self, new: Up, on_change: &mut dyn FnMut(&Up)) {
        match self.follow(new) {
            Ok(()) => on_change(&self.up),
            // The next renewal finds the difference again.
            Err(refused) => self.trouble(&refused.to_string()),
        }
    }

    /// Gives the link what `new` says in the place of what it has.
    fn follow(&mut self, new: Up) -> Result<(), Refused> {
        let mut netlink = Netlink::open().map_err(doing("opening rtnetlink"))?;
        let mtu = replace(&mut netlink, &self.up, &new, self.log)?;
        self.up = Up { mtu, ..new };
        let forgotten = self.guard.as_ref().map_or(Ok(()), Guard::forget);
        forgotten.map_err(doing("reading news of the network"))
    }

    /// Tells of trouble, once until it ends.
    fn trouble(&mut self, what: &str) {
        if self.told.as_deref() != Some(what) {
            self.tell(what);
            self.told = Some(what.to_owned());
        }
    }

    fn tell(&self, what: &str) {
        (self.log)(&format!("{}: {what}", self.up.interface));
    }
}

/// Whether `old` and `new` differ in nothing but the lease's times and server.
fn same_network(old: &Up, new: &Up) -> bool {
    let of_lease = |up: &Up| up.lease.as_ref().map(|lease| (lease.broadcast, lease.mtu));
    let names = |up: &Up| (up.dns.clone(), up.search.clone(), up.ntp.clone(), up.hostname.clone());
    let mtu = |up: &Up| up.six.as_ref().and_then(Six::mtu);
    old.nets().eq(new.nets())
        && (&old.routes, mtu(old)) == (&new.routes, mtu(new))
        && of_lease(old) == of_lease(new)
        && names(old) == names(new)
}
