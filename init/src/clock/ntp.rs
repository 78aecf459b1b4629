//! Asks time servers (SNTP, RFC 4330 and 5905): several at once, the first good answer counts.

use crate::aside;
use flist::store::look_up;
use rustix::rand::{GetRandomFlags, getrandom};
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// The length of a packet without extensions.
const LEN: usize = 48;

const PORT: u16 = 123;

/// Most servers that are asked.
const SERVERS: usize = 4;

/// How long one packet is waited for before the next is sent, and how many are.
const PATIENCE: Duration = Duration::from_secs(1);
const SENDS: u32 = 3;

/// What stands in the first byte of a question: version 4, client.
const QUESTION: u8 = 4 << 3 | 3;

/// The seconds from 1900, where NTP begins to count, to 1970.
const FROM_1900: u64 = 2_208_988_800;

/// What a server is too far from its own source of time, as 16.16 seconds.
const DISTANCE_MAX: u32 = 16 << 16;

/// A server's answer that will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Reply {
    /// When it was sent, since 1970.
    sent: Duration,
    /// How long the server took.
    held: Duration,
}

/// Why an answer will not do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum BadReply {
    #[error("the answer is too short")]
    Short,
    #[error("the answer is none of a time server's")]
    Mode,
    #[error("the answer is to another question")]
    Origin,
    #[error("the server refuses: {0}")]
    Refused(String),
    #[error("the server does not know the time itself")]
    Unsynchronised,
}

/// A question. What is echoed is a random number, not this machine's time: nobody who does not
/// see the question can answer.
fn question(nonce: u64) -> [u8; LEN] {
    let mut packet = [0; LEN];
    packet[0] = QUESTION;
    packet[40..].copy_from_slice(&nonce.to_be_bytes());
    packet
}

fn read(packet: &[u8], nonce: u64) -> Result<Reply, BadReply> {
    let packet: &[u8; LEN] = packet.first_chunk().ok_or(BadReply::Short)?;
    let word = |at: usize| packet[at..at + 4].iter().fold(0, |n: u32, b| n << 8 | u32::from(*b));
    let stamp = |at: usize| u64::from(word(at)) << 32 | u64::from(word(at + 4));
    let (leap, version, mode) = (packet[0] >> 6, packet[0] >> 3 & 7, packet[0] & 7);
    if mode != 4 || !(1..=4).contains(&version) {
        return Err(BadReply::Mode);
    }
    if stamp(24) != nonce {
        return Err(BadReply::Origin);
    }
    let stratum = packet[1];
    if stratum == 0 {
        return Err(refusal(*packet[12..].first_chunk().ok_or(BadReply::Short)?));
    }
    let far = word(4) >= DISTANCE_MAX || word(8) >= DISTANCE_MAX;
    let (received, sent) = (stamp(32), stamp(40));
    if leap == 3 || stratum > 15 || far || sent == 0 || received == 0 {
        return Err(BadReply::Unsynchronised);
    }
    let held = i64::try_from(sent.wrapping_sub(received)).unwrap_or(0).unsigned_abs();
    Ok(Reply { sent: since_1970(sent), held: length(held) })
}

/// What a server means that has no stratum: `code` is four letters, such as RATE or DENY. Some of
/// these, and none at all, are how ntpd and chronyd say that they have no time yet.
fn refusal(code: [u8; 4]) -> BadReply {
    match &code {
        b"INIT" | b"STEP" | [0, ..] => BadReply::Unsynchronised,
        code => BadReply::Refused(code.escape_ascii().to_string()),
    }
}

/// A timestamp as time since 1970. Those with the first bit clear are of the era that begins in
/// 2036 (RFC 4330, section 3).
fn since_1970(stamp: u64) -> Duration {
    let era = if stamp >> 63 == 0 { 1 << 32 } else { 0 };
    let seconds = (stamp >> 32) + era;
    Duration::from_secs(seconds.saturating_sub(FROM_1900)) + length(stamp & 0xffff_ffff)
}

/// A span in units of 2^-32 seconds.
fn length(span: u64) -> Duration {
    let nanos = ((span & 0xffff_ffff) * 1_000_000_000) >> 32;
    Duration::from_secs(span >> 32) + Duration::from_nanos(nanos)
}

