//! HTTP's `Range: bytes=…`, from text to a half-open range of a file.

use std::ops::Range;

/// What a Range field means for a file of a certain length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    /// The whole file: no range, several, or none that can be understood.
    Whole,
    /// These bytes, at least one.
    Bytes(Range<u64>),
    /// A range that lies beyond the end.
    Unsatisfiable,
}

/// Resolves `field` (the text after `Range:`) for a file of `len` bytes.
///
/// A range that is malformed, of another unit, or one of several is ignored, as RFC 9110 allows:
/// the client then gets the whole file with 200.
pub(super) fn resolve(field: &[u8], len: u64) -> Part {
    parse(field).map_or(Part::Whole, |spec| spec.within(len))
}

#[derive(Debug, Clone, Copy)]
enum Spec {
    From { first: u64, last: Option<u64> },
    Suffix(u64),
}

fn parse(field: &[u8]) -> Option<Spec> {
    let (unit, set) = field.split_at_checked(b"bytes=".len())?;
    if !unit.eq_ignore_ascii_case(b"bytes=") {
        return None;
    }
    let dash = set.iter().position(|b| *b == b'-')?;
    let (first, last) = (set[..dash].trim_ascii(), set[dash + 1..].trim_ascii());
    match (first.is_empty(), last.is_empty()) {
        (true, _) => Some(Spec::Suffix(number(last)?)),
        (false, true) => Some(Spec::From { first: number(first)?, last: None }),
        (false, false) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then_some(Spec::From { first, last: Some(last) })
        }
    }
}

/// A number of any size, as none is an error: those beyond u64 count as its greatest.
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(digits.iter().fold(0_u64, |n, d| n.saturating_mul(10).saturating_add(u64::from(d - b'0'))))
}

impl Spec {
    fn within(self, len: u64) -> Part {
        match self {
            Self::From { first, .. } if first >= len => Part::Unsatisfiable,
            Self::From { first, last } => {
                let end = last.map_or(len, |last| last.saturating_add(1).min(len));
                Part::Bytes(first..end)
            }
            Self::Suffix(0) => Part::Unsatisfiable,
            // The end of an empty file is a range that no Content-Range can name.
            Self::Suffix(_) if len == 0 => Part::Whole,
            Self::Suffix(count) => Part::Bytes(len.saturating_sub(count)..len),
        }
    }
}

/// The value of Content-Range for `range`, not empty, of a file of `len` bytes: the one place that
/// writes HTTP's inclusive form.
pub(super) fn content_range(range: &Range<u64>, len: u64) -> String {
    format!("bytes {}-{}/{len}", range.start, range.end.saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_form() {
        use Part::{Bytes, Unsatisfiable, Whole};
        let huge = "99999999999999999999999999";
        for (field, expected) in [
            ("bytes=0-0", Bytes(0..1)),
            ("bytes=0-99", Bytes(0..100)),
            ("bytes=0-100", Bytes(0..100)),
            ("bytes=99-", Bytes(99..100)),
            ("Bytes=10-19", Bytes(10..20)),
            ("bytes= 10 - 19 ", Bytes(10..20)),
            ("bytes=-1", Bytes(99..100)),
            ("bytes=-1000", Bytes(0..100)),
            (&format!("bytes=5-{huge}"), Bytes(5..100)),
            (&format!("bytes=-{huge}"), Bytes(0..100)),
            ("bytes=100-", Unsatisfiable),
            ("bytes=100-200", Unsatisfiable),
            (&format!("bytes={huge}-"), Unsatisfiable),
            ("bytes=-0", Unsatisfiable),
            ("bytes=0-1,3-4", Whole),
            ("bytes=5-4", Whole),
            ("bytes=-", Whole),
            ("bytes=", Whole),
            ("bytes=a-b", Whole),
            ("bytes=+1-2", Whole),
            ("lines=1-2", Whole),
            ("1-2", Whole),
            ("", Whole),
        ] {
            assert_eq!(resolve(field.as_bytes(), 100), expected, "{field}");
        }
    }

    #[test]
    fn an_empty_file() {
        assert_eq!(resolve(b"bytes=0-", 0), Part::Unsatisfiable);
        assert_eq!(resolve(b"bytes=0-0", 0), Part::Unsatisfiable);
        assert_eq!(resolve(b"bytes=-5", 0), Part::Whole);
    }

    proptest! {
        #[test]
        fn garbage_never_panics_nor_leaves_the_file(field: Vec<u8>, len: u64) {
            if let Part::Bytes(range) = resolve(&field, len) {
                prop_assert!(range.start < range.end && range.end <= len);
            }
        }

        #[test]
        fn what_is_asked_is_what_is_given(first: u64, count in 1..u64::MAX, len in 1..u64::MAX) {
            let last = first.saturating_add(count - 1);
            let part = resolve(format!("bytes={first}-{last}").as_bytes(), len);
            let expected =
                if first >= len { Part::Unsatisfiable } else { Part::Bytes(first..len.min(last.saturating_add(1))) };
            prop_assert_eq!(part, expected);
        }
    }
}
