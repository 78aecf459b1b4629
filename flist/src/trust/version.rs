//! Versions of images: numbers, compared part by part.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

/// Most parts of a version.
const MAX_PARTS: usize = 8;

/// Most digits of a part; all numbers of so many fit 64 bits.
const MAX_DIGITS: usize = 18;

/// A version such as `12.5` or `2026.11.24.173902`. Parts compare as numbers, the first that differ
/// decide, and one that is missing is 0: `1.9` is before `1.10`, and `2` is `2.0`.
#[derive(Debug, Clone)]
pub struct Version {
    text: String,
    /// Without zeros at the end.
    parts: Vec<u64>,
}

/// The text is no version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a version has 1 to {MAX_PARTS} numbers of at most {MAX_DIGITS} digits, joined by dots, as in 12.5"
)]
pub struct BadVersion;

impl FromStr for Version {
    type Err = BadVersion;

    fn from_str(text: &str) -> Result<Self, BadVersion> {
        let number = |part: &str| {
            let digits = part.bytes().all(|byte| byte.is_ascii_digit());
            let number = part.parse().ok().filter(|_| digits && part.len() <= MAX_DIGITS);
            number.ok_or(BadVersion)
        };
        // One more than allowed is enough to know.
        let parts = text.split('.').take(MAX_PARTS + 1).map(number);
        let mut parts = parts.collect::<Result<Vec<u64>, _>>()?;
        if parts.len() > MAX_PARTS {
            return Err(BadVersion);
        }
        while parts.last() == Some(&0) {
            parts.pop();
        }
        Ok(Self { text: text.to_owned(), parts })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        // As there are no zeros at the end, the longer of two that begin alike is the later.
        self.parts.cmp(&other.parts)
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.parts == other.parts
    }
}

impl Eq for Version {}

impl Hash for Version {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.parts.hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    #[test]
    fn in_order() {
        let ordered = ["0", "0.0.1", "0.9", "0.10", "1", "1.0.1", "1.2", "1.10", "2", "2026.11.24"];
        for (a, one) in ordered.iter().enumerate() {
            for (b, two) in ordered.iter().enumerate() {
                assert_eq!(version(one).cmp(&version(two)), a.cmp(&b), "{one} {two}");
            }
        }
        for (one, two) in [("1", "1.0"), ("1.2", "01.002.0"), ("0", "0.0.0")] {
            assert_eq!(version(one), version(two));
            assert_eq!(version(one).to_string(), one);
        }
    }

    #[test]
    fn what_is_no_version() {
        let long = "1".repeat(MAX_DIGITS + 1);
        let many = ["1"; MAX_PARTS + 1].join(".");
        for bad in ["", ".", "1.", ".1", "1..2", "v1", "1a", "+1", "-1", "1 ", "１", &long, &many]
        {
            assert_eq!(bad.parse::<Version>(), Err(BadVersion), "{bad:?}");
        }
        assert!("9".repeat(MAX_DIGITS).parse::<Version>().is_ok());
        assert!(["1"; MAX_PARTS].join(".").parse::<Version>().is_ok());
    }

    proptest! {
        #[test]
        fn compares_as_numbers(a in prop::collection::vec(0_u64..12, 1..=8), b in prop::collection::vec(0_u64..12, 1..=8)) {
            let text = |parts: &[u64]| parts.iter().map(u64::to_string).collect::<Vec<_>>().join(".");
            let filled = |parts: &[u64]| { let mut p = parts.to_vec(); p.resize(8, 0); p };
            prop_assert_eq!(version(&text(&a)).cmp(&version(&text(&b))), filled(&a).cmp(&filled(&b)));
        }

        #[test]
        fn garbage_never_panics(text: String) {
            let _ = text.parse::<Version>();
        }
    }
}
