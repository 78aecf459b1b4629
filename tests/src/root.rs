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
    /// Packages on top of the variant, in groups that recipes share.
    pub packages: &'static [&'static [&'static str]],
    /// Shell commands run at the end, the root being `$1`.
    pub finish: &'static [&'static str],
}

/// Debian 12 with systemd, ifupdown, an SSH server and ping; root logs in without a password on
/// the console.
pub const DEBIAN: Recipe = Recipe {
    suite: "bookworm",
    variant: "important",
    packages: &[&[
        "systemd-sysv",
        "dbus",
        "openssh-server",
        "iputils-ping",
        "libcap2-bin",
        "attr",
        "ifupdown",
        "isc-dhcp-client",
    ]],
    finish: &[NO_PASSWORD, NO_HOSTNAME, NO_RESOLV_CONF],
};

/// Debian 12 with systemd, and both networkd and NetworkManager, of which the command line chooses.
/// The image has networkd do DHCP on every interface, as its images do.
pub const NETWORKS: Recipe = Recipe {
    suite: "bookworm",
    variant: "minbase",
    packages: &[SYSTEMD, &["systemd-resolved", "network-manager"], TOOLS],
    finish: &[
        NO_PASSWORD,
        NO_HOSTNAME,
        "printf '[Match]\\nName=e*\\n[Network]\\nDHCP=yes\\n' \
         > \"$1/etc/systemd/network/80-dhcp.network\"",
    ],
};

/// Debian 12 with systemd and NetworkManager, which writes resolv.conf itself.
pub const NETWORK_MANAGER: Recipe = Recipe {
    suite: "bookworm",
    variant: "minbase",
    packages: &[SYSTEMD, &["network-manager"], TOOLS],
    finish: &[NO_PASSWORD, NO_HOSTNAME, NO_RESOLV_CONF],
};

/// Debian 12 with systemd and ifupdown, with DHCP on the name that the card gets.
pub const IFUPDOWN: Recipe = Recipe {
    suite: "bookworm",
    variant: "minbase",
    packages: &[SYSTEMD, &["ifupdown"], TOOLS],
    finish: &[NO_PASSWORD, NO_HOSTNAME, NO_RESOLV_CONF, IFUPDOWN_DHCP],
};

/// Debian 12 without systemd: SysV init and ifupdown.
pub const SYSVINIT: Recipe = Recipe {
    suite: "bookworm",
    variant: "minbase",
    packages: &[SYSV, &["sysv-rc"], TOOLS],
    finish: &[NO_PASSWORD, NO_HOSTNAME, NO_RESOLV_CONF, IFUPDOWN_DHCP, SERIAL_GETTY],
};

/// Debian 12 without systemd: OpenRC under SysV init, and ifupdown.
pub const OPENRC: Recipe = Recipe {
    suite: "bookworm",
    variant: "minbase",
    packages: &[SYSV, &["openrc"], TOOLS],
    finish: &[
        NO_PASSWORD,
        NO_HOSTNAME,
        NO_RESOLV_CONF,
        IFUPDOWN_DHCP,
        SERIAL_GETTY,
        // They are ordered after the script that reboots. For OpenRC they thus need it, and it ends
        // every runlevel, also those of poweroff and halt.
        "rm \"$1/etc/runlevels/default/kexec\" \"$1/etc/runlevels/default/kexec-load\"",
    ],
};

/// Debian 12 as a cloud's: cloud-init has netplan do DHCP on the card, and give it another name.
pub const CLOUD: Recipe = Recipe {
    suite: "bookworm",
    variant: "minbase",
    packages: &[SYSTEMD, &["systemd-resolved", "cloud-init", "netplan.io"], TOOLS],
    finish: &[
        NO_PASSWORD,
        NO_HOSTNAME,
        "mkdir -p \"$1/var/lib/cloud/seed/nocloud\"",
        "echo 'instance-id: test' >\"$1/var/lib/cloud/seed/nocloud/meta-data\"",
        "touch \"$1/var/lib/cloud/seed/nocloud/user-data\"",
        "printf 'version: 2\\nethernets: {nic0: {dhcp4: true, set-name: nic0, \
         match: {macaddress: \"52:54:00:12:34:56\"}}}\\n' \
         >\"$1/var/lib/cloud/seed/nocloud/network-config\"",
        // What is no network takes it a minute under emulation.
        "printf 'cloud_config_modules: []\\ncloud_final_modules: []\\n' \
         >\"$1/etc/cloud/cloud.cfg.d/99-test.cfg\"",
        // It prints to the console, amidst what is read there.
        "mkdir \"$1/etc/systemd/system/cloud-.service.d\"",
        "printf '[Service]\\nStandardOutput=journal\\nStandardError=journal\\n' \
         >\"$1/etc/systemd/system/cloud-.service.d/quiet.conf\"",
    ],
};

const SYSTEMD: &[&str] = &["systemd-sysv", "udev", "dbus"];
const SYSV: &[&str] = &["sysvinit-core", "initscripts", "udev", "ifupdown"];
/// What the tests do to networks with, and start kernels.
const TOOLS: &[&str] = &["iproute2", "isc-dhcp-client", "kexec-tools", "busybox"];

const NO_PASSWORD: &str = "chroot \"$1\" passwd -d root";
/// Where the image names no host, the network does.
const NO_HOSTNAME: &str = "rm -f \"$1/etc/hostname\"";
const NO_RESOLV_CONF: &str = "rm -f \"$1/etc/resolv.conf\"; touch \"$1/etc/resolv.conf\"";
const IFUPDOWN_DHCP: &str =
    "printf 'auto ens3\\niface ens3 inet dhcp\\n' > \"$1/etc/network/interfaces.d/ens3\"";
/// The only console is the serial one.
const SERIAL_GETTY: &str = "sed -i 's/^[2-6]:23:/#&/; \
     s|^1:2345.*|T0:2345:respawn:/sbin/getty -L ttyS0 115200 vt100|' \"$1/etc/inittab\"";

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
        .arg(format!("--include={}", recipe.packages.concat().join(",")))
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
