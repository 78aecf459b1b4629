//! Requests of FUSE by the kernel's io_uring (Linux 6.14), and `/dev/fuse` opened for several threads,
//! safe to use: the only unsafe code that serves a mount. What requests mean is for others to know.
//!
//! The kernel wants a queue for each CPU that there may be. A [`Queue`] belongs to one thread,
//! and has entries: memory for one request and its answer. An entry is the kernel's until a
//! request comes in it, then that of the [`Request`], until any thread has answered that.

mod device;
mod memory;
mod queue;
mod ring;

pub use device::attach;
pub use queue::{Queue, Request, Shape, Stopper};
