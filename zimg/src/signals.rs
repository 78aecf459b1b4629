//! Being asked to stop: SIGINT, SIGTERM and SIGHUP as something that a thread waits for.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use nix::sys::signal::{SigSet, Signal};

/// The signals that ask a program to stop, blocked for the whole process.
pub(crate) struct StopSignals(SigSet);

impl StopSignals {
    /// Blocks them in this thread and all it will start. To be called before any other thread is.
    pub(crate) fn block() -> anyhow::Result<Self> {
        let set: SigSet = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP].into_iter().collect();
        set.thread_block().context("can't block signals")?;
        Ok(Self(set))
    }

    /// Calls `stop` in a thread of its own for each of them that comes.
    pub(crate) fn on_each(
        self,
        mut stop: impl FnMut(Signal) + Send + 'static,
    ) -> anyhow::Result<()> {
        let wait = move || {
            // sigwait(3) fails only for a set that is no set.
            while let Ok(signal) = self.0.wait() {
                stop(signal);
            }
        };
        std::thread::Builder::new()
            .name("signals".into())
            .spawn(wait)
            .context("can't start a thread")?;
        Ok(())
    }
}

/// Set once somebody has asked to stop; looked at between the steps of long work.
#[derive(Clone, Default)]
pub(crate) struct Stop(Arc<AtomicBool>);

/// The work was given up because a signal or another part of it asked for that.
#[derive(Debug, thiserror::Error)]
#[error("stopped before the end")]
pub(crate) struct Stopped;

impl Stop {
    /// One that SIGINT, SIGTERM and SIGHUP set. To be made before any other thread is.
    pub(crate) fn on_signals() -> anyhow::Result<Self> {
        let stop = Self::default();
        StopSignals::block()?.on_each({
            let stop = stop.clone();
            move |_| stop.set()
        })?;
        Ok(stop)
    }

    /// Asks all that look at it to stop.
    pub(crate) fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// # Errors
    /// [`Stopped`] once [`Stop::set`] was called.
    pub(crate) fn check(&self) -> Result<(), Stopped> {
        if self.0.load(Ordering::Relaxed) { Err(Stopped) } else { Ok(()) }
    }
}
