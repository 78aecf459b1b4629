//! Roots whose writes go to a disk: what is taken for one and what is refused, what is there after
//! the next boot, and in which state the disk is left, however the machine ends.

use std::fs;
use std::path::Path;
use std::process::Command;

use tests::disk::Disk;
use tests::images;
use tests::lab::Server;
use tests::overlaid::{bare, debian, lab, refused, shell};
use tests::root::run;
use tests::vm::LIMIT;

type Result = anyhow::Result<()>;

/// A file of the image that was written to is there also when memory was short, however often it
/// is asked for, in the same boot and in the next. With a tmpfs and with a disk.
#[test]
fn changed_files_outlive_a_shortage_of_memory() -> Result {
    let (_lab, _server) = lab()?;
    let disk = Disk::ext4("state")?;
    let tries = "for i in 1 2 3; do cat /etc/issue /etc/release; busybox ls -l /etc >/dev/null; \
                 echo 3 > /proc/sys/vm/drop_caches; done";
    for (overlay, boots) in
        [("tmpfs", 1), ("LABEL=state", 2), ("LABEL=state zimg.overlay.update=fresh", 2)]
    {
        for _boot in 0..boots {
            let mut vm = shell(&bare()?, &format!("zimg.overlay={overlay}"), &[&disk])?;
            vm.must("echo changed >> /etc/issue && busybox mv /etc/release /etc/r", LIMIT)?;
            vm.must("busybox mv /etc/r /etc/release && echo changed >> /etc/release", LIMIT)?;
            let seen = vm.must(tries, LIMIT)?;
            assert_eq!(seen.matches("an issue").count(), 3, "{overlay}: {seen}");
            assert_eq!(seen.matches("a release").count(), 3, "{overlay}: {seen}");
            vm.must("busybox sync", LIMIT)?;
        }
    }
    Ok(())
}

/// Power is cut in the middle of writes: what was synced is there, and nothing is to be mended.
#[test]
fn a_power_cut_costs_what_was_not_synced() -> Result {
    let (_lab, _server) = lab()?;
    let disk = Disk::ext4("state")?;
    let overlay = "zimg.overlay=LABEL=state";
    let mut kept = 0;
    for _ in 0..3 {
        let mut vm = shell(&bare()?, overlay, &[&disk])?;
        let there =
            vm.must("cat /kept.* 2>/dev/null | busybox sort -n | busybox tail -n 1", LIMIT)?;
        assert!(there.trim().parse::<u32>().unwrap_or(0) >= kept, "{kept} was synced: {there}");
        // Each number is told only once its file is synced; others are written all the while.
        vm.send("i=$((0$(cat /kept.* | busybox sort -n | busybox tail -n 1))); \
                 (while :; do busybox dd if=/dev/urandom of=/noise bs=64k count=40 2>/dev/null; done) & \
                 while :; do i=$((i+1)); echo $i > /kept.$i; busybox sync; echo \"SYN\"CED=$i=; done\n")?;
        for _ in 0..12 {
            vm.wait_for("SYNCED=", LIMIT)?;
            kept = vm.wait_for("=", LIMIT)?.trim_end_matches('=').parse()?;
        }
        drop(vm);
        // The control: it was really cut, not shut.
        assert!(!disk.is_clean()?, "the disk is in order: power was not cut");
    }
    // The journal is replayed by the next boot, and e2fsck has nothing to add.
    let mut vm = shell(&bare()?, overlay, &[&disk])?;
    for number in [1, kept / 2, kept] {
        assert_eq!(vm.must(&format!("cat /kept.{number}"), LIMIT)?.trim(), number.to_string());
    }
    vm.must("busybox rm -f /noise; busybox mount -o remount,ro /", LIMIT)?;
    drop(vm);
    assert!(disk.is_sound());
    Ok(())
}

