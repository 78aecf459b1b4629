//! Lays a writable layer over the image, and hides what it is made of.

use crate::config::Overlay;
use crate::failure::{Failure, OrFail, Stage};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use std::ffi::CString;
use std::fs;
use std::io;

/// Where the root daemon mounts the image.
pub(crate) const LOWER: &str = "/zimg/lower";

/// Where the root of the booted system comes to be.
pub(crate) const ROOT: &str = "/zimg/root";

/// The file system that takes the writes; it holds `upper` and `work`.
const WRITABLE: &str = "/zimg/writable";

/// A lower layer without anything, for overlayfs wants two where it has no upper one.
const EMPTY: &str = "/zimg/empty";

/// `redirect_dir`: directories of the image can be renamed. `xino`: one device number for all of
/// the root, so that `find -xdev` and `du -x` see all of it.
const FEATURES: &str = "redirect_dir=on,xino=on";

const FIX: &str = "use a kernel with overlayfs (CONFIG_OVERLAY_FS), or an initramfs that holds its module for this kernel";

/// Makes the directories that mounts are made on.
pub(crate) fn directories() -> Result<(), Failure> {
    for dir in [LOWER, ROOT, WRITABLE, EMPTY] {
        fs::create_dir_all(dir).or_fail(Stage::Start, &format!("make {dir}"), "give it memory")?;
    }
    Ok(())
}

/// Mounts the booted system's root on [`ROOT`].
///
/// The layers are detached once the overlay holds them: systemd-shutdown forces off every mount
/// that it sees, and forcing off a FUSE mount aborts it, with everything that runs from it.
pub(crate) fn assemble(overlay: &Overlay) -> Result<(), Failure> {
    match overlay {
        Overlay::Off => {
            let options = format!("lowerdir={LOWER}:{EMPTY},xino=on");
            mount_overlay(MountFlags::RDONLY, &options)
        }
        Overlay::Tmpfs { size } => {
            writable(size).or_fail(
                Stage::Overlay,
                &format!("mount a tmpfs of {size}"),
                "check zimg.overlay=tmpfs:size=",
            )?;
            let options = format!(
                "lowerdir={LOWER},upperdir={WRITABLE}/upper,workdir={WRITABLE}/work,{FEATURES}"
            );
            let done = mount_overlay(MountFlags::empty(), &options);
            done.and_then(|()| detach(WRITABLE))
        }
    }
    .and_then(|()| detach(LOWER))
}

fn writable(size: &str) -> io::Result<()> {
    let options = CString::new(format!("mode=0755,size={size}"))?;
    mount("zimg", WRITABLE, "tmpfs", MountFlags::empty(), options.as_c_str())?;
    fs::create_dir(format!("{WRITABLE}/upper"))?;
    fs::create_dir(format!("{WRITABLE}/work"))
}

fn mount_overlay(flags: MountFlags, options: &str) -> Result<(), Failure> {
    let what = "mount the overlay";
    let options = CString::new(options).or_fail(Stage::Overlay, what, FIX)?;
    mount("zimg", ROOT, "overlay", flags, options.as_c_str()).or_fail(Stage::Overlay, what, FIX)
}

fn detach(dir: &str) -> Result<(), Failure> {
    unmount(dir, UnmountFlags::DETACH).or_fail(Stage::Overlay, &format!("detach {dir}"), FIX)
}
