//! All that is known of one entry but its contents.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

/// The longest list of names, and the longest value, that the kernel has.
const MAX_XATTR: usize = 64 << 10;

pub(super) struct Entry {
    pub(super) kind: FileType,
    pub(super) mode: u32,
    pub(super) links: u64,
    /// Device and inode number of the file system it lies in.
    pub(super) identity: (u64, u64),
    pub(super) size: u64,
    /// Bytes it takes up.
    pub(super) used: u64,
    pub(super) target: Vec<u8>,
    pub(super) xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    stat: Stat,
}

impl Entry {
    pub(super) fn of_root(dir: &OwnedFd) -> anyhow::Result<Self> {
        let path = PathBuf::from(format!("/proc/self/fd/{}/.", dir.as_raw_fd()));
        Self::from(rustix::fs::fstat(dir)?, Vec::new(), &path)
    }

    pub(super) fn at(dir: &OwnedFd, name: &OsStr) -> anyhow::Result<Self> {
        let stat = rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let target = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Symlink => rustix::fs::readlinkat(dir, name, Vec::new())?.into_bytes(),
            _ => Vec::new(),
        };
        // The calls for xattrs take paths alone; this one is short however deep the entry lies.
        let path = Path::new("/proc/self/fd").join(dir.as_raw_fd().to_string()).join(name);
        Self::from(stat, target, &path)
    }

    fn from(stat: Stat, target: Vec<u8>, path: &Path) -> anyhow::Result<Self> {
        Ok(Self {
            kind: FileType::from_raw_mode(stat.st_mode),
            mode: stat.st_mode & 0o7777,
            links: stat.st_nlink,
            identity: (stat.st_dev, stat.st_ino),
            size: u64::try_from(stat.st_size)?,
            used: u64::try_from(stat.st_blocks)? * 512,
            target,
            xattrs: xattrs(path)?,
            stat,
        })
    }

    pub(super) fn owner(&self) -> String {
        format!("{}:{}", self.stat.st_uid, self.stat.st_gid)
    }

    pub(super) fn time(&self) -> String {
        format!("{}.{:09}", self.stat.st_mtime, self.stat.st_mtime_nsec)
    }

    /// Of a device alone: elsewhere the numbers mean nothing.
    pub(super) fn device(&self) -> String {
        if !matches!(self.kind, FileType::BlockDevice | FileType::CharacterDevice) {
            return String::new();
        }
        let device = self.stat.st_rdev;
        format!("{}:{}", rustix::fs::major(device), rustix::fs::minor(device))
    }

    /// Whether most of it is holes. (How file systems round what is used differs.)
    pub(super) fn is_sparse(&self) -> bool {
        const BIG: u64 = 1 << 20;
        self.size > BIG && self.used < self.size / 2
    }
}

fn xattrs(path: &Path) -> anyhow::Result<BTreeMap<Vec<u8>, Vec<u8>>> {
    let mut list = vec![0; MAX_XATTR];
    let len = match rustix::fs::llistxattr(path, &mut list[..]) {
        // A file system without any.
        Err(Errno::OPNOTSUPP) => 0,
        result => result?,
    };
    list.truncate(len);
    let mut xattrs = BTreeMap::new();
    let mut value = vec![0; MAX_XATTR];
    for name in list.split(|b| *b == 0).filter(|name| !name.is_empty()) {
        let len = rustix::fs::lgetxattr(path, OsStr::from_bytes(name), &mut value[..])?;
        let twice = xattrs.insert(name.to_vec(), value[..len].to_vec()).is_some();
        anyhow::ensure!(!twice, "attribute {} is listed twice", name.escape_ascii());
    }
    Ok(xattrs)
}

pub(super) fn open(dir: &OwnedFd, name: &OsStr) -> anyhow::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(File::from(rustix::fs::openat(dir, name, flags, Mode::empty())?))
}

pub(super) fn open_dir(dir: &OwnedFd, name: &OsStr) -> anyhow::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(dir, name, flags, Mode::empty())?)
}
