//! A virtual machine under qemu: started, watched and typed to over its serial console.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

/// How long anything may take under software emulation on a busy machine.
pub const LIMIT: Duration = Duration::from_secs(600);

/// The beginning of a kernel command line. A kernel that panics ends the machine, not only the boot.
/// What only costs time under emulation is left out: programs lie where they always lie, as code is
/// translated anew for each address (what starts many of them, as OpenRC does, takes half the time),
/// nothing is done against processors that guess, and memory is not cleared before it is written to.
/// And the kernel may be asked what its tasks wait for.
pub const ALWAYS: &str =
    "console=ttyS0 panic=-1 sysrq_always_enabled norandmaps mitigations=off init_on_alloc=0";

/// The same of a machine that is measured, which leaves nothing out.
pub const AS_NODES_ARE: &str = "console=ttyS0 panic=-1";

/// What is said by a system that could not unmount, waited for something until it gave it up
/// (systemd's words, then SysV init's), or broke.
const COMPLAINTS: [&str; 9] = [
    "ailed to unmount",
    "was still in use",
    "imed out",
    "Sending SIGKILL to PID",
    "Killing all remaining processes",
    "hung",
    "blocked for more than",
    "Kernel panic",
    "SQUASHFS error",
];

/// Asks the kernel to show all that it logs, and what each task does (SysRq, behind a break that qemu
/// makes of it).
const SHOW_ALL: &str = "\x01b8";
const ASK_FOR_TASKS: &str = "\x01bt";

/// A machine that has said nothing for so long has told that.
const SILENCE: Duration = Duration::from_secs(5);

/// What a machine is made of. Start from [`Machine::new`].
#[derive(Debug, Clone)]
pub struct Machine {
    /// The kernel, a bzImage.
    pub kernel: PathBuf,
    /// The initramfs.
    pub initramfs: PathBuf,
    /// How the kernel command line begins: [`ALWAYS`], or [`AS_NODES_ARE`].
    pub always: &'static str,
    /// What of it follows.
    pub cmdline: String,
    /// Memory in MiB.
    pub memory: u32,
    /// Further arguments for qemu.
    pub args: Vec<String>,
    /// Whether it has a network card, on qemu's user network: DHCP at 10.0.2.2, which is also
    /// the host's loopback address; so is fec0::2, the router of IPv6.
    pub network: bool,
    /// Further options of that network, each after a comma.
    pub network_options: String,
    /// What the card is plugged into, as qemu's `-netdev` has it.
    pub netdev: String,
}

impl Machine {
    /// A machine with 1 GiB and a virtio card on qemu's user network.
    pub fn new(kernel: &Path, initramfs: &Path, cmdline: &str) -> Self {
        Self {
            kernel: kernel.into(),
            initramfs: initramfs.into(),
            always: ALWAYS,
            cmdline: cmdline.into(),
            memory: 1024,
            args: Vec::new(),
            network: true,
            network_options: String::new(),
            netdev: "user".into(),
        }
    }

    /// The qemu command that starts it. Software emulation always: what `/dev/kvm` offers on a
    /// virtual host often does not work, and tests should not depend on it. One processor: with two,
    /// kernels that patch their own code (jump labels) die of a stale int3 now and then. It is qemu's
    /// default, without two things that are slow there: fast string instructions, by which kernels
    /// would copy a byte at a time, and AVX2, by which BLAKE3 would be computed. The processor with all
    /// features can't do without them: libgcrypt and OpenSSL then use what they take to be there.
    pub fn command(&self) -> Command {
        let mut command = Command::new("qemu-system-x86_64");
        command
            .args(["-accel", "tcg", "-smp", "1", "-no-reboot"])
            .args(["-display", "none", "-nodefaults", "-m", &self.memory.to_string()])
            .args(["-serial", "mon:stdio", "-device", "virtio-rng-pci"])
            .args(["-netdev", &format!("{},id=net0{}", self.netdev, self.network_options)])
            .arg("-kernel")
            .arg(&self.kernel)
            .arg("-initrd")
            .arg(&self.initramfs)
            .arg("-append")
            .arg(format!("{} {}", self.always, self.cmdline));
        if self.network {
            command.args(["-device", "virtio-net-pci,netdev=net0,romfile="]);
        }
        command.args(&self.args);
        command
    }

