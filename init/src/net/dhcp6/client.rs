//! Asking for a lease and keeping it: SOLICIT, ADVERTISE, REQUEST, REPLY, then RENEW and REBIND;
//! or INFORMATION-REQUEST alone. A state machine without a clock or a socket. It never gives up;
//! whoever drives it does.

use std::time::{Duration, Instant};

use super::lease::{Lease, LeaseError, NO_BINDING};
use super::packet::{Ask, Kind, Query, Reply, client_id};
use crate::net::dhcp::lease::Times;
use crate::net::link::Mac;

/// The first wait for an answer; it doubles with each message.
const FIRST_WAIT: Duration = Duration::from_millis(300);
/// While a node boots, it is never silent for longer.
pub(crate) const BOOT_WAIT: Duration = Duration::from_secs(4);
/// Nor is a running node that has no lease.
pub(crate) const CALM_WAIT: Duration = Duration::from_secs(64);
/// Unanswered renewals are never closer together, save where a new phase begins.
const RENEW_WAIT: Duration = Duration::from_secs(10);
/// How often a REQUEST is sent before servers are looked for anew.
const REQUESTS: u32 = 4;

/// A client of DHCPv6 on one link.
#[derive(Debug)]
pub(crate) struct Client {
    mac: Mac,
    /// Whether an address is wanted, or only what comes along.
    wants_address: bool,
    longest_wait: Duration,
    xid: u32,
    state: State,
    /// When this exchange began.
    began: Instant,
    /// When the next message is due.
    due: Instant,
    /// Messages sent since the state was entered.
    sent_here: u32,
    /// Messages sent in all.
    sent: u32,
    /// Refusals in a row.
    refused: u32,
}

#[derive(Debug)]
enum State {
    /// Looking for servers.
    Selecting,
    /// Has asked for what a server offered, or did grant.
    Requesting(Lease),
    /// Has a lease since then.
    Bound(Lease, Instant),
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
    /// There is none, or no more.
    None,
}

/// What a message from a server changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Nothing, and why.
    Ignored(String),
    /// An offer was taken: the request is due now.
    Offered(Lease),
    /// The server refused, and why.
    Refused(String),
    /// The lease is granted, or holds again.
    Granted(Lease),
}

impl Client {
    /// A client for the interface with `mac`, whose first message is due at `now`; `seed` is random.
    pub(crate) fn new(mac: Mac, wants_address: bool, seed: u32, now: Instant) -> Self {
        Self {
            mac,
            wants_address,
            longest_wait: BOOT_WAIT,
            xid: seed & 0x00ff_ffff,
            state: State::Selecting,
            began: now,
            due: now,
            sent_here: 0,
            sent: 0,
            refused: 0,
        }
    }

    /// This, with what was granted at `since`, on a node that has booted.
    pub(crate) fn keeping(mut self, lease: Option<Lease>, since: Instant) -> Self {
        self.longest_wait = CALM_WAIT;
        if let Some(lease) = lease {
            self.bind(lease, since);
        }
        self
    }

    /// Whether an address is wanted.
    pub(crate) fn wants_address(&self) -> bool {
        self.wants_address
    }

    /// When [`Self::message`] has something to send; `None` if never.
    pub(crate) fn due(&self) -> Option<Instant> {
        match &self.state {
            State::Bound(Lease { times: Times::Forever, .. }, _) => None,
            _ => Some(self.due),
        }
    }

    /// How many messages were sent.
    pub(crate) fn sent(&self) -> u32 {
        self.sent
    }

    /// Sends the last message again at `now`, where it has no answer yet.
    pub(crate) fn nudge(&mut self, now: Instant) {
        if self.sent_here > 0 && !matches!(self.state, State::Bound(..)) {
            self.sent_here -= 1;
            self.due = now;
        }
    }

    /// Where the lease is at `now`.
    pub(crate) fn phase(&self, now: Instant) -> Phase {
        let State::Bound(lease, since) = &self.state else { return Phase::None };
        let Times::Limited { renew, rebind, expire } = lease.times else { return Phase::Bound };
        match now.saturating_duration_since(*since) {
            age if age < renew => Phase::Bound,
            age if age < rebind => Phase::Renewing,
            age if age < expire => Phase::Rebinding,
            _ => Phase::None,
        }
    }

    /// The message to send to all servers now, where one is due.
    pub(crate) fn message(&mut self, now: Instant) -> Option<Vec<u8>> {
        if self.due().is_none_or(|due| now < due) {
            return None;
        }
        let phase = self.phase(now);
        let is_over = matches!(self.state, State::Bound(..)) && phase == Phase::None;
        let is_unheard = matches!(self.state, State::Requesting(_)) && self.sent_here >= REQUESTS;
        if is_over || is_unheard {
            self.enter(State::Selecting, now);
        }
        if self.sent_here == 0 {
            self.began = now;
            // A late answer to what is over must not be taken for one to what comes.
            self.xid = self.xid.wrapping_mul(0x9e37_79b1).wrapping_add(0x7f4a_7c15) & 0x00ff_ffff;
        }
        let bytes = self.query(phase, now)?.encode();
        self.due = now + self.wait(phase, now);
        self.sent_here = self.sent_here.saturating_add(1);
        self.sent = self.sent.saturating_add(1);
        Some(bytes)
    }

