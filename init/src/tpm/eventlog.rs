//! The event log: TCG's PC Client Platform Firmware Profile, the crypto-agile format, as firmware's own
//! log is (`/sys/kernel/security/tpm0/binary_bios_measurements`). All numbers are little-endian.
//!
//! ```text
//! log    := header event*
//! header := pcr 0, EV_NO_ACTION, 20 zeros, length, "Spec ID Event03\0", platform class 0,
//!           version 2.0 errata 0, 2 (64 bits), banks, (algorithm, digest length)*, 0
//! event  := pcr, EV_IPL, digests, (algorithm, digest)*, length, data
//! ```

use super::TpmError;
use super::command::{Digests, digest_len};

/// The format's own: it extends nothing.
const EV_NO_ACTION: u32 = 3;

/// "Initial program load": what boot loaders measure, and tools show the data of.
const EV_IPL: u32 = 0x0d;

/// An event log, as it lies in a file.
pub(super) struct EventLog {
    bytes: Vec<u8>,
    banks: Vec<u16>,
}

impl EventLog {
    /// A log of no event, of a TPM with these banks.
    pub(super) fn new(banks: Vec<u16>) -> Result<Self, TpmError> {
        let mut id = b"Spec ID Event03\0".to_vec();
        id.extend([0, 0, 0, 0, 0, 2, 0, 2]);
        id.extend(len_u32(banks.len())?);
        for algorithm in &banks {
            let len = digest_len(*algorithm).ok_or(TpmError::Algorithm(*algorithm))?;
            id.extend(algorithm.to_le_bytes());
            id.extend(u16::try_from(len).map_err(|_long| TpmError::TooLong)?.to_le_bytes());
        }
        id.push(0);
        let mut bytes = 0_u32.to_le_bytes().to_vec();
        bytes.extend(EV_NO_ACTION.to_le_bytes());
        bytes.extend([0; 20]);
        bytes.extend(len_u32(id.len())?);
        bytes.append(&mut id);
        Ok(Self { bytes, banks })
    }

    /// Adds that `pcr` was extended by the digests of `data`. Those of banks that are not in use are left
    /// out; one of a bank that is must be there.
    pub(super) fn add(&mut self, pcr: u8, digests: &Digests, data: &[u8]) -> Result<(), TpmError> {
        let mut event = u32::from(pcr).to_le_bytes().to_vec();
        event.extend(EV_IPL.to_le_bytes());
        event.extend(len_u32(self.banks.len())?);
        for bank in &self.banks {
            let digest = digests.iter().find(|(algorithm, _)| algorithm == bank);
            let (_, digest) =
                digest.ok_or(TpmError::Answer("a bank's digest is not among them"))?;
            event.extend(bank.to_le_bytes());
            event.extend(digest);
        }
        event.extend(len_u32(data.len())?);
        event.extend(data);
        self.bytes.append(&mut event);
        Ok(())
    }

    /// The file.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

fn len_u32(len: usize) -> Result<[u8; 4], TpmError> {
    u32::try_from(len).map(u32::to_le_bytes).map_err(|_long| TpmError::TooLong)
}
