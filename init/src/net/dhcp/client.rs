//! Asking for a lease: DISCOVER, OFFER, REQUEST, ACK, as a state machine without a clock or a
//! socket. It never gives up; whoever drives it does.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use super::lease::Lease;
use super::packet::{Kind, Query, Reply, code};
use crate::net::link::Mac;

/// The first wait for an answer; it doubles with each message. Servers answer in milliseconds, or
/// in a second where they look for holders of the address first; a switch or bridge that has just
/// seen the link come up loses the first message.
const FIRST_WAIT: Duration = Duration::from_millis(300);
/// How often a REQUEST is sent before another offer is tried: 4.5 seconds in all.
const REQUESTS: u32 = 4;
/// The most offers remembered besides the one that is taken.
const OFFERS_MAX: usize = 8;
/// From this message on the answer is wanted by broadcast every other time: some relays and
/// switches lose what is sent to an address that is not there yet.
const BROADCAST_FROM: u32 = 2;

/// A client that has no lease yet.
#[derive(Debug)]
pub(crate) struct Client {
    mac: Mac,
    hostname: Option<String>,
    requested: Option<Ipv4Addr>,
    longest_wait: Duration,
    xid: u32,
    started: Instant,
    state: State,
    spare_offers: Vec<Lease>,
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
    /// Has asked for what a server offered.
    Requesting(Lease),
}

/// What a message from a server changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Nothing, and why.
    Ignored(String),
    /// An offer was taken: the request is due now.
    Offered(Lease),
    /// The server refused; all begins again.
    Refused(String),
    /// The address is granted.
    Granted(Lease),
}

impl Client {
    /// A client for the interface with `mac`, whose first message is due at `now`. `seed` is
    /// random; messages are never further apart than `longest_wait`.
    pub(crate) fn new(mac: Mac, seed: u32, now: Instant, longest_wait: Duration) -> Self {
        Self {
            mac,
            hostname: None,
            requested: None,
            longest_wait,
            xid: seed,
            started: now,
            state: State::Selecting,
            spare_offers: Vec::new(),
            due: now,
            sent_here: 0,
            sent: 0,
            refused: 0,
        }
    }

    /// Tells servers the node's name, and asks for an address.
    pub(crate) fn wishing(self, hostname: Option<String>, requested: Option<Ipv4Addr>) -> Self {
        Self { hostname, requested, ..self }
    }

    /// When [`Self::message`] has something to send.
    pub(crate) fn due(&self) -> Instant {
        self.due
    }

    /// How many messages were sent.
    pub(crate) fn sent(&self) -> u32 {
        self.sent
    }

    /// Sends the last message again at `now`, where it has no answer yet.
    pub(crate) fn nudge(&mut self, now: Instant) {
        if self.sent_here > 0 {
            self.sent_here -= 1;
            self.due = now;
        }
    }

    /// The message to broadcast now, where one is due.
    pub(crate) fn message(&mut self, now: Instant) -> Option<Vec<u8>> {
        if now < self.due {
            return None;
        }
        if matches!(self.state, State::Requesting(_)) && self.sent_here >= REQUESTS {
            self.state = self.spare_offers.pop().map_or(State::Selecting, State::Requesting);
            self.sent_here = 0;
        }
        let query = self.query(now);
        let bytes = query.encode();
        self.due = now + self.wait();
        self.sent_here = self.sent_here.saturating_add(1);
        self.sent = self.sent.saturating_add(1);
        Some(bytes)
    }

    /// Takes a server's message.
    pub(crate) fn receive(&mut self, now: Instant, reply: &Reply) -> Outcome {
        if (reply.xid, reply.mac) != (self.xid, self.mac) {
            return Outcome::Ignored("answer to another client".to_owned());
        }
        match reply.kind {
            Kind::Offer => self.offer(now, reply),
            Kind::Ack => self.grant(reply),
            Kind::Nak => self.refusal(now, reply),
            Kind::Discover | Kind::Request | Kind::Decline => {
                Outcome::Ignored("a client's message".to_owned())
            }
        }
    }

