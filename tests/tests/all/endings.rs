//! However a machine ends, under whichever init, the disk that took its writes is in order, and they
//! are there after the next boot. Nor is a disk held that a system goes on writing to.

use std::path::PathBuf;

use anyhow::ensure;
use tests::disk::Disk;
use tests::guests::{self, SYSV_HALT, Source};
use tests::lab::{Lab, Server};
use tests::overlaid::{bare, lab, machine, shell, shell_of};
use tests::root;
use tests::saved::Saved;
use tests::vm::{LIMIT, Machine, Vm};

type Result = anyhow::Result<()>;

/// What the kernel log says of a disk that is in order while the machine runs.
const IN_ORDER: &str = "the root's disk is in order";

/// Where images are served.
const ADDRESS: &str = "127.0.0.1:8080";

/// A guest whose writes go to a disk.
struct Kept {
    disk: Disk,
    arguments: String,
    said: String,
    folder: PathBuf,
    server: Option<Server>,
    _lab: Lab,
}

impl Kept {
    fn new(name: &str, source: &Source) -> anyhow::Result<Self> {
        // Made first: packages come over the machine's own network.
        let folder = guests::folder(name, source)?;
        let lab = Lab::enter()?;
        let server = Server::start(&folder, ADDRESS)?;
        let arguments = server.arguments.replace("127.0.0.1", "10.0.2.2");
        let (disk, server) = (Disk::ext4("state")?, Some(server));
        Ok(Self { disk, arguments, said: String::new(), folder, server, _lab: lab })
    }

    fn machine(&self) -> anyhow::Result<Machine> {
        machine(&format!("{} zimg.overlay=LABEL=state", self.arguments), &[&self.disk])
    }

    fn boot(&mut self) -> anyhow::Result<Vm> {
        let mut vm = self.machine()?.start()?;
        vm.log_in(LIMIT)?;
        self.is_there(&mut vm)?;
        Ok(vm)
    }

    /// All that was written in boots before, on a disk that had nothing to recover.
    fn is_there(&self, vm: &mut Vm) -> Result {
        let there = vm.must("cat /root/said 2>/dev/null; :", LIMIT)?;
        ensure!(there == self.said, "written was {:?}, there is {there:?}", self.said);
        ensure!(!vm.console().contains("EXT4-fs (vda): recovery"), "{}", vm.console());
        Ok(())
    }

    fn say(&mut self, vm: &mut Vm, what: &str) -> Result {
        vm.must(&format!("echo '{what}' >>/root/said"), LIMIT)?;
        self.said += &format!("{what}\n");
        // The control: a disk in use is not in order.
        ensure!(
            !self.disk.is_clean()?,
            "a mounted disk passes for one in order: this shows nothing"
        );
        Ok(())
    }

    /// Writes, does `first`, and ends by `command`: the disk is in order.
    fn ends(&mut self, mut vm: Vm, first: &str, (command, last_words): End) -> Result {
        self.say(&mut vm, command)?;
        vm.must(first, LIMIT)?;
        self.ends_now(vm, (command, last_words))
    }

    /// Ends by `command`: the disk is in order, and holds all that was written.
    fn ends_now(&self, mut vm: Vm, (command, last_words): End) -> Result {
        vm.goes_down(command, last_words)?;
        drop(vm);
        ensure!(self.disk.is_clean()?, "after {command}");
        let there = self.disk.read("/zimg/kept/upper/root/said")?;
        ensure!(there == self.said, "after {command}: {there}");
        Ok(())
    }

    /// Has kexec start the same image again by `command`: it finds the writes, and the disk in order.
    /// With a shell as PID 1, as the emulator is slow with a kernel that lies where another was
    /// translated.
    fn is_there_after_kexec(&self, mut vm: Vm, command: &str) -> Result {
        vm.must(&guests::load("init=/bin/sh"), LIMIT)?;
        vm.goes_down(command, "kexec_core: Starting new kernel")?;
        self.is_there(&mut shell_of(vm)?)
    }
}

/// A command that ends the machine, and the kernel's last words.
type End = (&'static str, &'static str);

const POWEROFF: End = ("poweroff", "Power down");
const REBOOT: End = ("reboot", "Restarting system");
const HALT: End = ("halt", "System halted");

/// As a script of the system's would do it, where there is none.
const KEXEC: &str = "mount -o remount,ro / && \
                     until dmesg | grep \"the root's disk is in order\"; do :; done; kexec -e";

/// BusyBox' init: its script makes the root read-only, or can't, or doesn't.
#[test]
fn busybox() -> Result {
    let mut kept = Kept::new("busybox-disk", &Source::BusyBox)?;
    // Somebody goes on writing, whatever is said, until killed.
    let writer = "(trap '' TERM; while :; do echo more; done >/root/more) & :";
    let no_script = ": >/etc/init.d/rcK";
    for (first, end) in [(":", POWEROFF), (writer, REBOOT), (no_script, HALT)] {
        let vm = kept.boot()?;
        kept.ends(vm, first, end)?;
    }
    let mut vm = kept.boot()?;
    kept.say(&mut vm, "kexec")?;
    kept.is_there_after_kexec(vm, KEXEC)
}

