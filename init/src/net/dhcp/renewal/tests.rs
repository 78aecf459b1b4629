use dhcproto::v4::{DhcpOption, MessageType, OptionCode};

use super::*;
use crate::net::dhcp::oracle::{MAC, NODE, SERVER, read, reply};

const OTHER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

/// The grant of `address` for 800 s: T1 at 400, T2 at 700.
fn grant(xid: u32, address: Ipv4Addr, server: Ipv4Addr) -> Reply {
    reply(MessageType::Ack, xid, address, server, vec![DhcpOption::AddressLeaseTime(800)])
}

fn lease(address: Ipv4Addr) -> Lease {
    Lease::from_reply(&grant(0, address, SERVER)).expect("a lease")
}

struct Bench {
    renewal: Renewal,
    granted: Instant,
}

impl Bench {
    fn new() -> Self {
        let granted = Instant::now();
        let renewal = Renewal::new(MAC, Some("node".into()), lease(NODE), granted, 7);
        Self { renewal: renewal.expect("something to keep"), granted }
    }

    fn at(&self, seconds: u64) -> Instant {
        self.granted + Duration::from_secs(seconds)
    }

    /// Every message up to `seconds`, and when it went out.
    fn until(&mut self, seconds: u64) -> Vec<(u64, Outgoing)> {
        let mut sent = Vec::new();
        while let Some(due) = self.renewal.due().filter(|due| *due <= self.at(seconds)) {
            if let Some(outgoing) = self.renewal.message(due) {
                sent.push(((due - self.granted).as_secs(), outgoing));
            }
        }
        sent
    }

    fn hear(&mut self, seconds: u64, reply: &Reply) -> Answer {
        self.renewal.receive(self.at(seconds), reply)
    }
}

#[test]
fn nothing_is_sent_before_t1() {
    let mut bench = Bench::new();
    assert_eq!(bench.until(399), []);
    assert_eq!(bench.renewal.phase(bench.at(399)), Phase::Bound);
    assert_eq!(bench.hear(399, &grant(7, NODE, SERVER)), Answer::Ignored);
}

#[test]
fn its_server_is_asked_from_t1_as_rfc_2131_wants_it() {
    let mut bench = Bench::new();
    let sent = bench.until(400);
    let [(400, outgoing)] = sent.as_slice() else { panic!("{sent:?}") };
    assert_eq!((outgoing.to, outgoing.from), (Some(SERVER), NODE));
    let message = read(&outgoing.message);
    assert_eq!(message.opts().msg_type(), Some(MessageType::Request));
    assert_eq!(message.ciaddr(), NODE);
    assert_eq!(message.opts().get(OptionCode::RequestedIpAddress), None);
    assert_eq!(message.opts().get(OptionCode::ServerIdentifier), None);
    assert_eq!(
        message.opts().get(OptionCode::Hostname),
        Some(&DhcpOption::Hostname("node".into()))
    );
}

#[test]
fn a_renewed_lease_counts_anew() {
    let mut bench = Bench::new();
    bench.until(400);
    assert_eq!(bench.hear(401, &grant(7, NODE, SERVER)), Answer::Granted(lease(NODE)));
    assert_eq!(bench.renewal.phase(bench.at(800)), Phase::Bound);
    let sent = bench.until(801);
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].0, 801);
    assert_ne!(read(&sent[0].1.message).xid(), 7, "a late answer must not count for this one");
}

