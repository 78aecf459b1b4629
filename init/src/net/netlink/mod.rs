//! The kernel's network tables over rtnetlink: links, addresses and routes, and news of links.

pub(crate) mod links;
pub(crate) mod losses;
pub(crate) mod made;
pub(crate) mod routes;
mod wire;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use linux_raw_sys::netlink::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR, RTMGRP_LINK,
};
use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

use super::narrow::to_u16;
use links::Link;
use wire::{Message, Received, messages};

/// The largest datagram the kernel sends in a dump.
const DATAGRAM_MAX: usize = 32 * 1024;
/// The greatest error number that the kernel has.
const ERRNO_MAX: i32 = 4095;
/// How often a dump that changed under our eyes is begun again.
const DUMP_TRIES: usize = 16;

/// A socket for requests.
#[derive(Debug)]
pub(crate) struct Netlink {
    socket: OwnedFd,
    sequence: u32,
}

impl Netlink {
    /// Opens one.
    pub(crate) fn open() -> Result<Self, Errno> {
        Ok(Self { socket: open(SocketFlags::CLOEXEC, 0)?, sequence: 0 })
    }

    /// Sends `message` and waits for the kernel's yes or no.
    fn request(&mut self, message: Message) -> Result<(), Errno> {
        self.exchange(message, |_| {}).map(|_interrupted| ())
    }

    /// Sends `message`, which asks for a dump, and hands each answer to `take`. A dump that was
    /// interrupted by a change is asked for again, after `reset`.
    fn dump<T>(
        &mut self,
        message: &Message,
        take: impl Fn(Received<'_>) -> Option<T>,
    ) -> Result<Vec<T>, Errno> {
        for _ in 0..DUMP_TRIES {
            let mut found = Vec::new();
            let interrupted =
                self.exchange(message.clone(), |answer| found.extend(take(answer)))?;
            if !interrupted {
                return Ok(found);
            }
        }
        Err(Errno::INTR)
    }

    /// Sends `message` and reads to the end of its answer; whether that was interrupted.
    fn exchange(
        &mut self,
        message: Message,
        mut take: impl FnMut(Received<'_>),
    ) -> Result<bool, Errno> {
        self.sequence = self.sequence.wrapping_add(1);
        rustix::net::send(&self.socket, &message.finish(self.sequence), SendFlags::empty())?;
        let mut buffer = vec![0; DATAGRAM_MAX];
        let mut interrupted = false;
        loop {
            let datagram = receive(self.socket.as_fd(), &mut buffer)?;
            for answer in messages(datagram).filter(|m| m.sequence == self.sequence) {
                interrupted |= u32::from(answer.flags) & NLM_F_DUMP_INTR != 0;
                match u32::from(answer.kind) {
                    NLMSG_DONE => return Ok(interrupted),
                    NLMSG_ERROR => return status(answer.body).map(|()| interrupted),
                    _ => take(answer),
                }
            }
        }
    }
}

impl AsFd for Netlink {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// News of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum News {
    /// It is new or has changed.
    Changed(Link),
    /// It is gone.
    Gone(u32),
}

/// A socket that hears of every change to a link.
#[derive(Debug)]
pub(crate) struct LinkEvents {
    socket: OwnedFd,
}

impl LinkEvents {
    /// Opens one; nothing that happens from here on is missed.
    pub(crate) fn open() -> Result<Self, Errno> {
        Ok(Self { socket: open(SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, RTMGRP_LINK)? })
    }

    /// What has happened; `None` where so much did that some of it is lost and all links must be
    /// listed again.
    pub(crate) fn read(&self) -> Result<Option<Vec<News>>, Errno> {
        read_all(self.socket.as_fd(), links::news)
    }
}

impl AsFd for LinkEvents {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn open(flags: SocketFlags, groups: u32) -> Result<OwnedFd, Errno> {
    let socket = rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?;
    rustix::net::bind(&socket, &SocketAddrNetlink::new(0, groups))?;
    Ok(socket)
}

/// All that `take` makes of the messages waiting at `socket`; `None` where some are lost.
fn read_all<T>(
    socket: BorrowedFd<'_>,
    take: impl Fn(Received<'_>) -> Option<T>,
) -> Result<Option<Vec<T>>, Errno> {
    let mut taken = Vec::new();
    let mut buffer = vec![0; DATAGRAM_MAX];
    loop {
        match receive(socket, &mut buffer) {
            Ok(datagram) => taken.extend(messages(datagram).filter_map(&take)),
            Err(Errno::AGAIN) => return Ok(Some(taken)),
            Err(Errno::NOBUFS) => return Ok(None),
            Err(error) => return Err(error),
        }
    }
}

fn receive<'b>(socket: BorrowedFd<'_>, buffer: &'b mut [u8]) -> Result<&'b [u8], Errno> {
    let (len, _) =
        rustix::io::retry_on_intr(|| rustix::net::recv(socket, &mut *buffer, RecvFlags::empty()))?;
    Ok(buffer.get(..len).unwrap_or_default())
}

/// The verdict in an NLMSG_ERROR: zero is yes.
fn status(body: &[u8]) -> Result<(), Errno> {
    match wire::u32_at(body, 0).map(|code| code.cast_signed().wrapping_neg()) {
        Some(0) => Ok(()),
        Some(code) if (1..=ERRNO_MAX).contains(&code) => Err(Errno::from_raw_os_error(code)),
        _ => Err(Errno::BADMSG),
    }
}

/// The flags of a request that changes something.
const CHANGE: u16 = to_u16(NLM_F_REQUEST | NLM_F_ACK);
/// The flags of a request that lists something.
const LIST: u16 = to_u16(NLM_F_REQUEST | NLM_F_DUMP);

#[cfg(any(test, feature = "fuzzing"))]
/// Reads `datagram` in every way there is.
pub(crate) fn read_any(datagram: &[u8]) {
    for message in messages(datagram) {
        let (_news, _loss) = (links::news(message), losses::loss(message));
        let (_link, _status) = (links::parse(message.body), status(message.body));
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) use tests::samples;
