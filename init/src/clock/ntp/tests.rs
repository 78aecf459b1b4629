use super::*;
use proptest::prelude::*;
use std::net::SocketAddr;

const NONCE: u64 = 0x0123_4567_89ab_cdef;

/// 2026-11-23 06:05:12.5 UTC as a timestamp.
const STAMP: u64 = (1_795_413_912 + FROM_1900) << 32 | 0x8000_0000;

/// A good answer, received by the server a quarter of a second before it was sent.
fn answer(nonce: u64) -> [u8; LEN] {
    let mut packet = [0; LEN];
    packet[0] = 4 << 3 | 4;
    packet[1] = 2;
    packet[24..32].copy_from_slice(&nonce.to_be_bytes());
    packet[32..40].copy_from_slice(&(STAMP - 0x4000_0000).to_be_bytes());
    packet[40..].copy_from_slice(&STAMP.to_be_bytes());
    packet
}

#[test]
fn a_good_answer() {
    let sent = Duration::from_millis(1_795_413_912_500);
    let held = Duration::from_millis(250);
    assert_eq!(read(&answer(NONCE), NONCE), Ok(Reply { sent, held }));
    // Extensions and a key may follow.
    assert!(read(&[&answer(NONCE)[..], &[9; 20]].concat(), NONCE).is_ok());
}

#[test]
fn answers_that_will_not_do() {
    let changed = |at: usize, bytes: &[u8]| {
        let mut packet = answer(NONCE);
        packet[at..at + bytes.len()].copy_from_slice(bytes);
        read(&packet, NONCE).unwrap_err()
    };
    assert_eq!(read(&answer(NONCE)[..47], NONCE), Err(BadReply::Short));
    assert_eq!(read(&answer(NONCE), NONCE + 1), Err(BadReply::Origin));
    assert_eq!(read(&question(NONCE), NONCE), Err(BadReply::Mode));
    for mode in [3, 5, 6, 0] {
        assert_eq!(changed(0, &[4 << 3 | mode]), BadReply::Mode, "{mode}");
    }
    assert_eq!(changed(0, &[7 << 3 | 4]), BadReply::Mode);
    assert_eq!(changed(0, &[3 << 6 | 4 << 3 | 4]), BadReply::Unsynchronised);
    assert_eq!(changed(1, &[16]), BadReply::Unsynchronised);
    assert_eq!(changed(4, &[0, 16, 0, 0]), BadReply::Unsynchronised);
    assert_eq!(changed(8, &[0xff; 4]), BadReply::Unsynchronised);
    assert_eq!(changed(40, &[0; 8]), BadReply::Unsynchronised);
    let mut kiss = answer(NONCE);
    kiss[1] = 0;
    kiss[12..16].copy_from_slice(b"RATE");
    assert_eq!(read(&kiss, NONCE), Err(BadReply::Refused("RATE".to_owned())));
    for code in [b"INIT", b"STEP", b"\0\0\0\0"] {
        kiss[12..16].copy_from_slice(code);
        assert_eq!(read(&kiss, NONCE), Err(BadReply::Unsynchronised), "{code:?}");
    }
}

#[test]
fn the_era_after_2036() {
    assert_eq!(since_1970(0xffff_ffff << 32).as_secs() + 1, since_1970(0).as_secs());
    assert_eq!(since_1970(0).as_secs(), (1 << 32) - FROM_1900);
}

/// A server that answers each packet with what `make` makes of its nonce.
fn server(make: impl Fn(u64) -> Vec<Vec<u8>> + Send + 'static) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    thread::spawn(move || {
        let mut packet = [0; LEN];
        while let Ok((LEN, from)) = socket.recv_from(&mut packet) {
            assert_eq!((packet[0], &packet[1..40]), (QUESTION, &[0; 39][..]));
            let nonce = u64::from_be_bytes(*packet.last_chunk().unwrap());
            for answer in make(nonce) {
                socket.send_to(&answer, from).unwrap();
            }
        }
    });
    address
}

fn asked(server: SocketAddr) -> Result<Told, String> {
    ask_one(&server.ip().to_string(), server.port())
}

#[test]
fn a_server_is_asked_and_what_is_not_its_answer_passed_over() {
    let good = server(|nonce| vec![b"x".to_vec(), answer(nonce ^ 1).into(), answer(nonce).into()]);
    let told = asked(good).unwrap();
    // Half the way is less than a second here.
    assert_eq!((told.time.as_secs() - 1_795_413_912) / 2, 0);
    assert!(told.now() >= told.time);
}

#[test]
fn a_server_that_is_none() {
    let refuses = server(|nonce| {
        let mut packet = answer(nonce).to_vec();
        packet[1] = 0;
        packet[12..16].copy_from_slice(b"DENY");
        vec![packet]
    });
    assert_eq!(asked(refuses).unwrap_err(), "the server refuses: DENY");
    let closed = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert!(asked(closed).unwrap_err().contains("refused"));
    assert_eq!(asked(server(|_| vec![])).unwrap_err(), "no answer");
    assert!(ask(&[]).unwrap_err().is_empty());
}

proptest! {
    #[test]
    fn no_packet_panics(packet: Vec<u8>, nonce: u64) {
        let _ = read(&packet, nonce);
    }

    #[test]
    fn no_answer_panics(mut packet in proptest::array::uniform32(0u8..), nonce: u64, tail: [u8; 16]) {
        packet[0] = 4 << 3 | 4;
        packet[24..].copy_from_slice(&nonce.to_be_bytes());
        let _ = read(&[&packet[..], &tail].concat(), nonce);
    }
}