/// What is no overlay is refused by name; consent makes one, and destroys nothing by that.
#[test]
fn what_a_disk_holds_is_not_lost() -> Result {
    let (_lab, _server) = lab()?;
    let bare = bare()?;
    let blank = Disk::blank()?;
    let foreign = Disk::ext4("data")?;
    foreign.write(Path::new("/etc/hostname"), "precious")?;
    let swap = Disk::blank()?;
    run(Command::new("mkswap").arg(swap.path()))?;
    let all = [&blank, &foreign, &swap];

    let words = [
        "no block device has LABEL=state",
        "/dev/vda",
        "nothing",
        "ext4, LABEL=data",
        "swap space",
    ];
    refused(&bare, "zimg.overlay=LABEL=state", &all, &words)?;
    refused(
        &bare,
        "zimg.overlay=LABEL=data",
        &all,
        &["/dev/vdb holds files", "precious", "zimg.overlay.create"],
    )?;
    refused(&bare, "zimg.overlay=/dev/vdc", &all, &["swap space", "erase"])?;
    refused(&bare, "zimg.overlay=/dev/vdc zimg.overlay.create", &all, &["swap space", "erase"])?;
    refused(&bare, "zimg.overlay=/dev/vda", &all, &["nothing (zeros)", "zimg.overlay.create"])?;
    refused(&bare, "zimg.overlay=/dev/vda zimg.overlay.create", &all, &["no mke2fs", "mkfs.ext4"])?;
    let looks_alike = Disk::ext4("data")?;
    refused(
        &bare,
        "zimg.overlay=LABEL=data",
        &[&foreign, &looks_alike],
        &["more than one", "UUID="],
    )?;

    let mut vm = shell(&bare, "zimg.overlay=LABEL=data zimg.overlay.create", &all)?;
    vm.must("echo mine > /mine; busybox sync; busybox mount -o remount,ro /", LIMIT)?;
    drop(vm);
    assert_eq!(foreign.read("/precious")?, fs::read_to_string("/etc/hostname")?);
    assert_eq!(foreign.read("/zimg/kept/upper/mine")?, "mine\n");
    // From now on it is an overlay, and needs no consent.
    let mut vm = shell(&bare, "zimg.overlay=LABEL=data", &all)?;
    assert_eq!(vm.must("cat /mine", LIMIT)?.trim(), "mine");
    Ok(())
}

/// With consent, the image's own mke2fs makes a file system where there is none.
#[test]
fn a_blank_disk_becomes_an_overlay() -> Result {
    let (_lab, _server) = lab()?;
    let disk = Disk::blank()?;
    let overlay = "zimg.overlay=/dev/vda zimg.overlay.create";
    let mut vm = debian(overlay, &[&disk])?;
    vm.must("echo here > /root/here", LIMIT)?;
    vm.goes_down("poweroff", "Power down")?;
    drop(vm);
    assert!(disk.is_clean()?);
    assert_eq!(disk.read("/zimg/kept/upper/root/here")?, "here\n");
    // Consent stays on the command line, and makes nothing anew.
    let debian = images::arguments("debian.flist", 8080)?;
    let mut vm = shell(&debian, &format!("{overlay} init=/bin/sh"), &[&disk])?;
    assert_eq!(vm.must("cat /root/here", LIMIT)?.trim(), "here");
    Ok(())
}

/// Another image over the same disk: its writes stay, with a warning, or each image has its own.
#[test]
fn writes_and_the_next_image() -> Result {
    let (_lab, _server) = lab()?;
    let next = tempfile::tempdir()?;
    let root = images::folder()?.join("bare");
    run(Command::new("cp").arg("-a").arg(&root).arg(next.path().join("root")))?;
    fs::write(next.path().join("root/news"), "new\n")?;
    images::build(&next.path().join("root"), &next.path().join("next.flist"))?;
    let hash = flist::id::RootHash::of(&fs::read(next.path().join("next.flist"))?);
    let _next_server = Server::start(next.path(), "127.0.0.1:8081")?;
    let old = bare()?;
    let next = format!("zimg.url=http://10.0.2.2:8081/next.flist zimg.hash={hash}");

    let disk = Disk::ext4("state")?;
    let boot = |image: &str, more: &str, write: Option<&str>| -> anyhow::Result<(String, bool)> {
        let mut vm = shell(image, &format!("zimg.overlay=LABEL=state {more}"), &[&disk])?;
        let seen = vm.must("cat /wrote /news 2>/dev/null; :", LIMIT)?;
        if let Some(text) = write {
            vm.must(&format!("echo {text} > /wrote"), LIMIT)?;
        }
        vm.must("busybox sync", LIMIT)?;
        Ok((seen, vm.console().contains("was last used with image")))
    };
    assert_eq!(boot(&old, "", Some("old"))?, (String::new(), false));
    assert_eq!(boot(&old, "", None)?, ("old\n".to_owned(), false));
    assert_eq!(boot(&next, "", None)?, ("old\nnew\n".to_owned(), true));
    // Each its own: the next image begins without writes, and the first has its own when it is back.
    let fresh = "zimg.overlay.update=fresh";
    assert_eq!(boot(&next, fresh, Some("next"))?.0, "new\n");
    assert_eq!(boot(&old, fresh, Some("old again"))?.0, "");
    assert_eq!(boot(&next, fresh, None)?.0, "next\nnew\n");
    assert_eq!(boot(&old, fresh, None)?.0, "old again\n");
    Ok(())
}
