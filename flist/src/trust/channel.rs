//! A channel: a small signed file that says which image is the one to run now.
//!
//! ```text
//! zimg channel 1
//! name web
//! version 12.5
//! root 1f0c… (64 hexadecimal digits)
//! flist web-12.5.flist
//! expires 2027-11-24T17:39:02Z
//! ```

use std::fmt;

use super::{Name, Version};
use crate::date;
use crate::id::RootHash;

/// Longest channel, in bytes.
pub const MAX_CHANNEL_LEN: u64 = 4 << 10;

/// What the name of a channel ends with: so it is told from an flist before anything is fetched.
pub const CHANNEL_SUFFIX: &str = ".channel";

/// The first line; the number is the version.
const HEAD: &str = "zimg channel 1";

/// Which image to run, as whoever signs the channel says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Channel {
    /// What the image is called.
    pub name: Name,
    /// Which version of it.
    pub version: Version,
    /// The root hash of its flist.
    pub root_hash: RootHash,
    /// Where that lies.
    pub flist: Reference,
    /// From when on the channel says nothing any more: seconds since 1970.
    pub expires: i64,
}

/// Where an flist lies: a URL, or a path from the channel's folder on, as it is in a URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference(String);

/// The text is no reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "it is neither an http or https URL nor a path from the channel's folder on, of visible ASCII \
     characters, without . and .. as parts"
)]
pub struct BadReference;

