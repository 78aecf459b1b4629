//! A node whose boots fail waits longer before each reboot, where its firmware can remember: UEFI's
//! can. (That of other machines can't, as the screens of `refusals.rs` show.)

use std::fs;
use std::path::Path;

use anyhow::{Context, ensure};
use tests::out;
use tests::refusal::{LIMIT, screen};
use tests::vm::Machine;

type Result = anyhow::Result<()>;

/// Debian's package `ovmf`: the firmware, and its memory as it leaves the factory.
const CODE: &str = "/usr/share/OVMF/OVMF_CODE_4M.fd";
const MEMORY: &str = "/usr/share/OVMF/OVMF_VARS_4M.fd";

/// A machine with that firmware, whose memory is the file `memory`. Nothing says what to boot.
fn machine(memory: &Path) -> anyhow::Result<Machine> {
    let (kernel, initramfs) = (out::built("vmlinuz")?, out::built("initramfs.img")?);
    let mut machine = Machine::new(&kernel, &initramfs, "zimg.onfail=reboot:2");
    let memory = memory.display();
    machine.args.extend(
        [
            "-drive",
            &format!("if=pflash,format=raw,readonly=on,file={CODE}"),
            "-drive",
            &format!("if=pflash,format=raw,file={memory}"),
        ]
        .map(str::to_owned),
    );
    Ok(machine)
}

/// What the machine says it does after its screen, and then does.
fn fails(machine: &Machine) -> anyhow::Result<String> {
    let mut vm = machine.start()?;
    let screen = screen(&mut vm)?;
    ensure!(vm.wait_end(LIMIT)?.success());
    ensure!(vm.console().contains("reboot: Restarting system"), "{}", vm.console());
    let joined = screen.split_whitespace().collect::<Vec<_>>().join(" ");
    let (_, next) = joined.split_once("What happens now ").context("no end of the screen")?;
    Ok(next.trim_end_matches(['=', ' ']).to_owned())
}

#[test]
fn uefi_remembers_the_failures() -> Result {
    ensure!(Path::new(CODE).exists(), "no {CODE}: run scripts/setup");
    let scratch = tempfile::tempdir()?;
    let memory = scratch.path().join("memory");
    fs::copy(MEMORY, &memory)?;
    let machine = machine(&memory)?;
    let first = fails(&machine)?;
    ensure!(["reboots in 2 s", "reboots in 3 s"].contains(&first.as_str()), "{first}");
    for count in 2..=3 {
        let next = fails(&machine)?;
        let words = format!("longer with each of {count} failures in a row");
        ensure!(next.ends_with(&words), "{next}");
    }
    // The control: a firmware that forgets, and the node is as new.
    fs::copy(MEMORY, &memory)?;
    let again = fails(&machine)?;
    ensure!(!again.contains("in a row"), "{again}");
    Ok(())
}
