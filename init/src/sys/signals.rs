//! Which signals end the root daemon: none that a process may send.

use nix::sys::signal::{SigHandler, Signal, signal};

/// Signals that end a process by default and that something on the booted system may send to all.
const ENDING: [Signal; 6] = [
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGTERM,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
];

/// From now on the signals that mean "end, please" mean nothing to this process.
pub(crate) fn ignore_ending_signals() -> std::io::Result<()> {
    for ending in ENDING {
        // SAFETY: ignoring a signal installs no handler, so no code of ours runs in a signal's
        // context, and nobody relies on the handler that was there: this runs before any thread.
        unsafe { signal(ending, SigHandler::SigIgn) }?;
    }
    Ok(())
}
