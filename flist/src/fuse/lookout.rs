//! Looking out for requests awake, while they come close together: to wake a thread costs as much as
//! what most requests ask for, and far more on a virtual CPU.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::ioctl_fionbio;

/// How long a thread that has answered looks out for the next request before it sleeps. Measured, 20 and
/// 50 us do as well.
const AWAKE: Duration = Duration::from_micros(30);

/// The next request comes soon if it comes so long after an answer, the thread's waking included.
const SOON: Duration = Duration::from_micros(100);

/// What the threads of a mount know of it: one looks out at a time, so that it costs no more than a
/// part of one CPU, and the others sleep.
pub(super) struct Lookout {
    since: Instant,
    /// When the last answer was given, in nanoseconds.
    answered: AtomicU64,
    /// A thread looks out.
    kept: AtomicBool,
}

/// The thread that looks out: reads of its device don't wait as long as this is held.
pub(super) struct Post<'a> {
    lookout: &'a Lookout,
    device: BorrowedFd<'a>,
    until: Instant,
}

impl Lookout {
    /// Nobody looks out on a single CPU: who is to ask needs it.
    pub(super) fn new() -> Option<Self> {
        let several = thread::available_parallelism().is_ok_and(|cpus| cpus.get() > 1);
        several.then(Self::begin)
    }

    fn begin() -> Self {
        Self { since: Instant::now(), answered: AtomicU64::new(0), kept: AtomicBool::new(false) }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.since.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// An answer was given.
    pub(super) fn answered(&self) {
        self.answered.store(self.now(), Ordering::Relaxed);
    }

    /// Whether the request that is there came soon.
    pub(super) fn comes_soon(&self) -> bool {
        let since = self.now().saturating_sub(self.answered.load(Ordering::Relaxed));
        Duration::from_nanos(since) < SOON
    }

    /// Looks out for the next request, from now on, if nobody else does.
    pub(super) fn keep<'a>(
        &'a self,
        post: Option<Post<'a>>,
        device: &'a OwnedFd,
    ) -> Option<Post<'a>> {
        let until = Instant::now() + AWAKE;
        if let Some(mut post) = post {
            post.until = until;
            return Some(post);
        }
        if self.kept.swap(true, Ordering::Relaxed) {
            return None;
        }
        let post = Post { lookout: self, device: device.as_fd(), until };
        ioctl_fionbio(device, true).is_ok().then_some(post)
    }
}

impl Post<'_> {
    /// Whether it is too early to sleep.
    pub(super) fn is_kept(&self) -> bool {
        // Who decompresses meanwhile goes first.
        thread::yield_now();
        Instant::now() < self.until
    }
}

impl Drop for Post<'_> {
    fn drop(&mut self) {
        // What was possible before is still.
        let _ = ioctl_fionbio(self.device, false);
        self.lookout.kept.store(false, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{OFlags, fcntl_getfl};

    #[test]
    fn one_looks_out_at_a_time_and_its_device_waits_for_nothing() {
        let lookout = Lookout::begin();
        let (device, other) = std::io::pipe().unwrap();
        let (device, other) = (OwnedFd::from(device), OwnedFd::from(other));
        let waits = |device: &OwnedFd| !fcntl_getfl(device).unwrap().contains(OFlags::NONBLOCK);
        let post = lookout.keep(None, &device).expect("nobody looks out yet");
        assert!(!waits(&device));
        assert!(lookout.keep(None, &other).is_none() && waits(&other));
        let post = lookout.keep(Some(post), &device).expect("it goes on");
        assert!(!waits(&device));
        drop(post);
        assert!(waits(&device));
        assert!(lookout.keep(None, &other).is_some(), "another may");
        assert!(waits(&other));
    }

    #[test]
    fn requests_far_from_each_other_do_not_come_soon() {
        let mut lookout = Lookout::begin();
        // Another thread has answered since.
        lookout.answered = AtomicU64::new(u64::MAX);
        assert!(lookout.comes_soon());
        lookout.since = Instant::now().checked_sub(SOON * 2).unwrap();
        lookout.answered = AtomicU64::new(0);
        assert!(!lookout.comes_soon());
    }
}
