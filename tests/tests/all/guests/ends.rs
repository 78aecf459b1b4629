//! Every way down comes to its end, waits for nothing until it gives up, and leaves no complaint.

use anyhow::{Context, ensure};
use tests::saved::Saved;
use tests::vm::Vm;

use super::running::Running;
use super::{LIMIT, Result};

/// What is said by a system that could not unmount, waited for something until it ended it, or broke.
const COMPLAINTS: [&str; 6] = [
    "ailed to unmount",
    "imed out",
    "Sending SIGKILL to PID",
    "blocked for more than",
    "Kernel panic",
    "SQUASHFS error",
];

/// The kernel's last words, of a machine that stays on.
const HALTED: &str = "System halted";

impl Running<'_> {
    /// From one and the same moment the machine goes down in every way. The last is kexec, by which
    /// the same image takes the place of this one: how that boots, `endings.rs` looks at, and here
    /// what is particular about it.
    pub(crate) fn ends(mut self) -> Result {
        // Nothing that the root daemon did was refused by its filter of system calls.
        self.vm.must("! dmesg | grep type=1326", LIMIT)?;
        // No connection outlasts it: the machine would go on with one of another time.
        self.server = None;
        let saved = Saved::new(&self.machine, &mut self.vm)?;
        for (command, last_words) in
            [("poweroff", "Power down"), ("reboot", "Restarting system"), (self.guest.halt, HALTED)]
        {
            self.serve()?;
            self.vm = saved.go_on()?;
            goes_down(&mut self.vm, command, last_words).context(command)?;
            if last_words == HALTED {
                self.vm.monitor("quit")?;
            }
            ensure!(self.vm.wait_end(LIMIT)?.success(), "{command}: the machine goes on");
        }
        self.serve()?;
        self.vm = saved.go_on()?;
        // cloud-init then asks what network the initramfs had.
        let load = "kexec -l /boot/vmlinuz --initrd=/boot/initramfs.img --reuse-cmdline \
                    --append=ip=dhcp";
        self.vm.must(load, LIMIT)?;
        let kexec = self.guest.kexec;
        goes_down(&mut self.vm, kexec, "Starting new kernel").context(kexec)?;
        self.vm.wait_for("zimg: boot:", LIMIT)?;
        let again = self.guest.again;
        if !again.is_empty() {
            self.holds_again("kexec")?;
            self.vm.must(again, LIMIT)?;
            self.know()?;
            self.holds(again)?;
        }
        Ok(())
    }
}

/// Gives `command`, and waits until it has come to its end.
fn goes_down(vm: &mut Vm, command: &str, last_words: &str) -> Result {
    vm.send(&format!("dmesg -n 8; {command}\n"))?;
    let said = vm.wait_for(last_words, LIMIT)?;
    for bad in COMPLAINTS {
        ensure!(!said.contains(bad), "{bad}:\n{said}");
    }
    Ok(())
}
