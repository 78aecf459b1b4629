//! Log lines on standard error: warnings and errors, and with `ZIMG_LOG=info` or `debug` more.

use std::io::Write;

use log::{Level, LevelFilter, Log, Metadata, Record};

struct Stderr;

impl Log for Stderr {
    fn enabled(&self, metadata: &Metadata) -> bool {
        // The libraries' own chatter is of use to nobody who runs zimg.
        metadata.level() <= Level::Warn
            || metadata.target().starts_with("flist")
            || metadata.target().starts_with("zimg")
    }

    fn log(&self, record: &Record) {
        if self.enabled(record.metadata()) {
            let level = record.level().as_str().to_ascii_lowercase();
            // Where standard error is gone there is no one left to tell.
            let _ = writeln!(std::io::stderr(), "zimg: {level}: {}", record.args());
        }
    }

    fn flush(&self) {}
}

/// Sends log lines to standard error.
pub(crate) fn init() {
    let level = std::env::var("ZIMG_LOG").ok().and_then(|l| l.parse().ok());
    // Fails only where a logger is set already, and this is the only one.
    let _ = log::set_logger(&Stderr);
    log::set_max_level(level.unwrap_or(LevelFilter::Warn));
}
