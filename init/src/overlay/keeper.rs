//! Leaves the disk below the overlay in order where nobody unmounts it.
//!
//! systemd ends with `/run/initramfs/shutdown`, which does. Other inits only make the root read-only,
//! the overlay that is, or end all processes and then the machine: the file system below stays as it
//! is, with a journal to replay. A process of its own watches for both, and freezes that file system:
//! all of it is on the disk then. Where the system goes on after all, writes go on; they waited, and
//! no program has seen an error.

use super::ROOT;
use crate::failure::{Failure, OrFail as _, Stage};
use crate::mountinfo::{Mount, mounts};
use crate::{daemon, kmsg, sys};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::thread::CapabilitySet;
use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

/// This binary's `argv[0]` in this role.
pub(crate) const NAME: &str = "@zimg-disk";

/// How long after PID 1 told all processes to end those may write: half of the second that BusyBox'
/// init, the most hurried, waits before it kills them and the keeper.
const GRACE: Duration = Duration::from_millis(500);

/// A system that runs this long after PID 1 told all processes to end is not ending.
const PATIENCE: Duration = Duration::from_secs(15);

/// The kernel does not tell when `umount /` made the root read-only: it is looked at this often.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Starts the keeper of the file system that `disk` is a directory of. Returns its process id, once
/// it watches.
pub(crate) fn start(disk: OwnedFd) -> Result<u32, Failure> {
    let what = "start what leaves the disk in order";
    let start = || -> io::Result<u32> {
        let mut child = Command::new("/proc/self/exe")
            .arg0(NAME)
            .env_clear()
            .stdin(Stdio::from(disk))
            .stdout(Stdio::piped())
            .spawn()?;
        if let Some(mut ready) = child.stdout.take() {
            ready.read_exact(&mut [0])?;
        }
        Ok(child.id())
    };
    start().or_fail(Stage::Overlay, what, "give the machine more memory")
}

/// The role: returns once the root is gone, or systemd is there.
pub(crate) fn run() -> ExitCode {
    let done = Keeper::new().and_then(|mut keeper| {
        let done = keeper.keep();
        // Nobody would let those go on who wait.
        keeper.hold(false);
        done
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            log::error!("the disk of the root's writes is not kept in order: {e}");
            ExitCode::FAILURE
        }
    }
}

struct Keeper {
    /// A directory of the file system that is kept.
    disk: OwnedFd,
    /// Tells of every change to the mounts.
    mounts: File,
    signals: SignalFd,
    /// Since when all is written that there was when PID 1 told all processes to end.
    told: Option<Instant>,
    is_frozen: bool,
    /// What was logged last of what fails again and again.
    failed: Option<Errno>,
}

