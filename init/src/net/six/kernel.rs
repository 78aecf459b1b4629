//! The kernel's own handling of router advertisements, which would be in the way: switched off,
//! and on again where the node does not come to use the link.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use crate::net::link::IfName;

/// A link's `accept_ra`, set to 0; what it was is put back at the end of this.
#[derive(Debug)]
pub(super) struct KernelWay {
    path: PathBuf,
    was: String,
}

impl KernelWay {
    /// Switches it off on the link called `name`; `None` where it was off, or can't be.
    pub(super) fn suspend(name: &IfName) -> Option<Self> {
        let folder = Path::new("/proc/sys/net/ipv6/conf").join(OsStr::from_bytes(name.as_bytes()));
        let path = folder.join("accept_ra");
        let was = fs::read_to_string(&path).ok().filter(|was| was.trim() != "0")?;
        set(&path, "0").then_some(Self { path, was })
    }

    /// Leaves it off.
    pub(super) fn end(mut self) {
        self.was.clear();
    }
}

impl Drop for KernelWay {
    fn drop(&mut self) {
        if !self.was.is_empty() {
            set(&self.path, &self.was);
        }
    }
}

/// Whether `value` was taken. Where it was not, the kernel's addresses come in addition to ours.
fn set(path: &Path, value: &str) -> bool {
    let result = fs::write(path, value);
    if let Err(e) = &result {
        log::warn!("{}: {e}", path.display());
    }
    result.is_ok()
}
