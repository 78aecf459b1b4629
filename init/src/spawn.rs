//! Starts the root daemon and hears from it how the boot goes.

use crate::failure::{Failure, OrFail, Stage};
use crate::marks::Marks;
use crate::watchdog;
use crate::wire::{GivenFile, Message};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::fmt;
use std::io::{self, BufReader};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// The root daemon's `argv[0]`: systemd spares processes whose name begins with `@`.
pub(crate) const DAEMON_NAME: &str = "@zimg";

/// What the daemon gets beyond its own time limit, to tell why it failed: looking up a name may
/// take the resolver five seconds for each search domain, and can't be broken off.
const GRACE: Duration = Duration::from_secs(45);

const DEFECT: &str = "this is a defect of zimg: report it with the kernel log (dmesg)";

/// The running daemon, seen from PID 1.
pub(crate) struct RootDaemon {
    child: Child,
    pipe: BufReader<ChildStdout>,
    report: Option<String>,
}

impl RootDaemon {
    /// Starts it: this very binary in its other role, with no environment that could lead it astray.
    pub(crate) fn start() -> Result<Self, Failure> {
        let mut child = Command::new("/proc/self/exe")
            .arg0(DAEMON_NAME)
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .or_fail(Stage::Daemon, "start the root daemon", "give the machine more memory")?;
        let pipe =
            child.stdout.take().map(BufReader::new).ok_or_else(|| {
                Failure::new(Stage::Daemon, "the root daemon has no pipe", DEFECT)
            })?;
        Ok(Self { child, pipe, report: None })
    }

    /// Waits until the image is mounted, at most `limit` and some grace.
    pub(crate) fn ready(
        &mut self,
        limit: Duration,
        marks: &mut Marks,
    ) -> Result<Vec<GivenFile>, Failure> {
        watchdog::expect(limit + GRACE);
        let deadline = Instant::now() + limit + GRACE;
        loop {
            let message = match self.receive(deadline) {
                Ok(Some(message)) => message,
                Ok(None) => return Err(self.ended()),
                Err(e) => return Err(Failure::new(Stage::Daemon, e, DEFECT)),
            };
            match message {
                Message::Mark(name, took) => marks.note(&name, took),
                Message::Report(url) => self.report = Some(url),
                Message::Ready(files) => return Ok(files),
                Message::Failed(failure) => return Err(failure),
            }
        }
    }

    /// Where a failure is to be told, if anywhere and the network is up.
    pub(crate) fn report(&self) -> Option<String> {
        self.report.clone()
    }

    fn receive(&mut self, deadline: Instant) -> io::Result<Option<Message>> {
        while self.pipe.buffer().is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            let left = Timespec::try_from(left).map_err(io::Error::other)?;
            let mut ready = [PollFd::new(self.pipe.get_ref(), PollFlags::IN)];
            match poll(&mut ready, Some(&left)) {
                Err(rustix::io::Errno::INTR) => {}
                Err(e) => return Err(e.into()),
                Ok(0) => return Err(io::Error::other("the root daemon does not answer")),
                Ok(_) => break,
            }
        }
        Message::receive(&mut self.pipe)
    }

    /// `failure`, or that the daemon is no more, as nothing it served works then.
    pub(crate) fn blamed_for(&mut self, failure: Failure) -> Failure {
        match self.child.try_wait() {
            Ok(Some(status)) => ended(&status).fact("then", failure.what),
            Ok(None) | Err(_) => failure,
        }
    }

    fn ended(&mut self) -> Failure {
        match self.child.wait() {
            Ok(status) => ended(&status),
            Err(e) => ended(&e),
        }
    }
}

fn ended(how: &dyn fmt::Display) -> Failure {
    Failure::new(Stage::Daemon, format!("the root daemon ended before its time: {how}"), DEFECT)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn daemon(script: &str) -> RootDaemon {
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = shell.spawn().unwrap();
        let pipe = BufReader::new(child.stdout.take().unwrap());
        RootDaemon { child, pipe, report: None }
    }

    fn ready(daemon: &mut RootDaemon) -> Failure {
        daemon.ready(Duration::ZERO, &mut Marks::start()).unwrap_err()
    }

    #[test]
    fn a_daemon_that_dies_is_told() {
        let mut daemon = daemon("kill -ABRT $$");
        let failure = ready(&mut daemon);
        assert_eq!(failure.stage, Stage::Daemon);
        assert!(failure.what.contains("SIGABRT"), "{}", failure.what);
        let later = daemon.blamed_for(Failure::new(Stage::Overlay, "not connected", "x"));
        assert_eq!(later.stage, Stage::Daemon);
        assert_eq!(later.facts, [("then".to_owned(), "not connected".to_owned())]);
    }

    #[test]
    fn a_daemon_that_lives_is_not_blamed() {
        let mut daemon = daemon("read line");
        let failure = Failure::new(Stage::Overlay, "no such device", "x");
        assert_eq!(daemon.blamed_for(failure.clone()), failure);
        daemon.child.kill().unwrap();
        daemon.child.wait().unwrap();
    }

    #[test]
    fn one_that_talks_nonsense_is_told() {
        assert_eq!(ready(&mut daemon("echo hello, hello")).stage, Stage::Daemon);
    }
}
