//! The root daemon's part in handing over the watchdog.

use super::{HANDOVER_MIN, NAMES, dev, open_one, ping, stop_one};
use crate::{aside, sys};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{AtFlags, statat};
use rustix::io::Errno;
use std::fs::File;
use std::os::fd::{AsFd as _, OwnedFd};
use std::thread;
use std::time::{Duration, Instant};

/// When the root daemon looks for the first time whether the booted system has the watchdog:
/// systemd takes it with its first steps.
const FIRST_LOOK: Duration = Duration::from_secs(30);

/// For how long the booted system may still take it; then it is stopped.
const WINDOW: Duration = Duration::from_secs(120);

/// Sees to it that the booted system has the watchdog, or nobody.
pub(crate) struct Heir {
    dev: OwnedFd,
}

impl Heir {
    /// To be made while `/dev` is to be seen.
    pub(crate) fn new() -> rustix::io::Result<Self> {
        dev().map(|dev| Self { dev })
    }

    /// Once PID 1, at the other end of `pid_1`, has become the booted system's init: sees to it
    /// that the watchdog is pinged, or else stopped.
    pub(crate) fn begin(self, pid_1: File) {
        let see = move || {
            wait_for_end(&pid_1);
            let there = |name| statat(&self.dev, name, AtFlags::empty()).is_ok();
            if NAMES.into_iter().any(there) {
                self.see_to_it();
            }
        };
        if let Err(e) = aside::start("watchdog", see) {
            log::error!("nobody sees to the watchdog: {e}");
        }
    }

    fn see_to_it(&self) {
        let since = Instant::now();
        let mut pause = Some(FIRST_LOOK);
        while let Some(time) = pause {
            thread::sleep(time);
            pause = self.look(since.elapsed() >= WINDOW);
        }
    }

    /// Returns when to look again, if need be; `last` is set when it is time to stop it.
    fn look(&self, last: bool) -> Option<Duration> {
        let device = match open_one(self.dev.as_fd()) {
            Ok(device) => device,
            Err(Errno::BUSY) => {
                log::info!("the booted system has taken over the watchdog");
                return None;
            }
            Err(e) => {
                log::warn!("the watchdog: {e}");
                return None;
            }
        };
        let timeout = sys::watchdog::timeout(device.as_fd()).unwrap_or(0);
        if last || timeout < HANDOVER_MIN {
            match stop_one(&device) {
                Ok(()) => {
                    log::info!("the booted system does not use the watchdog: it is stopped");
                    return None;
                }
                // Made never to stop (`nowayout`), it must be pinged as long as nobody else does.
                Err(e) => log::debug!("the watchdog can't be stopped: {e}"),
            }
        }
        ping(&device);
        Some(WINDOW.min(Duration::from_secs(u64::from(timeout)) / 2).max(Duration::from_secs(1)))
    }
}

/// Waits until the reader of the pipe `pipe` has closed it.
fn wait_for_end(pipe: &File) {
    loop {
        // Errors are reported unasked.
        let mut ended = [PollFd::new(pipe, PollFlags::empty())];
        match poll(&mut ended, None) {
            Err(Errno::INTR) => {}
            _ => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::fake;
    use super::*;
    use std::fs;

    #[test]
    fn one_that_nobody_takes_is_stopped() {
        let (dir, dev) = fake();
        let path = dir.path().join("watchdog0");
        fs::write(&path, "").unwrap();
        let heir = Heir { dev };
        assert_eq!(heir.look(true), None);
        assert_eq!(fs::read_to_string(&path).unwrap(), "V");
        fs::remove_file(&path).unwrap();
        assert_eq!(heir.look(false), None);
    }

    #[test]
    fn the_end_of_the_reader_is_noticed() {
        let (reader, writer) = std::io::pipe().unwrap();
        let writer = File::from(OwnedFd::from(writer));
        let waiting = thread::spawn(move || wait_for_end(&writer));
        assert!(!waiting.is_finished());
        drop(reader);
        waiting.join().unwrap();
    }
}
