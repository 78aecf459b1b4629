//! switch_root: makes the booted system's root the root of PID 1, and frees the initramfs.

use crate::failure::{Failure, OrFail, Stage};
use rustix::fs::{
    AtFlags, CWD, Dir, FileType, FsWord, Mode, OFlags, fstat, openat, stat, statfs, unlinkat,
};
use rustix::mount::mount_move;
use std::ffi::CStr;
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

/// The mounts that the booted system takes over.
pub(crate) const MOVED: [&str; 4] = ["dev", "proc", "sys", "run"];

/// What of the initramfs the root daemon goes on using.
const KEPT: [&[u8]; 2] = [b"init", b"etc"];

const RAMFS_MAGIC: FsWord = 0x8584_58f6;
const TMPFS_MAGIC: FsWord = 0x0102_1994;

/// Whether `/` is an initramfs. Nothing here may ever run on another root: it deletes it.
pub(crate) fn root_is_initramfs() -> io::Result<bool> {
    let kind = statfs("/")?.f_type;
    Ok(kind == RAMFS_MAGIC || kind == TMPFS_MAGIC)
}

/// Moves the mounts, then makes `new_root` the root, then deletes what nobody needs any more.
pub(crate) fn switch_root(new_root: &Path) -> Result<(), Failure> {
    check(new_root)?;
    // All of them before the first move: the screen of a failure needs /dev and /sys.
    for dir in MOVED {
        mount_point(&new_root.join(dir)).or_fail(
            Stage::Init,
            &format!("make the image's directory /{dir}"),
            &format!("build the image with an empty directory /{dir}"),
        )?;
    }
    let fix = "this is a defect of zimg: report it with the kernel log (dmesg)";
    for dir in MOVED {
        mount_move(Path::new("/").join(dir), new_root.join(dir)).or_fail(
            Stage::Init,
            &format!("move /{dir} into the image"),
            fix,
        )?;
    }
    let old = enter(new_root).or_fail(Stage::Init, "make the image the root", fix)?;
    if let Err(e) = delete_old(old) {
        log::warn!("the initramfs stays in memory: {e}");
    }
    Ok(())
}

fn check(new_root: &Path) -> Result<(), Failure> {
    let fix = "boot it as the initramfs of a kernel, not from a disk";
    let ram = root_is_initramfs().or_fail(Stage::Init, "look at the root", fix)?;
    let (old, new) = (stat("/"), stat(new_root));
    let differ = matches!((old, new), (Ok(old), Ok(new)) if old.st_dev != new.st_dev);
    if ram && differ {
        return Ok(());
    }
    Err(Failure::new(Stage::Init, "the root is not an initramfs that can be left", fix))
}

/// Makes `dir`, unless it is there.
fn mount_point(dir: &Path) -> io::Result<()> {
    if fs::symlink_metadata(dir).is_ok_and(|meta| meta.is_dir()) {
        return Ok(());
    }
    fs::create_dir(dir)
}

/// Enters the new root; returns the old one.
fn enter(new_root: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let old = openat(CWD, "/", flags, Mode::empty())?;
    rustix::process::chdir(new_root)?;
    mount_move(".", "/")?;
    rustix::process::chroot(".")?;
    rustix::process::chdir("/")?;
    Ok(old)
}

fn delete_old(old: OwnedFd) -> io::Result<()> {
    let device = fstat(&old)?.st_dev;
    for name in names(old.as_fd())? {
        if !KEPT.contains(&name.to_bytes()) {
            delete(old.as_fd(), &name, device)?;
        }
    }
    Ok(())
}

/// Deletes `name` and what is below it, as far as it lies on `device`.
fn delete(dir: impl AsFd, name: &CStr, device: u64) -> io::Result<()> {
    let meta = rustix::fs::statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
    if meta.st_dev != device {
        return Ok(());
    }
    if FileType::from_raw_mode(meta.st_mode) != FileType::Directory {
        return Ok(unlinkat(&dir, name, AtFlags::empty())?);
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let below = openat(&dir, name, flags, Mode::empty())?;
    for name in names(below.as_fd())? {
        delete(&below, &name, device)?;
    }
    match unlinkat(&dir, name, AtFlags::REMOVEDIR) {
        // Something else is still mounted below it, or on it.
        Err(rustix::io::Errno::NOTEMPTY | rustix::io::Errno::BUSY) => Ok(()),
        result => Ok(result?),
    }
}

fn names(dir: impl AsFd) -> io::Result<Vec<std::ffi::CString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(dir)? {
        let entry = entry?;
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            names.push(entry.file_name().to_owned());
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_but_what_the_daemon_uses_is_deleted() {
        let old = tempfile::tempdir().unwrap();
        let at = |path: &str| old.path().join(path);
        fs::create_dir_all(at("lib/modules/6/kernel")).unwrap();
        fs::create_dir_all(at("etc/zimg")).unwrap();
        fs::write(at("lib/modules/6/kernel/a.ko"), "x").unwrap();
        fs::write(at("etc/resolv.conf"), "x").unwrap();
        fs::write(at("init"), "x").unwrap();
        std::os::unix::fs::symlink("/etc", at("link")).unwrap();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        delete_old(openat(CWD, old.path(), flags, Mode::empty()).unwrap()).unwrap();
        assert!(at("init").exists() && at("etc/resolv.conf").exists() && at("etc/zimg").exists());
        assert_eq!(fs::read_dir(old.path()).unwrap().count(), 2);
        assert!(Path::new("/etc").exists());
    }

    #[test]
    fn a_mount_of_another_device_is_left_alone() {
        // /proc/self is on another device than any directory a test may delete from.
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = openat(CWD, "/", flags, Mode::empty()).unwrap();
        let other = fs::metadata("/tmp").map(|m| std::os::unix::fs::MetadataExt::dev(&m)).unwrap();
        delete(&root, c"proc", other).unwrap();
        assert!(Path::new("/proc/self").exists());
    }

    #[test]
    fn this_machine_is_not_an_initramfs() {
        assert!(check(Path::new("/")).is_err());
    }
}