/// A time and the moment at which it was right.
#[derive(Debug, Clone, Copy)]
pub(super) struct Told {
    at: Instant,
    time: Duration,
}

impl Told {
    /// The time since 1970, now.
    pub(super) fn now(&self) -> Duration {
        self.time + self.at.elapsed()
    }
}

/// Asks `servers`, names or addresses, all at once. Returns the time and who told it, or what each
/// of them did instead. Takes some three seconds at most.
pub(super) fn ask(servers: &[String]) -> Result<(Told, String), Vec<String>> {
    let deadline = Instant::now() + PATIENCE * (SENDS + 1);
    let (send, answers) = mpsc::channel();
    for server in servers.iter().take(SERVERS) {
        let (send, server) = (send.clone(), server.clone());
        // A look-up can't be broken off: who takes too long is not listened to any more.
        let asking = aside::start("ntp", move || {
            let _nobody_listens = send.send((ask_one(&server, PORT), server));
        });
        if let Err(e) = asking {
            log::warn!("no time server is asked: {e}");
        }
    }
    drop(send);
    let mut refusals = Vec::new();
    loop {
        match answers.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok((Ok(told), server)) => return Ok((told, server)),
            Ok((Err(why), server)) => refusals.push(format!("{server}: {why}")),
            Err(_) => break,
        }
    }
    let silent = servers.iter().take(SERVERS).skip(refusals.len());
    if silent.len() > 0 && refusals.is_empty() {
        refusals.extend(silent.map(|server| format!("{server}: no answer")));
    }
    Err(refusals)
}

fn ask_one(server: &str, port: u16) -> Result<Told, String> {
    let text = |e: io::Error| e.to_string();
    let host = server.trim_start_matches('[').trim_end_matches(']');
    let address = match host.parse::<IpAddr>() {
        Ok(address) => Some(SocketAddr::new(address, port)),
        Err(_name) => look_up(&format!("{host}:{port}")).map_err(text)?.into_iter().next(),
    };
    let address = address.ok_or_else(|| "the name has no address".to_owned())?;
    let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any).map_err(text)?;
    // Only what comes from there is received.
    socket.connect(address).map_err(text)?;
    let mut bad = None;
    for _ in 0..SENDS {
        let nonce = nonce().map_err(text)?;
        let asked = Instant::now();
        if let Err(e) = socket.send(&question(nonce)) {
            bad = Some(e.to_string());
            thread::sleep(PATIENCE);
            continue;
        }
        let until = asked + PATIENCE;
        let mut packet = [0; 512];
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            socket.set_read_timeout(Some(left)).map_err(text)?;
            let len = match socket.recv(&mut packet) {
                Ok(len) => len,
                Err(e)
                    if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) =>
                {
                    break;
                }
                Err(e) => return Err(e.to_string()),
            };
            match read(packet.get(..len).unwrap_or_default(), nonce) {
                Ok(reply) => {
                    let at = Instant::now();
                    let on_the_way = (at - asked).saturating_sub(reply.held);
                    return Ok(Told { at, time: reply.sent + on_the_way / 2 });
                }
                Err(why @ (BadReply::Refused(_) | BadReply::Unsynchronised)) => {
                    return Err(why.to_string());
                }
                // Perhaps somebody else's: the right one may still come.
                Err(why) => bad = Some(why.to_string()),
            }
        }
    }
    Err(bad.unwrap_or_else(|| "no answer".to_owned()))
}

fn nonce() -> io::Result<u64> {
    let mut bytes = [0; 8];
    getrandom(&mut bytes, GetRandomFlags::INSECURE)?;
    Ok(u64::from_ne_bytes(bytes))
}

#[cfg(any(test, feature = "fuzzing"))]
/// Reads `packet` as it is, and as an answer to the question that was asked.
pub(crate) fn fuzz(packet: &[u8]) {
    let nonce = 0x0123_4567_89ab_cdef;
    let _answer = read(packet, nonce);
    let mut sealed = packet.to_vec();
    let Some(place) = sealed.get_mut(24..32) else { return };
    place.copy_from_slice(&nonce.to_be_bytes());
    if let Ok(reply) = read(&sealed, nonce) {
        assert!(super::seconds(reply.sent) >= 0, "{reply:?}");
    }
}

#[cfg(test)]
mod real;
#[cfg(test)]
mod tests;
