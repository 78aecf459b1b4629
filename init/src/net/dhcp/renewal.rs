//! Keeping a lease: renewed at its server from T1, at any server from T2, asked for anew once it
//! has run out or was refused. A state machine without a clock or a socket.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use super::client::{Client, Outcome};
use super::lease::{Lease, Times};
use super::packet::{Kind, Query, Reply, code};
use crate::net::link::Mac;

/// Unanswered requests are never closer together, save where a new phase begins.
const SHORTEST_WAIT: Duration = Duration::from_secs(10);
/// Without a lease, servers are asked at least this often.
const LONGEST_WAIT: Duration = Duration::from_secs(64);

/// A lease that is being kept.
#[derive(Debug)]
pub(crate) struct Renewal {
    mac: Mac,
    hostname: Option<String>,
    lease: Lease,
    granted: Instant,
    xid: u32,
    /// When the next message is due, while the lease holds.
    due: Instant,
    /// Asks for a lease where there is none any more.
    client: Option<Client>,
}

/// Where a lease is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Until T1: nothing to do.
    Bound,
    /// Until T2: its server is asked.
    Renewing,
    /// Until its end: any server is asked.
    Rebinding,
    /// It is over: a new one is asked for.
    Lost,
}

/// A message to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outgoing {
    /// The server, or `None` for all stations on the link.
    pub(crate) to: Option<Ipv4Addr>,
    /// The address it comes from.
    pub(crate) from: Ipv4Addr,
    /// The DHCP message.
    pub(crate) message: Vec<u8>,
}

/// What a server's message changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Nothing.
    Ignored,
    /// The lease holds again, or another does.
    Granted(Lease),
    /// The lease is refused: the address is someone else's now, or soon.
    Refused(String),
}

impl Renewal {
    /// Keeps `lease`, granted at `granted`; `None` where it never ends. `seed` is random.
    pub(crate) fn new(
        mac: Mac,
        hostname: Option<String>,
        lease: Lease,
        granted: Instant,
        seed: u32,
    ) -> Option<Self> {
        let Times::Limited { renew, .. } = lease.times else { return None };
        let due = granted + renew;
        Some(Self { mac, hostname, lease, granted, xid: seed, due, client: None })
    }

    /// Where the lease is at `now`.
    pub(crate) fn phase(&self, now: Instant) -> Phase {
        if self.client.is_some() {
            return Phase::Lost;
        }
        let Times::Limited { renew, rebind, expire } = self.lease.times else {
            return Phase::Bound;
        };
        match now.saturating_duration_since(self.granted) {
            age if age < renew => Phase::Bound,
            age if age < rebind => Phase::Renewing,
            age if age < expire => Phase::Rebinding,
            _ => Phase::Lost,
        }
    }

    /// When [`Self::message`] has something to send; `None` if never.
    pub(crate) fn due(&self) -> Option<Instant> {
        match (&self.client, self.lease.times) {
            (Some(client), _) => Some(client.due()),
            (None, Times::Limited { .. }) => Some(self.due),
            (None, Times::Forever) => None,
        }
    }

    /// The message to send now, where one is due.
    pub(crate) fn message(&mut self, now: Instant) -> Option<Outgoing> {
        if self.due().is_none_or(|due| now < due) {
            return None;
        }
        let Times::Limited { rebind, expire, .. } = self.lease.times else { return None };
        let (to, until) = match self.phase(now) {
            Phase::Bound => return None,
            Phase::Renewing => (Some(self.lease.server), self.granted + rebind),
            Phase::Rebinding => (None, self.granted + expire),
            Phase::Lost => {
                let message = self.ask_anew(now).message(now)?;
                return Some(Outgoing { to: None, from: Ipv4Addr::UNSPECIFIED, message });
            }
        };
        // RFC 2131: half of what is left, then half of that.
        let half = until.saturating_duration_since(now) / 2;
        self.due = (now + half.max(SHORTEST_WAIT)).min(until);
        Some(Outgoing { to, from: self.lease.address, message: self.query(now).encode() })
    }

    /// Takes a server's message.
    pub(crate) fn receive(&mut self, now: Instant, reply: &Reply) -> Answer {
        let phase = self.phase(now);
        let answer = match (&mut self.client, phase) {
            (_, Phase::Bound) => return Answer::Ignored,
            (Some(client), _) => match client.receive(now, reply) {
                Outcome::Granted(lease) => Answer::Granted(lease),
                Outcome::Refused(why) => Answer::Refused(why),
                Outcome::Ignored(_) | Outcome::Offered(_) => Answer::Ignored,
            },
            (None, _) => self.answer(phase, reply),
        };
        match &answer {
            Answer::Granted(lease) => self.keep(lease.clone(), now),
            Answer::Refused(_) => drop(self.ask_anew(now)),
            Answer::Ignored => {}
        }
        answer
    }

    /// What `reply` means while the lease still holds.
    fn answer(&self, phase: Phase, reply: &Reply) -> Answer {
        if (reply.xid, reply.mac) != (self.xid, self.mac) {
            return Answer::Ignored;
        }
        let by = reply.address_option(code::SERVER_ID);
        let may_answer = phase != Phase::Renewing || by == Some(self.lease.server);
        match (reply.kind, Lease::from_reply(reply)) {
            (Kind::Nak, _) if may_answer => {
                let why = reply.text(code::MESSAGE).unwrap_or("without a reason");
                Answer::Refused(why.escape_debug().to_string())
            }
            (Kind::Ack, Ok(lease)) if may_answer => Answer::Granted(lease),
            _ => Answer::Ignored,
        }
    }

    fn keep(&mut self, lease: Lease, now: Instant) {
        if let Times::Limited { renew, .. } = lease.times {
            self.due = now + renew;
        }
        self.lease = lease;
        self.granted = now;
        self.client = None;
        self.xid = self.xid.wrapping_mul(0x9e37_79b1).wrapping_add(0x7f4a_7c15);
    }

    fn ask_anew(&mut self, now: Instant) -> &mut Client {
        let (mac, xid) = (self.mac, self.xid);
        let (hostname, address) = (&self.hostname, self.lease.address);
        self.client.get_or_insert_with(|| {
            Client::new(mac, xid, now, LONGEST_WAIT).wishing(hostname.clone(), Some(address))
        })
    }

    fn query(&self, now: Instant) -> Query<'_> {
        let secs = now.saturating_duration_since(self.granted).as_secs();
        Query {
            kind: Kind::Request,
            xid: self.xid,
            secs: u16::try_from(secs).unwrap_or(u16::MAX),
            broadcast: false,
            mac: self.mac,
            current: self.lease.address,
            requested: None,
            server: None,
            hostname: self.hostname.as_deref(),
        }
    }
}

#[cfg(test)]
mod tests;
