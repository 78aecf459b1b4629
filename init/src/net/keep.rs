//! The lease, kept for the node's life. Whatever servers do, the address stays until there is
//! another: without it there is no root.

use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::apply::{Refused, replace};
use super::dhcp::frame;
use super::dhcp::packet::Reply;
use super::dhcp::renewal::{Answer, Outgoing, Phase, Renewal};
use super::netlink::Netlink;
use super::nic::seed;
use super::socket::{PacketSocket, send_routed};
use super::{Lease, Log, Up};

/// How long to wait after the kernel refused a socket.
const PAUSE: Duration = Duration::from_secs(10);

/// Keeps the lease of `up` for as long as the node runs: renews it, asks other servers, follows
/// it where it changes and then calls `on_change`. Comes back only where there is nothing to keep
/// (an address from the command line, a lease without end). Needs neither `/proc` nor `/sys`.
pub(crate) fn keep(up: Up, log: Log<'_>, on_change: &mut dyn FnMut(&Up)) {
    let Some(mut keeper) = Keeper::new(up, log) else { return };
    while let Some(due) = keeper.renewal.due() {
        if let Err(error) = keeper.turn(due, on_change) {
            keeper.trouble(&format!("keeping the lease: {error}"));
            std::thread::sleep(PAUSE);
        }
    }
}

struct Keeper<'a> {
    up: Up,
    log: Log<'a>,
    renewal: Renewal,
    /// Open only while an answer is awaited.
    socket: Option<PacketSocket>,
    phase: Phase,
    /// The trouble that was told and has not ended.
    told: Option<String>,
    /// Whether the lease ended by a server's refusal.
    refused: bool,
}

impl<'a> Keeper<'a> {
    fn new(up: Up, log: Log<'a>) -> Option<Self> {
        // No random number only makes a collision with another node's exchange less unlikely.
        let seed = seed(up.mac).unwrap_or(up.index);
        let hostname = up.said.hostname.clone();
        let renewal = Renewal::new(up.mac, hostname, up.lease.clone()?, up.since, seed)?;
        Some(Self {
            up,
            log,
            renewal,
            socket: None,
            phase: Phase::Bound,
            told: None,
            refused: false,
        })
    }

    /// Sends what is due, waits until `due` or for an answer, and takes it.
    fn turn(&mut self, due: Instant, on_change: &mut dyn FnMut(&Up)) -> Result<(), Errno> {
        let now = Instant::now();
        self.enter(self.renewal.phase(now))?;
        if let Some(outgoing) = self.renewal.message(now) {
            self.send(&outgoing);
            return Ok(());
        }
        self.sleep(due.saturating_duration_since(now))?;
        let Some(socket) = &self.socket else { return Ok(()) };
        for datagram in socket.receive()? {
            let reply = frame::unwrap(&datagram).map(|(_, message)| Reply::decode(message));
            let Some(Ok(reply)) = reply else { continue };
            match self.renewal.receive(Instant::now(), &reply) {
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
        let target = to.unwrap_or(std::net::Ipv4Addr::BROADCAST);
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

    fn sleep(&self, time: Duration) -> Result<(), Errno> {
        let timeout = Timespec::try_from(time).ok();
        let socket = self.socket.as_ref().map(|socket| socket.as_fd());
        let mut polled: Vec<_> =
            socket.iter().map(|fd| PollFd::from_borrowed_fd(*fd, PollFlags::IN)).collect();
        match poll(&mut polled, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error),
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
        match self.follow(new) {
            Ok(()) => on_change(&self.up),
            // The next renewal finds the difference again.
            Err(error) => self.trouble(&format!("following the lease: {error}")),
        }
    }

    /// Gives the link what `new` says in the place of what it has.
    fn follow(&mut self, new: Up) -> Result<(), Refused> {
        let opened = Netlink::open();
        let refused = |error| Refused { what: "opening rtnetlink".to_owned(), error };
        let mtu = replace(&mut opened.map_err(refused)?, &self.up, &new, self.log)?;
        self.up = Up { mtu, ..new };
        Ok(())
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
    (&old.addresses, &old.routes) == (&new.addresses, &new.routes)
        && of_lease(old) == of_lease(new)
        && names(old) == names(new)
}
