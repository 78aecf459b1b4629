//! Every `unsafe` of this program, behind safe functions.

pub(crate) mod freeze;
pub(crate) mod net;
pub(crate) mod signals;

#[cfg(all(panic = "abort", target_env = "musl", not(test)))]
mod unwind;