/// Why bytes are no channel.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadChannel {
    /// They begin with something else.
    #[error("it is no channel: its first line is not \"zimg channel 1\"")]
    Head,
    /// A later version wrote it.
    #[error("it is a channel of a later version: use a zimg as new as the one that made it")]
    Later,
    /// Longer than any channel.
    #[error("it is longer than the {MAX_CHANNEL_LEN} bytes that a channel may have")]
    TooLong,
    /// A line can't be read.
    #[error("line {line}: {why}")]
    Line {
        /// Its number, from 1.
        line: usize,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A line is not there.
    #[error("it has no line \"{0}\"")]
    Missing(&'static str),
}

impl Channel {
    /// Reads a channel.
    ///
    /// # Errors
    /// [`BadChannel`] says where it can't be.
    pub fn parse(bytes: &[u8]) -> Result<Self, BadChannel> {
        if bytes.len() as u64 > MAX_CHANNEL_LEN {
            return Err(BadChannel::TooLong);
        }
        let text = std::str::from_utf8(bytes).map_err(|_binary| BadChannel::Head)?;
        let mut lines = (1..).zip(text.split_terminator('\n'));
        match lines.next().map(|(_, head)| head) {
            Some(HEAD) => {}
            Some(head) if head.starts_with("zimg channel ") => return Err(BadChannel::Later),
            _ => return Err(BadChannel::Head),
        }
        let (mut name, mut version, mut root, mut flist, mut expires) =
            (None, None, None, None, None);
        for (line, text) in lines {
            let wrong = |why| BadChannel::Line { line, why };
            let (key, value) = text.split_once(' ').ok_or(wrong("it has no value"))?;
            let again = match key {
                "name" => put(&mut name, value.parse().ok(), "the name is none"),
                "version" => put(&mut version, value.parse().ok(), "the version is none"),
                "root" => put(&mut root, value.parse().ok(), "the root hash is none"),
                "flist" => put(&mut flist, Reference::new(value).ok(), "the flist's place is none"),
                "expires" => put(&mut expires, date::parse_stamp(value), "the time is none"),
                // Of a later version.
                _ => Ok(()),
            };
            again.map_err(wrong)?;
        }
        Ok(Self {
            name: name.ok_or(BadChannel::Missing("name"))?,
            version: version.ok_or(BadChannel::Missing("version"))?,
            root_hash: root.ok_or(BadChannel::Missing("root"))?,
            flist: flist.ok_or(BadChannel::Missing("flist"))?,
            expires: expires.ok_or(BadChannel::Missing("expires"))?,
        })
    }
}

/// Puts what a line says where nothing is yet.
fn put<T>(place: &mut Option<T>, read: Option<T>, bad: &'static str) -> Result<(), &'static str> {
    match place.replace(read.ok_or(bad)?) {
        None => Ok(()),
        Some(_) => Err("that was said before"),
    }
}

impl fmt::Display for Channel {
    /// The channel as a file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, version, root_hash, flist, expires } = self;
        writeln!(f, "{HEAD}\nname {name}\nversion {version}\nroot {root_hash}\nflist {flist}")?;
        writeln!(f, "expires {}", date::stamp(*expires))
    }
}

impl Reference {
    /// Reads a reference.
    ///
    /// # Errors
    /// [`BadReference`] when it is none.
    pub fn new(text: &str) -> Result<Self, BadReference> {
        let visible = text.bytes().all(|byte| byte.is_ascii_graphic());
        let relative =
            || !text.contains(':') && text.split('/').all(|p| !matches!(p, "" | "." | ".."));
        let host = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
        let good = host.map_or_else(relative, |host| !host.is_empty() && !host.starts_with('/'));
        (visible && good).then(|| Self(text.to_owned())).ok_or(BadReference)
    }

    /// The whole URL, if it is one.
    pub fn url(&self) -> Option<&str> {
        self.0.contains("://").then_some(self.0.as_str())
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HASH: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

    fn text() -> String {
        format!(
            "{HEAD}\nname team/web\nversion 12.5\nroot {HASH}\nflist sub/web-12.5.flist\n\
             expires 2027-11-24T17:39:02Z\n"
        )
    }

    fn parse(text: &str) -> Result<Channel, BadChannel> {
        Channel::parse(text.as_bytes())
    }

    #[test]
    fn there_and_back() {
        let channel = parse(&text()).unwrap();
        assert_eq!(channel.to_string(), text());
        assert_eq!((channel.root_hash, channel.expires), (HASH.parse().unwrap(), 1_827_077_942));
        // In any order, and with what a later version may say besides.
        let mut lines: Vec<&str> = text().leak().lines().collect();
        lines[1..].reverse();
        lines.push("colour blue");
        assert_eq!(parse(&lines.join("\n")), Ok(channel));
    }

    #[test]
    fn what_is_no_channel_is_named() {
        for (bad, want) in [
            (String::new(), BadChannel::Head),
            ("<html>".to_owned(), BadChannel::Head),
            (text().replace("channel 1", "profile 1"), BadChannel::Head),
            (text().replace("channel 1", "channel 2"), BadChannel::Later),
            (text().replace("name team/web\n", ""), BadChannel::Missing("name")),
            (text().replace("expires", "ends"), BadChannel::Missing("expires")),
            (format!("{}{}", text(), "x ".repeat(2100)), BadChannel::TooLong),
        ] {
            assert_eq!(parse(&bad), Err(want), "{bad}");
        }
        assert_eq!(Channel::parse(b"\xff"), Err(BadChannel::Head));
        for (from, to, line) in [
            ("team/web", "team web", 2),
            ("12.5\n", "12.5 \n", 3),
            (HASH, &HASH[1..], 4),
            ("sub/web", "../web", 5),
            ("Z\n", "\n", 6),
            ("expires ", "expires", 6),
            ("Z\n", "Z\nversion 12.6\n", 7),
            ("Z\n", "Z\n\n", 7),
            ("12.5\n", "12.5\r\n", 3),
        ] {
            let error = parse(&text().replacen(from, to, 1)).unwrap_err();
            assert!(
                matches!(error, BadChannel::Line { line: l, .. } if l == line),
                "{to}: {error}"
            );
        }
    }

    #[test]
    fn references() {
        for good in ["a.flist", "a/b/c", "http://h/x", "https://h:8443/x?y=z", "a%20b.flist"] {
            assert_eq!(Reference::new(good).unwrap().to_string(), good);
        }
        assert_eq!(Reference::new("http://h/x").unwrap().url(), Some("http://h/x"));
        assert_eq!(Reference::new("a/b").unwrap().url(), None);
        for bad in [
            "",
            "/a",
            "a//b",
            "a/",
            "./a",
            "a/../b",
            "..",
            "ftp://h/x",
            "file:///x",
            "http://",
            "http:///x",
            "a b",
            "ä",
            "data:x",
            "HTTP://h/x",
        ] {
            assert_eq!(Reference::new(bad), Err(BadReference), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn garbage_never_panics(bytes: Vec<u8>, at in 0_usize..170, with: char) {
            let _ = Channel::parse(&bytes);
            let mut text: Vec<char> = text().chars().collect();
            let at = at % text.len();
            text[at] = with;
            if let Ok(channel) = parse(&text.into_iter().collect::<String>()) {
                prop_assert_eq!(parse(&channel.to_string()), Ok(channel));
            }
        }
    }
}
