//! A TPM 2.0 for a virtual machine (swtpm), and event logs read by what the specification says.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};

use crate::digest::digest;
use crate::root::run;

/// Hash algorithms: TCG's number, the kernel's name, and who computes it.
pub const BANKS: [(u16, &str, &str); 4] = [
    (0x04, "sha1", "sha1sum"),
    (0x0b, "sha256", "sha256sum"),
    (0x0c, "sha384", "sha384sum"),
    (0x0d, "sha512", "sha512sum"),
];

/// A TPM that nobody has used yet. Ends with the machine it is plugged into.
pub struct Tpm {
    dir: tempfile::TempDir,
}

impl Tpm {
    /// Starts one.
    ///
    /// # Errors
    /// When swtpm is not there or fails.
    pub fn start() -> anyhow::Result<Self> {
        let tpm = Self { dir: tempfile::tempdir()? };
        let at = |what: &str, name: &str| format!("{what}={}", tpm.path(name).display());
        // Its parent ends once it listens.
        let mut swtpm = Command::new("swtpm");
        swtpm.args(["socket", "--tpm2", "--daemon", "--terminate"]);
        swtpm.args(["--tpmstate", &format!("dir={}", tpm.dir.path().display())]);
        swtpm.args(["--ctrl", &format!("type=unixio,{}", at("path", "socket"))]);
        run(swtpm.args(["--pid", &at("file", "pid")])).context("swtpm: run scripts/setup")?;
        Ok(tpm)
    }

    /// qemu's arguments for a machine that has it, as the device `kind`: `tpm-tis` or `tpm-crb`.
    pub fn args(&self, kind: &str) -> Vec<String> {
        let socket = format!("socket,id=tpm-chardev,path={}", self.path("socket").display());
        [
            ["-chardev", &socket],
            ["-tpmdev", "emulator,id=tpm0,chardev=tpm-chardev"],
            ["-device", &format!("{kind},tpmdev=tpm0")],
        ]
        .concat()
        .into_iter()
        .map(str::to_owned)
        .collect()
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }
}

impl Drop for Tpm {
    fn drop(&mut self) {
        // Its file is gone where it has ended with the machine.
        if let Ok(pid) = fs::read_to_string(self.path("pid")) {
            let _ = Command::new("kill").arg(pid.trim()).stderr(Stdio::null()).status();
        }
    }
}

/// An event of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The register it extends.
    pub pcr: u32,
    /// Its digests by algorithm.
    pub digests: Vec<(u16, Vec<u8>)>,
    /// What they are of.
    pub data: Vec<u8>,
}

/// Reads an event log in the crypto-agile format.
///
/// # Errors
/// When it is none.
pub fn events(log: &[u8]) -> anyhow::Result<Vec<Event>> {
    let mut rest = log;
    let (pcr, kind) = (number(&mut rest, 4)?, number(&mut rest, 4)?);
    ensure!((pcr, kind) == (0, 3), "no header: PCR {pcr}, type {kind}");
    ensure!(take(&mut rest, 20)?.iter().all(|byte| *byte == 0), "a digest in the header");
    let len = number(&mut rest, 4)?;
    let mut header = take(&mut rest, len)?;
    ensure!(take(&mut header, 16)? == b"Spec ID Event03\0", "another format");
    take(&mut header, 8)?;
    let banks = number(&mut header, 4)?;
    let lens = (0..banks).map(|_| Ok((number(&mut header, 2)?, number(&mut header, 2)?)));
    let lens = lens.collect::<anyhow::Result<Vec<_>>>()?;
    ensure!(header == [0], "a header with more in it: {header:?}");
    let mut events = Vec::new();
    while !rest.is_empty() {
        let (pcr, _kind) = (number(&mut rest, 4)?, number(&mut rest, 4)?);
        let mut digests = Vec::new();
        for _ in 0..number(&mut rest, 4)? {
            let algorithm = number(&mut rest, 2)?;
            let len = lens.iter().find(|(known, _)| *known == algorithm).context("a bank")?.1;
            digests.push((u16::try_from(algorithm)?, take(&mut rest, len)?.to_vec()));
        }
        let len = number(&mut rest, 4)?;
        let data = take(&mut rest, len)?.to_vec();
        events.push(Event { pcr: u32::try_from(pcr)?, digests, data });
    }
    Ok(events)
}

/// What a register holds that only `events` extended, in the bank of `algorithm`; each of them must hold
/// the digest of its data.
///
/// # Errors
/// When one does not.
pub fn replay(events: &[Event], algorithm: u16) -> anyhow::Result<String> {
    let (_, _, tool) = BANKS.iter().find(|(known, ..)| *known == algorithm).context("a bank")?;
    let mut register = vec![0; sum(tool, b"")?.len()];
    for event in events {
        let digest = event.digests.iter().find(|(known, _)| *known == algorithm);
        let digest = &digest.context("a bank is missing")?.1;
        ensure!(*digest == sum(tool, &event.data)?, "a digest of something else: {event:?}");
        register = sum(tool, &[&register[..], digest].concat())?;
    }
    Ok(register.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// What tpm2-tools make of the log at `path`.
///
/// # Errors
/// When they are not there, or it is no log to them.
pub fn shown(path: &Path) -> anyhow::Result<String> {
    let mut show = Command::new("tpm2_eventlog");
    let shown = run(show.arg(path)).context("tpm2_eventlog: run scripts/setup")?;
    Ok(String::from_utf8(shown)?)
}

/// What `tool` (`sha256sum`) says of `bytes`.
fn sum(tool: &str, bytes: &[u8]) -> anyhow::Result<Vec<u8>> {
    let digits = digest(tool, bytes)?;
    let digits = digits.as_bytes().chunks(2);
    digits.map(|two| Ok(u8::from_str_radix(std::str::from_utf8(two)?, 16)?)).collect()
}

fn take<'a>(rest: &mut &'a [u8], len: usize) -> anyhow::Result<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(len).context("the log is cut short")?;
    *rest = left;
    Ok(taken)
}

/// A little-endian number of so many bytes.
fn number(rest: &mut &[u8], len: usize) -> anyhow::Result<usize> {
    let bytes = take(rest, len)?;
    Ok(bytes.iter().rev().fold(0, |number, byte| number << 8 | usize::from(*byte)))
}
