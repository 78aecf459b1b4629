//! A machine kept on disk in the midst of what it does, to go on from there more than once.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, ensure};
use tempfile::TempPath;

use crate::out;
use crate::vm::{Machine, Vm};

/// How long all of a machine's memory takes to be written.
const LIMIT: Duration = Duration::from_secs(600);

/// Such a machine.
pub struct Saved {
    machine: Machine,
    memory: TempPath,
}

impl Saved {
    /// Keeps `vm`, which was started as `machine` and ends by this. Its connections should be at
    /// rest: the other ends know nothing of its going back in time.
    ///
    /// # Errors
    /// When qemu can't write it down.
    pub fn new(machine: &Machine, vm: &mut Vm) -> anyhow::Result<Self> {
        let dir: PathBuf = out::workspace().join("out");
        let memory = tempfile::Builder::new().prefix(".memory-").tempfile_in(dir)?.into_temp_path();
        // As fast as the disk goes, not as a network that others use too. The monitor says no more
        // until all is written, and then reads on only if it still has the keyboard.
        vm.send(&format!(
            "\x01cmigrate_set_parameter max-bandwidth 10g\n\
             migrate \"exec:cat >'{}'\"\ninfo migrate\n",
            memory.display()
        ))?;
        vm.wait_for("Migration status: completed", LIMIT)?;
        vm.send("quit\n")?;
        ensure!(vm.wait_end(LIMIT)?.success(), "qemu did not quit:\n{}", vm.console());
        Ok(Self { machine: machine.clone(), memory })
    }

    /// Starts it where it was; returns once it runs.
    ///
    /// # Errors
    /// When qemu can't be started, or can't read what it wrote.
    pub fn go_on(&self) -> anyhow::Result<Vm> {
        let mut machine = self.machine.clone();
        let from = format!("exec:cat '{}'", self.memory.display());
        machine.args.extend(["-incoming".to_owned(), from]);
        let mut vm = machine.start()?;
        // What is typed before is lost, and no event tells of that moment.
        loop {
            vm.monitor("info status")?;
            let states = ["VM status: running", "VM status: paused (inmigrate)"];
            if vm.wait_for_any(&states, LIMIT).context("it does not go on")?.0 == 0 {
                return Ok(vm);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}
