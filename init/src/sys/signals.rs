//! Which signals end or stop the root daemon: none that a process may send, but for SIGKILL.

use nix::sys::signal::{SigEvent, SigHandler, SigSet, SigevNotify, Signal, signal};
use nix::sys::timer::{Expiration, Timer, TimerSetTimeFlags};
use nix::time::ClockId;
use std::time::Duration;

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

/// For how long at most this process stays stopped.
const STOPPED: Duration = Duration::from_millis(500);

/// From now on this process goes on by itself when it is stopped.
///
/// Inits stop all processes while they choose whom to kill, systemd-shutdown and killall5 among
/// them, and then look at files: of a root whose server is stopped, they would wait for ever. So the
/// kernel is asked for the signal that continues, again and again; it counts when it is sent, and a
/// thread takes it so that it can be sent anew. To be called before there are other threads.
pub(crate) fn never_stay_stopped() -> std::io::Result<()> {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGCONT);
    signals.thread_block()?;
    let notify = SigevNotify::SigevSignal { signal: Signal::SIGCONT, si_value: 0 };
    let mut timer = Timer::new(ClockId::CLOCK_MONOTONIC, SigEvent::new(notify))?;
    timer.set(Expiration::Interval(STOPPED.into()), TimerSetTimeFlags::empty())?;
    // Dropped, it would send no more.
    Box::leak(Box::new(timer));
    let taker = move || while signals.wait().is_ok() {};
    crate::aside::start("continue", taker)
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};
    use std::time::Instant;

    /// Ends once this process was stopped and goes on; run by the test below.
    #[test]
    #[ignore = "run by the test below, in a process of its own"]
    fn stopped() {
        if std::env::var_os("ZIMG_STAYS").is_none() {
            super::never_stay_stopped().unwrap();
        }
        nix::sys::signal::kill(nix::unistd::Pid::this(), super::Signal::SIGSTOP).unwrap();
    }

    fn ends(stays: bool) -> bool {
        let mut command = Command::new(std::env::current_exe().unwrap());
        // One at a time, tests run on the first thread.
        command.args(["--ignored", "--exact", "--test-threads=1", "sys::signals::tests::stopped"]);
        if stays {
            command.env("ZIMG_STAYS", "yes");
        }
        let mut child = command.stdout(Stdio::null()).spawn().unwrap();
        let started = Instant::now();
        while started.elapsed() < super::STOPPED * if stays { 4 } else { 60 } {
            if child.try_wait().unwrap().is_some_and(|status| status.success()) {
                return true;
            }
            std::thread::sleep(super::STOPPED / 10);
        }
        child.kill().unwrap();
        child.wait().unwrap();
        false
    }

    #[test]
    fn it_goes_on_when_it_is_stopped() {
        assert!(ends(false));
        assert!(!ends(true), "nothing was stopped: this shows nothing");
    }
}
