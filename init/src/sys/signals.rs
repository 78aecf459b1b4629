//! Which signals end or stop the root daemon: none that a process may send, but for SIGKILL.

use nix::sys::signal::{SigEvent, SigHandler, SigevNotify, Signal, signal};
use nix::sys::timer::{Expiration, Timer, TimerSetTimeFlags};
use nix::time::ClockId;
use std::convert::Infallible;
use std::io;
use std::sync::mpsc::{self, SendError};
use std::thread;
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
pub(crate) fn ignore_ending_signals() -> io::Result<()> {
    for ending in ENDING {
        // SAFETY: ignoring a signal installs no handler, so no code of ours runs in a signal's
        // context, and nobody relies on the handler that was there: this runs before any thread.
        unsafe { signal(ending, SigHandler::SigIgn) }?;
    }
    Ok(())
}

/// For how long at most this process stays stopped, if it had the time to put its alarms off.
const STOPPED: Duration = Duration::from_millis(500);

/// How many alarms there are. Each comes after twice the time of the one before: the last after 64 s.
const ALARMS: usize = 8;

/// From now on this process goes on by itself when it is stopped.
///
/// Inits stop all processes while they choose whom to kill, systemd-shutdown and killall5 among
/// them, and then look at files: of a root whose server is stopped, they would wait for ever. So the
/// kernel is asked to send the signal that continues, by alarms that a thread puts off as long as the
/// process runs. To be called before there are other threads.
pub(crate) fn never_stay_stopped() -> io::Result<()> {
    let (tell, told) = mpsc::channel();
    // The timers are the thread's own.
    crate::aside::start("continue", move || {
        let ended: io::Result<Infallible> = Alarms::new().and_then(|mut alarms| {
            loop {
                alarms.put_off(STOPPED)?;
                // Only the first is waited for.
                let _ = tell.send(Ok(()));
                thread::sleep(STOPPED / 2);
            }
        });
        if let Err(SendError(error)) = tell.send(ended.map(drop)) {
            log::error!("once this process is stopped it stays so: {error:?}");
        }
    })?;
    told.recv().map_err(io::Error::other)?
}

/// Timers that send SIGCONT.
///
/// The signal counts when it is sent, and is never taken: it would be lost if the process was stopped
/// just before, and a timer that repeats itself waits for ever for one that was lost. So each comes
/// once, and there are several for a process that is stopped again before its thread could run.
struct Alarms(Vec<Timer>);

impl Alarms {
    fn new() -> io::Result<Self> {
        let notify = SigevNotify::SigevSignal { signal: Signal::SIGCONT, si_value: 0 };
        let alarm = |_| Timer::new(ClockId::CLOCK_MONOTONIC, SigEvent::new(notify));
        Ok(Self((0..ALARMS).map(alarm).collect::<Result<_, _>>()?))
    }

    /// The first comes after `time` from now on.
    fn put_off(&mut self, mut time: Duration) -> io::Result<()> {
        for alarm in &mut self.0 {
            alarm.set(Expiration::OneShot(time.into()), TimerSetTimeFlags::empty())?;
            time *= 2;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};
    use std::time::Instant;

    /// How often the process below was stopped before it could put off its alarms.
    const TIMES: &str = "ZIMG_TIMES";

    /// Ends once this process was stopped and goes on; run by the tests below.
    #[test]
    #[ignore = "run by the tests below, in a process of its own"]
    fn stopped() {
        // This thread goes no further before it is stopped, as it could by a signal for any thread.
        let stop = || nix::sys::signal::raise(Signal::SIGSTOP).unwrap();
        let Ok(times) = std::env::var(TIMES) else {
            never_stay_stopped().unwrap();
            return stop();
        };
        let mut alarms = Alarms::new().unwrap();
        alarms.put_off(STOPPED / 50).unwrap();
        (0..times.parse().unwrap()).for_each(|_| stop());
    }

    /// Whether the process ends, which is soon, when it is stopped so often at once, or but once with the
    /// thread.
    fn ends(times: Option<usize>, within: Duration) -> bool {
        let mut command = Command::new(std::env::current_exe().unwrap());
        // One at a time, tests run on the first thread.
        command.args(["--ignored", "--exact", "--test-threads=1", "sys::signals::tests::stopped"]);
        command.envs(times.map(|times| (TIMES, times.to_string())));
        let mut child = command.stdout(Stdio::null()).spawn().unwrap();
        let started = Instant::now();
        while started.elapsed() < within {
            if child.try_wait().unwrap().is_some_and(|status| status.success()) {
                return true;
            }
            thread::sleep(STOPPED / 10);
        }
        child.kill().unwrap();
        child.wait().unwrap();
        false
    }

    #[test]
    fn it_goes_on_when_it_is_stopped() {
        assert!(ends(None, STOPPED * 60));
        assert!(ends(Some(ALARMS / 2), STOPPED * 60), "it was stopped before it could do anything");
        // As many alarms as there are continue it once each.
        let all = STOPPED / 50 * (1 << ALARMS);
        assert!(!ends(Some(ALARMS + 1), all * 2), "nothing was stopped: this shows nothing");
    }
}
