//! A header block of a tar: 512 bytes in, its fields out. Old (v7), ustar, GNU and star.

/// Length of a block: headers are one, contents are padded to whole ones.
pub(super) const BLOCK: usize = 512;

/// The fields of a header block, as they are there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) path: Vec<u8>,
    pub(super) link: Vec<u8>,
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// Bytes of contents that follow.
    pub(super) size: u64,
    pub(super) mtime: i64,
    /// The type flag.
    pub(super) kind: u8,
    pub(super) major: u32,
    pub(super) minor: u32,
}

/// What is wrong with a block.
pub(super) type Wrong = &'static str;

impl Header {
    /// Reads a block that is not all zeros.
    pub(super) fn parse(block: &[u8; BLOCK]) -> Result<Self, Wrong> {
        checksum(block)?;
        let name = text(block, 0, 100);
        let path = match prefix(block) {
            Some(prefix) if !prefix.is_empty() => [prefix, b"/", name].concat(),
            _ => name.to_vec(),
        };
        let small = |at, len, wrong| u32::try_from(number(block, at, len)?).ok().ok_or(wrong);
        let device = |at| {
            if block.get(257..262) == Some(b"ustar") {
                small(at, 8, "its device number is out of bounds")
            } else {
                Ok(0)
            }
        };
        Ok(Self {
            path,
            link: text(block, 157, 100).to_vec(),
            mode: small(100, 8, "its mode is out of bounds")?,
            uid: small(108, 8, "its user id is out of bounds")?,
            gid: small(116, 8, "its group id is out of bounds")?,
            size: u64::try_from(number(block, 124, 12)?).ok().ok_or("its size is negative")?,
            mtime: number(block, 136, 12)?,
            kind: block.get(156).copied().unwrap_or(0),
            major: device(329)?,
            minor: device(337)?,
        })
    }
}

/// What ustar puts before the name. GNU has other things there, and star less of it.
fn prefix(block: &[u8; BLOCK]) -> Option<&[u8]> {
    if block.get(257..263) != Some(b"ustar\0") {
        return None;
    }
    let star = block.get(508..512) == Some(b"tar\0");
    Some(text(block, 345, if star { 131 } else { 155 }))
}

/// The bytes of a field up to its first zero.
fn text(block: &[u8], at: usize, len: usize) -> &[u8] {
    let field = block.get(at..at + len).unwrap_or_default();
    field.split(|&b| b == 0).next().unwrap_or_default()
}

/// A number: octal digits, or big-endian in two's complement if the first bit is set.
pub(super) fn number(block: &[u8], at: usize, len: usize) -> Result<i64, Wrong> {
    let field = block.get(at..at + len).unwrap_or_default();
    match field {
        [first, rest @ ..] if first & 0x80 != 0 => binary(*first, rest),
        _ => octal(field),
    }
}

fn octal(field: &[u8]) -> Result<i64, Wrong> {
    let end = field.iter().position(|&b| b == 0).unwrap_or(field.len());
    let digits = field.get(..end).unwrap_or_default().trim_ascii();
    digits.iter().try_fold(0_i64, |value, &digit| match digit {
        b'0'..=b'7' => value
            .checked_mul(8)
            .and_then(|v| v.checked_add(i64::from(digit - b'0')))
            .ok_or("a number in its header is out of bounds"),
        _ => Err("a number in its header is not octal"),
    })
}

fn binary(first: u8, rest: &[u8]) -> Result<i64, Wrong> {
    // The second bit is the sign; the first only marks the form.
    let start =
        if first & 0x40 != 0 { i128::from(first) - 0x100 } else { i128::from(first & 0x3f) };
    let value = rest.iter().fold(start, |value, &byte| value << 8 | i128::from(byte));
    i64::try_from(value).ok().ok_or("a number in its header is out of bounds")
}

/// The sum of all bytes, the sum itself taken as spaces. Some old programs summed signed bytes.
fn checksum(block: &[u8; BLOCK]) -> Result<(), Wrong> {
    let (mut unsigned, mut signed) = (0_i64, 0_i64);
    for (at, &byte) in block.iter().enumerate() {
        let byte = if (148..156).contains(&at) { b' ' } else { byte };
        unsigned += i64::from(byte);
        signed += i64::from(byte.cast_signed());
    }
    let wrong = "no tar header is where one should be; the archive is damaged";
    let recorded = octal(block.get(148..156).unwrap_or_default()).ok().ok_or(wrong)?;
    if recorded == unsigned || recorded == signed { Ok(()) } else { Err(wrong) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        for (field, value) in [
            (&b"0000644\0"[..], 0o644),
            (b"   644 \0", 0o644),
            (b"644 junk", 0),
            (b"\0\0\0\0\0\0\0\0", 0),
            (b"77777777", 0o77_777_777),
            (b"\x80\0\0\0\xee\x6b\x28\0", 4_000_000_000),
            (b"\xff\xff\xff\xff\xff\xff\xff\xfe", -2),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe", -2),
        ] {
            match number(field, 0, field.len()) {
                Ok(got) => assert_eq!(got, value, "{field:?}"),
                Err(_) => assert_eq!(field, b"644 junk"),
            }
        }
        assert!(number(b"\x80\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 0, 12).is_err());
        assert!(number(b"\xbf\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 0, 12).is_err());
    }

    #[test]
    fn a_block_of_noise_is_no_header() {
        assert!(Header::parse(&[b'x'; BLOCK]).is_err());
        assert!(Header::parse(&[0; BLOCK]).is_err());
    }
}
