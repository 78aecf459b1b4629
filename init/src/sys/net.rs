//! What the network needs of the kernel and rustix has no safe door for: link-layer socket
//! addresses, packet filters, and ethtool's questions about a driver.

use std::ffi::{CStr, c_void};
use std::os::fd::{AsRawFd as _, BorrowedFd};

use linux_raw_sys::if_packet::sockaddr_ll;
use rustix::io::Errno;
use rustix::net::addr::{SocketAddrArg, SocketAddrLen, SocketAddrOpaque};

use super::check;
use crate::net::narrow::to_u16;

/// A link-layer address for `AF_PACKET` sockets.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LinkAddr {
    /// The interface's index.
    pub(crate) index: u32,
    /// The EtherType, as a number (not yet in network order).
    pub(crate) protocol: u16,
    /// The station's address; all zeros when binding.
    pub(crate) mac: [u8; 6],
}

impl LinkAddr {
    fn raw(self) -> sockaddr_ll {
        let [a, b, c, d, e, f] = self.mac;
        sockaddr_ll {
            sll_family: to_u16(linux_raw_sys::net::AF_PACKET),
            sll_protocol: self.protocol.to_be(),
            sll_ifindex: self.index.cast_signed(),
            sll_hatype: 0,
            sll_pkttype: 0,
            sll_halen: 6,
            sll_addr: [a, b, c, d, e, f, 0, 0],
        }
    }
}

// SAFETY: the closure gets a pointer to a whole `sockaddr_ll`, which lives until it returns, and
// that structure's size.
unsafe impl SocketAddrArg for LinkAddr {
    unsafe fn with_sockaddr<R>(
        &self,
        f: impl FnOnce(*const SocketAddrOpaque, SocketAddrLen) -> R,
    ) -> R {
        let raw = self.raw();
        f((&raw const raw).cast(), const { size::<sockaddr_ll>() })
    }
}

/// Lets through to `socket` only what the classic BPF program `filter` accepts.
pub(crate) fn attach_filter(
    socket: BorrowedFd<'_>,
    filter: &[libc::sock_filter],
) -> Result<(), Errno> {
    let len = u16::try_from(filter.len()).map_err(|_too_long| Errno::INVAL)?;
    // The kernel only reads the program; the field's type lacks the `const`.
    let program = libc::sock_fprog { len, filter: filter.as_ptr().cast_mut() };
    // SAFETY: `program` and the instructions it points to outlive the call, both lengths are
    // theirs, and SO_ATTACH_FILTER reads them only.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER,
            (&raw const program).cast(),
            const { size::<libc::sock_fprog>() },
        )
    };
    check(result)
}

/// `struct ifreq` as SIOCETHTOOL uses it.
#[repr(C)]
struct EthtoolRequest {
    name: [u8; 16],
    data: *mut c_void,
    rest: [u8; 16],
}

const _: () = assert!(size_of::<EthtoolRequest>() == 40);

/// `struct ethtool_drvinfo`.
#[repr(C)]
struct DriverInfo {
    cmd: u32,
    driver: [u8; 32],
    rest: [u8; 160],
}

const _: () = assert!(size_of::<DriverInfo>() == 196);

/// `struct ethtool_cmd`.
#[repr(C)]
struct LinkSettings {
    cmd: u32,
    modes: [u32; 2],
    speed: u16,
    ports: [u8; 6],
    max_packets: [u32; 2],
    speed_hi: u16,
    rest: [u8; 14],
}

const _: () = assert!(size_of::<LinkSettings>() == 44);

/// The request that asks a driver, for the filter of system calls.
pub(crate) const SIOCETHTOOL: u32 = 0x8946;
const ETHTOOL_GSET: u32 = 1;
const ETHTOOL_GDRVINFO: u32 = 3;

/// The name of the driver behind the interface called `name`.
pub(crate) fn driver(socket: BorrowedFd<'_>, name: &[u8]) -> Result<String, Errno> {
    let mut info = DriverInfo { cmd: ETHTOOL_GDRVINFO, driver: [0; 32], rest: [0; 160] };
    // SAFETY: ETHTOOL_GDRVINFO fills one `struct ethtool_drvinfo`, which `info` is.
    unsafe { ethtool(socket, name, (&raw mut info).cast()) }?;
    let text = CStr::from_bytes_until_nul(&info.driver).map_err(|_no_end| Errno::INVAL)?;
    Ok(text.to_string_lossy().into_owned())
}

/// The speed of the interface called `name` in Mb/s, where its driver knows one.
pub(crate) fn speed(socket: BorrowedFd<'_>, name: &[u8]) -> Result<Option<u32>, Errno> {
    let mut settings = LinkSettings {
        cmd: ETHTOOL_GSET,
        modes: [0; 2],
        speed: 0,
        ports: [0; 6],
        max_packets: [0; 2],
        speed_hi: 0,
        rest: [0; 14],
    };
    // SAFETY: ETHTOOL_GSET fills one `struct ethtool_cmd`, which `settings` is.
    unsafe { ethtool(socket, name, (&raw mut settings).cast()) }?;
    let speed = u32::from(settings.speed_hi) << 16 | u32::from(settings.speed);
    Ok(Some(speed).filter(|speed| !matches!(*speed, 0 | u32::MAX)))
}

/// Asks ethtool about the interface called `name`.
///
/// # Safety
///
/// `data` must point to the whole structure that its first word, the command, stands for.
unsafe fn ethtool(socket: BorrowedFd<'_>, name: &[u8], data: *mut c_void) -> Result<(), Errno> {
    let mut request = EthtoolRequest { name: [0; 16], data, rest: [0; 16] };
    // The last byte stays zero.
    request
        .name
        .get_mut(..name.len())
        .filter(|n| n.len() < 16)
        .ok_or(Errno::INVAL)?
        .copy_from_slice(name);
    // SAFETY: `request` is a whole `struct ifreq` with a terminated name; the caller vouches for
    // what it points to.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), SIOCETHTOOL as _, &raw mut request) };
    check(result)
}

/// The size of a structure as the kernel takes it.
#[expect(clippy::cast_possible_truncation, reason = "asserted to fit")]
const fn size<T>() -> SocketAddrLen {
    assert!(size_of::<T>() <= SocketAddrLen::MAX as usize);
    size_of::<T>() as SocketAddrLen
}

/// Moves this thread into a network namespace of its own, empty but for a loopback that is down.
#[cfg(test)]
pub(crate) fn unshare_network() -> Result<(), Errno> {
    // SAFETY: only the network namespace changes: no descriptor, memory or signal is touched.
    unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNET) }
}

/// Gives this thread a root and working directory of its own.
#[cfg(test)]
pub(crate) fn unshare_root() -> Result<(), Errno> {
    // SAFETY: only root, working directory and umask stop being shared: no descriptor, memory or
    // signal is touched.
    unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::FS) }
}
