//! `/dev/fuse`, opened more than once for a mount.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::ioctl::{Setter, ioctl, opcode};

/// `FUSE_DEV_IOC_CLONE`: declared as if it read a number, which it is given.
const CLONE: u32 = opcode::read::<u32>(229, 0);

/// Has `new`, just opened, serve the mount of `device` too: with a queue of its own for the requests that
/// were read from it, which are to be answered there.
///
/// # Errors
/// When `device` is no mount's, or `new` is one's already.
pub fn attach(new: BorrowedFd<'_>, device: BorrowedFd<'_>) -> io::Result<()> {
    let number = device.as_raw_fd().cast_unsigned();
    // SAFETY: the kernel reads a `u32` there, and takes it for a descriptor, which it is.
    unsafe { ioctl(new, Setter::<{ CLONE as _ }, u32>::new(number))? };
    Ok(())
}
