//! Public keys of minisign, as files and as their base64 alone.

use std::fmt;
use std::str::FromStr;

use super::Signature;
use crate::format::{Looks, looks};

/// Longest file that is read as a key, in bytes.
const MAX_KEY_LEN: usize = 4 << 10;

/// Characters of a key in base64.
const BASE64_LEN: usize = 56;

/// First characters of every secret key, and of no public one: Ed, and how it is encrypted.
const SECRET: [&str; 2] = ["RWRTY0Iy", "RWQAAEIy"];

/// Which key: eight bytes, by chance, that a key and its signatures carry. Says who *claims* to have
/// signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; 8]);

impl KeyId {
    /// An id as it was recorded.
    pub const fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(bytes)
    }

    /// The id in the base64 of a key or signature, where two bytes stand before it.
    pub(super) fn in_base64(text: &str) -> Option<Self> {
        let mut bytes = Vec::with_capacity(12);
        for four in text.as_bytes().chunks_exact(4).take(4) {
            let joined = four.iter().try_fold(0_u32, |sum, c| Some(sum << 6 | six_bits(*c)?))?;
            bytes.extend_from_slice(joined.to_be_bytes().get(1..)?);
        }
        Some(Self(bytes.get(2..10)?.try_into().ok()?))
    }
}

/// What one character of base64 stands for.
fn six_bits(c: u8) -> Option<u32> {
    Some(u32::from(match c {
        b'A'..=b'Z' => c - b'A',
        b'a'..=b'z' => c - b'a' + 26,
        b'0'..=b'9' => c - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    }))
}

impl fmt::Display for KeyId {
    /// As minisign writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016X}", u64::from_le_bytes(self.0))
    }
}

/// A public key: who has its secret part vouches for images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    id: KeyId,
    key: minisign_verify::PublicKey,
    base64: String,
}

/// Why bytes are no public key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadKey {
    /// They begin like something else, or are too many.
    #[error("it is no public key of minisign but {0}: give the file NAME.pub, or its second line")]
    Other(Looks),
    /// They are the secret part.
    #[error(
        "it is a secret key, which belongs nowhere but where images are signed: give its NAME.pub"
    )]
    Secret,
    /// They are not what base64 of a key is.
    #[error(
        "it is no public key of minisign: that has {BASE64_LEN} characters and begins with RW; copy it whole"
    )]
    Base64,
}

impl PublicKey {
    /// Reads a key: minisign's file, which is a comment and a line of base64, or that line alone.
    ///
    /// # Errors
    /// [`BadKey`] says what it is instead.
    pub fn parse(bytes: &[u8]) -> Result<Self, BadKey> {
        let other = || BadKey::Other(looks(bytes));
        let text = std::str::from_utf8(bytes).ok().filter(|text| text.len() <= MAX_KEY_LEN);
        let mut lines = text.ok_or_else(other)?.lines().map(str::trim).filter(|l| !l.is_empty());
        let first = lines.next().ok_or_else(other)?;
        let commented = first.starts_with("untrusted comment:");
        let line = if commented { lines.next().ok_or(BadKey::Base64)? } else { first };
        if SECRET.iter().any(|start| line.starts_with(start)) {
            return Err(BadKey::Secret);
        }
        let base64 = |c: u8| c == b'=' || six_bits(c).is_some();
        if lines.next().is_some() || !line.bytes().all(base64) {
            return Err(other());
        }
        if line.len() != BASE64_LEN {
            return Err(BadKey::Base64);
        }
        let key = minisign_verify::PublicKey::from_base64(line).map_err(|_why| BadKey::Base64)?;
        let id = KeyId::in_base64(line).ok_or(BadKey::Base64)?;
        Ok(Self { id, key, base64: line.to_owned() })
    }

    /// Which key it is.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// Whether this key signed `bytes` and the trusted comment: both, or nothing of it is believed.
    pub fn signed(&self, bytes: &[u8], signature: &Signature) -> bool {
        self.id == signature.id() && self.key.verify(bytes, signature.raw(), true).is_ok()
    }
}

impl FromStr for PublicKey {
    type Err = BadKey;

    fn from_str(text: &str) -> Result<Self, BadKey> {
        Self::parse(text.as_bytes())
    }
}

impl fmt::Display for PublicKey {
    /// Its base64.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.base64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trust::examples::KEY;
    use proptest::prelude::*;

    const ID: &str = "E7620F1842B4E81F";

    #[test]
    fn a_file_or_its_base64() {
        let commented = format!("untrusted comment: minisign public key {ID}\n{KEY}\n");
        let dos = commented.replace('\n', "\r\n");
        for text in [KEY, &format!("{KEY}\n"), &commented, &dos, &format!("\n {KEY} \n\n")] {
            let key: PublicKey = text.parse().unwrap();
            assert_eq!((key.to_string().as_str(), key.id().to_string().as_str()), (KEY, ID));
        }
    }

    #[test]
    fn what_is_no_key_is_named() {
        let base64 = Err(BadKey::Base64);
        for bad in [&KEY[1..], &KEY[..55], &format!("{KEY}A"), &KEY.replacen("RW", "RX", 1)] {
            assert_eq!(bad.parse::<PublicKey>(), base64, "{bad}");
        }
        assert_eq!("untrusted comment: x\n".parse::<PublicKey>(), base64);
        assert_eq!(KEY.replace('5', "=").parse::<PublicKey>(), base64);
        for (bad, word) in [
            ("<html>".to_owned(), "HTML"),
            ("<html>\n<p>".to_owned(), "HTML"),
            (String::new(), "empty"),
            (format!("{KEY}\n{KEY}"), "no public key"),
            ("x".repeat(MAX_KEY_LEN + 1), "no public key"),
        ] {
            let said = bad.parse::<PublicKey>().unwrap_err().to_string();
            assert!(said.contains(word), "{said}");
        }
        assert!(matches!(PublicKey::parse(b"\xff\xfe"), Err(BadKey::Other(_))));
    }

    #[test]
    fn a_secret_key_is_told_apart() {
        for secret in SECRET {
            let file = format!("untrusted comment: minisign encrypted secret key\n{secret}AAAA\n");
            assert_eq!(file.parse::<PublicKey>(), Err(BadKey::Secret));
        }
    }

    proptest! {
        #[test]
        fn garbage_never_panics(bytes: Vec<u8>, at in 0_usize..56, c: char) {
            let _ = PublicKey::parse(&bytes);
            let mut text = KEY.to_owned();
            text.replace_range(at..=at, &c.to_string());
            if let Ok(key) = text.parse::<PublicKey>() {
                prop_assert_eq!(key.to_string(), text.trim());
            }
        }
    }
}
