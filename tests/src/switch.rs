//! A switch between a machine's network cards and qemu's user network: it carries one VLAN,
//! tagged, forms a link aggregate by LACP, and counts what it drops.
//!
//! All in user space, so that it needs nothing of the host's kernel: qemu sends and takes each
//! frame as one UDP datagram.

use std::collections::HashMap;
use std::net::{Ipv4Addr, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};

use crate::vm::Machine;

/// The switch's port to qemu's user network; the cards' follow. Each lab has all ports for itself.
const UPLINK: u16 = 9000;
/// From the switch's ports to those that qemu hears on.
const TO_QEMU: u16 = 100;

/// What the switch wants of its machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wants {
    /// Frames must be of this VLAN, by their tag.
    pub vlan: Option<u16>,
    /// The ports must speak LACP before frames pass.
    pub lacp: bool,
}

/// A running switch. Its threads end with the test.
pub struct Switch {
    cards: u16,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// Which port a station was last heard on.
    heard: HashMap<[u8; 6], u16>,
    /// Ports that are part of the aggregate.
    joined: Vec<u16>,
    passed: HashMap<u16, u64>,
    dropped: u64,
}

/// One port: where frames come in, and where they go out.
struct Port {
    number: u16,
    socket: UdpSocket,
}

impl Switch {
    /// One for a machine with so many `cards`, in the calling thread's network.
    ///
    /// # Errors
    /// When the ports are taken.
    pub fn start(cards: u16, wants: Wants) -> anyhow::Result<Self> {
        let state = Arc::new(Mutex::new(State::default()));
        let bind = |number| -> anyhow::Result<Port> {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, UPLINK + number))?;
            Ok(Port { number, socket })
        };
        let ports = (0..=cards).map(bind).collect::<anyhow::Result<Vec<_>>>()?;
        let ports = Arc::new(ports);
        for number in 0..=cards {
            let (ports, state) = (Arc::clone(&ports), Arc::clone(&state));
            std::thread::spawn(move || {
                let mut buffer = [0; 65_536];
                let Some(port) = ports.get(usize::from(number)) else { return };
                while let Ok(len) = port.socket.recv(&mut buffer) {
                    let frame = buffer.get(..len).unwrap_or_default();
                    let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
                    let out = if number == 0 {
                        state.down(frame, wants, cards)
                    } else {
                        state.up(frame, wants, number)
                    };
                    drop(state);
                    for (to, frame) in out {
                        ports.iter().filter(|port| port.number == to).for_each(|port| {
                            let qemu = UPLINK + TO_QEMU + to;
                            // A machine that has ended hears nothing more.
                            let _ = port.socket.send_to(&frame, (Ipv4Addr::LOCALHOST, qemu));
                        });
                    }
                }
            });
        }
        Ok(Self { cards, state })
    }

    /// Gives `machine` its cards; card number N (from 1) has the MAC `52:54:00:00:00:0N`, and is
    /// `cardN` to qemu's monitor.
    pub fn plug(&self, machine: &mut Machine) {
        machine.network = false;
        let mut add = |words: &[String]| machine.args.extend_from_slice(words);
        let netdev = |text: String| ["-netdev".to_owned(), text];
        let udp = |port: u16| {
            let (here, there) = (UPLINK + TO_QEMU + port, UPLINK + port);
            format!("udp=127.0.0.1:{there},localaddr=127.0.0.1:{here}")
        };
        add(&netdev("hubport,id=hub0,hubid=1,netdev=net0".to_owned()));
        add(&netdev(format!("socket,id=uplink,{}", udp(0))));
        add(&netdev("hubport,id=hub1,hubid=1,netdev=uplink".to_owned()));
        for card in 1..=self.cards {
            add(&netdev(format!("socket,id=card{card},{}", udp(card))));
            let device = format!(
                "virtio-net-pci,netdev=card{card},mac=52:54:00:00:00:0{card},speed=1000,duplex=full,romfile="
            );
            add(&["-device".to_owned(), device]);
        }
    }

    /// How many frames of the machine's it dropped, as they were not as the switch wants them.
    pub fn dropped(&self) -> u64 {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).dropped
    }

    /// How many frames came in by card number `card` and passed.
    pub fn passed(&self, card: u16) -> u64 {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.passed.get(&card).copied().unwrap_or(0)
    }
}