impl Keeper {
    /// Takes all it needs while the initramfs is still there, and says so to PID 1.
    fn new() -> io::Result<Self> {
        sys::signals::ignore_ending_signals()?;
        // Blocked, it is kept for the descriptor though it is ignored.
        let mut signals = SigSet::empty();
        signals.add(Signal::SIGTERM);
        signals.thread_block()?;
        let signals =
            SignalFd::with_flags(&signals, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
        let disk = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?;
        std::env::set_current_dir("/proc")?;
        let mounts = File::open("self/mountinfo")?;
        kmsg::init()?;
        rustix::process::setsid()?;
        daemon::spare(c"zimg-disk");
        daemon::drop_rights(CapabilitySet::SYS_ADMIN);
        daemon::lock_memory();
        io::stdout().write_all(b"r")?;
        io::stdout().flush()?;
        // The standard streams are the kernel log from now on: PID 1's pipe is closed.
        if let Some(log) = kmsg::descriptor() {
            rustix::stdio::dup2_stdin(&log)?;
            rustix::stdio::dup2_stdout(&log)?;
            rustix::stdio::dup2_stderr(&log)?;
        }
        Ok(Self { disk, mounts, signals, told: None, is_frozen: false, failed: None })
    }

    fn keep(&mut self) -> io::Result<()> {
        loop {
            let (Some(is_read_only), false) = (self.root()?, systemd_is_there()) else {
                return Ok(());
            };
            let told = self.told.map(|when| when.elapsed());
            self.hold(must_be_still(is_read_only, told));
            if told.is_some_and(|told| told >= PATIENCE) {
                log::warn!("PID 1 told all processes to end, and the system goes on");
                self.told = None;
            }
            self.wait(told)?;
        }
    }

    /// Whether the root is read-only; nothing where it is gone.
    fn root(&mut self) -> io::Result<Option<bool>> {
        let mut text = Vec::new();
        self.mounts.rewind()?;
        self.mounts.read_to_end(&mut text)?;
        Ok(is_read_only(&text))
    }

    /// Freezes the disk, or thaws it, unless it is so already.
    fn hold(&mut self, still: bool) {
        if still == self.is_frozen {
            return;
        }
        let done =
            if still { sys::freeze::freeze(&self.disk) } else { sys::freeze::thaw(&self.disk) };
        match done {
            Ok(()) => log::info!(
                "the root's disk {}",
                if still { "is in order: nothing is written to it" } else { "is written to again" }
            ),
            // Somebody else thawed it.
            Err(Errno::INVAL) if !still => {}
            Err(e) => {
                if self.failed.replace(e) != Some(e) {
                    log::error!(
                        "the root's disk can't be {}: {e}",
                        if still { "frozen" } else { "thawed" }
                    );
                }
                return;
            }
        }
        self.is_frozen = still;
        self.failed = None;
    }

    /// Waits until something may be to do, and hears what PID 1 says.
    fn wait(&mut self, told: Option<Duration>) -> io::Result<()> {
        let grace = told.map(|told| GRACE.saturating_sub(told)).filter(|left| !left.is_zero());
        let limit = Timespec::try_from(grace.unwrap_or(LOOK_AGAIN)).map_err(io::Error::other)?;
        let mut ready = [
            PollFd::new(&self.mounts, PollFlags::PRI),
            PollFd::from_borrowed_fd(self.signals.as_fd(), PollFlags::IN),
        ];
        match poll(&mut ready, Some(&limit)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
        while let Some(signal) = self.signals.read_signal()? {
            if signal.ssi_pid == 1 {
                // What there is to write now is not to be waited for later.
                if let Err(e) = rustix::fs::syncfs(&self.disk) {
                    log::error!("the root's disk: {e}");
                }
                self.told = Some(Instant::now());
            }
        }
        Ok(())
    }
}

/// Whether nobody may write any more: the root is read-only, or PID 1 told all processes to end, so
/// long ago.
fn must_be_still(is_read_only: bool, told: Option<Duration>) -> bool {
    is_read_only || told.is_some_and(|told| (GRACE..PATIENCE).contains(&told))
}

/// systemd leaves the disk in order itself, and needs it free of others.
fn systemd_is_there() -> bool {
    fs::read("1/comm").is_ok_and(|name| name == b"systemd\n")
}

/// Whether the overlay that is the root, or is about to be, can't be written to through any mount.
///
/// A mount that is read-only, among others that are not, is no end: what counts are the options of the
/// overlay itself.
fn is_read_only(mountinfo: &[u8]) -> Option<bool> {
    let is_root = |mount: &Mount<'_>| {
        (mount.point == b"/" || mount.point == ROOT.as_bytes())
            && (mount.kind, mount.source) == (b"overlay", b"zimg")
    };
    let root = mounts(mountinfo).find(is_root)?;
    Some(root.options.split(|byte| *byte == b',').any(|option| option == b"ro"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_counts_is_whether_any_mount_can_write() {
        let of = |mount: &str, all: &str| {
            is_read_only(
                format!(
                    "1 1 0:2 / / rw - rootfs none rw\n\
                     31 30 0:31 / /mnt ro - overlay zimg ro\n\
                     30 1 0:30 / / {mount} shared:7 - overlay zimg {all},lowerdir=/zimg/lower\n"
                )
                .as_bytes(),
            )
        };
        assert_eq!(of("rw,relatime", "rw"), Some(false));
        assert_eq!(of("ro,relatime", "rw"), Some(false));
        assert_eq!(of("ro,relatime", "ro"), Some(true));
        assert_eq!(of("rw,relatime", "ro"), Some(true));
    }

    #[test]
    fn the_root_is_known_before_and_after_the_switch_and_nothing_else_is() {
        let line = |rest: &str| is_read_only(format!("30 1 0:30 / {rest}\n").as_bytes());
        assert_eq!(line("/zimg/root rw - overlay zimg rw"), Some(false));
        assert_eq!(line("/ rw - overlay zimg rw"), Some(false));
        for other in [
            "/oldroot rw - overlay zimg ro",
            "/ rw - overlay overlay ro",
            "/ rw - tmpfs zimg ro",
            "/ rw - overlay",
            "/",
        ] {
            assert_eq!(line(other), None, "{other}");
        }
    }

    #[test]
    fn those_who_were_told_to_end_may_write_for_a_while() {
        let told = |ms| must_be_still(false, Some(Duration::from_millis(ms)));
        assert!(!told(0) && !told(499) && told(500) && told(14_999) && !told(15_000));
        assert!(!must_be_still(false, None) && must_be_still(true, None));
    }
}
