//! What a watchdog device is asked for: its timeout, and to stop.

use rustix::io::Errno;
use std::ffi::c_int;
use std::os::fd::{AsRawFd as _, BorrowedFd};

const WDIOC_SETOPTIONS: u32 = 0x8004_5704;
const WDIOC_SETTIMEOUT: u32 = 0xc004_5706;
const WDIOC_GETTIMEOUT: u32 = 0x8004_5707;
const WDIOS_DISABLECARD: c_int = 1;

/// The requests made here, for the filter of system calls.
pub(crate) const REQUESTS: [u32; 3] = [WDIOC_SETOPTIONS, WDIOC_SETTIMEOUT, WDIOC_GETTIMEOUT];

/// Asks for a timeout in seconds; returns the one that the device took.
pub(crate) fn set_timeout(device: BorrowedFd<'_>, seconds: u32) -> Result<u32, Errno> {
    let seconds = c_int::try_from(seconds).map_err(|_too_long| Errno::INVAL)?;
    request(device, WDIOC_SETTIMEOUT, seconds)
}

/// The timeout in seconds.
pub(crate) fn timeout(device: BorrowedFd<'_>) -> Result<u32, Errno> {
    request(device, WDIOC_GETTIMEOUT, 0)
}

/// Stops it. One that was made never to stop refuses.
pub(crate) fn stop(device: BorrowedFd<'_>) -> Result<(), Errno> {
    request(device, WDIOC_SETOPTIONS, WDIOS_DISABLECARD).map(drop)
}

fn request(device: BorrowedFd<'_>, request: u32, mut value: c_int) -> Result<u32, Errno> {
    // SAFETY: each of these requests reads or writes one `int`, which `value` is.
    let result = unsafe { libc::ioctl(device.as_raw_fd(), request as _, &raw mut value) };
    super::check(result)?;
    Ok(u32::try_from(value).unwrap_or(0))
}
