//! Every `unsafe` of this program, behind safe functions.

pub(crate) mod freeze;
pub(crate) mod net;
pub(crate) mod seccomp;
pub(crate) mod signals;
pub(crate) mod watchdog;

#[cfg(all(panic = "abort", target_env = "musl", not(test)))]
mod unwind;

use rustix::io::Errno;
use std::ffi::c_int;

/// The error of the call that just returned `result`, where it failed.
fn check(result: c_int) -> Result<(), Errno> {
    if result >= 0 {
        return Ok(());
    }
    let code = std::io::Error::last_os_error().raw_os_error();
    Err(code.map_or(Errno::IO, Errno::from_raw_os_error))
}