    /// Starts it; see [`Vm`].
    ///
    /// # Errors
    /// When qemu can't be started.
    pub fn start(&self) -> anyhow::Result<Vm> {
        let mut child = self
            .command()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("can't start qemu-system-x86_64: run scripts/setup")?;
        let serial = Arc::new(Serial::default());
        for pipe in [
            child.stdout.take().map(|p| Box::new(p) as Box<dyn Read + Send>),
            child.stderr.take().map(|p| Box::new(p) as Box<dyn Read + Send>),
        ] {
            let serial = Arc::clone(&serial);
            let mut pipe = pipe.context("qemu has no output")?;
            std::thread::spawn(move || serial.follow(&mut pipe));
        }
        let stdin = child.stdin.take().context("qemu has no input")?;
        Ok(Vm { child, stdin, serial, seen: 0, started: Instant::now() })
    }
}

/// What the machine has printed so far.
#[derive(Default)]
struct Serial {
    state: Mutex<Printed>,
    more: Condvar,
}

#[derive(Default)]
struct Printed {
    bytes: Vec<u8>,
    /// Pipes that have ended: both, when qemu has.
    ended: u8,
}

impl Serial {
    fn follow(&self, pipe: &mut dyn Read) {
        let mut buffer = [0; 4096];
        loop {
            let got = pipe.read(&mut buffer).unwrap_or(0);
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.bytes.extend_from_slice(&buffer[..got]);
            state.ended += u8::from(got == 0);
            self.more.notify_all();
            if got == 0 {
                return;
            }
        }
    }

    fn text(&self) -> String {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&state.bytes).into_owned()
    }
}

/// A running machine; killed when dropped.
pub struct Vm {
    child: Child,
    stdin: ChildStdin,
    serial: Arc<Serial>,
    /// How much of the output [`Vm::wait_for`] has passed.
    seen: usize,
    started: Instant,
}

impl Vm {
    /// All that the machine has printed.
    pub fn console(&self) -> String {
        self.serial.text()
    }

    /// Time since it was started.
    pub fn age(&self) -> Duration {
        self.started.elapsed()
    }

    /// Waits until `text` is printed, behind what was waited for before. Returns what was printed
    /// from there up to and with `text`.
    ///
    /// # Errors
    /// With the whole console, when the machine ends before that, or `limit` passes; then its tasks
    /// follow.
    pub fn wait_for(&mut self, text: &str, limit: Duration) -> anyhow::Result<String> {
        self.wait_for_any(&[text], limit).map(|(_, printed)| printed)
    }

    /// The same for several texts: also which of them came first.
    ///
    /// # Errors
    /// As [`Vm::wait_for`].
    pub fn wait_for_any(
        &mut self,
        texts: &[&str],
        limit: Duration,
    ) -> anyhow::Result<(usize, String)> {
        match self.find_any(texts, limit) {
            Ok(found) => Ok(found),
            Err(why) => {
                self.tell_of_tasks();
                bail!("{why} before {texts:?} was printed. The console:\n{}", self.console());
            }
        }
    }

    /// Whether `text` is printed within `limit`, where it may well not be.
    pub fn comes(&mut self, text: &str, limit: Duration) -> bool {
        self.find_any(&[text], limit).is_ok()
    }