    /// Takes a server's message.
    pub(crate) fn receive(&mut self, now: Instant, reply: &Reply) -> Outcome {
        if reply.xid != self.xid || reply.client != client_id(self.mac) {
            return Outcome::Ignored("answer to another client".to_owned());
        }
        let phase = self.phase(now);
        if phase == Phase::Bound || self.sent_here == 0 {
            return Outcome::Ignored("an answer that was not asked for".to_owned());
        }
        let lease = match self.wants_address {
            true => Lease::grant(reply, self.mac),
            false => Lease::information(reply),
        };
        match (reply.kind, &self.state, lease) {
            (Kind::Advertise, State::Selecting, lease) => self.offer(now, lease),
            (Kind::Advertise, ..) => Outcome::Ignored("a further offer".to_owned()),
            (Kind::Reply, State::Requesting(offer), _) if offer.server != reply.server => {
                Outcome::Ignored("a grant by another server".to_owned())
            }
            (Kind::Reply, _, Ok(lease)) => {
                self.refused = 0;
                self.bind(lease.clone(), now);
                Outcome::Granted(lease)
            }
            (Kind::Reply, State::Bound(old, _), Err(LeaseError::Status(NO_BINDING, _))) => {
                let again = Lease { server: reply.server.clone(), ..old.clone() };
                self.enter(State::Requesting(again), now);
                Outcome::Ignored("the server knows nothing of the lease".to_owned())
            }
            // Another server may yet prolong it.
            (Kind::Reply, State::Bound(..), Err(error)) => Outcome::Refused(error.to_string()),
            (Kind::Reply, _, Err(error)) => {
                self.restart(now);
                Outcome::Refused(error.to_string())
            }
        }
    }

    /// The message that declines `lease`, whose address someone else holds; all begins again.
    pub(crate) fn decline(&mut self, now: Instant, lease: &Lease) -> Vec<u8> {
        let query = Query {
            ask: Ask::Decline,
            xid: self.xid,
            mac: self.mac,
            server: Some(&lease.server),
            address: lease.address,
            elapsed: 0,
        };
        let bytes = query.encode();
        self.sent = self.sent.saturating_add(1);
        self.restart(now);
        bytes
    }

    fn offer(&mut self, now: Instant, lease: Result<Lease, LeaseError>) -> Outcome {
        match lease {
            Ok(lease) if self.wants_address => {
                self.enter(State::Requesting(lease.clone()), now);
                Outcome::Offered(lease)
            }
            Ok(_) => Outcome::Ignored("an offer that was not asked for".to_owned()),
            // Another server may have more; asking goes on at its pace.
            Err(error) => Outcome::Refused(error.to_string()),
        }
    }

    fn bind(&mut self, lease: Lease, since: Instant) {
        if let Times::Limited { renew, .. } = lease.times {
            self.due = since + renew;
        }
        self.state = State::Bound(lease, since);
        self.sent_here = 0;
    }

    /// Begins again, at once the first time, later ever more slowly.
    fn restart(&mut self, now: Instant) {
        self.enter(State::Selecting, now);
        if let Some(times) = self.refused.checked_sub(1) {
            self.due = now + self.backoff(times);
        }
        self.refused = self.refused.saturating_add(1);
    }

    fn enter(&mut self, state: State, now: Instant) {
        self.state = state;
        self.sent_here = 0;
        self.due = now;
    }

    fn query(&self, phase: Phase, now: Instant) -> Option<Query<'_>> {
        let (ask, lease) = match (&self.state, phase) {
            _ if !self.wants_address => (Ask::Information, None),
            (State::Selecting, _) => (Ask::Solicit, None),
            (State::Requesting(lease), _) => (Ask::Request, Some(lease)),
            (State::Bound(lease, _), Phase::Renewing) => (Ask::Renew, Some(lease)),
            (State::Bound(lease, _), Phase::Rebinding) => (Ask::Rebind, Some(lease)),
            (State::Bound(..), _) => return None,
        };
        let hundredths = now.saturating_duration_since(self.began).as_millis() / 10;
        let server = lease.filter(|_| ask != Ask::Rebind).map(|lease| lease.server.as_slice());
        Some(Query {
            ask,
            xid: self.xid,
            mac: self.mac,
            server,
            address: lease.and_then(|lease| lease.address),
            elapsed: u16::try_from(hundredths).unwrap_or(u16::MAX),
        })
    }

    /// How long to wait for the answer to the message that goes out now.
    fn wait(&self, phase: Phase, now: Instant) -> Duration {
        let State::Bound(Lease { times: Times::Limited { rebind, expire, .. }, .. }, since) =
            &self.state
        else {
            // Less a little that differs from node to node, lest a rack that starts at once asks
            // at once for ever.
            let part = (self.xid ^ self.sent.wrapping_mul(0x9e37_79b1)) % 128;
            return self.backoff(self.sent_here).mul_f32(1.0 - part as f32 / 1024.0);
        };
        // Half of what is left, then half of that.
        let until = *since + if phase == Phase::Renewing { *rebind } else { *expire };
        let left = until.saturating_duration_since(now);
        (left / 2).max(RENEW_WAIT).min(left)
    }

    fn backoff(&self, times: u32) -> Duration {
        FIRST_WAIT.saturating_mul(1 << times.min(16)).min(self.longest_wait)
    }
}

#[cfg(test)]
mod tests;
