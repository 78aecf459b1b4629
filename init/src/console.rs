//! Puts a text on every console the kernel writes to, whatever state they are in.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags, open};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// How long one console may refuse bytes before it is left alone.
const PATIENCE: Timespec = Timespec { tv_sec: 2, tv_nsec: 0 };

/// Writes `text` to each of the kernel's consoles. One that fails costs the others nothing.
pub(crate) fn show(text: &str) {
    for device in devices() {
        if let Err(e) = write(&device, text.as_bytes()) {
            log::debug!("{}: {e}", device.display());
        }
    }
}

/// The consoles: those the kernel lists, or /dev/console where it lists none.
fn devices() -> Vec<PathBuf> {
    let active = fs::read_to_string("/sys/class/tty/console/active").unwrap_or_default();
    let listed: Vec<PathBuf> =
        active.split_ascii_whitespace().map(|name| Path::new("/dev").join(name)).collect();
    if listed.is_empty() { vec![PathBuf::from("/dev/console")] } else { listed }
}

/// Writes without ever hanging: a serial line may have nobody at its other end.
fn write(device: &Path, mut bytes: &[u8]) -> io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let mut tty = fs::File::from(open(device, flags, Mode::empty())?);
    while !bytes.is_empty() {
        match tty.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                let mut ready = [PollFd::new(&tty, PollFlags::OUT)];
                if poll(&mut ready, Some(&PATIENCE))? == 0 {
                    return Err(io::ErrorKind::TimedOut.into());
                }
            }
            Err(e) => return Err(e),
        }
    }
    Ok(())
}
