//! The watchdog resets a machine whose boot hangs, and is handed to the booted system running.
//!
//! PID 1 says before each step how long it may take ([`expect`]); a thread of its own pings the
//! device until then, and no longer. At exec the device is closed but runs on, with a timeout that
//! gives the booted system minutes to open it: only one at a time can. The root daemon looks
//! whether somebody did, and else stops it, so that a system without use for it is not reset.

mod heir;

pub(crate) use heir::Heir;

use crate::{aside, sys};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::fs::{Mode, OFlags, open, openat};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Its names. The first is systemd's first choice too; drivers older than the kernel's watchdog
/// core have only the second.
const NAMES: [&str; 2] = ["watchdog0", "watchdog"];

/// What a step that waits for nobody may take.
const STEP: Duration = Duration::from_secs(30);

/// Timeouts in seconds for the time between exec and the booted system's first ping, the best
/// first, and the least that is one: it must outlast the root daemon's first look.
const HANDOVER: [u32; 3] = [300, 120, HANDOVER_MIN];
const HANDOVER_MIN: u32 = 60;

/// PID 1's watchdog, from [`start`] to [`stop`].
static GUARD: Mutex<Option<Guard>> = Mutex::new(None);

struct Guard {
    /// What is asked of the device, in seconds.
    timeout: u32,
    /// It is there and runs; with the timeout that it took.
    device: Option<(File, u32)>,
    /// When the step under way must be over.
    until: Instant,
    /// That it was not is said already.
    told: bool,
}

/// Arms the watchdog with a timeout of so many seconds: now, or as soon as there is one.
pub(crate) fn start(timeout: u32) {
    let until = Instant::now() + STEP;
    *guard() = Some(Guard { timeout, device: None, until, told: false });
    if let Err(e) = watch_dev() {
        log::warn!("no watchdog: {e}");
    }
}

/// The step of the boot that begins now waits at most for `limit`, and is then soon over.
pub(crate) fn expect(limit: Duration) {
    if let Some(guard) = &mut *guard() {
        guard.until = Instant::now() + limit + STEP;
    }
}

/// To be called right before exec, which closes the device: gives the booted system time to open
/// it. A device that knows no such time is stopped.
pub(crate) fn hand_over() {
    let mut slot = guard();
    let Some((device, _)) = slot.as_ref().and_then(|guard| guard.device.as_ref()) else { return };
    let set = |seconds: &u32| sys::watchdog::set_timeout(device.as_fd(), *seconds).unwrap_or(0);
    if !HANDOVER.iter().any(|seconds| set(seconds) >= HANDOVER_MIN) {
        log::info!("the watchdog's timeout is too short for the booted system to take it over");
        stop_device(&mut slot);
    }
}

/// Stops the watchdog: what comes now takes as long as it likes.
pub(crate) fn stop() {
    stop_device(&mut guard());
}

fn stop_device(slot: &mut Option<Guard>) {
    if let Some((device, _)) = slot.take().and_then(|guard| guard.device)
        && let Err(e) = stop_one(&device)
    {
        log::warn!("the watchdog can't be stopped: {e}");
    }
}

fn guard() -> MutexGuard<'static, Option<Guard>> {
    GUARD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts the thread that opens and pings it.
fn watch_dev() -> io::Result<()> {
    let dev = dev()?;
    // Listening first: no device may fall between the first look and the listening.
    let news = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
    inotify::add_watch(&news, "/dev", WatchFlags::CREATE)?;
    // Nor may the boot go on before the first look.
    let pause = tick(dev.as_fd());
    let ping = move || {
        let mut pause = pause;
        loop {
            let mut ready = [PollFd::new(&news, PollFlags::IN)];
            // Whatever woke it: everything is looked at again.
            let _woken = poll(&mut ready, pause.as_ref());
            while rustix::io::read(&news, &mut [0; 1024]).is_ok() {}
            pause = tick(dev.as_fd());
        }
    };
    aside::start("watchdog", ping)
}

/// When the thread has to do something again; `None`: when there is a new device.
fn tick(dev: BorrowedFd<'_>) -> Option<Timespec> {
    let pause = guard().as_mut()?.tick(dev)?;
    Timespec::try_from(pause).ok()
}

impl Guard {
    /// Opens the device, once it is there, and pings it if the boot goes on as it should. Returns
    /// how long it may then be left alone.
    fn tick(&mut self, dev: BorrowedFd<'_>) -> Option<Duration> {
        if self.device.is_none() {
            self.device = arm(dev, self.timeout);
        }
        let (device, timeout) = self.device.as_ref()?;
        if Instant::now() < self.until {
            self.told = false;
            ping(device);
        } else if !self.told {
            self.told = true;
            log::error!("the boot hangs: the watchdog resets the machine in {timeout} s");
        }
        Some(Duration::from_secs(u64::from(*timeout)) / 4)
    }
}

