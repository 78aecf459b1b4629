//! What the fuzz target runs.

use super::command::Transport;
use super::{Measuring, TpmError};

/// A TPM that answers with what lies between lengths of two bytes each.
struct Answers<'a>(&'a [u8]);

impl Transport for Answers<'_> {
    fn exchange(&mut self, _command: &[u8]) -> Result<Vec<u8>, TpmError> {
        let (len, rest) = self.0.split_first_chunk().ok_or(TpmError::TooLong)?;
        let len = usize::from(u16::from_be_bytes(*len)).min(rest.len());
        let (answer, rest) = rest.split_at(len);
        self.0 = rest;
        Ok(answer.to_vec())
    }
}

/// Any answers of a TPM: what can't be read is an error, and the log grows by whole events.
pub(crate) fn fuzz(answers: &[u8]) {
    let Ok(mut measuring) = Measuring::begin(Answers(answers)) else { return };
    for value in [&[b'x'; 10][..], &[b'y'; 2100]] {
        let before = measuring.log.bytes().to_vec();
        match measuring.event("what", value) {
            Ok(()) => {
                let added = measuring.log.bytes().strip_prefix(before.as_slice());
                assert!(added.is_some_and(|added| added.ends_with(value)));
            }
            Err(_) => assert_eq!(measuring.log.bytes(), before),
        }
    }
}
