//! A place for trees that no disk file system holds: a tmpfs in a mount namespace of the calling
//! thread's own, which nobody else sees and which ends with it.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use nix::sched::CloneFlags;
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};

/// A tmpfs (times of 64 bits, all kinds of xattrs and ACLs, sparse files), gone when dropped.
pub struct Scratch {
    dir: Option<tempfile::TempDir>,
}

impl Scratch {
    /// Leaves the mount namespace of the process and mounts there. Threads and processes started
    /// by this thread from now on see it, others do not.
    ///
    /// # Errors
    /// When the caller is not root, or the kernel refuses.
    pub fn new() -> anyhow::Result<Self> {
        ensure!(rustix::process::geteuid().is_root(), "this needs root: mounts, devices, owners");
        nix::sched::unshare(CloneFlags::CLONE_NEWNS).context("cannot make a mount namespace")?;
        let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
        rustix::mount::mount_change("/", private).context("cannot keep mounts to ourselves")?;
        let dir = tempfile::tempdir()?;
        let options = c"mode=0755,nr_inodes=0,size=8g";
        rustix::mount::mount("zimg-test", dir.path(), "tmpfs", MountFlags::empty(), options)
            .context("cannot mount a tmpfs")?;
        Ok(Self { dir: Some(dir) })
    }

    /// `name` in it.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.dir.as_ref().map_or_else(PathBuf::new, |dir| dir.path().join(name))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Some(dir) = self.dir.take() {
            // Were it to fail, the mount would end with the namespace all the same, and the
            // directory under it would stay in /tmp.
            let _ = rustix::mount::unmount(dir.path(), UnmountFlags::DETACH);
        }
    }
}
