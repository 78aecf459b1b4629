//! Disks of every sort below a root: partitions, other file systems, damaged, full and read-only
//! ones; and roots that no disk takes the writes of.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};
use tests::disk::Disk;
use tests::lab::Server;
use tests::overlaid::{bare, debian, lab, machine, refused, shell, shell_of};
use tests::root::run;
use tests::vm::LIMIT;
use tests::{images, out};

type Result = anyhow::Result<()>;

/// Writes a file, and makes the root read-only: the disk is left in order.
const WRITE: &str = "echo here >/here && busybox mount -o remount,ro / && \
     until busybox dmesg | busybox grep -q \"the root's disk is in order\"; \
     do busybox usleep 10000; done";

/// A partition is found by its name and by its UUID, and is used until it is full.
#[test]
fn a_partition_until_it_is_full() -> Result {
    let (_lab, _server) = lab()?;
    let disk = Disk::blank()?;
    let uuid = "00112233-4455-6677-8899-AABBCCDDEEFF";
    let mut sfdisk = Command::new("sfdisk");
    let mut child = sfdisk.arg("--quiet").arg(disk.path()).stdin(Stdio::piped()).spawn()?;
    let table =
        format!("label: gpt\nsize=8M, name=other\nsize=100M, name=\"my state\", uuid={uuid}\n");
    child.stdin.take().context("a pipe")?.write_all(table.as_bytes())?;
    ensure!(child.wait()?.success());
    // The second partition begins behind 1 MiB of table and 8 MiB of the first.
    run(Command::new("mke2fs")
        .args(["-q", "-F", "-t", "ext4", "-E", "offset=9437184"])
        .arg(disk.path())
        .arg("100M"))?;

    let mut vm = shell(&bare()?, "zimg.overlay=\"PARTLABEL=my state\"", &[&disk])?;
    vm.must("echo before >/before", LIMIT)?;
    let (said, status) = vm.run("busybox dd if=/dev/zero of=/fill bs=1M", LIMIT)?;
    ensure!(status != 0 && said.contains("No space left on device"), "{status}: {said}");
    let (said, status) = vm.run("busybox dd if=/dev/zero of=/more count=9", LIMIT)?;
    ensure!(status != 0 && said.contains("No space left on device"), "{status}: {said}");
    vm.must(&format!("cat /before && busybox rm /fill && {WRITE}"), LIMIT)?;
    drop(vm);
    let mut vm = shell(&bare()?, &format!("zimg.overlay=PARTUUID={uuid}"), &[&disk])?;
    ensure!(vm.must("cat /here /before", LIMIT)? == "here\nbefore\n");
    Ok(())
}

/// xfs and btrfs, whose drivers are put into the initramfs.
#[test]
fn other_file_systems() -> Result {
    let (_lab, _server) = lab()?;
    let dir = tempfile::tempdir()?;
    let initramfs = dir.path().join("initramfs.img");
    run(Command::new(out::built("initramfs")?)
        .args(["--modules", "vm,xfs,btrfs", "--init"])
        .arg(out::built("init")?)
        .arg("--kernel-modules")
        .arg(out::built("modules")?)
        .arg("--output")
        .arg(&initramfs))?;
    let xfs = Disk::made_by("mkfs.xfs", &["-q", "-L", "state"], 320)?;
    let btrfs = Disk::made_by("mkfs.btrfs", &["-q", "-L", "state"], 160)?;
    for (name, disk) in [("xfs", &xfs), ("btrfs", &btrfs)] {
        let arguments = format!("{} zimg.overlay=LABEL=state", bare()?);
        for there in ["", "here\n"] {
            let mut with_drivers = machine(&arguments, &[disk])?;
            with_drivers.initramfs.clone_from(&initramfs);
            let mut vm = shell_of(with_drivers.start()?)?;
            let seen = vm.must("cat /here 2>/dev/null; :", LIMIT)?;
            ensure!(seen == there, "{name}: {seen}");
            ensure!(vm.console().contains(&format!("({name}, LABEL=state")), "{}", vm.console());
            vm.must(WRITE, LIMIT)?;
        }
        // The control: it is the initramfs that has the drivers.
        let words = [&format!("the kernel's driver for {name}"), "--modules vm,"];
        refused(&bare()?, "zimg.overlay=LABEL=state", &[disk], &words)?;
    }
    Ok(())
}

