use dhcproto::v4::{DhcpOption, MessageType, OptionCode};

use super::*;
use crate::net::dhcp::oracle::{MAC, NODE, SERVER, read, reply};

const CAP: Duration = Duration::from_secs(4);
const OTHER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

/// A client at work, its clock, and what it last sent.
struct Bench {
    client: Client,
    now: Instant,
}

impl Bench {
    fn new() -> Self {
        let now = Instant::now();
        Self { client: Client::new(MAC, 7, now, CAP), now }
    }

    /// Lets time pass until the next message, and gives it.
    fn next(&mut self) -> dhcproto::v4::Message {
        self.now = self.now.max(self.client.due());
        read(&self.client.message(self.now).expect("a message is due"))
    }

    /// Hands it a server's message.
    fn hear(&mut self, kind: MessageType, address: Ipv4Addr, server: Ipv4Addr) -> Outcome {
        let options = vec![DhcpOption::AddressLeaseTime(60)];
        self.client.receive(self.now, &reply(kind, self.client.xid, address, server, options))
    }
}

fn kind(message: &dhcproto::v4::Message) -> Option<MessageType> {
    message.opts().msg_type()
}

fn server(message: &dhcproto::v4::Message) -> Option<DhcpOption> {
    message.opts().get(OptionCode::ServerIdentifier).cloned()
}

#[test]
fn a_lease_takes_four_messages() {
    let mut bench = Bench::new();
    let discover = bench.next();
    assert_eq!(kind(&discover), Some(MessageType::Discover));
    assert_eq!(discover.opts().get(OptionCode::ServerIdentifier), None);
    assert!(matches!(bench.hear(MessageType::Offer, NODE, SERVER), Outcome::Offered(_)));
    let (before, request) = (bench.now, bench.next());
    assert_eq!(before, bench.now, "the request goes out at once");
    assert_eq!(kind(&request), Some(MessageType::Request));
    assert_eq!(server(&request), Some(DhcpOption::ServerIdentifier(SERVER)));
    let asked = request.opts().get(OptionCode::RequestedIpAddress);
    assert_eq!(asked, Some(&DhcpOption::RequestedIpAddress(NODE)));
    assert_eq!((request.xid(), request.ciaddr()), (discover.xid(), Ipv4Addr::UNSPECIFIED));
    let Outcome::Granted(lease) = bench.hear(MessageType::Ack, NODE, SERVER) else {
        panic!("no lease");
    };
    assert_eq!((lease.address, lease.server), (NODE, SERVER));
}

#[test]
fn silence_is_asked_again_at_most_every_four_seconds() {
    let mut bench = Bench::new();
    let mut last = bench.now;
    bench.next();
    let mut waits = Vec::new();
    let mut broadcast = Vec::new();
    for _ in 0..40 {
        let message = bench.next();
        assert_eq!(kind(&message), Some(MessageType::Discover));
        waits.push(bench.now - last);
        broadcast.push(message.flags().broadcast());
        last = bench.now;
    }
    assert!(waits[0] <= Duration::from_millis(300), "{waits:?}");
    assert!(waits[1] <= Duration::from_millis(600), "{waits:?}");
    assert!(waits.iter().all(|wait| *wait <= CAP), "{waits:?}");
    let slow = Duration::from_millis(3400);
    assert!(waits[4..].iter().all(|wait| *wait >= slow), "a storm: {waits:?}");
    assert!(broadcast.contains(&true) && broadcast.contains(&false), "both ways are tried");
    assert!(!broadcast[0]);
    let started = bench.now - waits.iter().sum::<Duration>();
    let seconds = u64::from(bench.next().secs());
    assert!((bench.now - started).as_secs().abs_diff(seconds) <= 1);
}

#[test]
fn two_nodes_do_not_stay_in_step() {
    let now = Instant::now();
    let times = |seed| {
        let mut client = Client::new(MAC, seed, now, CAP);
        for _ in 0..5 {
            client.message(client.due());
        }
        client.due()
    };
    assert_ne!(times(1), times(2));
}

#[test]
fn the_first_offer_of_use_is_taken() {
    let mut bench = Bench::new();
    bench.next();
    // A PXE proxy answers first, with no address.
    let proxy = bench.hear(MessageType::Offer, Ipv4Addr::UNSPECIFIED, OTHER);
    assert!(matches!(proxy, Outcome::Ignored(_)), "{proxy:?}");
    assert!(matches!(bench.hear(MessageType::Offer, NODE, SERVER), Outcome::Offered(_)));
    assert_eq!(server(&bench.next()), Some(DhcpOption::ServerIdentifier(SERVER)));
}

