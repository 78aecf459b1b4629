//! A cold boot to multi-user from the flist, beside the same root as a squashfs on a local
//! virtio disk under the same kernel.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Context;
use tests::lab::{Lab, Server};
use tests::out::built;
use tests::root::run as must;
use tests::vm::{AS_NODES_ARE, Machine, Vm};

use crate::Bench;
use crate::report::{Report, Times, megabytes};
use crate::sizes::{build, inspect, squashfs};

const LIMIT: Duration = Duration::from_secs(300);

/// What a boot showed.
pub(crate) struct Boot {
    /// From the kernel's first instruction to multi-user, on the guest's clock.
    pub(crate) multi_user: Duration,
    /// Resident memory of the root daemon, in bytes; 0 where there is none.
    resident: u64,
    /// Reads of a disk over NBD until the log-in, and bytes; zero where there is none.
    pub(crate) nbd: (u64, u64),
    console: String,
}

pub(crate) fn run(bench: &Bench, report: &mut Report) -> anyhow::Result<()> {
    report.section("Boot");
    let dir = bench.scratch.path().join("boot");
    fs::create_dir(&dir)?;
    let flist = dir.join("debian.flist");
    build(&bench.root, &flist)?;
    let image = bench.scratch.path().join("debian.squashfs");
    squashfs(&bench.root, &image)?;
    let kernel = built("vmlinuz")?;
    let local = local_machine(bench, &kernel, &image)?;
    let _lab = Lab::enter()?;
    let server = Server::start(&dir, "127.0.0.1:8080")?;
    let arguments = &server.arguments;
    let ours = node(&kernel, &built("initramfs.img")?, arguments);
    let (mut flist_times, mut local_times) = (Times::new(), Times::new());
    let (mut handed, mut waited) = (Times::new(), Times::new());
    let (mut requests, mut bytes, mut cached, mut resident) = (0, 0, 0, 0);
    for _ in 0..bench.runs {
        let before = server.served()?;
        let (booted, served) = boot_from(&ours, &server)?;
        requests = requests.max(served.0);
        bytes = bytes.max(served.1);
        cached = cached.max(server.served()?.1 - before.1);
        resident = resident.max(booted.resident);
        flist_times.push(booted.multi_user);
        let summary = booted.console.split("zimg: boot: ").nth(1).context("PID 1 said nothing")?;
        let dhcp = millis(summary, "DHCP ")?;
        handed.push(millis(summary, "")?.saturating_sub(dhcp));
        waited.push(dhcp);
        local_times.push(boot(local.start()?)?.multi_user);
    }
    let packs = inspect(&flist)?["stored_bytes"].as_u64().unwrap_or(0);
    report.in_turn(
        "cold boot to multi-user (peer: squashfs on a local virtio disk), guest time",
        [&flist_times, &local_times],
        Times::text,
        1.15,
    );
    report.promise(
        "PID 1's first instruction to exec of the OS's init, DHCP's waiting aside",
        handed.text(),
        "under 0.4 s",
        handed.median() < 0.4,
    );
    report.fact("that waiting: carrier to lease, its check for conflicts included", waited.text());
    report.promise(
        &format!("bytes moved to multi-user, of {} in packs", megabytes(packs)),
        megabytes(bytes),
        "at most a quarter",
        bytes * 4 <= packs,
    );
    report.fact("requests for that", requests.to_string());
    report.promise(
        &format!("root daemon, resident after a log-in, its cache of {} aside", megabytes(cached)),
        megabytes(resident.saturating_sub(cached)),
        "under 32 MB",
        (1..32_000_000 + cached).contains(&resident),
    );
    Ok(())
}

/// A machine that boots `image` from a local disk: overlay on tmpfs, as ours, by a shell script.
pub(crate) fn local_machine(bench: &Bench, kernel: &Path, image: &Path) -> anyhow::Result<Machine> {
    let mount = "mount -t squashfs -o ro /dev/vda /lower";
    let initramfs = scripted(bench, "local", mount, None)?;
    let mut machine = node(kernel, &initramfs, "");
    let drive = format!("file={},if=virtio,format=raw,readonly=on", image.display());
    machine.args = vec!["-drive".into(), drive];
    Ok(machine)
}

/// A machine to measure.
pub(crate) fn node(kernel: &Path, initramfs: &Path, cmdline: &str) -> Machine {
    Machine { always: AS_NODES_ARE, ..Machine::new(kernel, initramfs, cmdline) }
}

