//! The mounts without which nothing else works, made before anything else.

use crate::failure::{Failure, OrFail, Stage};
use crate::kmsg;
use rustix::io::Errno;
use rustix::mount::{MountFlags, mount};
use std::ffi::CStr;
use std::fs::{self, OpenOptions};
use std::io;

/// What is mounted, in order: source, where, type, flags, options.
///
/// `/run` is executable: systemd-shutdown runs `/run/initramfs/shutdown` from it. `/dev` likewise,
/// as udev leaves it.
const MOUNTS: [(&str, &str, MountFlags, &CStr); 4] = [
    ("devtmpfs", "/dev", MountFlags::NOSUID, c"mode=0755"),
    ("proc", "/proc", NO_ALL, c""),
    ("sysfs", "/sys", NO_ALL, c""),
    ("tmpfs", "/run", MountFlags::NOSUID.union(MountFlags::NODEV), c"mode=0755,size=20%"),
];

const NO_ALL: MountFlags = MountFlags::NOSUID.union(MountFlags::NODEV).union(MountFlags::NOEXEC);

/// Opens the kernel log, and the console as standard streams: those that PID 1 was born with, if
/// any, may lie on a /dev that is no more. Without either the boot goes on, with less to be seen.
pub(crate) fn streams() {
    let console = OpenOptions::new().read(true).write(true).open("/dev/console");
    let kmsg = kmsg::init();
    let attached = console.and_then(|console| {
        rustix::stdio::dup2_stdin(&console)?;
        rustix::stdio::dup2_stdout(&console)?;
        Ok(rustix::stdio::dup2_stderr(&console)?)
    });
    if let Err(e) = attached {
        log::warn!("/dev/console: {e}");
    }
    if let Err(e) = kmsg {
        log::warn!("/dev/kmsg: {e}");
    }
}

/// Mounts them. One that is mounted already (CONFIG_DEVTMPFS_MOUNT) is left as it is.
pub(crate) fn mounts() -> Result<(), Failure> {
    for (kind, target, flags, options) in MOUNTS {
        mount_one(kind, target, flags, options).or_fail(
            Stage::Start,
            &format!("mount {kind} on {target}"),
            "use a kernel with devtmpfs, proc, sysfs and tmpfs built in (see kernel-config/)",
        )?;
    }
    Ok(())
}

fn mount_one(kind: &str, target: &str, flags: MountFlags, options: &CStr) -> io::Result<()> {
    fs::create_dir_all(target)?;
    match mount(kind, target, kind, flags, options) {
        Err(Errno::BUSY) => Ok(()),
        result => Ok(result?),
    }
}