#[test]
fn a_server_that_offers_and_falls_silent_is_left_for_another() {
    let mut bench = Bench::new();
    bench.next();
    bench.hear(MessageType::Offer, NODE, SERVER);
    let spare = Ipv4Addr::new(192, 0, 2, 77);
    bench.hear(MessageType::Offer, spare, OTHER);
    for _ in 0..REQUESTS {
        assert_eq!(server(&bench.next()), Some(DhcpOption::ServerIdentifier(SERVER)));
    }
    let request = bench.next();
    assert_eq!(kind(&request), Some(MessageType::Request));
    assert_eq!(server(&request), Some(DhcpOption::ServerIdentifier(OTHER)));
    assert!(matches!(bench.hear(MessageType::Ack, spare, OTHER), Outcome::Granted(_)));
}

#[test]
fn without_another_offer_all_begins_again() {
    let mut bench = Bench::new();
    bench.next();
    bench.hear(MessageType::Offer, NODE, SERVER);
    for _ in 0..REQUESTS {
        bench.next();
    }
    assert_eq!(kind(&bench.next()), Some(MessageType::Discover));
}

#[test]
fn a_refusal_begins_again_at_once_but_refusals_do_not_make_a_storm() {
    let mut bench = Bench::new();
    let mut gaps = Vec::new();
    let mut last = bench.now;
    for _ in 0..8 {
        assert_eq!(kind(&bench.next()), Some(MessageType::Discover));
        gaps.push(bench.now - last);
        last = bench.now;
        bench.hear(MessageType::Offer, NODE, SERVER);
        bench.next();
        let outcome = bench.hear(MessageType::Nak, Ipv4Addr::UNSPECIFIED, SERVER);
        assert!(matches!(outcome, Outcome::Refused(_)), "{outcome:?}");
    }
    assert_eq!(gaps[1], Duration::ZERO);
    assert!(gaps[2] >= Duration::from_millis(300) && gaps[7] == CAP, "{gaps:?}");
}

#[test]
fn an_answer_to_what_is_over_is_not_taken() {
    let mut bench = Bench::new();
    bench.next();
    let old = bench.client.xid;
    bench.hear(MessageType::Offer, NODE, SERVER);
    bench.next();
    bench.hear(MessageType::Nak, Ipv4Addr::UNSPECIFIED, SERVER);
    bench.next();
    let late = reply(MessageType::Ack, old, NODE, SERVER, vec![]);
    assert!(matches!(bench.client.receive(bench.now, &late), Outcome::Ignored(_)));
}

#[test]
fn what_others_say_changes_nothing() {
    let mut bench = Bench::new();
    bench.next();
    let ignored = |outcome: Outcome| matches!(outcome, Outcome::Ignored(_));
    assert!(ignored(bench.hear(MessageType::Ack, NODE, SERVER)), "a grant out of nowhere");
    assert!(ignored(bench.hear(MessageType::Nak, NODE, SERVER)), "a refusal out of nowhere");
    bench.hear(MessageType::Offer, NODE, SERVER);
    bench.next();
    assert!(ignored(bench.hear(MessageType::Ack, NODE, OTHER)), "another server's grant");
    assert!(ignored(bench.hear(MessageType::Nak, NODE, OTHER)), "another server's refusal");
    let foreign = reply(MessageType::Ack, bench.client.xid ^ 1, NODE, SERVER, vec![]);
    assert!(ignored(bench.client.receive(bench.now, &foreign)), "another exchange");
    assert!(matches!(bench.hear(MessageType::Ack, NODE, SERVER), Outcome::Granted(_)));
}

#[test]
fn a_declined_address_is_named_and_no_longer_asked_for() {
    let mut bench = Bench::new();
    bench.client = bench.client.wishing(None, Some(NODE));
    let asked = |m: &dhcproto::v4::Message| m.opts().get(OptionCode::RequestedIpAddress).cloned();
    assert_eq!(asked(&bench.next()), Some(DhcpOption::RequestedIpAddress(NODE)));
    bench.hear(MessageType::Offer, NODE, SERVER);
    bench.next();
    let Outcome::Granted(lease) = bench.hear(MessageType::Ack, NODE, SERVER) else {
        panic!("no lease");
    };
    let decline = read(&bench.client.decline(bench.now, &lease));
    assert_eq!(kind(&decline), Some(MessageType::Decline));
    assert_eq!(asked(&decline), Some(DhcpOption::RequestedIpAddress(NODE)));
    assert_eq!(server(&decline), Some(DhcpOption::ServerIdentifier(SERVER)));
    let discover = bench.next();
    assert_eq!((kind(&discover), asked(&discover)), (Some(MessageType::Discover), None));
}

#[test]
fn a_nudge_sends_the_same_again_at_once() {
    let mut bench = Bench::new();
    bench.next();
    let before = bench.now;
    bench.client.nudge(bench.now);
    assert_eq!(kind(&bench.next()), Some(MessageType::Discover));
    assert_eq!(bench.now, before);
    bench.next();
    assert!(bench.now - before <= Duration::from_secs(1), "the pace is that of one message");
}
