//! What bytes that are no flist look like: the usual mistakes by name.

use std::fmt;

use super::header::MAGIC;

/// What the bytes begin like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Looks {
    /// There are none.
    Empty,
    /// A known kind of file.
    Like(&'static str),
    /// An flist whose first bytes were rewritten as if they were text.
    TextDamage,
    /// None of these.
    Unknown([u8; 8]),
}

/// First bytes, and what begins with them.
const KINDS: &[(&[u8], &str)] = &[
    (b"<?xml", "an XML document, perhaps a store's error message"),
    (b"<", "an HTML page, perhaps a server's error or login page"),
    (b"{", "a JSON document"),
    (b"\x1f\x8b", "a gzip file"),
    (b"\x28\xb5\x2f\xfd", "a zstd file"),
    (b"\xfd7zXZ\0", "an xz file"),
    (b"BZh", "a bzip2 file"),
    (b"hsqs", "a squashfs image"),
    (b"\x7fELF", "a program"),
    (b"PK\x03\x04", "a zip file"),
    (b"070701", "a cpio archive"),
    (b"SQLite format 3\0", "an SQLite database, perhaps an flist of Zero-OS"),
    (b"untrusted comment:", "a minisign key or signature"),
    (b"zimg channel ", "a channel"),
    (b"zimg profile ", "a profile"),
    (b"#!", "a script"),
    (b"QFI\xfb", "a qcow2 disk image"),
    (b"\x0d\xf0\x1d\xea", "a RAFS image"),
];

/// Where a magic number lies that is not at the beginning, and what has it.
const INNER: &[(usize, &[u8], &str)] = &[
    (257, b"ustar", "a tar archive"),
    (510, b"\x55\xaa", "a disk image"),
    (1024, b"\xe2\xe1\xf5\xe0", "an EROFS image"),
    (1080, b"\x53\xef", "an ext4 image"),
    (0x8001, b"CD001", "an ISO 9660 image"),
];

/// What `bytes`, which are not what they should be, look like.
pub(crate) fn looks(bytes: &[u8]) -> Looks {
    if bytes.is_empty() {
        return Looks::Empty;
    }
    // The high bit lost, a line end changed, Latin-1 taken for UTF-8.
    let name = MAGIC.get(1..6).unwrap_or_default();
    if bytes.starts_with(MAGIC.as_slice()) {
        return Looks::Like("an flist");
    }
    if bytes.windows(name.len()).take(4).any(|w| w == name) {
        return Looks::TextDamage;
    }
    let text = bytes.trim_ascii_start();
    let first = KINDS.iter().find(|(magic, _)| text.starts_with(magic)).map(|(_, kind)| *kind);
    let inner = || {
        let has = |at: usize, magic: &[u8]| bytes.get(at..).is_some_and(|b| b.starts_with(magic));
        INNER.iter().find(|(at, magic, _)| has(*at, magic)).map(|(_, _, kind)| *kind)
    };
    if let Some(kind) = first.or_else(inner) {
        return Looks::Like(kind);
    }
    let mut start = [0; 8];
    start.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    Looks::Unknown(start)
}

impl fmt::Display for Looks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("it is empty"),
            Self::Like(kind) => write!(f, "it looks like {kind}"),
            Self::TextDamage => f.write_str(
                "it was one, but has been changed as if it were text; copy it as binary",
            ),
            Self::Unknown(start) => {
                // A file may be shorter than this.
                let shown = start.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
                let shown = start.get(..shown).unwrap_or(start);
                write!(f, "it begins with \"{}\"", shown.escape_ascii())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_mistakes_have_names() {
        let mut tar = vec![b'x'; 512];
        tar.splice(257..262, *b"ustar");
        let cases: &[(&[u8], &str)] = &[
            (b"", "empty"),
            (b"\n<!DOCTYPE html>", "HTML"),
            (b"<?xml version", "XML"),
            (b"\x1f\x8b\x08", "gzip"),
            (b"hsqs\x01", "squashfs"),
            (&MAGIC, "like an flist"),
            (b"SQLite format 3\0", "Zero-OS"),
            (&tar, "tar"),
            (b"\x13flist\r\n", "binary"),
            (b"\x93flist\n", "binary"),
            (b"\xc2\x93flist\r\n", "binary"),
            (b"\xef\xbf\xbdflist\r\n", "binary"),
            (b"nothing known", "begins with \"nothing \""),
            (b"short", "begins with \"short\""),
        ];
        for (bytes, word) in cases {
            let text = looks(bytes).to_string();
            assert!(text.contains(word), "{}: {text}", bytes.escape_ascii());
        }
    }
}
