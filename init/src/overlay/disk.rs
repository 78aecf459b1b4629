//! The writable layer on a block device: what an overlay finds there, or refuses, or makes.
//!
//! An overlay's file system has a directory `zimg` at its top: `zimg/overlay` marks it as one and
//! names the image it was last used with; `zimg/kept`, or with `zimg.overlay.update=fresh` a
//! directory named by the image's root hash, holds `upper` and `work`.

use super::content::Kind;
use super::device::{Device, wait_for};
use super::{Around, LOWER, WRITABLE, tool};
use crate::config::{Create, Disk, Update};
use crate::failure::{Failure, OrFail as _, Stage};
use crate::modules;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// The first line of the mark; the number is that of the layout.
const MARK: &str = "zimg overlay 1";

/// What a file system may hold and still be empty.
const NOTHING: [&str; 1] = ["lost+found"];

/// How many names a refusal shows.
const SHOWN: usize = 6;

const CONSENT: &str = "name another device in zimg.overlay=, or consent with zimg.overlay.create";

/// Mounts on [`WRITABLE`] what `disk` names. Returns the directory of `upper` and `work`.
pub(super) fn mount_layer(disk: &Disk, around: Around<'_>) -> Result<PathBuf, Failure> {
    let device = wait_for(&disk.name, around.deadline)?;
    if device.is_read_only {
        let what = format!("{} is read-only", device.node.display());
        let fix = "let the machine write to it (the disk's own switch, `readonly=` of a virtual one), or name another device in zimg.overlay=";
        return Err(Failure::new(Stage::Overlay, what, fix).fact("holds", device.holds()));
    }
    let (device, kind) = file_system(device, disk.create)?;
    if device.content.has_errors {
        mend(&device)?;
    }
    modules::load_file_system(kind, around.line).or_fail(
        Stage::Overlay,
        &format!("load the kernel's driver for {kind}"),
        &format!("put it into the initramfs: `initramfs --modules vm,{kind}`"),
    )?;
    let what = format!("mount {} ({})", device.node.display(), device.content);
    let fix =
        "check the file system (`fsck`) on a machine that does not use it, or name another device";
    mount(&device.node, WRITABLE, kind, MountFlags::empty(), None::<&std::ffi::CStr>).or_fail(
        Stage::Overlay,
        &what,
        fix,
    )?;
    log::info!("the root's writes go to {} ({})", device.node.display(), device.content);
    match lay_out(Path::new(WRITABLE), &device, disk, around.image) {
        Ok(dir) => Ok(dir),
        Err(failure) => {
            if let Err(e) = unmount(WRITABLE, UnmountFlags::empty()) {
                log::warn!("{} stays mounted: {e}", device.node.display());
            }
            Err(failure)
        }
    }
}

/// The device with a file system that can take the writes, made if need be and consented to.
fn file_system(device: Device, create: Create) -> Result<(Device, &'static str), Failure> {
    let node = device.node.display().to_string();
    let refuse = |what: &str, fix: &str| {
        let what = format!("{node} holds {what}, and no overlay");
        Err(Failure::new(Stage::Overlay, what, fix))
    };
    let can_erase = "name another device in zimg.overlay=; if nothing on this one is worth keeping, zimg.overlay.create=erase makes a file system on it";
    match (device.content.kind, create) {
        (Kind::Upper(kind), _) if !device.has_partitions() => return Ok((device, kind)),
        (_, Create::Erase) => {}
        (Kind::Blank, Create::Beside)
            if device.is_blank().or_fail(Stage::Overlay, &node, "check the device")? => {}
        (Kind::Blank, Create::No) => return refuse(&device.holds(), CONSENT),
        _ => return refuse(&device.holds(), can_erase),
    }
    log::warn!("making an ext4 on {node}, which held {}", device.holds());
    make(&node)?;
    let made = device.again().or_fail(Stage::Overlay, &node, "check the device")?;
    match made.content.kind {
        Kind::Upper(kind) => Ok((made, kind)),
        _ => Err(Failure::new(Stage::Overlay, format!("{node}: no file system was made"), CONSENT)),
    }
}

fn make(node: &str) -> Result<(), Failure> {
    let what = format!("make a file system on {node}");
    let fix = "make one elsewhere: `mkfs.ext4 DEVICE`";
    let args = ["-q", "-F", "-t", "ext4", "-L", "zimg", node];
    match tool::run("mke2fs", &args).or_fail(Stage::Overlay, &what, fix)? {
        Some((Some(0), _)) => Ok(()),
        Some((_, said)) => Err(Failure::new(
            Stage::Overlay,
            format!("{what}: the image's mke2fs says: {said}"),
            fix,
        )),
        None => {
            let why = format!("{what}: the image has no mke2fs");
            Err(Failure::new(
                Stage::Overlay,
                why,
                format!("{fix}; or put e2fsprogs into the image"),
            ))
        }
    }
}