fn arm(dev: BorrowedFd<'_>, timeout: u32) -> Option<(File, u32)> {
    let device = match open_one(dev) {
        Ok(device) => device,
        Err(Errno::NOENT) => return None,
        Err(e) => {
            log::warn!("the watchdog: {e}");
            return None;
        }
    };
    let took = sys::watchdog::set_timeout(device.as_fd(), timeout)
        .or_else(|_its_own| sys::watchdog::timeout(device.as_fd()))
        // Short enough for every device.
        .unwrap_or(4);
    log::info!("a watchdog resets the machine if the boot hangs for {took} s");
    Some((device, took))
}

/// `/dev`: it is found by this also when it has moved elsewhere.
fn dev() -> rustix::io::Result<OwnedFd> {
    open("/dev", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

/// Opens the device, which starts it.
fn open_one(dev: BorrowedFd<'_>) -> rustix::io::Result<File> {
    let flags = OFlags::WRONLY | OFlags::CLOEXEC;
    let open = |name| openat(dev, name, flags, Mode::empty()).map(File::from);
    open(NAMES[0]).or_else(|e| if e == Errno::NOENT { open(NAMES[1]) } else { Err(e) })
}

/// Without a device that takes pings there is nothing that could be done about it.
fn ping(device: &File) {
    if let Err(e) = rustix::io::write(device, b".") {
        log::warn!("the watchdog can't be pinged: {e}");
    }
}

/// Stops the device, in both ways that drivers know.
fn stop_one(device: &File) -> rustix::io::Result<()> {
    let asked = sys::watchdog::stop(device.as_fd());
    let magic = rustix::io::write(device, b"V").map(drop);
    match asked {
        Err(Errno::NOTTY | Errno::OPNOTSUPP) => magic,
        asked => asked,
    }
}

/// The watchdog that systemd left running for the reboot, if any: how systemd-shutdown is told of it
/// (`RebootWatchdogSec=`), whose environment this process has. Its timeout stays as it is.
pub(crate) struct Left(Option<File>);

impl Left {
    /// Takes it over from systemd-shutdown.
    pub(crate) fn take() -> Self {
        let time = std::env::var("WATCHDOG_USEC").ok().and_then(|text| text.parse::<u64>().ok());
        if time.is_none_or(|time| time == 0) {
            return Self(None);
        }
        let named = std::env::var_os("WATCHDOG_DEVICE");
        let opened = match &named {
            Some(path) => File::options().write(true).open(Path::new(path)),
            None => dev().and_then(|dev| open_one(dev.as_fd())).map_err(Into::into),
        };
        match opened {
            Ok(device) => Self(Some(device)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Self(None),
            Err(e) => {
                log::warn!("the watchdog: {e}");
                Self(None)
            }
        }
    }

    /// The shutdown goes on.
    pub(crate) fn ping(&self) {
        if let Some(device) = &self.0 {
            ping(device);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// A directory for /dev; files stand in for devices, which show what is written to them.
    pub(super) fn fake() -> (tempfile::TempDir, OwnedFd) {
        let dir = tempfile::tempdir().unwrap();
        let dev = open(dir.path(), OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).unwrap();
        (dir, dev)
    }

    fn guard(until: Instant) -> Guard {
        Guard { timeout: 60, device: None, until, told: false }
    }

    #[test]
    fn it_is_pinged_as_long_as_the_step_may_take_and_no_longer() {
        let (dir, dev) = fake();
        let later = Instant::now() + STEP;
        let mut guard = guard(later);
        assert_eq!(guard.tick(dev.as_fd()), None, "there is no device yet");
        let path = dir.path().join("watchdog");
        fs::write(&path, "").unwrap();
        // What knows no timeout is pinged every second.
        assert_eq!(guard.tick(dev.as_fd()), Some(Duration::from_secs(1)));
        guard.tick(dev.as_fd());
        assert_eq!(fs::read_to_string(&path).unwrap(), "..");
        guard.until = Instant::now();
        assert!(guard.tick(dev.as_fd()).is_some());
        assert_eq!(fs::read_to_string(&path).unwrap(), "..");
        guard.until = later;
        guard.tick(dev.as_fd());
        assert_eq!(fs::read_to_string(&path).unwrap(), "...");
    }

    #[test]
    fn it_is_the_one_that_systemd_takes() {
        let (dir, dev) = fake();
        for name in NAMES {
            fs::write(dir.path().join(name), "").unwrap();
        }
        guard(Instant::now() + STEP).tick(dev.as_fd());
        assert_eq!(fs::read_to_string(dir.path().join("watchdog0")).unwrap(), ".");
        assert_eq!(fs::read_to_string(dir.path().join("watchdog")).unwrap(), "");
    }
}