    /// The message that declines `lease`, whose address someone else holds; all begins again.
    pub(crate) fn decline(&mut self, now: Instant, lease: &Lease) -> Vec<u8> {
        let query = Query {
            kind: Kind::Decline,
            requested: Some(lease.address),
            server: Some(lease.server),
            ..self.query(now)
        };
        let bytes = query.encode();
        self.sent = self.sent.saturating_add(1);
        self.requested = None;
        self.restart(now);
        bytes
    }

    fn offer(&mut self, now: Instant, reply: &Reply) -> Outcome {
        let lease = match Lease::from_reply(reply) {
            Ok(lease) => lease,
            Err(error) => return Outcome::Ignored(format!("offer of no use: {error}")),
        };
        if let State::Requesting(taken) = &self.state {
            let known = |other: &Lease| other.server == lease.server;
            if !known(taken) && !self.spare_offers.iter().any(known) {
                self.spare_offers.truncate(OFFERS_MAX - 1);
                self.spare_offers.push(lease);
            }
            return Outcome::Ignored("a further offer".to_owned());
        }
        self.state = State::Requesting(lease.clone());
        self.sent_here = 0;
        self.due = now;
        Outcome::Offered(lease)
    }

    fn grant(&mut self, reply: &Reply) -> Outcome {
        let State::Requesting(offer) = &self.state else {
            return Outcome::Ignored("a grant that was not asked for".to_owned());
        };
        match Lease::from_reply(reply) {
            Ok(lease) if lease.server == offer.server => Outcome::Granted(lease),
            Ok(lease) => Outcome::Ignored(format!("a grant by another server, {}", lease.server)),
            Err(error) => Outcome::Ignored(format!("grant of no use: {error}")),
        }
    }

    fn refusal(&mut self, now: Instant, reply: &Reply) -> Outcome {
        let State::Requesting(offer) = &self.state else {
            return Outcome::Ignored("a refusal of nothing".to_owned());
        };
        if reply.address_option(code::SERVER_ID) != Some(offer.server) {
            return Outcome::Ignored("a refusal by another server".to_owned());
        }
        let why =
            reply.text(code::MESSAGE).unwrap_or("without a reason").escape_debug().to_string();
        self.restart(now);
        Outcome::Refused(why)
    }

    /// Begins again, at once the first time, later ever more slowly.
    fn restart(&mut self, now: Instant) {
        self.state = State::Selecting;
        self.spare_offers.clear();
        self.sent_here = 0;
        self.due = match self.refused {
            0 => now,
            times => now + self.backoff(times - 1),
        };
        self.refused = self.refused.saturating_add(1);
        // A late answer to what is over must not be taken for one to what comes.
        self.xid = self.xid.wrapping_mul(0x9e37_79b1).wrapping_add(0x7f4a_7c15);
    }

    fn query(&self, now: Instant) -> Query<'_> {
        let secs = now.saturating_duration_since(self.started).as_secs();
        let (kind, requested, server) = match &self.state {
            State::Selecting => (Kind::Discover, self.requested, None),
            State::Requesting(offer) => (Kind::Request, Some(offer.address), Some(offer.server)),
        };
        Query {
            kind,
            xid: self.xid,
            secs: u16::try_from(secs).unwrap_or(u16::MAX),
            broadcast: self.sent_here >= BROADCAST_FROM && self.sent_here.is_multiple_of(2),
            mac: self.mac,
            current: Ipv4Addr::UNSPECIFIED,
            requested,
            server,
            hostname: self.hostname.as_deref(),
        }
    }

    /// How long to wait for the answer to the message that goes out now: less a little that
    /// differs from node to node, lest a rack that starts at once asks at once for ever.
    fn wait(&self) -> Duration {
        let part = (self.xid ^ self.sent.wrapping_mul(0x9e37_79b1)) % 128;
        self.backoff(self.sent_here).mul_f32(1.0 - part as f32 / 1024.0)
    }

    fn backoff(&self, times: u32) -> Duration {
        FIRST_WAIT.saturating_mul(1 << times.min(16)).min(self.longest_wait)
    }
}

#[cfg(test)]
mod tests;
