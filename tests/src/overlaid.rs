//! Machines whose writes go to a disk, booted in a lab of their own.

use anyhow::ensure;

use crate::disk::Disk;
use crate::lab::{Lab, Server};
use crate::vm::{LIMIT, Machine, Vm};
use crate::{images, out};

/// A network with the images of all tests.
///
/// # Errors
/// As [`images::lab`] and [`Server::start`].
pub fn lab() -> anyhow::Result<(Lab, Server)> {
    let lab = images::lab()?;
    let server = Server::start(images::folder()?, "127.0.0.1:8080")?;
    Ok((lab, server))
}

/// A machine with `disks`, which become `/dev/vda` and so on.
///
/// # Errors
/// When nothing is built.
pub fn machine(arguments: &str, disks: &[&Disk]) -> anyhow::Result<Machine> {
    let (kernel, initramfs) = (out::built("vmlinuz")?, out::built("initramfs.img")?);
    let mut machine = Machine::new(&kernel, &initramfs, arguments);
    machine.args.extend(disks.iter().flat_map(|disk| disk.arguments()));
    Ok(machine)
}

/// Starts it.
///
/// # Errors
/// As [`machine`], and when qemu can't be started.
pub fn start(arguments: &str, disks: &[&Disk]) -> anyhow::Result<Vm> {
    machine(arguments, disks)?.start()
}

/// Boots Debian and logs in.
///
/// # Errors
/// With the console, when it does not come that far.
pub fn debian(more: &str, disks: &[&Disk]) -> anyhow::Result<Vm> {
    let mut vm = start(&format!("{} {more}", images::arguments("debian.flist", 8080)?), disks)?;
    vm.log_in(LIMIT)?;
    Ok(vm)
}

/// Boots a shell as PID 1: a matter of seconds.
///
/// # Errors
/// With the console, when it does not come that far.
pub fn shell(image: &str, more: &str, disks: &[&Disk]) -> anyhow::Result<Vm> {
    shell_of(start(&format!("{image} {more}"), disks)?)
}

/// Waits until the machine, just started, has a shell as PID 1.
///
/// # Errors
/// With the console, when it does not come that far.
pub fn shell_of(mut vm: Vm) -> anyhow::Result<Vm> {
    vm.wait_for("zimg: boot:", LIMIT)?;
    vm.wait_for("# ", LIMIT)?;
    vm.settle(LIMIT)?;
    Ok(vm)
}

/// The arguments that boot BusyBox' shell.
///
/// # Errors
/// As [`images::arguments`].
pub fn bare() -> anyhow::Result<String> {
    images::arguments("bare.flist", 8080)
}

/// The boot of `image` with these fails with a screen that says all of `words`.
///
/// # Errors
/// With the screen, when it does not.
pub fn refused(image: &str, more: &str, disks: &[&Disk], words: &[&str]) -> anyhow::Result<()> {
    let mut vm = start(&format!("{image} {more} zimg.timeout=10 zimg.onfail=poweroff"), disks)?;
    vm.wait_for("zimg: boot failed at overlay", LIMIT)?;
    let screen = vm.wait_for("switches the machine off", LIMIT)?;
    // Lines are broken wherever they are full.
    let screen = screen.split_whitespace().collect::<Vec<_>>().join(" ");
    for word in words {
        ensure!(screen.contains(word), "no {word:?} on the screen:\n{screen}");
    }
    Ok(())
}
