//! Extended headers: records of `LENGTH KEY=VALUE\n`, where a value is any bytes.

use std::collections::BTreeMap;

use super::acl;
use super::header::Wrong;
use crate::image::{Time, XattrSet};

/// Records in the order they were given; a key may be there more than once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Records(Vec<(Vec<u8>, Vec<u8>)>);

impl Records {
    /// Reads the contents of an extended header.
    pub(super) fn parse(mut bytes: &[u8]) -> Result<Self, Wrong> {
        let mut records = Vec::new();
        // Some programs pad with zeros.
        while bytes.first().is_some_and(|&b| b != 0) {
            let (record, rest) = split_record(bytes).ok_or("its extended header is malformed")?;
            records.push(record);
            bytes = rest;
        }
        Ok(Self(records))
    }

    /// Adds what a later header says.
    pub(super) fn extend(&mut self, later: Self) {
        self.0.extend(later.0);
    }

    /// All records, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.0.iter().map(|(key, value)| (key.as_slice(), value.as_slice()))
    }

    /// The last value of a key. An empty one takes back what was said before.
    pub(super) fn get(&self, key: &str) -> Option<&[u8]> {
        let last = self.iter().filter(|(k, _)| *k == key.as_bytes()).last()?.1;
        (!last.is_empty()).then_some(last)
    }

    /// The number that is the value of a key.
    pub(super) fn number<T: std::str::FromStr>(&self, key: &str) -> Result<Option<T>, Wrong> {
        self.get(key).map(decimal).transpose()
    }

    /// The time that is the value of a key.
    pub(super) fn time(&self, key: &str) -> Result<Option<Time>, Wrong> {
        self.get(key)
            .map(|value| time(value).ok_or("a time in its extended header is malformed"))
            .transpose()
    }

    /// Extended attributes, however the program that made the archive records them.
    pub(super) fn xattrs(&self) -> Result<XattrSet, Wrong> {
        let mut set = BTreeMap::new();
        for (key, value) in self.iter() {
            if let Some(name) = key.strip_prefix(b"LIBARCHIVE.xattr.") {
                let value = base64(value).ok_or("an extended attribute is not in base64")?;
                set.insert(percent_decoded(name, |_| true), value);
            }
        }
        for (key, value) in self.iter() {
            if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                set.insert(
                    percent_decoded(name, |byte| matches!(byte, b'%' | b'=')),
                    value.to_vec(),
                );
            }
        }
        if let Some(context) = self.get("RHT.security.selinux") {
            // The kernel's value ends in a zero.
            set.insert(b"security.selinux".to_vec(), [context, b"\0"].concat());
        }
        for (key, name) in [
            ("SCHILY.acl.access", &b"system.posix_acl_access"[..]),
            ("SCHILY.acl.default", b"system.posix_acl_default"),
        ] {
            // The attribute itself, if it is there too, has numbers where the text has names.
            if let Some(text) = self.get(key).filter(|_| !set.contains_key(name)) {
                set.extend(acl::value(text)?.map(|value| (name.to_vec(), value)));
            }
        }
        Ok(set.into_iter().collect())
    }
}

type Record = (Vec<u8>, Vec<u8>);

fn split_record(bytes: &[u8]) -> Option<(Record, &[u8])> {
    let space = bytes.iter().take(20).position(|&b| b == b' ')?;
    let len: usize = decimal(bytes.get(..space)?).ok()?;
    let (record, rest) = bytes.split_at_checked(len)?;
    let pair = record.get(space + 1..)?.strip_suffix(b"\n")?;
    let equals = pair.iter().position(|&b| b == b'=').filter(|&at| at > 0)?;
    Some(((pair.get(..equals)?.to_vec(), pair.get(equals + 1..)?.to_vec()), rest))
}

/// A decimal number.
pub(super) fn decimal<T: std::str::FromStr>(text: &[u8]) -> Result<T, Wrong> {
    let number = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
    number.ok_or("a number in its extended header is malformed")
}

