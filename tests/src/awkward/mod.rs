//! A tree that holds everything awkward: what an flist must carry, and what others lose.
//!
//! Made by root, best on a tmpfs ([`crate::scratch`]), as disk file systems cut times and xattrs.
//! Everything but the times of making is the same at each making.

mod contents;
mod names;
mod nodes;
mod xattrs;

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::Context;
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Timespec, Timestamps};

pub use contents::{SPARSE_LEN, random};
pub use names::MANY;

/// Makes the tree in `dir`, which must not exist.
///
/// # Errors
/// When something of it can't be made; the error names it.
pub fn make(dir: &Path) -> anyhow::Result<()> {
    type Part = fn(&Path) -> anyhow::Result<()>;
    let parts: [(&str, Part); 12] = [
        ("names", names::names),
        ("many", names::many),
        ("deep", names::deep),
        ("deep-long", names::deep_long),
        ("symlinks", names::symlinks),
        ("links", nodes::links),
        ("nodes", nodes::special),
        ("modes", nodes::modes_and_owners),
        ("times", nodes::times),
        ("xattrs", xattrs::xattrs),
        ("sizes", contents::sizes),
        ("sparse", contents::sparse),
    ];
    fs::create_dir(dir).with_context(|| dir.display().to_string())?;
    for (name, part) in parts {
        let place = dir.join(name);
        fs::create_dir(&place)?;
        part(&place).with_context(|| format!("the awkward tree's {name}"))?;
    }
    fs::create_dir(dir.join("empty-directory"))?;
    xattrs::set(dir, "trusted.of-the-root", b"kept")?;
    fs::set_permissions(dir, fs::Permissions::from_mode(0o1751))?;
    std::os::unix::fs::chown(dir, Some(7), Some(8))?;
    directory_times(&rustix::fs::open(dir, DIRECTORY, Mode::empty())?, &mut 0)?;
    set_time(dir, -1, 999_999_999)
}

const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Gives each directory beneath `dir` a time of its own, after all that changes it.
fn directory_times(dir: &OwnedFd, count: &mut i64) -> anyhow::Result<()> {
    for entry in Dir::read_from(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        if entry.file_type() != FileType::Directory || matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let inner = rustix::fs::openat(dir, name, DIRECTORY, Mode::empty())?;
        directory_times(&inner, count)?;
        *count += 1;
        let time = Timespec { tv_sec: 1_000_000_000 + *count, tv_nsec: 123_456_789 };
        let times = Timestamps { last_access: time, last_modification: time };
        rustix::fs::futimens(&inner, &times)?;
    }
    Ok(())
}

/// Sets a time, of the link itself where it is one.
fn set_time(path: &Path, seconds: i64, nanos: i64) -> anyhow::Result<()> {
    let time = Timespec { tv_sec: seconds, tv_nsec: nanos };
    let times = Timestamps { last_access: time, last_modification: time };
    rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)
        .with_context(|| format!("the time of {}", path.display()))
}

/// Makes a fifo, socket or device.
fn node(path: &Path, kind: FileType, device: (u32, u32)) -> io::Result<()> {
    let device = rustix::fs::makedev(device.0, device.1);
    rustix::fs::mknodat(CWD, path, kind, Mode::from(0o640), device)?;
    Ok(())
}

fn os(name: &[u8]) -> &OsStr {
    OsStr::from_bytes(name)
}

/// A directory within an open one, made and opened.
fn directory_at(dir: impl AsFd, name: &[u8]) -> anyhow::Result<OwnedFd> {
    rustix::fs::mkdirat(&dir, os(name), Mode::from(0o755))?;
    Ok(rustix::fs::openat(&dir, os(name), DIRECTORY, Mode::empty())?)
}
