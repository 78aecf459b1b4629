//! The main job, end to end: a root becomes an flist, is served, and boots in qemu.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};
use argh::FromArgs;
use tests::lab::Server;
use tests::vm::{Machine, Vm};
use tests::{out, root};

/// How long a boot may take under software emulation on a busy machine.
const BOOT: Duration = Duration::from_secs(300);

/// Make an flist of a root, serve it, and boot it in qemu.
#[derive(FromArgs)]
#[argh(
    name = "scripts/demo",
    note = "Without SOURCE a Debian 12 root is made by mmdebstrap (and kept in ~/.cache/zimg).\n\
            On the console: root needs no password there; leave with `poweroff`, or C-a x.",
    example = "{command_name}\n{command_name} --check\n{command_name} /srv/roots/web\n{command_name} web.tar.zst"
)]
struct Args {
    /// a root file system: a directory or a tar
    #[argh(positional)]
    source: Option<PathBuf>,
    /// wait for multi-user with no failed unit, print the boot summary, power off
    #[argh(switch)]
    check: bool,
    /// memory of the machine in MiB (default 1024)
    #[argh(option, default = "1024")]
    memory: u32,
}

fn main() -> ExitCode {
    let args: Args = argh::from_env();
    match run(&args) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("scripts/demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let dir = out::workspace().join("out/demo");
    let flist = build(args.source.as_deref(), &dir)?;
    let server = Server::start(&dir, "127.0.0.1:0")?;
    let arguments = server.arguments_of(&flist)?;
    println!("serving {}", server.url);
    println!("booting with {arguments}");
    let (kernel, initramfs) = (out::built("vmlinuz")?, out::built("initramfs.img")?);
    let mut machine = Machine::new(&kernel, &initramfs, &arguments);
    machine.memory = args.memory;
    if args.check {
        return check(machine.start()?).map(|()| ExitCode::SUCCESS);
    }
    let status = machine
        .command()
        .stdin(Stdio::inherit())
        .status()
        .context("can't start qemu-system-x86_64: run scripts/setup")?;
    Ok(ExitCode::from(u8::from(!status.success())))
}

/// Builds the flist of `source`, or of a Debian made here. Returns its file.
fn build(source: Option<&Path>, dir: &Path) -> anyhow::Result<PathBuf> {
    let made;
    let source = match source {
        Some(source) => source,
        None => {
            made = root::tar(&root::DEBIAN)?;
            &made
        }
    };
    // Packs of what was shown before would only pile up.
    if dir.exists() {
        std::fs::remove_dir_all(dir)?;
    }
    std::fs::create_dir_all(dir)?;
    let flist = dir.join("root.flist");
    let status = Command::new(out::built("zimg")?).arg("build").arg(source).arg(&flist).status()?;
    ensure!(status.success(), "zimg build: {status}");
    Ok(flist)
}

/// Waits for the boot to end well, prints its summary, powers off.
fn check(mut vm: Vm) -> anyhow::Result<()> {
    vm.wait_for("zimg: boot:", BOOT)?;
    let summary = vm.wait_for("\n", BOOT)?;
    let console = vm.wait_for("Reached target", BOOT).and_then(|_| vm.wait_for("login:", BOOT))?;
    ensure!(!vm.console().contains("[FAILED]"), "a unit failed:\n{console}");
    let up = vm.age();
    vm.send("root\n")?;
    let (which, _) = vm.wait_for_any(&["# ", "Password:"], BOOT)?;
    if which == 0 {
        vm.settle(BOOT)?;
        let state = vm.run("systemctl is-system-running --wait", BOOT)?.0;
        let failed = vm.must("systemctl --failed --no-legend --plain", BOOT)?;
        ensure!(failed.trim().is_empty(), "units failed:\n{failed}");
        ensure!(state.trim() == "running", "the system is {}", state.trim());
        vm.must("systemctl is-active multi-user.target", BOOT)?;
        vm.send("poweroff\n")?;
    } else {
        println!("root has a password: what units say was read off the console");
        vm.monitor("system_powerdown")?;
    }
    let status = vm.wait_end(BOOT)?;
    ensure!(status.success(), "qemu: {status}");
    println!("zimg: boot:{}", summary.trim_end());
    println!(
        "multi-user with no failed unit {:.1} s after qemu was started; powered off",
        up.as_secs_f64()
    );
    Ok(())
}
