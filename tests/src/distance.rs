//! A long cable: frames between a machine's card and the host arrive late and no faster than the cable
//! is, and what does not fit on it is dropped, as a router does. So TCP on both ends, the kernels' own,
//! meets what it meets on a long path: round trips, a slow start, a queue.
//!
//! All in user space, for the host's kernel may lack netem: qemu sends and takes each frame as one UDP
//! datagram.

use rustix::net::sockopt::set_socket_recv_buffer_size_force;
use std::net::{Ipv4Addr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::vm::Machine;

/// Each cable takes four ports from here on. Each lab has all for itself.
static PORTS: AtomicU16 = AtomicU16::new(9100);

/// What the kernel keeps of a burst until the cable takes it, in bytes.
const BURST: usize = 16 << 20;

/// A path from a server to a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Path {
    /// What a frame and its answer take.
    pub round_trip: Duration,
    /// Bits a second, each way.
    pub rate: u64,
}

impl Path {
    /// How many bytes may wait before the cable: as much as it holds in a round trip, and what a server
    /// sends at once at the least.
    fn queue(&self) -> u64 {
        let held = u128::from(self.rate / 8) * self.round_trip.as_micros() / 1_000_000;
        u64::try_from(held).unwrap_or(u64::MAX).max(256 << 10)
    }
}

/// A cable in use. Its threads end with the test.
pub struct Distance {
    /// Where qemu's end at the host hears, and where the cable does there.
    host: (u16, u16),
    /// The same of the card's end.
    card: (u16, u16),
    dropped: Arc<AtomicU64>,
}

impl Distance {
    /// One that is `path` long, in the calling thread's network.
    ///
    /// # Errors
    /// When its ports are taken.
    pub fn start(path: Path) -> anyhow::Result<Self> {
        let dropped = Arc::new(AtomicU64::new(0));
        let bind = |port| -> anyhow::Result<UdpSocket> {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, port))?;
            // What comes in a burst is to be dropped by the cable, not before it.
            set_socket_recv_buffer_size_force(&socket, BURST)?;
            Ok(socket)
        };
        let first = PORTS.fetch_add(4, Ordering::Relaxed);
        let ends = Self { host: (first, first + 1), card: (first + 2, first + 3), dropped };
        let (host, card) = (bind(ends.host.1)?, bind(ends.card.1)?);
        let dropped = || Arc::clone(&ends.dropped);
        forward(path, host.try_clone()?, card.try_clone()?, ends.card.0, dropped());
        forward(path, card, host, ends.host.0, dropped());
        Ok(ends)
    }

    /// Puts the cable between the card of `machine` and what it was plugged into.
    pub fn plug(&self, machine: &mut Machine) {
        machine.network = false;
        let socket = |id: &str, (here, there): (u16, u16)| {
            format!("socket,id={id},udp=127.0.0.1:{there},localaddr=127.0.0.1:{here}")
        };
        let words = [
            "-netdev",
            "hubport,id=hub0,hubid=1,netdev=net0",
            "-netdev",
            &socket("uplink", self.host),
            "-netdev",
            "hubport,id=hub1,hubid=1,netdev=uplink",
            "-netdev",
            &socket("far", self.card),
            "-device",
            "virtio-net-pci,netdev=far,romfile=",
        ];
        machine.args.extend(words.iter().map(|word| (*word).to_owned()));
    }

    /// How many frames did not fit on it.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

/// Carries what comes in at `from` to `port`, by way of `to`.
fn forward(path: Path, from: UdpSocket, to: UdpSocket, port: u16, dropped: Arc<AtomicU64>) {
    let (send, frames) = channel();
    thread::spawn(move || take(path, &from, &send, &dropped));
    thread::spawn(move || give(&frames, &to, port));
}

/// Takes frames, and says of each when it is at the other end.
fn take(path: Path, from: &UdpSocket, frames: &Sender<(Instant, Vec<u8>)>, dropped: &AtomicU64) {
    let mut buffer = [0; 65_536];
    let mut free = Instant::now();
    while let Ok(len) = from.recv(&mut buffer) {
        let now = Instant::now();
        let time = |bytes: u64| Duration::from_nanos(bytes * 8 * 1_000_000_000 / path.rate);
        if free.saturating_duration_since(now) > time(path.queue()) {
            dropped.fetch_add(1, Ordering::Relaxed);
            continue;
        }
        free = free.max(now) + time(len as u64);
        let frame = buffer.get(..len).unwrap_or_default().to_vec();
        if frames.send((free + path.round_trip / 2, frame)).is_err() {
            return;
        }
    }
}

fn give(frames: &Receiver<(Instant, Vec<u8>)>, to: &UdpSocket, port: u16) {
    for (due, frame) in frames {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        // A machine that has ended hears nothing more.
        let _ = to.send_to(&frame, (Ipv4Addr::LOCALHOST, port));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::Lab;

    fn ends(distance: &Distance) -> (UdpSocket, UdpSocket) {
        let bind = |port| {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
            set_socket_recv_buffer_size_force(&socket, BURST).unwrap();
            // A frame that is lost fails the test.
            socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
            socket
        };
        (bind(distance.host.0), bind(distance.card.0))
    }

    #[test]
    fn frames_are_late_slow_and_in_order() {
        let _lab = Lab::enter().unwrap();
        let path = Path { round_trip: Duration::from_millis(100), rate: 8_000_000 };
        let distance = Distance::start(path).unwrap();
        let (host, card) = ends(&distance);
        let began = Instant::now();
        for number in 0..100_u8 {
            let there = (Ipv4Addr::LOCALHOST, distance.host.1);
            host.send_to(&[number; 1000], there).unwrap();
        }
        let mut frame = [0; 2000];
        for number in 0..100_u8 {
            assert_eq!(card.recv(&mut frame).unwrap(), 1000);
            assert_eq!(frame[0], number);
            // 1000 bytes take a millisecond, and half a round trip.
            let least = Duration::from_millis(50 + u64::from(number) + 1);
            assert!(began.elapsed() >= least, "frame {number} after {:?}", began.elapsed());
        }
        card.send_to(b"back", (Ipv4Addr::LOCALHOST, distance.card.1)).unwrap();
        let len = host.recv(&mut frame).unwrap();
        assert_eq!(&frame[..len], b"back");
        assert!(began.elapsed() >= Duration::from_millis(200));
        assert_eq!(distance.dropped(), 0);
    }

    #[test]
    fn what_does_not_fit_is_dropped() {
        let _lab = Lab::enter().unwrap();
        let path = Path { round_trip: Duration::ZERO, rate: 80_000 };
        let distance = Distance::start(path).unwrap();
        let (host, card) = ends(&distance);
        // The queue holds 256 KiB: half a minute at that rate.
        while distance.dropped() == 0 {
            host.send_to(&[1; 1000], (Ipv4Addr::LOCALHOST, distance.host.1)).unwrap();
        }
        assert_eq!(card.recv(&mut [0; 2000]).unwrap(), 1000);
    }
}
