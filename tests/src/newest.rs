//! The newest kernel that Debian has, beside the one of its stable release.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::out;
use crate::root::run;
use crate::vm::Machine;

/// A machine with that kernel and an initramfs of its modules, whose kernel arguments are `arguments`. Made
/// first, it comes over the machine's own network.
///
/// # Errors
/// When the kernel can't be had, or nothing is built.
pub fn machine(arguments: &str) -> anyhow::Result<Machine> {
    static MADE: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let dir = MADE.get_or_init(|| make().map_err(|e| format!("{e:#}")));
    let dir = dir.as_ref().map_err(|e| anyhow::anyhow!("{e}"))?;
    Ok(Machine::new(&dir.join("vmlinuz"), &dir.join("initramfs.img"), arguments))
}

fn make() -> anyhow::Result<PathBuf> {
    let workspace: &Path = out::workspace();
    run(Command::new(workspace.join("scripts/kernel")).arg("--newest"))?;
    let dir = workspace.join("out/newest");
    let mut initramfs = Command::new(out::built("initramfs")?);
    initramfs.arg("--init").arg(out::built("init")?);
    initramfs.arg("--kernel-modules").arg(dir.join("modules"));
    run(initramfs.arg("--output").arg(dir.join("initramfs.img")))?;
    Ok(dir)
}
