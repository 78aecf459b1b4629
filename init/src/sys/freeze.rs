//! Holds the writes to a file system, and lets them go on.

use linux_raw_sys::ioctl::{FIFREEZE, FITHAW};
use rustix::io::Errno;
use rustix::ioctl::{NoArg, ioctl};
use std::os::fd::AsFd;

/// Brings the file system of `file` in order on its device, as if it were unmounted; whoever writes to
/// it waits from now on.
pub(crate) fn freeze(file: impl AsFd) -> Result<(), Errno> {
    // SAFETY: FIFREEZE takes no argument, and touches no memory of this process.
    unsafe { ioctl(file, NoArg::<FIFREEZE>::new()) }
}

/// Lets those go on that [`freeze`] made wait.
pub(crate) fn thaw(file: impl AsFd) -> Result<(), Errno> {
    // SAFETY: FITHAW takes no argument, and touches no memory of this process.
    unsafe { ioctl(file, NoArg::<FITHAW>::new()) }
}