type Out = Vec<(u16, Vec<u8>)>;

impl State {
    /// What goes where of a frame of the machine's.
    fn up(&mut self, frame: &[u8], wants: Wants, port: u16) -> Out {
        if wants.lacp && is_lacp(frame) {
            return self.answer_lacp(frame, port).into_iter().map(|out| (port, out)).collect();
        }
        let joined = !wants.lacp || self.joined.contains(&port);
        let plain = match wants.vlan {
            Some(vlan) => untagged(frame, vlan),
            None => Some(frame.to_vec()),
        };
        let (Some(frame), true) = (plain, joined) else {
            self.dropped += 1;
            return Vec::new();
        };
        if let Some(source) = mac_at(&frame, 6) {
            self.heard.insert(source, port);
        }
        *self.passed.entry(port).or_default() += 1;
        vec![(0, frame)]
    }

    /// What goes where of a frame for the machine.
    fn down(&self, frame: &[u8], wants: Wants, cards: u16) -> Out {
        let frame = wants.vlan.map_or_else(|| frame.to_vec(), |vlan| tagged(frame, vlan));
        let known = mac_at(&frame, 0).and_then(|target| self.heard.get(&target)).copied();
        let all = (1..=cards).filter(|port| !wants.lacp || self.joined.contains(port));
        all.filter(|port| known.is_none_or(|known| known == *port))
            .map(|port| (port, frame.clone()))
            .collect()
    }

    /// The partner's word to a LACPDU: in step, collecting and distributing. The port joins once
    /// the machine's side is in step too.
    fn answer_lacp(&mut self, frame: &[u8], port: u16) -> Option<Vec<u8>> {
        const IN_STEP: u8 = 0x08;
        let actor: [u8; 18] = frame.get(18..36)?.try_into().ok()?;
        if actor[14] & IN_STEP != 0 && !self.joined.contains(&port) {
            self.joined.push(port);
        }
        let mut answer = frame.get(..124)?.to_vec();
        answer.get_mut(6..12)?.copy_from_slice(&SWITCH_MAC);
        // System priority and address, key, port's priority and number; active, short timeout,
        // aggregatable, in step, collecting, distributing.
        let mut own = [0; 18];
        own[..2].copy_from_slice(&[0xff, 0xff]);
        own[2..8].copy_from_slice(&SWITCH_MAC);
        own[8..14].copy_from_slice(&[0, 1, 0, 0xff, 0, u8::try_from(port).ok()?]);
        own[14] = 0x3f;
        answer.get_mut(18..36)?.copy_from_slice(&own);
        answer.get_mut(38..56)?.copy_from_slice(&actor);
        Some(answer)
    }
}

/// The switch's own address, that of its aggregate.
pub const SWITCH_MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 0x99];

fn is_lacp(frame: &[u8]) -> bool {
    frame.get(12..15) == Some(&[0x88, 0x09, 1])
}

fn mac_at(frame: &[u8], at: usize) -> Option<[u8; 6]> {
    frame.get(at..at + 6)?.try_into().ok()
}

/// The frame without its tag, if it has that of `vlan`.
fn untagged(frame: &[u8], vlan: u16) -> Option<Vec<u8>> {
    let [0x81, 0x00, high, low] = *frame.get(12..16)? else { return None };
    let id = u16::from_be_bytes([high, low]) & 0x0fff;
    (id == vlan).then(|| [&frame[..12], &frame[16..]].concat())
}

fn tagged(frame: &[u8], vlan: u16) -> Vec<u8> {
    let (addresses, rest) = frame.split_at(frame.len().min(12));
    let [high, low] = vlan.to_be_bytes();
    [addresses, &[0x81, 0x00, high, low], rest].concat()
}
