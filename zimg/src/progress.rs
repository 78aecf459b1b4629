//! A progress bar on a terminal; silence elsewhere.

use std::io::{IsTerminal as _, stderr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Progress of work that is counted in bytes. Drawn only on a terminal, and only once the work
/// has lasted a second.
pub(crate) struct Bar {
    bar: ProgressBar,
    /// It is yet to be drawn, and there is something to draw it on.
    awaited: AtomicBool,
}

/// How long work must last before it is worth a bar.
const PATIENCE: Duration = Duration::from_secs(1);

impl Bar {
    /// A bar that is full at `total` bytes.
    pub(crate) fn bytes(what: &'static str, total: u64) -> Self {
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::hidden());
        let template = "{msg} {bar:30} {bytes}/{total_bytes} {binary_bytes_per_sec} {eta}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_message(what);
        Self { bar, awaited: stderr().is_terminal().into() }
    }

    /// `count` more bytes are done.
    pub(crate) fn add(&self, count: u64) {
        if self.awaited.load(Ordering::Relaxed)
            && self.bar.elapsed() >= PATIENCE
            && self.awaited.swap(false, Ordering::Relaxed)
        {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        self.bar.inc(count);
    }

    /// Takes the bar away.
    pub(crate) fn done(&self) {
        self.bar.finish_and_clear();
    }
}
