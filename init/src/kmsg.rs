//! The kernel log: where PID 1 and the root daemon write what they do.

use log::{Level, LevelFilter, Log, Metadata, Record};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::sync::OnceLock;

/// The longest record the kernel takes is 1024 bytes, its own prefix included.
const RECORD_MAX: usize = 900;

static LOG: OnceLock<Kmsg> = OnceLock::new();

struct Kmsg {
    device: File,
}

/// Opens `/dev/kmsg` and sends every `log` record there.
///
/// The kernel drops bursts of records unless told not to, so it is told. It refuses where the
/// command line has decided that (`printk.devkmsg=`), which is well.
pub(crate) fn init() -> io::Result<()> {
    let device = OpenOptions::new().write(true).open("/dev/kmsg")?;
    let kmsg = LOG.get_or_init(|| Kmsg { device });
    let _already_set = log::set_logger(kmsg);
    log::set_max_level(LevelFilter::Info);
    if let Err(e) = std::fs::write("/proc/sys/kernel/printk_devkmsg", "on\n") {
        log::debug!("bursts of records may be dropped: {e}");
    }
    Ok(())
}

/// Tells more, or not.
pub(crate) fn set_debug(debug: bool) {
    log::set_max_level(if debug { LevelFilter::Debug } else { LevelFilter::Info });
}

/// Another descriptor of the log, for a stream that must lie somewhere.
pub(crate) fn descriptor() -> Option<File> {
    LOG.get().and_then(|kmsg| kmsg.device.try_clone().ok())
}

/// Writes `line` so that the log keeps it but no console shows it.
pub(crate) fn keep(line: &str) {
    if let Some(kmsg) = LOG.get() {
        kmsg.write(7, line);
    }
}

impl Kmsg {
    /// A log that can't be written has nobody to be told; the boot goes on without.
    fn write(&self, level: u8, line: &str) {
        let record = record(level, line);
        let _nobody_to_tell = (&self.device).write_all(record.as_bytes());
    }
}

impl Log for Kmsg {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, entry: &Record<'_>) {
        if self.enabled(entry.metadata()) {
            self.write(kernel_level(entry.level()), &entry.args().to_string());
        }
    }

    fn flush(&self) {}
}

fn kernel_level(level: Level) -> u8 {
    match level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    }
}

/// One record: level, name, and `line` cut to what the kernel takes, on one line. Without the line
/// end the kernel would hold the record back until the next one, in case more of it came.
fn record(level: u8, line: &str) -> String {
    let mut record = format!("<{level}>zimg: ");
    for c in line.chars().map(|c| if c.is_control() { ' ' } else { c }) {
        if record.len() + c.len_utf8() >= RECORD_MAX {
            break;
        }
        record.push(c);
    }
    record.push('\n');
    record
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_one_bounded_line() {
        assert_eq!(record(6, "a\nb"), "<6>zimg: a b\n");
        let long = record(3, &"é".repeat(2000));
        assert!(long.len() <= RECORD_MAX && long.len() > RECORD_MAX - 2);
        assert!(long.ends_with('\n'));
    }

    #[test]
    fn levels_are_syslogs() {
        assert_eq!(kernel_level(Level::Error), 3);
        assert_eq!(kernel_level(Level::Info), 6);
    }
}
