//! The encodings of a column's values: LEB128 numbers, zigzag deltas, strings. A reader of bytes
//! that may hold anything, and the writer of what it reads.

use super::error::Malformed;
use super::header::Tag;

/// Reads a decompressed section from its beginning to its end, row by row.
pub(super) struct Reader<'a> {
    tag: Tag,
    rest: &'a [u8],
    row: u64,
}

impl<'a> Reader<'a> {
    pub(super) fn new(tag: Tag, bytes: &'a [u8]) -> Self {
        Self { tag, rest: bytes, row: 0 }
    }

    /// Whether all rows are read.
    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// How many numbers follow, if nothing else does.
    pub(super) fn numbers_left(&self) -> usize {
        self.rest.iter().filter(|&&byte| byte & 0x80 == 0).count()
    }

    /// Says that the row just read is bad.
    pub(super) fn bad(&self, what: &'static str) -> Malformed {
        Malformed::Row { section: self.tag, row: self.row.saturating_sub(1), what }
    }

    /// Says that the row that is being read part by part is bad.
    pub(super) fn bad_here(&self, what: &'static str) -> Malformed {
        Malformed::Row { section: self.tag, row: self.row, what }
    }

    /// Refuses rows that nothing asks for.
    pub(super) fn finish(self) -> Result<(), Malformed> {
        if self.rest.is_empty() {
            return Ok(());
        }
        Err(self.bad_here("this row and what follows belong to nothing"))
    }

    /// The next `len` bytes of the row.
    pub(super) fn take(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let Some((taken, rest)) = self.rest.split_at_checked(len) else {
            return Err(self.ends());
        };
        self.rest = rest;
        Ok(taken)
    }

    fn ends(&self) -> Malformed {
        self.bad_here("the section ends before or in this row")
    }

    /// The next row: a number in LEB128.
    pub(super) fn u64(&mut self) -> Result<u64, Malformed> {
        let value = self.part()?;
        self.row += 1;
        Ok(value)
    }

    /// A number in LEB128 within a row.
    pub(super) fn part(&mut self) -> Result<u64, Malformed> {
        let mut value = 0_u64;
        for (i, &byte) in self.rest.iter().take(10).enumerate() {
            let bits = u64::from(byte & 0x7f);
            if i == 9 && byte > 1 {
                return Err(self.bad_here("the number exceeds 64 bits"));
            }
            value |= bits << (7 * i);
            if byte & 0x80 == 0 {
                if byte == 0 && i > 0 {
                    return Err(self.bad_here("the number is longer than it need be"));
                }
                self.rest = self.rest.get(i + 1..).unwrap_or_default();
                return Ok(value);
            }
        }
        Err(self.ends())
    }

    /// The next row: a number below 2^32.
    pub(super) fn u32(&mut self) -> Result<u32, Malformed> {
        let value = self.u64()?;
        u32::try_from(value).map_err(|_large| self.bad("the number exceeds 32 bits"))
    }

    /// The next row: `base` plus a signed difference, modulo 2^64.
    pub(super) fn delta(&mut self, base: u64) -> Result<u64, Malformed> {
        let zigzag = self.u64()?;
        Ok(base.wrapping_add(zigzag >> 1 ^ (zigzag & 1).wrapping_neg()))
    }

    /// The next row: bytes up to a zero byte, which is read but not returned.
    pub(super) fn string(&mut self) -> Result<&'a [u8], Malformed> {
        let Some(len) = self.rest.iter().position(|&b| b == 0) else {
            return Err(self.ends());
        };
        let string = self.take(len)?;
        self.take(1)?;
        self.row += 1;
        Ok(string)
    }

    /// Bytes with their number before them, within a row; at most `max` of them.
    pub(super) fn counted(&mut self, max: usize) -> Result<&'a [u8], Malformed> {
        let len = usize::try_from(self.part()?).unwrap_or(usize::MAX);
        if len > max {
            return Err(self.bad_here("a string is too long"));
        }
        self.take(len)
    }

    /// Goes on to the next row after one of several parts.
    pub(super) fn next_row(&mut self) {
        self.row += 1;
    }
}

/// Writes what [`Reader`] reads.
#[derive(Default)]
pub(super) struct Writer(pub(super) Vec<u8>);

impl Writer {
    pub(super) fn number(&mut self, mut value: u64) {
        loop {
            let bits = value.to_le_bytes()[0] & 0x7f;
            value >>= 7;
            if value == 0 {
                return self.0.push(bits);
            }
            self.0.push(bits | 0x80);
        }
    }

    pub(super) fn delta(&mut self, base: u64, value: u64) {
        let difference = value.wrapping_sub(base).cast_signed();
        self.number((difference << 1 ^ difference >> 63).cast_unsigned());
    }

    pub(super) fn string(&mut self, string: &[u8]) {
        self.0.extend_from_slice(string);
        self.0.push(0);
    }

    pub(super) fn counted(&mut self, string: &[u8]) {
        self.number(string.len() as u64);
        self.0.extend_from_slice(string);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TAG: Tag = Tag(*b"test");

    proptest! {
        #[test]
        fn numbers_and_deltas_come_back(values: Vec<(u64, u64, u32)>) {
            let mut writer = Writer::default();
            for &(number, base, small) in &values {
                writer.number(number);
                writer.delta(base, number);
                writer.number(small.into());
            }
            let mut reader = Reader::new(TAG, &writer.0);
            for &(number, base, small) in &values {
                prop_assert_eq!(reader.u64().unwrap(), number);
                prop_assert_eq!(reader.delta(base).unwrap(), number);
                prop_assert_eq!(reader.u32().unwrap(), small);
            }
            reader.finish().unwrap();
        }

        #[test]
        fn a_number_that_reads_is_written_the_same(bytes in proptest::collection::vec(any::<u8>(), 0..12)) {
            let mut reader = Reader::new(TAG, &bytes);
            if let Ok(number) = reader.u64() {
                let mut writer = Writer::default();
                writer.number(number);
                prop_assert_eq!(&writer.0, &bytes[..bytes.len() - reader.rest.len()]);
            }
        }
    }

    #[test]
    fn bad_numbers_are_refused() {
        for (bytes, word) in [
            (&b""[..], "ends"),
            (b"\x80", "ends"),
            (b"\x80\x00", "longer than it need be"),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", "exceeds 64 bits"),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x80\x01", "exceeds 64 bits"),
        ] {
            let error = Reader::new(TAG, bytes).u64().unwrap_err().to_string();
            assert!(error.contains(word), "{}: {error}", bytes.escape_ascii());
        }
        let error = Reader::new(TAG, b"\xff\xff\xff\xff\x1f").u32().unwrap_err();
        assert_eq!(error.to_string(), "section 'test', row 0: the number exceeds 32 bits");
    }

    #[test]
    fn strings_have_their_bounds() {
        let mut reader = Reader::new(TAG, b"ab\0\0c");
        assert_eq!(reader.string().unwrap(), b"ab");
        assert_eq!(reader.string().unwrap(), b"");
        assert!(reader.string().unwrap_err().to_string().contains("row 2"));
        assert!(reader.finish().is_err());
        assert_eq!(Reader::new(TAG, b"\x02ab").counted(2).unwrap(), b"ab");
        assert!(Reader::new(TAG, b"\x02ab").counted(1).is_err());
        assert!(Reader::new(TAG, b"\x03ab").counted(9).is_err());
    }
}