/// What the kernel found wrong is mended by the image's own e2fsck, or else refused.
#[test]
fn damaged_disks() -> Result {
    let (_lab, _server) = lab()?;
    let dir = tempfile::tempdir()?;
    let image = with_programs(dir.path(), &["/sbin/e2fsck"])?;
    let _image_server = Server::start(dir.path(), "127.0.0.1:8081")?;
    let disk = Disk::ext4("state")?;
    disk.write(Path::new("/etc/hostname"), "precious")?;
    disk.debug("set_inode_field precious links_count 5", &["-w"])?;
    disk.debug("set_super_value state 2", &["-w"])?;
    ensure!(!disk.is_sound(), "nothing is to be mended: this shows nothing");
    let overlay = "zimg.overlay=LABEL=state zimg.overlay.create";
    let mut vm = shell(&image, overlay, &[&disk])?;
    ensure!(vm.console().contains("/dev/vda had errors; e2fsck:"), "{}", vm.console());
    vm.must(WRITE, LIMIT)?;
    drop(vm);
    ensure!(disk.is_sound());
    ensure!(disk.read("/precious")? == fs::read_to_string("/etc/hostname")?);

    disk.debug("clri <2>", &["-w"])?;
    disk.debug("set_super_value state 2", &["-w"])?;
    refused(&image, overlay, &[&disk], &["/dev/vda has errors; e2fsck:", "e2fsck -f"])
}

#[test]
fn a_read_only_disk_is_refused() -> Result {
    let (_lab, _server) = lab()?;
    let disk = Disk::ext4("state")?.read_only();
    let words = ["/dev/vda is read-only", "LABEL=state", "name another device"];
    refused(&bare()?, "zimg.overlay=LABEL=state", &[&disk], &words)
}

/// `size=` is how much can be written to memory.
#[test]
fn memory_of_a_size() -> Result {
    let (_lab, _server) = lab()?;
    let mut vm = shell(&bare()?, "zimg.overlay=tmpfs:size=20M", &[])?;
    let (said, status) = vm.run("busybox dd if=/dev/zero of=/fill bs=1M", LIMIT)?;
    ensure!(status != 0 && said.contains("No space left on device"), "{status}: {said}");
    let written = vm.must("busybox stat -c %s /fill", LIMIT)?;
    let written: u64 = written.trim().parse()?;
    ensure!((18 << 20..=20 << 20).contains(&written), "{written} bytes");
    vm.must("busybox rm /fill && echo more >/more", LIMIT).map(drop)
}

/// `zimg.overlay=off`: Debian runs on a root that nothing can be written to, if it is told to have
/// its state in memory. (Else logind fails, for want of `/var/lib`.)
#[test]
fn a_root_that_is_read_only() -> Result {
    let (_lab, _server) = lab()?;
    let mut vm = debian("zimg.overlay=off systemd.volatile=state", &[])?;
    let state = vm.run("systemctl is-system-running --wait; systemctl --failed", LIMIT)?.0;
    ensure!(state.starts_with("running\n"), "{state}");
    // The image lacks this directory; still it is mounted on, and shown.
    let image = images::folder()?.join("debian.flist");
    ensure!(run(Command::new(out::built("zimg")?).arg("ls").arg(image).arg("/dev")).is_err());
    vm.must("mountpoint /dev && ls / | grep dev", LIMIT)?;
    vm.must("su -s /bin/sh nobody -c 'cat /etc/debian_version'", LIMIT)?;
    let (said, status) = vm.run("echo more >/more", LIMIT)?;
    ensure!(status != 0 && said.contains("Read-only file system"), "{status}: {said}");
    vm.goes_down("poweroff", "Power down")
}

/// An image of BusyBox and `programs` of this machine with their libraries, made in `dir`.
fn with_programs(dir: &Path, programs: &[&str]) -> anyhow::Result<String> {
    let root = dir.join("root");
    run(Command::new("cp").arg("-a").arg(images::folder()?.join("bare")).arg(&root))?;
    for program in programs {
        let libraries = String::from_utf8(run(Command::new("ldd").arg(program))?)?;
        let libraries = libraries.split_whitespace().filter(|word| word.starts_with('/'));
        for path in libraries.chain([*program]) {
            let to: PathBuf = root.join(path.trim_start_matches('/'));
            fs::create_dir_all(to.parent().context("a directory")?)?;
            fs::copy(path, &to)?;
            fs::set_permissions(&to, fs::Permissions::from_mode(0o755))?;
        }
    }
    let flist = dir.join("programs.flist");
    images::build(&root, &flist)?;
    let hash = flist::id::RootHash::of(&fs::read(&flist)?);
    Ok(format!("zimg.url=http://10.0.2.2:8081/programs.flist zimg.hash={hash}"))
}
