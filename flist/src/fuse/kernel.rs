//! mount(2) and umount(2), or fusermount3 for who may not call them.

use std::ffi::CString;
use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use rustix::fs::{AtFlags, CWD, StatxFlags};
use rustix::io::Errno;
use rustix::mount::{MountFlags, UnmountFlags};

use super::{MountError, MountOptions, UnmountError, fusermount};

/// Never `/dev/fuse`: systemd unmounts that at the end.
pub(super) const SOURCE: &str = "zimg";
pub(super) const SUBTYPE: &str = "zimg";

/// Device number of a mounted file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DeviceNumber {
    pub(super) major: u32,
    pub(super) minor: u32,
}

/// Where something of ours is mounted, and how to tell whether that is so still.
#[derive(Debug)]
pub(super) struct Target {
    dir: PathBuf,
    /// Mounted by fusermount3, so to be unmounted by it.
    by_fusermount: bool,
    device: OnceLock<DeviceNumber>,
}

/// Mounts, and returns the kernel's end of the conversation.
pub(super) fn mount(dir: &Path, options: &MountOptions) -> Result<(OwnedFd, Target), MountError> {
    let target =
        |by_fusermount| Target { dir: dir.to_owned(), by_fusermount, device: OnceLock::new() };
    let device = match open_device() {
        Ok(device) => device,
        Err(error) => match error.kind() {
            io::ErrorKind::NotFound => return Err(MountError::NoDevice),
            io::ErrorKind::PermissionDenied => {
                return fusermount::mount(dir, options).map(|d| (d, target(true)));
            }
            _ => return Err(MountError::Device(error)),
        },
    };
    match mount_directly(dir, &device, options) {
        Ok(()) => Ok((device, target(false))),
        Err(Errno::PERM) => fusermount::mount(dir, options).map(|d| (d, target(true))),
        Err(Errno::NODEV) => Err(MountError::NoDevice),
        Err(error) => Err(MountError::Refused { dir: dir.to_owned(), error: error.into() }),
    }
}

/// Opens `/dev/fuse`, never as one of the standard streams.
pub(super) fn open_device() -> io::Result<OwnedFd> {
    let device = OpenOptions::new().read(true).write(true).open("/dev/fuse")?;
    if device.as_raw_fd() > 2 {
        return Ok(device.into());
    }
    Ok(rustix::io::fcntl_dupfd_cloexec(&device, 3)?)
}

fn mount_directly(dir: &Path, device: &OwnedFd, options: &MountOptions) -> rustix::io::Result<()> {
    let data = format!(
        "fd={},rootmode=40000,user_id={},group_id={},default_permissions{}",
        device.as_raw_fd(),
        rustix::process::getuid().as_raw(),
        rustix::process::getgid().as_raw(),
        if options.allow_other { ",allow_other" } else { "" },
    );
    let data = CString::new(data).map_err(|_nul| Errno::INVAL)?;
    let mut flags = MountFlags::RDONLY;
    flags.set(MountFlags::NOSUID, !options.suid);
    flags.set(MountFlags::NODEV, !options.dev);
    let kind = format!("fuse.{SUBTYPE}");
    rustix::mount::mount(SOURCE, dir, kind.as_str(), flags, data.as_c_str())
}

impl Target {
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The device number, once [`identify`](Self::identify) has found it out.
    pub(super) fn device(&self) -> Option<DeviceNumber> {
        self.device.get().copied()
    }

    /// Remembers what is mounted here, that it be told from what may be mounted here later.
    pub(super) fn identify(&self) {
        if let Some(device) = self.mounted_now() {
            // Found out once, before anyone else could.
            let _ = self.device.set(device);
        }
    }

    /// The device number of what is mounted at the directory. Asks the server nothing.
    fn mounted_now(&self) -> Option<DeviceNumber> {
        let flags = AtFlags::STATX_DONT_SYNC | AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
        let stat = rustix::fs::statx(CWD, &self.dir, flags, StatxFlags::TYPE).ok()?;
        Some(DeviceNumber { major: stat.stx_dev_major, minor: stat.stx_dev_minor })
    }

    /// Whether it is there still, and not something else.
    fn is_there(&self) -> bool {
        self.device().is_none_or(|ours| self.mounted_now() == Some(ours))
    }

    pub(super) fn unmount(&self) -> Result<(), UnmountError> {
        self.remove(UnmountFlags::NOFOLLOW, false)
    }

    pub(super) fn detach(&self) -> Result<(), UnmountError> {
        self.remove(UnmountFlags::NOFOLLOW | UnmountFlags::DETACH, true)
    }

    /// Detaches and ends the conversation with the kernel. Whether the latter was possible: not
    /// by fusermount3, nor of a mount that is detached already.
    pub(super) fn abort(&self) -> bool {
        let there = self.is_there();
        let flags = UnmountFlags::NOFOLLOW | UnmountFlags::DETACH | UnmountFlags::FORCE;
        match self.remove(flags, true) {
            Ok(()) => there && !self.by_fusermount,
            Err(error) => {
                log::warn!("{error}");
                false
            }
        }
    }

    fn remove(&self, flags: UnmountFlags, lazily: bool) -> Result<(), UnmountError> {
        if !self.is_there() {
            return Ok(());
        }
        if self.by_fusermount {
            return fusermount::unmount(&self.dir, lazily);
        }
        match rustix::mount::unmount(&self.dir, flags) {
            Ok(()) => Ok(()),
            // No mount: someone was faster.
            Err(Errno::INVAL | Errno::NOENT) => Ok(()),
            Err(Errno::BUSY) => Err(UnmountError::Busy(self.dir.clone())),
            Err(error) => {
                Err(UnmountError::Refused { dir: self.dir.clone(), why: error.to_string() })
            }
        }
    }
}