/// Has the image's e2fsck mend what the kernel found wrong. What can't be mended is refused: an
/// overlay on it would lose more.
fn mend(device: &Device) -> Result<(), Failure> {
    let node = device.node.display().to_string();
    let fix = "check the file system with `e2fsck -f` on a machine that does not use it";
    match tool::run("e2fsck", &["-p", &node]).or_fail(Stage::Overlay, "run e2fsck", fix)? {
        Some((Some(0..=3), said)) => {
            log::warn!("{node} had errors; e2fsck: {said}");
            Ok(())
        }
        Some((_, said)) => {
            Err(Failure::new(Stage::Overlay, format!("{node} has errors; e2fsck: {said}"), fix))
        }
        None => {
            log::error!("{node} has errors, and the image has no e2fsck to mend them");
            Ok(())
        }
    }
}

/// Finds or makes the directories of an overlay on the file system mounted at `top`.
fn lay_out(top: &Path, device: &Device, disk: &Disk, image: &str) -> Result<PathBuf, Failure> {
    let node = device.node.display();
    let fix = "check the file system, and that it is not full";
    let tried = |what: &str| format!("{node}: {what}");
    let marked = fs::read_to_string(top.join("zimg/overlay"));
    let last = match marked {
        Ok(text) => Some(last_image(&text).ok_or_else(|| {
            let what = tried("the mark of its overlay is not known to this version");
            Failure::new(Stage::Overlay, what, "boot it with the version of zimg that made it")
        })?),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            let others = others(top).or_fail(Stage::Overlay, &tried("list it"), fix)?;
            if disk.create == Create::No && !others.is_empty() {
                return Err(refusal(device, &others));
            }
            None
        }
        Err(e) => return Err(Failure::new(Stage::Overlay, tried(&e.to_string()), fix)),
    };
    let dir = top.join("zimg").join(if disk.update == Update::Keep { "kept" } else { image });
    let is_there = dir.exists();
    match last.filter(|last| last != image) {
        Some(last) if disk.update == Update::Keep => log::warn!(
            "{node} was last used with image {last}, now it is {image}: what was changed on this node hides what is new in the image"
        ),
        Some(last) if !is_there => {
            log::warn!("{node} was last used with image {last}; {image} begins without writes");
        }
        _ => {}
    }
    make_directories(&dir).and_then(|()| mark(&top.join("zimg"), image)).or_fail(
        Stage::Overlay,
        &tried("make the overlay's directories"),
        fix,
    )?;
    Ok(dir)
}

/// What lies at the top of a file system and is nobody's but its owner's.
fn others(top: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(top)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        // What a power cut left of a beginning is not in the way of the next one.
        let is_begun = name == "zimg" && is_begun(&top.join("zimg"))?;
        if !NOTHING.contains(&name.as_str()) && !is_begun {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

fn is_begun(dir: &Path) -> io::Result<bool> {
    if !fs::symlink_metadata(dir)?.is_dir() {
        return Ok(false);
    }
    let names = fs::read_dir(dir)?.map(|entry| Ok(entry?.file_name()));
    let names = names.collect::<io::Result<Vec<_>>>()?;
    Ok(names.iter().all(|name| name == "overlay.new" || name == "kept"))
}

fn refusal(device: &Device, others: &[String]) -> Failure {
    let mut shown = others.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    if others.len() > SHOWN {
        shown += &format!(" and {} more", others.len() - SHOWN);
    }
    let what = format!("{} holds files of others, and no overlay", device.node.display());
    Failure::new(
        Stage::Overlay,
        what,
        format!("{CONSENT}: files stay, writes go to a directory zimg beside them"),
    )
    .fact("holds", device.holds())
    .fact("files", shown)
}

/// Makes `upper`, with the attributes of the image's own root, and `work`.
fn make_directories(dir: &Path) -> io::Result<()> {
    let (upper, work) = (dir.join("upper"), dir.join("work"));
    if !upper.exists() {
        // Whole or not at all: a root of wrong attributes would be kept.
        let new = dir.join("upper.new");
        fs::create_dir_all(&new)?;
        super::like_the_image(Path::new(LOWER), &new)?;
        fs::rename(&new, &upper)?;
    }
    fs::create_dir_all(work)
}

/// The image that the overlay was last used with, if the mark is one.
fn last_image(mark: &str) -> Option<String> {
    let mut lines = mark.lines();
    let is_known = lines.next() == Some(MARK);
    let image = lines.next()?.strip_prefix("image ")?;
    is_known.then(|| image.to_owned())
}

/// Marks `dir`, for good before anything is written below it.
fn mark(dir: &Path, image: &str) -> io::Result<()> {
    let (new, path) = (dir.join("overlay.new"), dir.join("overlay"));
    let text = format!(
        "{MARK}\nimage {image}\nWhat this node writes lies here: see zimg.overlay= in zimg's README.\n"
    );
    if fs::read_to_string(&path).is_ok_and(|there| there == text) {
        return Ok(());
    }
    let mut file = File::create(&new)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, &path)?;
    File::open(dir)?.sync_all()
}
