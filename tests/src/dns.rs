//! A name server that answers, or refuses, as it is asked to (RFC 1035).

use std::net::UdpSocket;
use std::thread;

/// What it says to a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// This address, for a minute.
    Ipv4([u8; 4]),
    /// There is no such name (RCODE 3).
    NoSuchName,
    /// It will not say (RCODE 5).
    Refused,
}

/// The type of questions for IPv4 addresses.
pub const A: u16 = 1;

/// Serves at `address` what `answer` says to questions of a type. Ends with the process.
///
/// # Errors
/// When there is no listening there.
pub fn serve(
    address: &str,
    mut answer: impl FnMut(u16) -> Answer + Send + 'static,
) -> anyhow::Result<()> {
    let socket = UdpSocket::bind(address)?;
    thread::spawn(move || {
        let mut packet = [0; 512];
        while let Ok((len, from)) = socket.recv_from(&mut packet) {
            // The question stays as it is; it ends with its type and class.
            let mut told = packet[..len].to_vec();
            let Some(&[high, low, _, _]) = told.last_chunk() else { continue };
            // An answer; recursion was desired, and is available.
            (told[2], told[3]) = (0x81, 0x80);
            match answer(u16::from_be_bytes([high, low])) {
                Answer::Ipv4(address) => {
                    told[7] = 1;
                    // A pointer to the question's name, A, IN, the seconds, and four bytes.
                    told.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
                    told.extend_from_slice(&address);
                }
                Answer::NoSuchName => told[3] |= 3,
                Answer::Refused => told[3] |= 5,
            }
            if socket.send_to(&told, from).is_err() {
                return;
            }
        }
    });
    Ok(())
}
