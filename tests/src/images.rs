//! Images that the boots of the tests share: made once a run, in a folder that can be served.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::Context;

use crate::lab::Lab;
use crate::out;
use crate::root::{self, run};

/// A folder with `debian.flist`, `bare.flist` and their packs. Not to be written to.
///
/// # Errors
/// When a root or an flist can't be made.
pub fn folder() -> anyhow::Result<&'static Path> {
    static FOLDER: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let made = FOLDER.get_or_init(|| make().map_err(|e| format!("{e:#}")));
    made.as_deref().map_err(|e| anyhow::anyhow!("{e}"))
}

/// A lab to boot these images in. They are made first: Debian's packages come over the machine's
/// own network.
///
/// # Errors
/// As [`folder`] and [`Lab::enter`].
pub fn lab() -> anyhow::Result<Lab> {
    folder()?;
    Lab::enter()
}

fn make() -> anyhow::Result<PathBuf> {
    let dir = out::workspace().join("out/images");
    if dir.exists() {
        fs::remove_dir_all(&dir)?;
    }
    fs::create_dir_all(&dir)?;
    build(&root::tar(&root::DEBIAN)?, &dir.join("debian.flist"))?;
    build(&bare(&dir)?, &dir.join("bare.flist"))?;
    Ok(dir)
}

/// A root with a shell and no init: BusyBox alone.
fn bare(dir: &Path) -> anyhow::Result<PathBuf> {
    let root = dir.join("bare");
    for sub in ["bin", "dev", "proc", "sys", "run", "tmp", "etc"] {
        fs::create_dir_all(root.join(sub))?;
    }
    fs::copy("/bin/busybox", root.join("bin/busybox"))
        .context("/bin/busybox, static: scripts/setup installs busybox-static")?;
    fs::write(root.join("etc/issue"), "an issue\n")?;
    fs::write(root.join("etc/release"), "a release\n")?;
    for name in ["sh", "cat", "mount", "ls", "stat", "uname"] {
        std::os::unix::fs::symlink("busybox", root.join("bin").join(name))?;
    }
    Ok(root)
}

/// Runs `zimg build`, in haste: a test's image is read once or twice.
///
/// # Errors
/// With what it printed, when it fails.
pub fn build(source: &Path, flist: &Path) -> anyhow::Result<()> {
    run(Command::new(out::built("zimg")?).args(["build", "--level", "1"]).arg(source).arg(flist))?;
    Ok(())
}

/// The kernel arguments that boot `flist` of [`folder`] from `port` of the host.
///
/// # Errors
/// When there is no such flist.
pub fn arguments(flist: &str, port: u16) -> anyhow::Result<String> {
    let hash = flist::id::RootHash::of(&fs::read(folder()?.join(flist))?);
    Ok(format!("zimg.url=http://10.0.2.2:{port}/{flist} zimg.hash={hash}"))
}