/// systemd does without a keeper, and has no complaint about such a root.
#[test]
fn systemd() -> Result {
    let mut kept = Kept::new("systemd-disk", &Source::Debian(&root::NETWORKS))?;
    let mut vm = kept.boot()?;
    vm.must("! pgrep -f ^@zimg-disk", LIMIT)?;
    let state = vm.run("systemctl is-system-running --wait", LIMIT)?.0;
    ensure!(state.trim() == "running", "{}", vm.must("systemctl --failed", LIMIT)?);
    in_every_way(kept, vm, HALT.0, "systemctl kexec")
}

#[test]
fn sysvinit() -> Result {
    let mut kept = Kept::new("sysvinit-disk", &Source::Debian(&root::SYSVINIT))?;
    let vm = kept.boot()?;
    // Its script finds the kernel that was loaded.
    in_every_way(kept, vm, SYSV_HALT, REBOOT.0)
}

#[test]
fn openrc() -> Result {
    let mut kept = Kept::new("openrc-disk", &Source::Debian(&root::OPENRC))?;
    let vm = kept.boot()?;
    in_every_way(kept, vm, SYSV_HALT, KEXEC)
}

/// From one and the same moment the machine ends in every way; the last is kexec, which boots again.
fn in_every_way(mut kept: Kept, mut vm: Vm, halt: &'static str, kexec: &str) -> Result {
    kept.say(&mut vm, "one and the same moment")?;
    // No connection outlasts it: the machine would go on with one of another time.
    kept.server = None;
    let saved = Saved::new(&kept.machine()?, &mut vm)?;
    let disk = kept.disk.copy()?;
    let go_on = |kept: &mut Kept| {
        kept.disk.put_back(&disk)?;
        kept.server = None;
        kept.server = Some(Server::start(&kept.folder, ADDRESS)?);
        saved.go_on()
    };
    for end in [POWEROFF, REBOOT, (halt, HALT.1)] {
        let vm = go_on(&mut kept)?;
        kept.ends_now(vm, end)?;
    }
    let vm = go_on(&mut kept)?;
    kept.is_there_after_kexec(vm, kexec)
}

/// A root that is made read-only and writable again, and a PID 1 that tells all to end and then goes
/// on: no program sees an error. Meanwhile the disk is in order, and nothing else makes it so.
#[test]
fn a_system_that_goes_on_writes_on() -> Result {
    let (_lab, _server) = lab()?;
    let disk = Disk::ext4("state")?;
    let mut vm = shell(&bare()?, "zimg.overlay=LABEL=state", &[&disk])?;
    let times = "for i in 0 1 2 3 4 5 6 7 8 9; do busybox mount -o remount,ro / && \
                 busybox mount -o remount,rw / && echo $i >>/written || exit 1; done";
    vm.must(&format!("({times})"), LIMIT)?;
    ensure!(!disk.is_clean()?, "a disk in use passes for one in order");
    // A single mount made read-only, or another's SIGTERM, is no end.
    vm.must("busybox mount --bind / /tmp && busybox mount -o remount,bind,ro /tmp", LIMIT)?;
    vm.must("p=$(busybox pidof @zimg-disk) && busybox sh -c \"kill -TERM $p\"", LIMIT)?;
    vm.must("echo still >>/written && busybox umount /tmp", LIMIT)?;

    let then = format!(
        "n=$(busybox dmesg | busybox grep -c \"{IN_ORDER}\"); in_order() {{ \
         until [ $(busybox dmesg | busybox grep -c \"{IN_ORDER}\") -gt $n ]; do busybox usleep 10000; done; }}"
    );
    vm.must(&format!("{then}; busybox mount -o remount,ro / && in_order"), LIMIT)?;
    ensure!(disk.is_clean()?, "the root is read-only");
    vm.must("busybox mount -o remount,rw / && echo again >>/written", LIMIT)?;
    // PID 1 is this shell.
    vm.must(&format!("{then}; kill -TERM $p && in_order"), LIMIT)?;
    ensure!(disk.is_clean()?, "PID 1 told it to end");
    let written = vm.must("echo more >>/written; cat /written", LIMIT)?;
    ensure!(written == "0\n1\n2\n3\n4\n5\n6\n7\n8\n9\nstill\nagain\nmore\n", "{written}");
    let told = vm.must("busybox dmesg | busybox grep -c 'PID 1 told'", LIMIT)?;
    ensure!(told.trim() == "1", "{told} times PID 1 was believed to have said so");
    // The control: without its keeper the disk is left as it is.
    vm.must("kill -9 $p; busybox mount -o remount,ro / && busybox sync", LIMIT)?;
    ensure!(!disk.is_clean()?, "it was not the keeper: this shows nothing");
    Ok(())
}
