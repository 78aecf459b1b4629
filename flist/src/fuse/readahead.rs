//! The kernel reads 128 KiB ahead of a FUSE mount whatever the server says; another figure must be
//! written to the mount's entry in sysfs.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;

use super::kernel::DeviceNumber;

/// Where the readahead of a mount is told. Good for as long as the mount is, also where /sys is seen no
/// more.
#[derive(Debug)]
pub struct Readahead {
    path: String,
    file: File,
}

impl Readahead {
    /// That of the mount of that number. A mount without it works, slower over distance.
    pub(super) fn of(device: DeviceNumber) -> Option<Self> {
        let path = path(device);
        match OpenOptions::new().write(true).open(&path) {
            Ok(file) => Some(Self { path, file }),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                log::debug!("{path} stays as it is, only root may change it");
                None
            }
            Err(error) => {
                log::warn!("{path} can't be changed, so reads stay small: {error}");
                None
            }
        }
    }

    /// Has the kernel read `kib` KiB ahead of files that are opened from now on.
    pub fn set(&self, kib: u32) {
        let path = &self.path;
        match self.file.write_all_at(kib.to_string().as_bytes(), 0) {
            Ok(()) => log::debug!("{path} is {kib}"),
            Err(error) => log::warn!("{path} can't be set to {kib}: {error}"),
        }
    }
}

/// Where the readahead of a mount is told.
pub(super) fn path(DeviceNumber { major, minor }: DeviceNumber) -> String {
    format!("/sys/class/bdi/{major}:{minor}/read_ahead_kb")
}
