//! Lays a writable layer over the image, and hides what it is made of.

mod content;
mod device;
mod disk;
pub(crate) mod keeper;
mod table;
pub(crate) mod tool;

use crate::cmdline::Word;
use crate::config::{Overlay, Update};
use crate::failure::{Failure, OrFail, Stage};
use crate::switch;
use rustix::fs::{Mode, OFlags, open};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::Path;
use std::time::Instant;

/// Where the root daemon mounts the image.
pub(crate) const LOWER: &str = "/zimg/lower";

/// Where the root of the booted system comes to be.
pub(crate) const ROOT: &str = "/zimg/root";

/// The file system that takes the writes; it holds `upper` and `work`.
const WRITABLE: &str = "/zimg/writable";

/// `redirect_dir`: directories of the image can be renamed. `xino`: one device number for all of
/// the root, so that `find -xdev` and `du -x` see all of it.
const FEATURES: &str = "redirect_dir=on,xino=on";

/// Where the image may be another the next time: a redirection would point to what is elsewhere
/// then. A rename of one of the image's directories becomes a copy, which mv(1) makes by itself.
const FEATURES_OF_ANY_IMAGE: &str = "redirect_dir=nofollow,metacopy=off,index=off,xino=on";

const FIX: &str = "use a kernel with overlayfs (CONFIG_OVERLAY_FS), or an initramfs that holds its module for this kernel";

/// What a layer on a device needs to know.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Around<'a> {
    /// The image's root hash.
    pub(crate) image: &'a str,
    /// The kernel command line, for the parameters of modules.
    pub(crate) line: &'a [Word],
    /// When to give up waiting for a device.
    pub(crate) deadline: Instant,
}

/// Makes the directories that mounts are made on.
pub(crate) fn directories() -> Result<(), Failure> {
    for dir in [LOWER, ROOT, WRITABLE] {
        fs::create_dir_all(dir).or_fail(Stage::Start, &format!("make {dir}"), "give it memory")?;
    }
    Ok(())
}

/// Mounts the booted system's root on [`ROOT`].
///
/// The layers are detached once the overlay holds them: systemd-shutdown forces off every mount
/// that it sees, and forcing off a FUSE mount aborts it, with everything that runs from it.
///
/// Returns a directory of the disk that takes the writes, if one does: it is to be kept in order.
pub(crate) fn assemble(overlay: &Overlay, around: Around<'_>) -> Result<Option<OwnedFd>, Failure> {
    let mut kept = None;
    match overlay {
        Overlay::Off => {
            mount_points().or_fail(Stage::Overlay, "make mount points", "give it memory")?;
            let options = format!("lowerdir={LOWER}:{WRITABLE},xino=on");
            mount_overlay(MountFlags::RDONLY, &options)?;
            detach(WRITABLE)?;
        }
        Overlay::Tmpfs { size } => {
            writable(size).or_fail(
                Stage::Overlay,
                &format!("mount a tmpfs of {size}"),
                "check zimg.overlay=tmpfs:size=",
            )?;
            mount_over(Path::new(WRITABLE), FEATURES)?;
            detach(WRITABLE)?;
        }
        Overlay::Disk(disk) => {
            let dir = disk::mount_layer(disk, around)?;
            let features = match disk.update {
                Update::Keep => FEATURES_OF_ANY_IMAGE,
                Update::Fresh => FEATURES,
            };
            mount_over(&dir, features)?;
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let top = open(WRITABLE, flags, Mode::empty());
            kept = Some(top.or_fail(Stage::Overlay, "open the disk", FIX)?);
            detach(WRITABLE)?;
        }
    }
    detach(LOWER)?;
    Ok(kept)
}

/// What is mounted on in a root that can't be written to, should the image lack it. It is a layer of
/// its own, of which overlayfs wants two where it has no upper one.
fn mount_points() -> io::Result<()> {
    mount("zimg", WRITABLE, "tmpfs", MountFlags::empty(), c"size=64k")?;
    // It also makes the kernel ask for the mode of the image's root. Overlayfs would take it for
    // one that lets nobody in but root.
    like_the_image(Path::new(LOWER), Path::new(WRITABLE))?;
    switch::MOVED.iter().try_for_each(|name| fs::create_dir(Path::new(WRITABLE).join(name)))
}

fn writable(size: &str) -> io::Result<()> {
    let options = CString::new(format!("mode=0755,size={size}"))?;
    mount("zimg", WRITABLE, "tmpfs", MountFlags::empty(), options.as_c_str())?;
    let upper = Path::new(WRITABLE).join("upper");
    fs::create_dir(&upper)?;
    like_the_image(Path::new(LOWER), &upper)?;
    fs::create_dir(format!("{WRITABLE}/work"))
}

/// Gives `upper`, which overlayfs shows as the root itself, mode and owner of `lower`.
fn like_the_image(lower: &Path, upper: &Path) -> io::Result<()> {
    let root = fs::metadata(lower)?;
    chown(upper, Some(root.uid()), Some(root.gid()))?;
    fs::set_permissions(upper, root.permissions())
}

fn mount_over(writable: &Path, features: &str) -> Result<(), Failure> {
    let dir = writable.display();
    let options = format!("lowerdir={LOWER},upperdir={dir}/upper,workdir={dir}/work,{features}");
    mount_overlay(MountFlags::empty(), &options)
}

fn mount_overlay(flags: MountFlags, options: &str) -> Result<(), Failure> {
    let what = "mount the overlay";
    let options = CString::new(options).or_fail(Stage::Overlay, what, FIX)?;
    without_handles(|| mount("zimg", ROOT, "overlay", flags, options.as_c_str())).or_fail(
        Stage::Overlay,
        what,
        FIX,
    )
}

/// Does `work` without the capability to open files by handle, which overlayfs, working as who
/// mounted it, does not try then.
///
/// It would keep with each file that it copies up a handle of the image's inode. Before Linux 6.9
/// a FUSE server can't keep it from that, and a handle that another image knows as something else
/// is an error.
fn without_handles<T>(work: impl FnOnce() -> rustix::io::Result<T>) -> rustix::io::Result<T> {
    let all = capabilities(None)?;
    let mut fewer = all;
    fewer.effective.remove(CapabilitySet::DAC_READ_SEARCH);
    set_capabilities(None, fewer)?;
    let done = work();
    set_capabilities(None, all)?;
    done
}

fn detach(dir: &str) -> Result<(), Failure> {
    unmount(dir, UnmountFlags::DETACH).or_fail(Stage::Overlay, &format!("detach {dir}"), FIX)
}
