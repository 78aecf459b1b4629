//! Signatures as minisign writes them, one or several in a file:
//!
//! ```text
//! untrusted comment: whatever
//! base64 of: Ed or ED, key id (8), signature (64)
//! trusted comment: what the signer states
//! base64 of: signature (64) of the signature above and the trusted comment
//! ```

use std::fmt;

use super::KeyId;
use crate::format::{Looks, looks};

/// Most signatures of one file.
pub const MAX_SIGNATURES: usize = 16;

/// Longest file of signatures, in bytes.
pub const MAX_SIGNATURES_LEN: u64 = 64 << 10;

/// How the lines of a signature begin.
const UNTRUSTED: &str = "untrusted comment: ";
const TRUSTED: &str = "trusted comment: ";

/// Characters of the signature in base64.
const BASE64_LEN: usize = 100;

/// A signature that nobody has checked yet: who it claims to be of, and what it would say.
#[derive(Clone)]
pub struct Signature {
    id: KeyId,
    raw: minisign_verify::Signature,
    text: String,
}

/// The signatures of a file, in their order.
#[derive(Debug, Clone, Default)]
pub struct Signatures(Vec<Signature>);

/// Why bytes are no signatures.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadSignatures {
    /// They are something else.
    #[error("this is no signature of minisign: {0}")]
    Other(Looks),
    /// There is more than anybody needs.
    #[error(
        "there are more than {MAX_SIGNATURES} signatures, or {MAX_SIGNATURES_LEN} bytes of them"
    )]
    TooMany,
    /// A line is not what it must be.
    #[error("line {line} of the signatures is not {expected}")]
    Line {
        /// Its number, from 1.
        line: usize,
        /// What it should be.
        expected: &'static str,
    },
}

impl Signatures {
    /// Reads a file of one or several signatures, four lines each; empty lines mean nothing.
    ///
    /// # Errors
    /// [`BadSignatures`] says where it is none.
    pub fn parse(bytes: &[u8]) -> Result<Self, BadSignatures> {
        let text =
            std::str::from_utf8(bytes).map_err(|_binary| BadSignatures::Other(looks(bytes)))?;
        if bytes.len() as u64 > MAX_SIGNATURES_LEN {
            return Err(BadSignatures::TooMany);
        }
        if !text.trim_start().starts_with(UNTRUSTED) {
            return Err(BadSignatures::Other(looks(bytes)));
        }
        let lines = text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
        let lines: Vec<(usize, &str)> = (1..).zip(lines).filter(|(_, l)| !l.is_empty()).collect();
        if lines.len() > MAX_SIGNATURES * 4 {
            return Err(BadSignatures::TooMany);
        }
        lines.chunks(4).map(Signature::of_lines).collect::<Result<_, _>>().map(Self)
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Signature> {
        self.0.iter()
    }

    /// The signature of that key put in the place of an older one of it, or behind all others.
    pub fn put(&mut self, signature: Signature) {
        self.0.retain(|other| other.id != signature.id);
        self.0.push(signature);
    }
}

impl fmt::Display for Signatures {
    /// As the file that they were read from, but for empty lines.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|signature| f.write_str(&signature.text))
    }
}

impl Signature {
    fn of_lines(lines: &[(usize, &str)]) -> Result<Self, BadSignatures> {
        let last = lines.last().map_or(0, |(number, _)| *number);
        let expect = |at: usize, expected: &'static str, good: fn(&str) -> bool| {
            let (line, text) = lines.get(at).copied().unwrap_or((last + 1, ""));
            if good(text) { Ok(text) } else { Err(BadSignatures::Line { line, expected }) }
        };
        let lines = [
            expect(0, "\"untrusted comment: \" and more", |l| l.starts_with(UNTRUSTED))?,
            expect(1, "a signature in base64, 100 characters that begin with RU or RW", |line| {
                let known = line.starts_with("RU") || line.starts_with("RW");
                known && line.len() == BASE64_LEN && KeyId::in_base64(line).is_some()
            })?,
            expect(2, "\"trusted comment: \" and more", |l| l.starts_with(TRUSTED))?,
            expect(3, "a signature in base64, 88 characters", |line| line.len() == 88)?,
        ];
        let text = lines.map(|line| format!("{line}\n")).concat();
        let raw = minisign_verify::Signature::decode(&text);
        let (Ok(raw), Some(id)) = (raw, KeyId::in_base64(lines[1])) else {
            return Err(BadSignatures::Line { line: last, expected: "the end of a signature" });
        };
        Ok(Self { id, raw, text })
    }

    /// Whose it claims to be.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// What it states, to be believed once the signature is checked.
    pub fn comment(&self) -> &str {
        self.raw.trusted_comment()
    }

    pub(super) fn raw(&self) -> &minisign_verify::Signature {
        &self.raw
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signature by {} ({:?})", self.id, self.comment())
    }
}

#[cfg(test)]
mod tests;