/// What such a machine needs of the kernel.
const MODULES: &str = "virtio_pci,virtio_blk,virtio_net,af_packet,squashfs,overlay,loop";

/// What an initramfs has beside busybox.
pub(crate) struct More {
    /// A module of the kernel.
    pub(crate) module: &'static str,
    /// Files, each with its path there.
    pub(crate) files: Vec<(PathBuf, String)>,
}

/// An initramfs of a shell script that mounts a squashfs on /lower by `mount`.
pub(crate) fn scripted(
    bench: &Bench,
    name: &str,
    mount: &str,
    more: Option<&More>,
) -> anyhow::Result<PathBuf> {
    let script = bench.scratch.path().join(format!("{name}.init"));
    let text = format!(
        "#!/bin/busybox sh\n\
         export PATH=/bin; busybox mkdir -p /lower /up /root; busybox mount -t proc proc /proc\n\
         busybox --install -s /bin; mount -t devtmpfs dev /dev; mount -t sysfs sys /sys\n\
         mount -t tmpfs -o mode=755 run /run\n\
         release=$(uname -r); cd /lib/modules/$release\n\
         # Each needs others: the order does not matter when all are tried often enough.\n\
         for round in 1 2 3; do find . -name '*.ko' -exec insmod {{}} \\; 2>/dev/null; done\n\
         cd /; mount -t tmpfs -o size=75% up /up\n\
         {mount}\n\
         mkdir /up/upper /up/work\n\
         mount -t overlay -o lowerdir=/lower,upperdir=/up/upper,workdir=/up/work root /root\n\
         for dir in dev proc sys run; do mount --move /$dir /root/$dir; done\n\
         exec switch_root /root /sbin/init\n",
    );
    fs::write(&script, text)?;
    let initramfs = bench.scratch.path().join(format!("{name}.img"));
    let mut make = Command::new(built("initramfs")?);
    let module = more.map(|more| format!(",{}", more.module)).unwrap_or_default();
    make.args(["--modules", &format!("{MODULES}{module}"), "--kernel-modules"]);
    make.arg(built("modules")?);
    make.arg("--init").arg(&script).args(["--add", "/bin/busybox=/bin/busybox"]);
    for (file, path) in more.iter().flat_map(|more| &more.files) {
        make.arg("--add").arg(format!("{}={path}", file.display()));
    }
    must(make.arg("--output").arg(&initramfs)).context("scripts/setup installs busybox-static")?;
    Ok(initramfs)
}

/// Boots a Debian from `server` to multi-user. Also how many requests and bytes of bodies that took, up
/// to there.
pub(crate) fn boot_from(machine: &Machine, server: &Server) -> anyhow::Result<(Boot, (u64, u64))> {
    let before = server.served()?;
    let mut vm = machine.start()?;
    vm.wait_for("Multi-User System", LIMIT)?;
    let after = server.served()?;
    // The prompt again, as it may have come before.
    vm.send("\n")?;
    Ok((boot(vm)?, (after.0 - before.0, after.1 - before.1)))
}

/// Boots a Debian to multi-user, and then takes its power.
pub(crate) fn boot(mut vm: Vm) -> anyhow::Result<Boot> {
    vm.log_in(LIMIT)?;
    let disk = vm.run("cat /sys/block/nbd0/stat", LIMIT)?.0;
    vm.must("systemctl is-system-running --wait", LIMIT)?;
    let time =
        vm.must("systemctl show multi-user.target -P ActiveEnterTimestampMonotonic", LIMIT)?;
    let multi_user = Duration::from_micros(time.trim().parse().context("a timestamp")?);
    let kib: u64 = vm.run("ps -C zimg -o rss=", LIMIT)?.0.trim().parse().unwrap_or(0);
    let mut figures = disk.split_whitespace().map(|word| word.parse::<u64>().unwrap_or(0));
    // Reads, reads merged with others, sectors of 512 bytes.
    let nbd = (figures.next().unwrap_or(0), figures.nth(1).unwrap_or(0) * 512);
    Ok(Boot { multi_user, resident: kib * 1024, nbd, console: vm.console() })
}

/// The milliseconds that follow `mark` in PID 1's summary: `391 ms (kernel ...`.
fn millis(summary: &str, mark: &str) -> anyhow::Result<Duration> {
    let at = summary.find(mark).map(|at| at + mark.len());
    let millis = at.and_then(|at| summary.get(at..)?.split(' ').next()?.parse().ok());
    Ok(Duration::from_millis(millis.with_context(|| format!("no {mark:?} in: {summary}"))?))
}
