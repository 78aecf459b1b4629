//! Measured boot: what this boot runs is told to a TPM 2.0, where there is one, before any of it runs.
//!
//! [`PCR`] is extended in all banks by three events, each of a text that the event log holds whole: the
//! kernel command line, the flist's root hash, and the keys whose signatures counted. So who gets the
//! TPM's signed word about that PCR knows what the node runs. A TPM that is away or fails keeps no node
//! from booting: it is who asks for that word that doesn't get it then.

mod command;
mod eventlog;
#[cfg(any(test, feature = "fuzzing"))]
mod fuzzing;

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use fuzzing::fuzz;

use crate::{handover, kmsg};
use command::Transport;
use eventlog::EventLog;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::Path;
use std::time::Instant;

/// The register, which is what systemd's boot stub measures images into that extend the root
/// (system extensions), and nothing else; a node that boots by zimg has none. All others below 16 are
/// in use on nodes like ours: firmware 0 to 7, GRUB 8 and 9, the kernel 9 (its initramfs) and 10 (IMA),
/// systemd 11, 12 and 15, shim 14. No one can reset it without the machine.
const PCR: u8 = 13;

/// The TPM by the kernel's resource manager, which only those of version 2.0 have.
const DEVICE: &str = "/dev/tpmrm0";

/// Where the booted system finds the event log.
const LOG: &str = "/run/zimg/tpm2-eventlog";

/// Why something is not measured.
#[derive(Debug, thiserror::Error)]
enum TpmError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("it refuses: response code {0:#x}")]
    Refused(u32),
    #[error("its answer can't be read: {0}")]
    Answer(&'static str),
    #[error("it has a bank of an unknown algorithm, {0:#x}")]
    Algorithm(u16),
    #[error("it has no bank in use with PCR {PCR}")]
    NoBank,
    #[error("too long to be measured")]
    TooLong,
}

/// What is measured so far, by a TPM that did not fail yet.
pub(crate) struct Measured(Option<Measuring<File>>);

impl Measured {
    /// Measures the kernel command line.
    pub(crate) fn begin() -> Self {
        let device = match OpenOptions::new().read(true).write(true).open(DEVICE) {
            Ok(device) => device,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                kmsg::keep("no TPM 2.0: nothing is measured");
                return Self(None);
            }
            Err(e) => {
                log::warn!("nothing is measured: {DEVICE}: {e}");
                return Self(None);
            }
        };
        let began = Instant::now();
        let begun = Measuring::begin(device).and_then(|mut measuring| {
            let line = fs::read("/proc/cmdline")?;
            measuring.event("command-line", line.strip_suffix(b"\n").unwrap_or(&line))?;
            Ok(measuring)
        });
        Self(told(begun, began))
    }

    /// Measures which image is run, and who signed it. What was measured is then in [`LOG`].
    pub(crate) fn image(self, root_hash: &str, signers: &str) {
        let (Some(mut measuring), began) = (self.0, Instant::now()) else { return };
        let measured = measuring
            .event("root-hash", root_hash.as_bytes())
            .and_then(|()| measuring.event("signers", signers.as_bytes()));
        told(measured, began);
        // Also what was measured before a failure.
        if let Err(e) = handover::lay(Path::new(LOG), measuring.log.bytes()) {
            log::warn!("{LOG}: {e}");
        }
    }
}

/// What was `done`; otherwise the kernel log says why not.
fn told<T>(done: Result<T, TpmError>, began: Instant) -> Option<T> {
    match done {
        Ok(done) => {
            kmsg::keep(&format!("measured into PCR {PCR} in {} ms", began.elapsed().as_millis()));
            Some(done)
        }
        Err(e) => {
            log::warn!("this boot is not measured, or not whole: the TPM: {e}");
            None
        }
    }
}

struct Measuring<T> {
    tpm: T,
    log: EventLog,
}

impl<T: Transport> Measuring<T> {
    fn begin(mut tpm: T) -> Result<Self, TpmError> {
        let banks = command::banks(&mut tpm, PCR)?;
        if banks.is_empty() {
            return Err(TpmError::NoBank);
        }
        Ok(Self { tpm, log: EventLog::new(banks)? })
    }

    /// Measures that `what` is `value`: the text `zimg WHAT VALUE`.
    fn event(&mut self, what: &str, value: &[u8]) -> Result<(), TpmError> {
        let data = [b"zimg ", what.as_bytes(), b" ", value].concat();
        let digests = command::extend(&mut self.tpm, PCR, &data)?;
        self.log.add(PCR, &digests, &data)
    }
}

#[cfg(test)]
mod tests;
