use dhcproto::v6::{DhcpOption, MessageType, OptionCode, Status};

use super::*;
use crate::net::dhcp6::oracle::{self, MAC, NODE, SERVER, association_of};

const SECOND: Duration = Duration::from_secs(1);

/// What is sent at `now`, as the oracle reads it.
fn sent(client: &mut Client, now: Instant) -> dhcproto::v6::Message {
    oracle::read(&client.message(now).expect("a message is due"))
}

/// `client` gets the answer `kind` to its last message.
fn answer(
    client: &mut Client,
    now: Instant,
    kind: MessageType,
    options: Vec<DhcpOption>,
) -> Outcome {
    let reply = oracle::reply(kind, client.xid, options);
    client.receive(now, &reply)
}

/// A client that was granted `NODE` at the instant: T1 600, T2 1200, valid 3600.
fn bound() -> (Client, Instant) {
    let now = Instant::now();
    let mut client = Client::new(MAC, true, 1, now);
    sent(&mut client, now);
    let granted = answer(&mut client, now, MessageType::Reply, vec![oracle::grant()]);
    assert!(matches!(granted, Outcome::Granted(_)), "{granted:?}");
    (client, now)
}

#[test]
fn four_messages_make_a_lease() {
    let now = Instant::now();
    let mut client = Client::new(MAC, true, 1, now);
    assert_eq!(sent(&mut client, now).msg_type(), MessageType::Solicit);
    assert_eq!(client.message(now), None, "once");
    let offered = answer(&mut client, now, MessageType::Advertise, vec![oracle::grant()]);
    assert!(matches!(offered, Outcome::Offered(_)), "{offered:?}");
    let request = sent(&mut client, now);
    assert_eq!(request.msg_type(), MessageType::Request);
    let server = request.opts().get(OptionCode::ServerId);
    assert_eq!(server, Some(&DhcpOption::ServerId(SERVER.to_vec())));
    let granted = answer(&mut client, now, MessageType::Reply, vec![oracle::grant()]);
    let Outcome::Granted(lease) = granted else { panic!("{granted:?}") };
    assert_eq!(lease.address, Some(NODE));
    assert_eq!((client.phase(now), client.sent()), (Phase::Bound, 2));
    assert_eq!(client.due(), Some(now + 600 * SECOND));
}

#[test]
fn two_do_where_the_server_is_quick() {
    let (client, now) = bound();
    assert_eq!((client.phase(now), client.sent()), (Phase::Bound, 1));
}

#[test]
fn unanswered_questions_come_ever_more_slowly_but_go_on() {
    let begin = Instant::now();
    let (mut client, mut now) = (Client::new(MAC, true, 1, begin), begin);
    let mut gaps = Vec::new();
    for _ in 0..12 {
        assert_eq!(sent(&mut client, now).msg_type(), MessageType::Solicit);
        let due = client.due().expect("it goes on");
        gaps.push(due - now);
        now = due;
    }
    assert!(gaps.is_sorted_by(|a, b| *a <= *b + *b / 8), "{gaps:?}");
    assert!(gaps[0] <= FIRST_WAIT && gaps[11] <= BOOT_WAIT && gaps[11] > BOOT_WAIT / 2);
}

#[test]
fn a_server_that_never_confirms_is_left() {
    let begin = Instant::now();
    let (mut client, mut now) = (Client::new(MAC, true, 1, begin), begin);
    sent(&mut client, now);
    answer(&mut client, now, MessageType::Advertise, vec![oracle::grant()]);
    for _ in 0..REQUESTS {
        assert_eq!(sent(&mut client, now).msg_type(), MessageType::Request);
        now = client.due().expect("it goes on");
    }
    assert_eq!(sent(&mut client, now).msg_type(), MessageType::Solicit);
}

#[test]
fn messages_for_others_and_out_of_turn_change_nothing() {
    let now = Instant::now();
    let mut client = Client::new(MAC, true, 1, now);
    let early = answer(&mut client, now, MessageType::Reply, vec![oracle::grant()]);
    assert!(matches!(early, Outcome::Ignored(_)), "nothing was asked: {early:?}");
    sent(&mut client, now);
    let mut other = oracle::reply(MessageType::Reply, client.xid, vec![oracle::grant()]);
    other.xid ^= 1;
    assert!(matches!(client.receive(now, &other), Outcome::Ignored(_)));
    let mut other = oracle::reply(MessageType::Reply, client.xid, vec![oracle::grant()]);
    other.client.push(0);
    assert!(matches!(client.receive(now, &other), Outcome::Ignored(_)));
    answer(&mut client, now, MessageType::Advertise, vec![oracle::grant()]);
    sent(&mut client, now);
    let mut foreign = oracle::reply(MessageType::Reply, client.xid, vec![oracle::grant()]);
    foreign.server = vec![9];
    assert!(matches!(client.receive(now, &foreign), Outcome::Ignored(_)));
    let own = answer(&mut client, now, MessageType::Reply, vec![oracle::grant()]);
    assert!(matches!(own, Outcome::Granted(_)), "the control: {own:?}");
    let late = answer(&mut client, now, MessageType::Reply, vec![oracle::grant()]);
    assert!(matches!(late, Outcome::Ignored(_)), "{late:?}");
}

