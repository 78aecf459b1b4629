//! Owners, modes, xattrs and times of an unpacked tree.

use std::os::fd::{AsRawFd, OwnedFd};

use anyhow::Context;
use flist::image::{Ino, Inode, Kind};
use rustix::fs::{self, AtFlags, Gid, Mode, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;

use super::tree::Tree;

/// What an ordinary user may not restore, counted.
#[derive(Default)]
struct LeftOut {
    devices: u64,
    owners: u64,
    xattrs: u64,
    special_bits: u64,
}

/// Gives every entry its attributes. Returns what was left out, a line each.
pub(super) fn restore(tree: &Tree<'_>) -> anyhow::Result<Vec<String>> {
    let mut left_out = LeftOut::default();
    for ino in tree.bottom_up() {
        let Some(inode) = tree.image.inode(ino) else { continue };
        // The root's own attributes are set through ".".
        let (dir, name) = tree.place(ino).unwrap_or((ino, b"."));
        let at = tree.open_directory(dir)?;
        one(tree, ino, inode, &at, name, &mut left_out)
            .with_context(|| format!("can't restore the attributes of {}", tree.path(ino)))?;
    }
    let lines = [
        (left_out.devices, "devices, which only root can make"),
        (left_out.owners, "owners, which only root can give away"),
        (left_out.special_bits, "setuid and setgid bits, as the owner is not the image's"),
        (left_out.xattrs, "xattrs, which only root can set or this file system does not hold"),
    ];
    let told = lines.iter().filter(|(count, _)| *count > 0);
    Ok(told.map(|(count, what)| format!("left out {count} {what}")).collect())
}

fn one(
    tree: &Tree<'_>,
    ino: Ino,
    inode: &Inode,
    at: &OwnedFd,
    name: &[u8],
    left_out: &mut LeftOut,
) -> anyhow::Result<()> {
    let nofollow = AtFlags::SYMLINK_NOFOLLOW;
    let owner = (Some(Uid::from_raw(inode.uid)), Some(Gid::from_raw(inode.gid)));
    let owned = match fs::chownat(at, name, owner.0, owner.1, nofollow) {
        Ok(()) => true,
        Err(Errno::NOENT) if !tree.privileged => {
            left_out.devices += 1;
            return Ok(());
        }
        Err(Errno::PERM) if !tree.privileged => {
            left_out.owners += 1;
            false
        }
        Err(e) => return Err(e).context("chown"),
    };
    if !matches!(inode.kind, Kind::Symlink { .. }) {
        // A setuid program that now belongs to the user who unpacked it would be another program.
        let special = inode.mode & 0o6000 != 0 && !owned;
        left_out.special_bits += u64::from(special);
        let mask = if special { 0o1777 } else { 0o7777 };
        fs::chmodat(at, name, Mode::from_raw_mode(inode.mode & mask), AtFlags::empty())
            .context("chmod")?;
    }
    for (key, value) in tree.image.xattrs(ino) {
        // There is no lsetxattr relative to a directory before Linux 6.13; this path is one.
        let path = [format!("/proc/self/fd/{}/", at.as_raw_fd()).as_bytes(), name].concat();
        match fs::lsetxattr(&path, key.as_slice(), value, XattrFlags::empty()) {
            Ok(()) => {}
            Err(Errno::PERM | Errno::ACCESS | Errno::OPNOTSUPP) if !tree.privileged => {
                left_out.xattrs += 1;
            }
            Err(e) => {
                return Err(e).with_context(|| format!("xattr {}", crate::text::escaped(key)));
            }
        }
    }
    let time = Timespec { tv_sec: inode.mtime.sec, tv_nsec: inode.mtime.nsec.into() };
    let times = Timestamps { last_access: time, last_modification: time };
    fs::utimensat(at, name, &times, nofollow).context("times")
}
