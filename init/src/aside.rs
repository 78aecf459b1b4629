//! Threads that nobody waits for.

use std::io;
use std::thread;

/// Does `work` on a thread called `name`.
pub(crate) fn start(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    // Boxed, as what the standard library compiles for each type of work is a kilobyte and more.
    let work: Box<dyn FnOnce() + Send> = Box::new(work);
    thread::Builder::new().name(name.to_owned()).spawn(work).map(drop)
}