#[test]
fn a_refusal_is_told_and_asking_goes_on() {
    let begin = Instant::now();
    let (mut client, mut now) = (Client::new(MAC, true, 1, begin), begin);
    for _ in 0..4 {
        sent(&mut client, now);
        let none = association_of(0, 0, vec![oracle::status(Status::NoAddrsAvail, "full")]);
        let refused = answer(&mut client, now, MessageType::Advertise, vec![none]);
        assert_eq!(refused, Outcome::Refused("no addresses available (full)".to_owned()));
        let due = client.due().expect("it goes on");
        assert!(due > now, "not at once: that would be a flood");
        now = due;
    }
    // Refused in answer to the request: at once anew, then ever more slowly.
    answer_to_request(&mut client, now);
    assert_eq!(client.due(), Some(now));
    answer_to_request(&mut client, now);
    assert!(client.due() > Some(now));
}

fn answer_to_request(client: &mut Client, now: Instant) {
    sent(client, now);
    answer(client, now, MessageType::Advertise, vec![oracle::grant()]);
    sent(client, now);
    let gone = oracle::status(Status::NotOnLink, "");
    let refused = answer(client, now, MessageType::Reply, vec![gone]);
    assert_eq!(refused, Outcome::Refused("the address is not of this link".to_owned()));
}

#[test]
fn a_lease_is_renewed_then_rebound_then_sought_anew() {
    let (mut client, since) = bound();
    assert_eq!(client.message(since + 599 * SECOND), None);
    let renew = sent(&mut client, since + 600 * SECOND);
    assert_eq!(renew.msg_type(), MessageType::Renew);
    assert!(renew.opts().get(OptionCode::ServerId).is_some());
    let (mut kinds, mut now) = (vec![MessageType::Renew], since + 600 * SECOND);
    while now < since + 3600 * SECOND {
        let due = client.due().expect("it goes on");
        assert!(due > now, "never at once");
        now = due;
        let message = sent(&mut client, now);
        if message.msg_type() == MessageType::Rebind {
            assert_eq!(message.opts().get(OptionCode::ServerId), None, "any server may answer");
        }
        kinds.push(message.msg_type());
    }
    let count = kinds.len();
    kinds.dedup();
    assert_eq!(kinds, [MessageType::Renew, MessageType::Rebind, MessageType::Solicit]);
    assert!(count < 40, "{count} messages in an hour");
}

#[test]
fn a_renewed_lease_holds_again() {
    let (mut client, since) = bound();
    let now = since + 700 * SECOND;
    sent(&mut client, now);
    let granted = answer(&mut client, now, MessageType::Reply, vec![oracle::grant()]);
    assert!(matches!(granted, Outcome::Granted(_)), "{granted:?}");
    assert_eq!((client.phase(now), client.due()), (Phase::Bound, Some(now + 600 * SECOND)));
}

#[test]
fn a_server_that_forgot_the_lease_is_asked_for_it_again() {
    let (mut client, since) = bound();
    let now = since + 700 * SECOND;
    sent(&mut client, now);
    let gone = association_of(0, 0, vec![oracle::status(Status::NoBinding, "")]);
    answer(&mut client, now, MessageType::Reply, vec![gone]);
    let request = sent(&mut client, now);
    assert_eq!(request.msg_type(), MessageType::Request);
    let Some(DhcpOption::IANA(ia)) = request.opts().get(OptionCode::IANA) else { panic!("no IA") };
    assert!(ia.opts.get(OptionCode::IAAddr).is_some(), "the same address");
}

#[test]
fn a_lease_for_ever_is_not_renewed() {
    let now = Instant::now();
    let mut client = Client::new(MAC, true, 1, now);
    sent(&mut client, now);
    let for_ever = association_of(0, 0, vec![oracle::address(NODE, u32::MAX, u32::MAX)]);
    answer(&mut client, now, MessageType::Reply, vec![for_ever]);
    assert_eq!(client.due(), None);
    assert_eq!(client.message(now + 1_000_000 * SECOND), None);
}

#[test]
fn a_declined_address_is_named_and_all_begins_again() {
    let now = Instant::now();
    let mut client = Client::new(MAC, true, 1, now);
    sent(&mut client, now);
    let granted = answer(&mut client, now, MessageType::Reply, vec![oracle::grant()]);
    let Outcome::Granted(lease) = granted else { panic!("{granted:?}") };
    let decline = oracle::read(&client.decline(now, &lease));
    assert_eq!(decline.msg_type(), MessageType::Decline);
    assert_eq!(sent(&mut client, now).msg_type(), MessageType::Solicit);
}

#[test]
fn information_is_asked_for_once_a_while() {
    let now = Instant::now();
    let mut client = Client::new(MAC, false, 1, now);
    assert_eq!(sent(&mut client, now).msg_type(), MessageType::InformationRequest);
    let told = answer(&mut client, now, MessageType::Reply, vec![]);
    assert!(matches!(told, Outcome::Granted(Lease { address: None, .. })), "{told:?}");
    assert_eq!(client.due(), Some(now + 86_400 * SECOND));
    let later = now + 86_400 * SECOND;
    assert_eq!(sent(&mut client, later).msg_type(), MessageType::InformationRequest);
}

#[test]
fn a_node_that_has_booted_goes_on_where_it_was() {
    let (client, since) = bound();
    let State::Bound(lease, _) = client.state else { panic!("no lease") };
    let now = since + 100 * SECOND;
    let mut kept = Client::new(MAC, true, 2, now).keeping(Some(lease), since);
    assert_eq!(kept.message(now), None);
    assert_eq!(sent(&mut kept, since + 600 * SECOND).msg_type(), MessageType::Renew);
}
