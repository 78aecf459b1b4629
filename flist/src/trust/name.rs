//! Names of images, as signatures and channels state them.

use std::fmt;
use std::str::FromStr;

/// Longest name, in bytes.
const MAX: usize = 128;

/// What an image is called, whatever its version: letters, digits and `._+-/`, the first of them a
/// letter or a digit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name(String);

/// The text is no name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a name has 1 to {MAX} letters, digits or ._+-/ and begins with a letter or a digit")]
pub struct BadName;

impl FromStr for Name {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._+-/".contains(&byte);
        let first = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
        if first && text.len() <= MAX && text.bytes().all(allowed) {
            Ok(Self(text.to_owned()))
        } else {
            Err(BadName)
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for good in ["debian", "team-a/web_1.x+y", "0", &"n".repeat(MAX)] {
            assert_eq!(good.parse::<Name>().unwrap().to_string(), good);
        }
        for bad in ["", ".x", "/x", "a b", "a=b", "ä", "a\n", &"n".repeat(MAX + 1)] {
            assert_eq!(bad.parse::<Name>(), Err(BadName), "{bad:?}");
        }
    }
}
