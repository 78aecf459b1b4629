//! A profile as a file: a line of text for each need.
//!
//! ```text
//! zimg profile 1
//! 0 4096 /etc/passwd
//! 131072 262144 /usr/lib/x86_64-linux-gnu/libc.so.6
//! ```
//!
//! First and last byte + 1, then the path, in which a byte that is not visible ASCII, or is `%`, stands
//! as `%` and two hexadecimal digits. Empty lines and those that begin with `#` mean nothing.

use std::fmt::Write as _;

use super::{MAX_NEEDS, Need, Profile};

/// The first line; the number is the version.
const HEAD: &str = "zimg profile 1";

/// Longest profile that is read, in bytes.
pub const MAX_PROFILE_LEN: u64 = 64 << 20;

/// Longest path, in bytes: PATH_MAX of Linux.
const MAX_PATH: usize = 4096;

/// Why a text is no profile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadProfile {
    /// It begins with something else.
    #[error("it is no profile: its first line is not \"zimg profile 1\"")]
    Head,
    /// A later version wrote it.
    #[error("it is a profile of a later version: use a zimg as new as the one that made it")]
    Later,
    /// There is more than any system reads.
    #[error("it has more than {MAX_NEEDS} lines: choose fewer, or shorter, profiles")]
    TooMany,
    /// A line can't be read.
    #[error("line {line}: {why}")]
    Line {
        /// Its number, from 1.
        line: usize,
        /// What is wrong with it.
        why: &'static str,
    },
}

impl Profile {
    /// Reads a profile.
    ///
    /// # Errors
    /// [`BadProfile`] says where it can't be.
    pub fn parse(text: &[u8]) -> Result<Self, BadProfile> {
        let mut lines = text.split(|byte| *byte == b'\n').zip(1..);
        match lines.next().map(|(head, _)| head) {
            Some(head) if head == HEAD.as_bytes() => {}
            Some(head) if head.starts_with(b"zimg profile ") => return Err(BadProfile::Later),
            _ => return Err(BadProfile::Head),
        }
        let mut needs = Vec::new();
        for (text, line) in lines {
            if text.is_empty() || text.starts_with(b"#") {
                continue;
            }
            if needs.len() == MAX_NEEDS {
                return Err(BadProfile::TooMany);
            }
            needs.push(need(text).map_err(|why| BadProfile::Line { line, why })?);
        }
        Ok(Self::new(needs))
    }

    /// The profile as a file.
    pub fn to_text(&self) -> String {
        let mut text = format!("{HEAD}\n");
        for Need { path, range } in self.needs() {
            // Writing to a string can't fail.
            let _ = write!(text, "{} {} ", range.start, range.end);
            for &byte in path {
                match byte {
                    0x21..=0x7e if byte != b'%' => text.push(char::from(byte)),
                    _ => {
                        let _ = write!(text, "%{byte:02x}");
                    }
                }
            }
            text.push('\n');
        }
        text
    }
}

fn need(line: &[u8]) -> Result<Need, &'static str> {
    let mut fields = line.splitn(3, |byte| *byte == b' ');
    let mut number = || -> Option<u64> { std::str::from_utf8(fields.next()?).ok()?.parse().ok() };
    let (start, end) = (number(), number());
    let (Some(start), Some(end)) = (start, end) else {
        return Err("it does not begin with two numbers: first and last byte + 1 of a range");
    };
    if start >= end {
        return Err("its range is empty");
    }
    let path =
        unescape(fields.next().unwrap_or_default()).ok_or("a % needs two hexadecimal digits")?;
    if !path.starts_with(b"/") || path.len() > MAX_PATH {
        return Err("its path does not begin with /, or is longer than 4096 bytes");
    }
    Ok(Need { path, range: start..end })
}

fn unescape(text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.iter();
    while let Some(&byte) = rest.next() {
        let digit = |byte: Option<&u8>| char::from(*byte?).to_digit(16);
        bytes.push(match byte {
            b'%' => u8::try_from(digit(rest.next())? * 16 + digit(rest.next())?).ok()?,
            other => other,
        });
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn profiles_survive_their_text(
            needs in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..20), any::<u32>(), 1_u32..1000), 0..30),
        ) {
            let profile = Profile::new(needs.into_iter().map(|(name, start, len)| Need {
                path: [b"/", name.as_slice()].concat(),
                range: u64::from(start)..u64::from(start) + u64::from(len),
            }));
            prop_assert_eq!(Profile::parse(profile.to_text().as_bytes()), Ok(profile));
        }

        #[test]
        fn any_bytes_are_a_profile_or_an_error(text in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Profile::parse(&text);
            let _ = Profile::parse(&[b"zimg profile 1\n", text.as_slice()].concat());
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let line = |line, why| Err(BadProfile::Line { line, why });
        let parse = |text: &str| Profile::parse(text.as_bytes());
        assert_eq!(parse(""), Err(BadProfile::Head));
        assert_eq!(parse("<html>"), Err(BadProfile::Head));
        assert_eq!(parse("zimg profile 2\n"), Err(BadProfile::Later));
        assert_eq!(parse("zimg profile 1\n\n# no more\n"), Ok(Profile::default()));
        assert_eq!(parse("zimg profile 1\n0 1 /a\n1 1 /a\n"), line(3, "its range is empty"));
        assert_eq!(
            parse("zimg profile 1\n0 x /a\n"),
            line(2, "it does not begin with two numbers: first and last byte + 1 of a range")
        );
        assert_eq!(
            parse("zimg profile 1\n0 1 /a%4\n"),
            line(2, "a % needs two hexadecimal digits")
        );
        assert_eq!(
            parse("zimg profile 1\n0 1 a\n"),
            line(2, "its path does not begin with /, or is longer than 4096 bytes")
        );
    }

    #[test]
    fn names_are_bytes() {
        let need = Need { path: b"/a b%\n\xff".to_vec(), range: 0..1 };
        let text = Profile::new([need.clone()]).to_text();
        assert_eq!(text, "zimg profile 1\n0 1 /a%20b%25%0a%ff\n");
        assert_eq!(Profile::parse(text.as_bytes()).unwrap().needs(), [need]);
    }
}