/// Seconds with any number of decimals, negative before 1970.
fn time(text: &[u8]) -> Option<Time> {
    let text = std::str::from_utf8(text).ok()?;
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let (whole, decimals) = digits.split_once('.').unwrap_or((digits, ""));
    if !whole.bytes().chain(decimals.bytes()).all(|b| b.is_ascii_digit()) {
        return None;
    }
    let sec: i64 = whole.parse().ok()?;
    let nsec: u32 = format!("{decimals:0<9}").get(..9)?.parse().ok()?;
    match (negative, nsec) {
        (false, _) => Some(Time { sec, nsec }),
        (true, 0) => Some(Time { sec: -sec, nsec }),
        (true, _) => Some(Time { sec: -sec - 1, nsec: 1_000_000_000 - nsec }),
    }
}

/// `%41` is `A`, where `which` says so of what it stands for.
fn percent_decoded(text: &[u8], which: impl Fn(u8) -> bool) -> Vec<u8> {
    let mut decoded = Vec::new();
    let mut rest = text;
    while let [first, after @ ..] = rest {
        let code = after.get(..2).filter(|_| *first == b'%');
        let byte = code
            .and_then(|hex| std::str::from_utf8(hex).ok())
            .and_then(|hex| u8::from_str_radix(hex, 16).ok())
            .filter(|&byte| which(byte));
        decoded.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { after.get(2..).unwrap_or_default() } else { after };
    }
    decoded
}

/// Base64, with or without its final `=`.
fn base64(text: &[u8]) -> Option<Vec<u8>> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bits, mut count, mut bytes) = (0_u32, 0, Vec::new());
    for digit in text.iter().filter(|&&b| b != b'=' && !b.is_ascii_whitespace()) {
        let value = DIGITS.iter().zip(0_u32..).find(|(d, _)| *d == digit)?.1;
        bits = (bits << 6 | value) & 0xffff;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(bits >> count & 0xff).ok()?);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_any_bytes() {
        let records = Records::parse(b"17 path=a\nb\xff c=d\n9 uid=70\n\0\0\0").unwrap();
        assert_eq!(records.get("path"), Some(&b"a\nb\xff c=d"[..]));
        assert_eq!(records.number::<u32>("uid"), Ok(Some(70)));
        assert_eq!(records.number::<u32>("gid"), Ok(None));
        assert!(records.number::<u32>("path").is_err());
    }

    #[test]
    fn malformed_records() {
        for bad in
            [&b"x"[..], b"5 a=b\n", b"7 a=b\n", b"6 a=bc", b"6 abc\n", b"5 =b\n", b"99 a=b\n"]
        {
            assert!(Records::parse(bad).is_err(), "{bad:?}");
        }
        assert!(Records::parse(b"6 a=b\n").is_ok());
    }

    #[test]
    fn times() {
        let time = |sec, nsec| Some(Time { sec, nsec });
        assert_eq!(super::time(b"12"), time(12, 0));
        assert_eq!(super::time(b"12.5"), time(12, 500_000_000));
        assert_eq!(super::time(b"12.1234567899"), time(12, 123_456_789));
        assert_eq!(super::time(b"-0.25"), time(-1, 750_000_000));
        assert_eq!(super::time(b"-3"), time(-3, 0));
        for bad in
            [&b""[..], b"-", b"1.2.3", b"--1", b"-+1", b"+1", b"1e3", b"99999999999999999999"]
        {
            assert_eq!(super::time(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn attributes_of_each_dialect() {
        let mut records = Records::default();
        for (key, value) in [
            ("SCHILY.xattr.user.a%3Db%25c%41", &b"\0\n=\xff"[..]),
            ("LIBARCHIVE.xattr.user.%C3%A4", b"AAH/"),
            ("LIBARCHIVE.xattr.user.short", b"YQ=="),
            ("RHT.security.selinux", b"a_t"),
        ] {
            records.0.push((key.into(), value.to_vec()));
        }
        let wanted: XattrSet = vec![
            (b"security.selinux".to_vec(), b"a_t\0".to_vec()),
            (b"user.a=b%c%41".to_vec(), b"\0\n=\xff".to_vec()),
            (b"user.short".to_vec(), b"a".to_vec()),
            ("user.ä".into(), b"\0\x01\xff".to_vec()),
        ];
        assert_eq!(records.xattrs(), Ok(wanted));
    }
}
