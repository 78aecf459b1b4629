//! The last program of the node: systemd-shutdown pivots to `/run/initramfs` and runs it.
//!
//! Nothing of the root is read any more: this program lies in memory whole.

use crate::mountinfo::{Mount, mounts};
use crate::watchdog;
use rustix::mount::{UnmountFlags, unmount};
use rustix::system::{RebootCommand, reboot};
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

/// Where systemd-shutdown looks for it.
const HOME: &str = "/run/initramfs";

/// Where systemd-shutdown leaves the root it came from.
const OLD_ROOT: &str = "/oldroot";

/// File systems that exist in memory only.
const MEMORY: [&[u8]; 5] = [b"devtmpfs", b"tmpfs", b"ramfs", b"proc", b"sysfs"];

/// How often mounts that are busy are tried again, and how long between.
const ROUNDS: u32 = 20;
const PAUSE: Duration = Duration::from_millis(50);

/// Puts a copy of this program where systemd-shutdown finds it.
pub(crate) fn install() -> io::Result<()> {
    let home = Path::new(HOME);
    fs::create_dir_all(home)?;
    fs::copy("/proc/self/exe", home.join("shutdown"))?;
    fs::set_permissions(home.join("shutdown"), fs::Permissions::from_mode(0o755))
}

/// Unmounts what is left, then does what `verb` says. Never returns.
pub(crate) fn run(verb: Option<&OsStr>) -> ! {
    // Without a kernel log there is nobody to tell, nor any need: the machine goes down.
    let _nobody_to_tell = crate::kmsg::init();
    let watchdog = watchdog::Left::take();
    unmount_all(&watchdog);
    watchdog.ping();
    rustix::fs::sync();
    watchdog.ping();
    let command = command(verb);
    log::info!("the root is left; {command:?}");
    finish(command)
}

/// Asks the kernel for `command`; there is nothing to go back to if it refuses.
pub(crate) fn finish(command: RebootCommand) -> ! {
    if let Err(e) = reboot(command) {
        log::error!("{command:?}: {e}");
        if let Err(e) = reboot(RebootCommand::Restart) {
            log::error!("restart: {e}");
        }
    }
    loop {
        thread::park();
    }
}

fn command(verb: Option<&OsStr>) -> RebootCommand {
    match verb.and_then(OsStr::to_str) {
        Some("poweroff") => RebootCommand::PowerOff,
        Some("halt") => RebootCommand::Halt,
        Some("kexec") => RebootCommand::Kexec,
        _ => RebootCommand::Restart,
    }
}

/// A mount that is left.
#[derive(Debug, PartialEq, Eq)]
struct Left {
    point: PathBuf,
    kind: Vec<u8>,
}

impl Left {
    /// Whether there is nothing on it that could be lost. This process and the root daemon have
    /// files of such open, so they stay busy.
    fn is_memory(&self) -> bool {
        MEMORY.contains(&self.kind.as_slice())
    }
}

/// Unmounts everything below the old root, deepest first; what stays busy is detached.
fn unmount_all(watchdog: &watchdog::Left) {
    for round in 1..=ROUNDS {
        watchdog.ping();
        let text = fs::read("/proc/self/mountinfo").unwrap_or_default();
        let mounts = below(&text, Path::new(OLD_ROOT));
        if mounts.is_empty() {
            return;
        }
        for mount in &mounts {
            let last = round == ROUNDS;
            let detach = last || mount.is_memory();
            let flags = if detach { UnmountFlags::DETACH } else { UnmountFlags::empty() };
            match unmount(&mount.point, flags) {
                Ok(()) if last => log::warn!("{} was still in use", mount.point.display()),
                Ok(()) => {}
                Err(e) => log::debug!("{}: {e}", mount.point.display()),
            }
        }
        thread::sleep(PAUSE);
    }
}

/// The mounts at and below `dir`, the deepest first, and of several in one place the last.
fn below(mountinfo: &[u8], dir: &Path) -> Vec<Left> {
    let left =
        |mount: Mount<'_>| Left { point: unescape(mount.point), kind: mount.kind.to_owned() };
    let mut mounts: Vec<Left> =
        mounts(mountinfo).map(left).filter(|left| left.point.starts_with(dir)).collect();
    mounts.reverse();
    mounts.sort_by_key(|left| std::cmp::Reverse(left.point.components().count()));
    mounts
}

/// Undoes the kernel's `\040` for a space, and the like.
fn unescape(field: &[u8]) -> PathBuf {
    let mut path = Vec::with_capacity(field.len());
    let mut at = 0;
    while let Some(byte) = field.get(at) {
        let code = field.get(at + 1..at + 4).and_then(|digits| std::str::from_utf8(digits).ok());
        let code = code.and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match code {
            Some(code) if *byte == b'\\' => {
                path.push(code);
                at += 4;
            }
            _ => {
                path.push(*byte);
                at += 1;
            }
        }
    }
    PathBuf::from(std::ffi::OsString::from_vec(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTINFO: &[u8] = b"\
22 1 0:20 / / rw - tmpfs tmpfs rw
23 30 0:21 / /oldroot/proc rw - proc proc rw
30 22 0:30 / /oldroot rw - overlay zimg rw
31 30 0:31 / /oldroot/mnt/a\\040b rw shared:7 master:3 - ext4 /dev/vda rw
32 22 0:32 / /oldrooted rw - tmpfs tmpfs rw
33 22 0:5 / /dev rw - devtmpfs devtmpfs rw
";

    #[test]
    fn mounts_below_the_old_root_deepest_first() {
        let mounts = below(MOUNTINFO, Path::new(OLD_ROOT));
        let points: Vec<&str> = mounts.iter().filter_map(|left| left.point.to_str()).collect();
        assert_eq!(points, ["/oldroot/mnt/a b", "/oldroot/proc", "/oldroot"]);
        let memory: Vec<bool> = mounts.iter().map(Left::is_memory).collect();
        assert_eq!(memory, [false, true, false]);
    }

    #[test]
    fn verbs() {
        let of = |verb: &str| command(Some(OsStr::new(verb)));
        assert_eq!(of("poweroff"), RebootCommand::PowerOff);
        assert_eq!(of("halt"), RebootCommand::Halt);
        assert_eq!(of("kexec"), RebootCommand::Kexec);
        assert_eq!(of("reboot"), RebootCommand::Restart);
        assert_eq!(command(None), RebootCommand::Restart);
    }

    #[test]
    fn escapes() {
        assert_eq!(unescape(b"/a\\134b\\"), Path::new("/a\\b\\"));
    }
}
