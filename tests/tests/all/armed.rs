//! A machine's watchdog: it resets a boot and a shutdown that hang, and is taken over, or left alone,
//! by the booted system as that likes. Needs root.

use anyhow::ensure;
use tests::disk::Disk;
use tests::lab::{Lab, Server};
use tests::vm::{LIMIT, Machine, Vm};
use tests::{images, out};

/// What qemu says of a watchdog: how far it came, and what it is set to.
const STATE: &str = "cat /sys/class/watchdog/watchdog0/state";

type Result = anyhow::Result<()>;

fn lab() -> anyhow::Result<(Lab, Server)> {
    let lab = images::lab()?;
    let server = Server::start(images::folder()?, "127.0.0.1:8080")?;
    Ok((lab, server))
}

/// A machine with a watchdog, or without one.
fn machine(flist: &str, more: &str, watched: bool) -> anyhow::Result<Machine> {
    let arguments = format!("{} {more}", images::arguments(flist, 8080)?);
    let (kernel, initramfs) = (out::built("vmlinuz")?, out::built("initramfs.img")?);
    let mut machine = Machine::new(&kernel, &initramfs, &arguments);
    if watched {
        let args = ["-device", "i6300esb", "-action", "watchdog=reset"];
        machine.args.extend(args.map(str::to_owned));
    }
    Ok(machine)
}

/// Boots BusyBox's shell as PID 1.
fn shell(machine: &Machine) -> anyhow::Result<Vm> {
    let mut vm = machine.start()?;
    vm.wait_for("zimg: boot:", LIMIT)?;
    vm.wait_for("# ", LIMIT)?;
    vm.send("export PATH=/bin; alias stty='busybox stty' dmesg='busybox dmesg'\n")?;
    vm.settle(LIMIT)?;
    Ok(vm)
}

/// Waits until the machine is reset, by nobody in it.
fn is_reset(mut vm: Vm) -> Result {
    ensure!(vm.wait_end(LIMIT)?.success());
    let console = vm.console();
    ensure!(!console.contains("reboot: "), "it ended by itself:\n{console}");
    Ok(())
}

/// A machine with a disk that answers its first request and no other: who waits for it waits for ever.
/// It is plugged in late, or the firmware would be the one.
fn with_dead_disk(mut machine: Machine, disk: &Disk) -> anyhow::Result<Vm> {
    let path = disk.path().display();
    let drive = format!("file={path},if=none,id=dead,format=raw,throttling.bps-total=1");
    machine.args.extend(["-drive".to_owned(), drive]);
    machine.start()
}

/// Plugs that disk in. The kernel then looks for its partitions, for ever.
fn plug(vm: &mut Vm) -> Result {
    vm.wait_for("zimg: ", LIMIT)?;
    vm.monitor("device_add virtio-blk-pci,drive=dead")?;
    vm.wait_for("[vda]", LIMIT)?;
    Ok(())
}

/// PID 1 hangs in the kernel.
#[test]
fn a_boot_that_hangs_is_reset() -> Result {
    let _lab = images::lab()?;
    let (disk, another) = (Disk::blank()?, Disk::blank()?);
    let arguments = "zimg.overlay=/dev/vda zimg.timeout=60 zimg.watchdog=5";
    // The control: without a watchdog it hangs on, for longer than that takes.
    let for_long = format!(
        "{arguments} sysctl.kernel.hung_task_timeout_secs=80 \
         sysctl.kernel.hung_task_check_interval_secs=5"
    );
    let mut control = with_dead_disk(machine("bare.flist", &for_long, false)?, &another)?;
    let mut vm = with_dead_disk(machine("bare.flist", arguments, true)?, &disk)?;
    [&mut control, &mut vm].into_iter().try_for_each(plug)?;
    // Only now can PID 1 come to it: it would else be the first to read of it, which is another way to
    // hang, and one that the kernel does not tell of.
    let _server = Server::start(images::folder()?, "127.0.0.1:8080")?;
    vm.wait_for("the boot hangs: the watchdog resets the machine in 5 s", LIMIT)?;
    is_reset(vm)?;

    control.wait_for("INFO: task init:1 blocked for more than ", LIMIT)?;
    ensure!(!control.console().contains("watchdog resets"), "{}", control.console());
    Ok(())
}

