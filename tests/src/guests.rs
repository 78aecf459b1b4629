//! Systems of every kind to boot, each an image of its own with files that no boot reads.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

use crate::awkward::random;
use crate::digest::digest;
use crate::root::{self, Recipe, run};
use crate::{images, out};

/// How many files lie in `/srv/fresh`, named by their numbers.
pub const FRESH: usize = 40;

/// More than is read ahead of need and than fits into a chunk, so that one that was read holds
/// no other whole. Contents that don't compress.
const FRESH_LEN: usize = 1_100_000;

/// What halts Debian's SysV init, which takes a plain `halt` for poweroff.
pub const SYSV_HALT: &str = "shutdown -h -H now";

/// Where an image comes from.
pub enum Source {
    /// Debian.
    Debian(&'static Recipe),
    /// BusyBox alone, as an embedded system is built; and kexec.
    BusyBox,
}

/// A folder with `NAME.flist` of `source` and its packs. To the root are added:
/// `/srv/fresh/00` and so on, `/srv/written` to be written to, a script for udhcpc, and in `/boot`
/// what kexec needs.
///
/// # Errors
/// When the root or the flist can't be made.
pub fn folder(name: &str, source: &Source) -> anyhow::Result<PathBuf> {
    let dir = out::workspace().join("out/guests").join(name);
    if dir.exists() {
        fs::remove_dir_all(&dir)?;
    }
    let more = dir.join("more");
    add(&more)?;
    let tar = dir.join("root.tar");
    match source {
        Source::Debian(recipe) => fs::copy(root::tar(recipe)?, &tar).map(drop)?,
        Source::BusyBox => busybox(&dir.join("busybox"), &tar)?,
    }
    let mut append = Command::new("tar");
    append.args(["--owner=0", "--group=0", "--append", "--file"]).arg(&tar);
    run(append.arg("-C").arg(&more).args(["./srv", "./boot"]))?;
    images::build(&tar, &dir.join(format!("{name}.flist")))?;
    fs::remove_file(&tar)?;
    fs::remove_dir_all(&more)?;
    Ok(dir)
}

/// The command that loads the kernel in `/boot`, to boot the same image with `more` arguments.
pub fn load(more: &str) -> String {
    format!("kexec -l /boot/vmlinuz --initrd=/boot/initramfs.img --reuse-cmdline --append={more}")
}

/// What `sha256sum` prints of `/srv/fresh/NUMBER`.
///
/// # Errors
/// When there is no sha256sum.
pub fn sum(number: usize) -> anyhow::Result<String> {
    digest("sha256sum", &fresh(number))
}

fn fresh(number: usize) -> Vec<u8> {
    random(u64::try_from(number).unwrap_or(u64::MAX), FRESH_LEN)
}

fn add(more: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(more.join("srv/fresh"))?;
    fs::create_dir_all(more.join("boot"))?;
    for number in 0..FRESH {
        fs::write(more.join(format!("srv/fresh/{number:02}")), fresh(number))?;
    }
    fs::write(more.join("srv/written"), "of the image\n")?;
    put(&more.join("srv/udhcpc"), UDHCPC, 0o755)?;
    for name in ["vmlinuz", "initramfs.img"] {
        fs::copy(out::built(name)?, more.join("boot").join(name))?;
    }
    Ok(())
}

/// What BusyBox' own example does: whatever there is goes first, then comes what was granted.
const UDHCPC: &str = "#!/bin/sh\n\
case $1 in\n\
deconfig) ip address flush dev $interface scope global; ip link set $interface up;;\n\
bound|renew)\n\
    ip address add $ip/$mask dev $interface\n\
    ip route add default via $router dev $interface\n\
    echo nameserver $dns >/etc/resolv.conf;;\n\
esac\n\
exit 0\n";

const INITTAB: &str = "::sysinit:/etc/init.d/rcS\n\
ttyS0::respawn:/sbin/getty -L ttyS0 115200 vt100\n\
::ctrlaltdel:/sbin/reboot\n\
::shutdown:/etc/init.d/rcK\n\
::restart:/sbin/init\n";

const RCS: &str = "#!/bin/sh\n\
mount -t proc proc /proc 2>/dev/null\n\
mount -t sysfs sysfs /sys 2>/dev/null\n\
mkdir -p /dev/pts && mount -t devpts devpts /dev/pts\n\
ip link set lo up\n\
udhcpc -i eth0 -b -s /srv/udhcpc -p /run/udhcpc.pid\n";

const RCK: &str = "#!/bin/sh\n\
kill $(cat /run/udhcpc.pid)\n\
sync\n\
umount -a -r\n";

/// A root of BusyBox alone, which asks for an address when it starts, as on a disk.
fn busybox(root: &Path, tar: &Path) -> anyhow::Result<()> {
    for dir in ["bin", "sbin", "dev", "proc", "sys", "run", "tmp", "root", "mnt", "etc/init.d"] {
        fs::create_dir_all(root.join(dir))?;
    }
    fs::copy("/bin/busybox", root.join("bin/busybox"))
        .context("/bin/busybox, static: scripts/setup installs busybox-static")?;
    let list = String::from_utf8(run(Command::new("/bin/busybox").arg("--list"))?)?;
    ensure!(list.contains("udhcpc\n"), "/bin/busybox has no udhcpc: it is not busybox-static's");
    for name in list.lines().filter(|name| *name != "busybox") {
        symlink("busybox", root.join("bin").join(name))?;
    }
    for name in ["init", "getty", "reboot", "poweroff", "halt"] {
        symlink("/bin/busybox", root.join("sbin").join(name))?;
    }
    put(&root.join("etc/inittab"), INITTAB, 0o644)?;
    put(&root.join("etc/init.d/rcS"), RCS, 0o755)?;
    put(&root.join("etc/init.d/rcK"), RCK, 0o755)?;
    let users = "root::0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n";
    put(&root.join("etc/passwd"), users, 0o644)?;
    put(&root.join("etc/group"), "root:x:0:\nnogroup:x:65534:\n", 0o644)?;
    put(&root.join("etc/resolv.conf"), "", 0o644)?;
    add_kexec(root)?;
    let mut pack = Command::new("tar");
    run(pack.args(["--owner=0", "--group=0", "-cf"]).arg(tar).arg("-C").arg(root).arg("."))?;
    Ok(fs::remove_dir_all(root)?)
}

/// BusyBox has no kexec: Debian's is added, with its libraries.
fn add_kexec(root: &Path) -> anyhow::Result<()> {
    let mut tar = Command::new("tar");
    tar.arg("-xf").arg(root::tar(&root::SYSVINIT)?).arg("-C").arg(root).arg("--wildcards");
    let libraries = ["libc.so.6", "ld-linux-x86-64.so.2", "libxen*"];
    tar.args(libraries.map(|name| format!("./usr/lib/x86_64-linux-gnu/{name}")));
    run(tar.arg("./usr/sbin/kexec"))?;
    symlink("../usr/sbin/kexec", root.join("sbin/kexec"))?;
    Ok(symlink("usr/lib/x86_64-linux-gnu", root.join("lib64"))?)
}

fn put(path: &Path, text: &str, mode: u32) -> anyhow::Result<()> {
    fs::write(path, text)?;
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(mode))?)
}
