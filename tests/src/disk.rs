//! Disks of machines, as files: made, looked at and checked by e2fsprogs on the host.

use std::path::Path;
use std::process::Command;

use crate::root::run;

/// How large a disk is. Most of it is a hole.
const SIZE: u64 = 256 << 20;

/// A disk in a file of its own; gone when dropped.
pub struct Disk {
    file: tempfile::NamedTempFile,
    is_read_only: bool,
}

impl Disk {
    /// One of zeros.
    ///
    /// # Errors
    /// When there is no room for it.
    pub fn blank() -> anyhow::Result<Self> {
        let file = tempfile::NamedTempFile::new()?;
        file.as_file().set_len(SIZE)?;
        Ok(Self { file, is_read_only: false })
    }

    /// One with an empty ext4 of that label.
    ///
    /// # Errors
    /// When mke2fs fails.
    pub fn ext4(label: &str) -> anyhow::Result<Self> {
        let disk = Self::blank()?;
        run(Command::new("mke2fs")
            .args(["-q", "-F", "-t", "ext4", "-E", "lazy_itable_init=0", "-L", label])
            .arg(disk.path()))?;
        Ok(disk)
    }

    /// One of so many MiB that `program` makes a file system on.
    ///
    /// # Errors
    /// When it fails.
    pub fn made_by(program: &str, args: &[&str], mib: u64) -> anyhow::Result<Self> {
        let disk = Self::blank()?;
        disk.file.as_file().set_len(mib << 20)?;
        run(Command::new(program).args(args).arg(disk.path()))?;
        Ok(disk)
    }

    /// The same, but its machine can't write to it.
    #[must_use]
    pub fn read_only(self) -> Self {
        Self { is_read_only: true, ..self }
    }

    /// Its file.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// What is on it now, to be put back.
    ///
    /// # Errors
    /// When there is no room for it.
    pub fn copy(&self) -> anyhow::Result<tempfile::NamedTempFile> {
        let copy = tempfile::NamedTempFile::new()?;
        run(Command::new("cp").arg("--sparse=always").arg(self.path()).arg(copy.path()))?;
        Ok(copy)
    }

    /// Puts back what was on it when `copy` was made.
    ///
    /// # Errors
    /// When there is no room for it.
    pub fn put_back(&self, copy: &tempfile::NamedTempFile) -> anyhow::Result<()> {
        run(Command::new("cp").arg("--sparse=always").arg(copy.path()).arg(self.path())).map(drop)
    }

    /// The arguments of qemu that make it a virtio disk.
    pub fn arguments(&self) -> Vec<String> {
        let path = self.path().display();
        let read_only = if self.is_read_only { ",readonly=on" } else { "" };
        vec!["-drive".to_owned(), format!("file={path},if=virtio,format=raw{read_only}")]
    }

    /// Whether its ext4 was left in order: nothing to recover, nothing to mend.
    ///
    /// # Errors
    /// When dumpe2fs can't read it.
    pub fn is_clean(&self) -> anyhow::Result<bool> {
        let header = run(Command::new("dumpe2fs").arg("-h").arg(self.path()))?;
        let header = String::from_utf8_lossy(&header);
        let line = |name: &str| header.lines().find(|line| line.starts_with(name)).unwrap_or("");
        let shut = line("Filesystem state:").ends_with(" clean")
            && !line("Filesystem features:").contains("needs_recovery");
        Ok(shut && self.is_sound())
    }

    /// Whether e2fsck finds nothing to mend, without mending anything.
    pub fn is_sound(&self) -> bool {
        run(Command::new("e2fsck").arg("-fn").arg(self.path())).is_ok()
    }

    /// What a file of its ext4 holds, as debugfs reads it: empty where there is no such file.
    ///
    /// # Errors
    /// When debugfs fails.
    pub fn read(&self, path: &str) -> anyhow::Result<String> {
        self.debug(&format!("cat \"{path}\""), &[])
    }

    /// Copies a host's file into its ext4.
    ///
    /// # Errors
    /// When debugfs fails.
    pub fn write(&self, from: &Path, path: &str) -> anyhow::Result<()> {
        self.debug(&format!("write \"{}\" \"{path}\"", from.display()), &["-w"]).map(drop)
    }

    /// What debugfs says to `request`.
    ///
    /// # Errors
    /// When debugfs fails.
    pub fn debug(&self, request: &str, more: &[&str]) -> anyhow::Result<String> {
        let mut command = Command::new("debugfs");
        let out = run(command.args(more).args(["-R", request]).arg(self.path()))?;
        Ok(String::from_utf8_lossy(&out).into_owned())
    }
}