/// The screen of a failure may be read for longer than the watchdog's timeout.
#[test]
fn a_screen_is_shown_to_its_end() -> Result {
    let (_lab, _server) = lab()?;
    let mut machine = machine("bare.flist", "zimg.watchdog=5 zimg.onfail=reboot:15", true)?;
    machine.cmdline = machine.cmdline.replace("bare.flist", "nothing.flist");
    let mut vm = machine.start()?;
    vm.wait_for("a watchdog resets the machine", LIMIT)?;
    vm.wait_for("What happens now", LIMIT)?;
    vm.wait_for("reboot: Restarting system", LIMIT)?;
    Ok(())
}

/// systemd has the watchdog for the rest of the node's life, and up to the very end of its reboot.
#[test]
fn systemd_takes_it_over() -> Result {
    let (_lab, _server) = lab()?;
    let mut vm = machine("debian.flist", "systemd.watchdog_sec=40s", true)?.start()?;
    vm.wait_for("a watchdog resets the machine", LIMIT)?;
    vm.log_in(LIMIT)?;
    let timeout = vm.must("cat /sys/class/watchdog/watchdog0/timeout", LIMIT)?;
    ensure!(timeout.trim() == "40", "{timeout}");
    vm.must("ls -l /proc/1/fd | grep /dev/watchdog0", LIMIT)?;
    let taken = "zimg: the booted system has taken over the watchdog";
    vm.must(&format!("until dmesg | grep '{taken}'; do sleep 1; done"), LIMIT)?;
    ensure!(vm.must(STATE, LIMIT)?.trim() == "active");
    // Running without anybody who has it open, from one to the other: once.
    vm.must("[ $(dmesg | grep -c 'watchdog did not stop') = 1 ]", LIMIT)?;
    vm.send("dmesg -n 8; reboot\n")?;
    // What runs last has it from systemd-shutdown.
    let said = vm.wait_for("zimg: the root is left", LIMIT)?;
    ensure!(
        said.contains("watchdog did not stop") && !said.contains("zimg: the watchdog"),
        "{said}"
    );
    vm.wait_for("reboot: Restarting system", LIMIT)?;
    Ok(())
}

/// A system that never opens it is given time to do so, and then not reset.
#[test]
fn a_system_without_use_for_it_is_left_in_peace() -> Result {
    let (_lab, _server) = lab()?;
    let mut vm = shell(&machine("bare.flist", "", true)?)?;
    ensure!(vm.must(STATE, LIMIT)?.trim() == "active");
    let stopped = "zimg: the booted system does not use the watchdog: it is stopped";
    vm.must(
        &format!("until busybox dmesg | busybox grep '{stopped}'; do busybox sleep 1; done"),
        LIMIT,
    )?;
    ensure!(vm.must(STATE, LIMIT)?.trim() == "inactive");

    // One that nobody may touch is not touched.
    let mut vm = shell(&machine("bare.flist", "zimg.watchdog=off", true)?)?;
    ensure!(vm.must(STATE, LIMIT)?.trim() == "inactive");
    ensure!(!vm.console().contains("a watchdog resets"), "{}", vm.console());
    Ok(())
}

/// The last program of the node hangs in unmounting. (systemd-shutdown would hang before.)
#[test]
fn a_shutdown_that_hangs_is_reset() -> Result {
    let (_lab, _server) = lab()?;
    let ends = |watched: bool| -> anyhow::Result<Vm> {
        let disk = Disk::ext4("old")?;
        let arguments = "zimg.watchdog=off i6300esb.heartbeat=20 \
                         sysctl.kernel.hung_task_timeout_secs=30 \
                         sysctl.kernel.hung_task_check_interval_secs=5";
        let mut machine = machine("bare.flist", arguments, watched)?;
        machine.args.extend(disk.arguments());
        let mut vm = shell(&machine)?;
        vm.must("busybox mkdir /oldroot && mount -t ext4 /dev/vda /oldroot", LIMIT)?;
        vm.must("busybox dmesg -n 8; echo written > /oldroot/file", LIMIT)?;
        vm.monitor("block_set_io_throttle virtio0 1 0 0 0 0 0")?;
        // As systemd-shutdown does: it is left running, and what comes next is told so.
        let arm = if watched { "echo -n . > /dev/watchdog0;" } else { "" };
        let end = "WATCHDOG_USEC=20000000 exec /run/initramfs/shutdown reboot";
        vm.send(&format!("{arm} {end}\n"))?;
        Ok(vm)
    };
    // The control: without a watchdog it hangs on, for longer.
    let mut control = ends(false)?;
    is_reset(ends(true)?)?;
    control.wait_for("INFO: task shutdown:1 blocked for more than ", LIMIT)?;
    Ok(())
}
