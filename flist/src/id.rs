//! Names of things by the BLAKE3 of their bytes: chunk, pack, and the flist itself.

use std::fmt;
use std::str::FromStr;

/// Length of every id in bytes.
pub const ID_LEN: usize = 32;

/// The text is not 64 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected 64 hexadecimal digits, got {len} characters{}", if *.len == 64 { ", not all of them hexadecimal" } else { "" })]
pub struct BadId {
    len: usize,
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; ID_LEN]);

        impl $name {
            /// The id of `bytes`.
            pub fn of(bytes: &[u8]) -> Self {
                Self(*blake3::hash(bytes).as_bytes())
            }

            /// An id as it was recorded; says nothing of any bytes.
            pub const fn from_bytes(bytes: [u8; ID_LEN]) -> Self {
                Self(bytes)
            }

            /// The 32 bytes.
            pub const fn as_bytes(&self) -> &[u8; ID_LEN] {
                &self.0
            }
        }

        impl From<blake3::Hash> for $name {
            fn from(hash: blake3::Hash) -> Self {
                Self(*hash.as_bytes())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }

        impl FromStr for $name {
            type Err = BadId;

            fn from_str(text: &str) -> Result<Self, BadId> {
                parse_hex(text).map(Self)
            }
        }
    };
}

id! {
    /// BLAKE3 of a chunk's bytes as stored: what is checked before decompression.
    ChunkId
}
id! {
    /// BLAKE3 of a whole pack file: its name under `packs/`.
    PackId
}
id! {
    /// BLAKE3 of the whole flist file: the anchor of all trust in an image.
    RootHash
}

fn parse_hex(text: &str) -> Result<[u8; ID_LEN], BadId> {
    let bad = BadId { len: text.chars().count() };
    let digits = text.as_bytes();
    if digits.len() != ID_LEN * 2 {
        return Err(bad);
    }
    let mut out = [0; ID_LEN];
    for (byte, pair) in out.iter_mut().zip(digits.chunks_exact(2)) {
        let &[high, low] = pair else { return Err(bad) };
        let digit =
            |d: u8| char::from(d).to_digit(16).and_then(|d| u8::try_from(d).ok()).ok_or(bad);
        *byte = digit(high)? << 4 | digit(low)?;
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_there_and_back() {
        let id = ChunkId::of(b"zimg");
        assert_eq!(id.to_string().parse::<ChunkId>().unwrap(), id);
        assert_eq!(id.to_string().to_uppercase().parse::<ChunkId>().unwrap(), id);
    }

    #[test]
    fn bad_hex_is_refused() {
        for text in ["", "ab", &"g".repeat(64), &"a".repeat(63), &"a".repeat(65), &"ä".repeat(32)]
        {
            assert!(text.parse::<RootHash>().is_err(), "{text}");
        }
    }

    #[test]
    fn blake3_of_nothing() {
        // The first vector of BLAKE3's own test_vectors.json.
        assert_eq!(
            PackId::of(b"").to_string(),
            "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"
        );
    }
}
