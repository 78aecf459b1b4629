//! Every way down comes to its end, waits for nothing until it gives up, and leaves no complaint.

use anyhow::ensure;
use tests::guests;
use tests::saved::Saved;
use tests::vm::LIMIT;

use super::Result;
use super::running::Running;

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
            self.vm.goes_down(command, last_words)?;
            if last_words == HALTED {
                self.vm.monitor("quit")?;
            }
            ensure!(self.vm.wait_end(LIMIT)?.success(), "{command}: the machine goes on");
        }
        self.serve()?;
        self.vm = saved.go_on()?;
        // cloud-init then asks what network the initramfs had.
        self.vm.must(&guests::load("ip=dhcp"), LIMIT)?;
        let kexec = self.guest.kexec;
        self.vm.goes_down(kexec, "Starting new kernel")?;
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
