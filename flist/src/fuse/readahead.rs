//! The kernel reads 128 KiB ahead of a FUSE mount whatever the server says; more must be written
//! to the mount's entry in sysfs.

use std::fs;
use std::io;

use super::kernel::DeviceNumber;

/// Raises the readahead of the mount to `kib`. A mount without it works, slower over distance.
pub(super) fn raise(device: DeviceNumber, kib: u32) {
    let path = path(device);
    match fs::write(&path, kib.to_string()) {
        Ok(()) => log::debug!("{path} is {kib}"),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            log::debug!("{path} stays as it is, only root may raise it");
        }
        Err(error) => log::warn!("{path} can't be set to {kib}, so reads stay small: {error}"),
    }
}

/// Where the readahead of a mount is told.
pub(super) fn path(DeviceNumber { major, minor }: DeviceNumber) -> String {
    format!("/sys/class/bdi/{major}:{minor}/read_ahead_kb")
}