#[test]
fn silence_is_asked_ever_more_often_then_all_servers_then_anew() {
    let mut bench = Bench::new();
    let sent = bench.until(1200);
    let times = |wanted: fn(&Outgoing) -> bool| -> Vec<u64> {
        sent.iter().filter(|(_, o)| wanted(o)).map(|(at, _)| *at).collect()
    };
    let unicast = times(|o| o.to.is_some());
    let rebinding = times(|o| o.to.is_none() && o.from == NODE);
    let anew = times(|o| o.from.is_unspecified());
    assert_eq!(unicast[..3], [400, 550, 625]);
    assert!(unicast.iter().all(|at| (400..700).contains(at)), "{unicast:?}");
    assert_eq!(rebinding[..2], [700, 750]);
    assert!(rebinding.iter().all(|at| (700..800).contains(at)), "{rebinding:?}");
    assert_eq!(anew[0], 800);
    assert!(anew.len() >= 8, "it goes on for ever: {anew:?}");
    let gaps: Vec<u64> = anew.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(gaps.iter().all(|gap| *gap <= 64), "{gaps:?}");
    let discover = read(&sent.last().expect("messages").1.message);
    assert_eq!(discover.opts().msg_type(), Some(MessageType::Discover));
    let wish = discover.opts().get(OptionCode::RequestedIpAddress);
    assert_eq!(wish, Some(&DhcpOption::RequestedIpAddress(NODE)), "the same address, if it can be");
}

#[test]
fn another_server_may_answer_only_when_all_are_asked() {
    let mut bench = Bench::new();
    bench.until(400);
    assert_eq!(bench.hear(401, &grant(7, NODE, OTHER)), Answer::Ignored);
    let nak = reply(MessageType::Nak, 7, Ipv4Addr::UNSPECIFIED, OTHER, vec![]);
    assert_eq!(bench.hear(401, &nak), Answer::Ignored);
    bench.until(700);
    let Answer::Granted(lease) = bench.hear(701, &grant(7, NODE, OTHER)) else { panic!("ignored") };
    assert_eq!(lease.server, OTHER);
    assert_eq!(bench.until(1101).first().map(|(_, o)| o.to), Some(Some(OTHER)));
}

#[test]
fn answers_to_others_are_ignored() {
    let mut bench = Bench::new();
    bench.until(400);
    assert_eq!(bench.hear(401, &grant(8, NODE, SERVER)), Answer::Ignored);
    let offer = reply(MessageType::Offer, 7, NODE, SERVER, vec![]);
    assert_eq!(bench.hear(401, &offer), Answer::Ignored);
}

#[test]
fn after_a_refusal_another_lease_is_asked_for_at_once() {
    let mut bench = Bench::new();
    bench.until(400);
    let why = vec![DhcpOption::Message("moved".into())];
    let nak = reply(MessageType::Nak, 7, Ipv4Addr::UNSPECIFIED, SERVER, why);
    assert_eq!(bench.hear(401, &nak), Answer::Refused("moved".into()));
    assert_eq!(bench.renewal.phase(bench.at(401)), Phase::Lost);
    let sent = bench.until(401);
    assert_eq!(read(&sent[0].1.message).opts().msg_type(), Some(MessageType::Discover));
    let new = Ipv4Addr::new(192, 0, 2, 200);
    let xid = read(&sent[0].1.message).xid();
    let offer = reply(MessageType::Offer, xid, new, SERVER, vec![]);
    assert_eq!(bench.hear(401, &offer), Answer::Ignored);
    let request = bench.until(401);
    assert_eq!(read(&request[0].1.message).opts().msg_type(), Some(MessageType::Request));
    let Answer::Granted(lease) = bench.hear(402, &grant(xid, new, SERVER)) else {
        panic!("ignored")
    };
    assert_eq!(lease.address, new);
    assert_eq!(bench.renewal.phase(bench.at(402)), Phase::Bound);
}

#[test]
fn a_lease_without_end_needs_no_keeping() {
    let forever = Lease { times: Times::Forever, ..lease(NODE) };
    assert!(Renewal::new(MAC, None, forever.clone(), Instant::now(), 7).is_none());
    let mut bench = Bench::new();
    bench.until(400);
    let ack = reply(MessageType::Ack, 7, NODE, SERVER, vec![]);
    assert_eq!(bench.hear(401, &ack), Answer::Granted(forever));
    assert_eq!(bench.renewal.due(), None);
}
