//! The kernel's messages about devices that come and go.

use rustix::net::netlink::{KOBJECT_UEVENT, SocketAddrNetlink};
use rustix::net::{
    AddressFamily, RecvFlags, SocketFlags, SocketType, bind, recv, socket_with, sockopt,
};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The kernel's own multicast group; udev's is 2.
const KERNEL_GROUP: u32 = 1;

/// Room for the messages of a burst of devices.
const BUFFER: usize = 4 << 20;

/// A uevent is at most 2 KiB of variables and a path.
const MESSAGE_MAX: usize = 8 << 10;

/// What happened.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A device of this modalias appeared.
    Device(String),
    /// Something that needs no driver.
    Other,
    /// Messages were lost: everything has to be looked at again.
    Lost,
    /// Nothing more for now.
    Nothing,
}

/// A socket that hears them.
pub(crate) struct Uevents {
    socket: OwnedFd,
}

impl Uevents {
    /// Begins to listen.
    pub(crate) fn open() -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket =
            socket_with(AddressFamily::NETLINK, SocketType::DGRAM, flags, Some(KOBJECT_UEVENT))?;
        sockopt::set_socket_recv_buffer_size_force(&socket, BUFFER)?;
        bind(&socket, &SocketAddrNetlink::new(0, KERNEL_GROUP))?;
        Ok(Self { socket })
    }

    /// The next event, without waiting for one.
    pub(super) fn next(&self) -> io::Result<Event> {
        let mut message = [0; MESSAGE_MAX];
        match recv(&self.socket, &mut message, RecvFlags::empty()) {
            Ok((len, _)) => Ok(parse(&message[..len])),
            Err(rustix::io::Errno::NOBUFS) => Ok(Event::Lost),
            Err(rustix::io::Errno::AGAIN) => Ok(Event::Nothing),
            Err(rustix::io::Errno::INTR) => Ok(Event::Other),
            Err(e) => Err(e.into()),
        }
    }

    /// Passes over all that has come in.
    pub(crate) fn skip(&self) -> io::Result<()> {
        while self.next()? != Event::Nothing {}
        Ok(())
    }
}

impl AsFd for Uevents {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Reads `add@/devices/...`, then `KEY=value` pairs, each ended by a zero byte.
pub(super) fn parse(message: &[u8]) -> Event {
    let fields: Vec<&str> =
        message.split(|b| *b == 0).filter_map(|f| std::str::from_utf8(f).ok()).collect();
    let value = |key: &str| fields.iter().find_map(|field| field.strip_prefix(key));
    match (value("ACTION="), value("MODALIAS=")) {
        (Some("add"), Some(modalias)) => Event::Device(modalias.to_owned()),
        _ => Event::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_recognised() {
        let message = b"add@/devices/pci0/virtio0\0ACTION=add\0SUBSYSTEM=virtio\0MODALIAS=virtio:d1v1\0SEQNUM=7\0";
        assert_eq!(parse(message), Event::Device("virtio:d1v1".to_owned()));
    }

    #[test]
    fn the_rest_is_not() {
        assert_eq!(parse(b"remove@/x\0ACTION=remove\0MODALIAS=virtio:d1v1\0"), Event::Other);
        assert_eq!(parse(b"add@/x\0ACTION=add\0SUBSYSTEM=net\0"), Event::Other);
        assert_eq!(parse(b"\xff\0\xfe"), Event::Other);
        assert_eq!(parse(b""), Event::Other);
    }
}
