//! Debian roots to boot, made by mmdebstrap and kept in the cache by the hash of their recipe.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, ensure};

use crate::out;

/// How a root is made.
#[derive(Debug, Clone)]
pub struct Recipe {
    /// Debian suite.
    pub suite: &'static str,
    /// mmdebstrap variant.
    pub variant: &'static str,
    /// Packages on top of the variant.
    pub packages: &'static [&'static str],
    /// Shell commands run at the end, the root being `$1`.
    pub finish: &'static [&'static str],
}

/// Debian 12 with systemd, ifupdown, an SSH server and ping; root logs in without a password on
/// the console.
pub const DEBIAN: Recipe = Recipe {
    suite: "bookworm",
    variant: "important",
    packages: &[
        "systemd-sysv",
        "dbus",
        "openssh-server",
        "iputils-ping",
        "libcap2-bin",
        "attr",
        "ifupdown",
        "isc-dhcp-client",
    ],
    finish: &[
        "chroot \"$1\" passwd -d root",
        // Where the image names no host, the network does.
        "rm -f \"$1/etc/hostname\"",
        "rm -f \"$1/etc/resolv.conf\"; touch \"$1/etc/resolv.conf\"",
    ],
};

/// Debian 12 with systemd, and both networkd and NetworkManager, of which the command line chooses.
/// The image has networkd do DHCP on every interface, as its images do.
pub const NETWORKS: Recipe = Recipe {
    suite: "bookworm",
    variant: "minbase",
    packages: &[
        "systemd-sysv",
        "udev",
        "dbus",
        "systemd-resolved",
        "network-manager",
        "iproute2",
        "isc-dhcp-client",
        "kexec-tools",
        "busybox",
    ],
    finish: &[
        "chroot \"$1\" passwd -d root",
        "rm -f \"$1/etc/hostname\"",
        "printf '[Match]\\nName=e*\\n[Network]\\nDHCP=yes\\n' \
         > \"$1/etc/systemd/network/80-dhcp.network\"",
    ],
};

/// Debian 12 without systemd: SysV init, ifupdown with DHCP on every name the card may get.
pub const SYSVINIT: Recipe = without_systemd(&[
    "sysvinit-core",
    "sysv-rc",
    "initscripts",
    "udev",
    "ifupdown",
    "isc-dhcp-client",
    "iproute2",
    "kexec-tools",
    "busybox",
]);

const fn without_systemd(packages: &'static [&'static str]) -> Recipe {
    Recipe {
        suite: "bookworm",
        variant: "minbase",
        packages,
        finish: &[
            "chroot \"$1\" passwd -d root",
            "rm -f \"$1/etc/hostname\"",
            "rm -f \"$1/etc/resolv.conf\"; touch \"$1/etc/resolv.conf\"",
            "printf 'auto ens3\\niface ens3 inet dhcp\\n' > \"$1/etc/network/interfaces.d/ens3\"",
            "sed -i 's/^[2-6]:23:/#&/; \
             s|^1:2345.*|T0:2345:respawn:/sbin/getty -L ttyS0 115200 vt100|' \"$1/etc/inittab\"",
        ],
    }
}

/// The root of `recipe` as a tar, made now or before.
///
/// # Errors
/// When mmdebstrap fails, with what it printed.
pub fn tar(recipe: &Recipe) -> anyhow::Result<PathBuf> {
    /// Several tests may want the same root: one of them makes it.
    static MAKING: Mutex<()> = Mutex::new(());
    let _one_at_a_time = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
    let hash = blake3::hash(format!("{recipe:?}").as_bytes()).to_hex();
    let dir = out::cache()?.join("roots");
    fs::create_dir_all(&dir)?;
    let tar = dir.join(format!("{}.tar", &hash[..16]));
    if tar.exists() {
        return Ok(tar);
    }
    eprintln!("making a Debian {} root (about half a minute)", recipe.suite);
    let temporary = tempfile::Builder::new().prefix(".root-").suffix(".tar").tempfile_in(&dir)?;
    let mut command = Command::new("mmdebstrap");
    command
        .arg(format!("--variant={}", recipe.variant))
        .arg(format!("--include={}", recipe.packages.join(",")))
        // Package lists and caches are of no use in an image.
        .args(["--aptopt=Acquire::Languages \"none\"", "--skip=output/dev"])
        .args(recipe.finish.iter().map(|line| format!("--customize-hook={line}")))
        .args(["--format=tar", recipe.suite])
        .arg(temporary.path());
    run(&mut command)?;
    temporary.persist(&tar)?;
    Ok(tar)
}

/// The root of `recipe` unpacked below the cache, made now or before. Not to be written to.
///
/// # Errors
/// As [`tar`], and when tar(1) fails.
pub fn directory(recipe: &Recipe) -> anyhow::Result<PathBuf> {
    let tar = tar(recipe)?;
    let dir = tar.with_extension("");
    if !dir.exists() {
        let parent = dir.parent().unwrap_or(Path::new("/"));
        let temporary = tempfile::Builder::new().prefix(".root-").tempdir_in(parent)?;
        let root = temporary.path().join("root");
        fs::create_dir(&root)?;
        let flags = ["--xattrs", "--xattrs-include=*", "--acls", "-xpf"];
        run(Command::new("tar").arg("-C").arg(&root).args(flags).arg(&tar))?;
        fs::rename(&root, &dir)?;
    }
    Ok(dir)
}

/// Runs a command that must succeed.
///
/// # Errors
/// With what it printed, when it does not.
pub fn run(command: &mut Command) -> anyhow::Result<Vec<u8>> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output =
        command.output().with_context(|| format!("can't start {name}: run scripts/setup"))?;
    ensure!(
        output.status.success(),
        "{name}: {}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(output.stdout)
}
