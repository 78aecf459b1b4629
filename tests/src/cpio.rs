//! Files of one's own for an initramfs: a second cpio appended to it, as the kernel takes.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};

/// Writes to `dir` the initramfs at `image` with `files` appended: paths without their first slash,
/// and contents. All are executable. This is what the manual says:
/// `find etc | cpio -o -H newc | cat initramfs.img - > node.img`.
///
/// # Errors
/// When cpio(1) is not there or fails.
pub fn append(image: &Path, dir: &Path, files: &[(&str, &[u8])]) -> anyhow::Result<PathBuf> {
    let tree = dir.join("tree");
    for (path, bytes) in files {
        let file = tree.join(path);
        fs::create_dir_all(file.parent().context("a path in a folder")?)?;
        fs::write(&file, bytes)?;
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755))?;
    }
    let made = dir.join("node.img");
    fs::copy(image, &made)?;
    let out = File::options().append(true).open(&made)?;
    let mut cpio = Command::new("cpio")
        .args(["--create", "--format=newc", "--quiet", "--owner=0:0"])
        .current_dir(&tree)
        .stdin(Stdio::piped())
        .stdout(out)
        .spawn()
        .context("can't start cpio: run scripts/setup")?;
    let mut names = cpio.stdin.take().context("cpio has no input")?;
    for (path, _) in files {
        let folders = Path::new(path).ancestors().skip(1).filter(|p| *p != Path::new(""));
        let mut folders: Vec<&Path> = folders.collect();
        folders.reverse();
        for name in folders.into_iter().chain([Path::new(path)]) {
            writeln!(names, "{}", name.display())?;
        }
    }
    drop(names);
    ensure!(cpio.wait()?.success(), "cpio failed");
    Ok(made)
}