    /// As [`Vm::wait_for_any`]; or says why they don't come.
    fn find_any(
        &mut self,
        texts: &[&str],
        limit: Duration,
    ) -> Result<(usize, String), &'static str> {
        let deadline = Instant::now() + limit;
        let mut state = self.serial.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let new = state.bytes.get(self.seen..).unwrap_or_default();
            let found = texts
                .iter()
                .enumerate()
                .filter_map(|(i, t)| Some((find(new, t.as_bytes())? + t.len(), i)))
                .min();
            if let Some((end, which)) = found {
                let printed = String::from_utf8_lossy(&new[..end]).into_owned();
                self.seen += end;
                return Ok((which, printed));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if state.ended >= 2 {
                return Err("the machine ended");
            }
            if left.is_zero() {
                return Err("time ran out");
            }
            let waited = self.serial.more.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Has the kernel write to the console what all tasks wait for, if it still can.
    fn tell_of_tasks(&mut self) {
        // One that has ended told all it could. A break that comes before the last was seen is lost.
        let asked = self.send(SHOW_ALL).is_ok() && self.comes("Loglevel set", SILENCE);
        if !asked || self.send(ASK_FOR_TASKS).is_err() {
            return;
        }
        let mut state = self.serial.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut seen = 0;
        while state.ended < 2 && state.bytes.len() > seen {
            seen = state.bytes.len();
            let silent = |printed: &mut Printed| printed.bytes.len() == seen && printed.ended < 2;
            let waited = self.serial.more.wait_timeout_while(state, SILENCE, silent);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Types `text`.
    ///
    /// # Errors
    /// When qemu is gone.
    pub fn send(&mut self, text: &str) -> anyhow::Result<()> {
        self.stdin.write_all(text.as_bytes())?;
        Ok(self.stdin.flush()?)
    }

    /// Gives a command to qemu's monitor.
    ///
    /// # Errors
    /// When qemu is gone.
    pub fn monitor(&mut self, command: &str) -> anyhow::Result<()> {
        self.send(&format!("\x01c{command}\n\x01c"))
    }

    /// Logs in as root, who has no password, at a serial getty.
    ///
    /// # Errors
    /// As [`Vm::wait_for`].
    pub fn log_in(&mut self, limit: Duration) -> anyhow::Result<()> {
        self.wait_for("login: ", limit)?;
        self.send("root\n")?;
        self.wait_for("# ", limit)?;
        self.settle(limit)
    }

    /// Makes a root shell that has just shown its prompt quiet, for [`Vm::run`].
    ///
    /// # Errors
    /// As [`Vm::wait_for`].
    pub fn settle(&mut self, limit: Duration) -> anyhow::Result<()> {
        // No echo, no colours, no line editing: what comes back is what commands print.
        self.send("stty -echo; export PS1= PS2= TERM=dumb; bind 'set enable-bracketed-paste off' 2>/dev/null; dmesg -n 1; echo READ''Y\n")?;
        self.wait_for("READY\r\n", limit)?;
        Ok(())
    }

    /// Runs a shell command after [`Vm::log_in`]. Returns what it printed and its exit status.
    ///
    /// # Errors
    /// As [`Vm::wait_for`].
    pub fn run(&mut self, command: &str, limit: Duration) -> anyhow::Result<(String, i32)> {
        self.send(&format!("{{ {command}\n}}; echo \"ST\"ATUS=$?=\n"))?;
        let printed = self.wait_for("STATUS=", limit)?;
        let status = self.wait_for("=\r\n", limit)?;
        let status = status.trim_end_matches("=\r\n").parse().context("an exit status")?;
        let printed = printed.trim_end_matches("STATUS=").replace("\r\n", "\n");
        Ok((printed, status))
    }

    /// The same for a command that must succeed; returns what it printed.
    ///
    /// # Errors
    /// Also when its exit status is not 0.
    pub fn must(&mut self, command: &str, limit: Duration) -> anyhow::Result<String> {
        let (printed, status) = self.run(command, limit)?;
        ensure!(status == 0, "in the machine: {command}: exit status {status}\n{printed}");
        Ok(printed)
    }

    /// Gives the machine `command` to end by: it comes to `last_words`, and complains of nothing.
    ///
    /// # Errors
    /// With what was said, when it does not end so.
    pub fn goes_down(&mut self, command: &str, last_words: &str) -> anyhow::Result<()> {
        // The console shows again what the last programs write to the kernel log.
        self.send(&format!("dmesg -n 8; {command}\n"))?;
        let said = self.wait_for(last_words, LIMIT)?;
        for bad in COMPLAINTS {
            ensure!(!said.contains(bad), "{command}: {bad}:\n{said}");
        }
        Ok(())
    }

    /// Waits until the machine has powered itself off or rebooted, which ends qemu.
    ///
    /// # Errors
    /// With the console, and then its tasks, when it still runs after `limit`.
    pub fn wait_end(&mut self, limit: Duration) -> anyhow::Result<ExitStatus> {
        let deadline = Instant::now() + limit;
        let mut state = self.serial.state.lock().unwrap_or_else(PoisonError::into_inner);
        while state.ended < 2 {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                drop(state);
                self.tell_of_tasks();
                bail!("the machine still runs. The console:\n{}", self.console());
            }
            let waited = self.serial.more.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        drop(state);
        Ok(self.child.wait()?)
    }
}

impl Drop for Vm {
    fn drop(&mut self) {
        // Both fail only for a machine that has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|w| w == what)
}
