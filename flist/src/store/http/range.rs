//! HTTP's inclusive ranges, written and read here only.

use std::ops::Range;

/// The value of a `Range` header. `range` is not empty.
pub(super) fn range(range: &Range<u64>) -> String {
    format!("bytes={}-{}", range.start, range.end.saturating_sub(1))
}

/// The value of the `Content-Range` header that answers it.
pub(super) fn content_range(range: &Range<u64>, total: u64) -> String {
    format!("bytes {}-{}/{total}", range.start, range.end.saturating_sub(1))
}

/// Reads a `Content-Range`: the range, and the file's length if it is known.
pub(super) fn parse_content_range(header: &str) -> Option<(Range<u64>, Option<u64>)> {
    let (unit, rest) = header.trim().split_once(' ')?;
    if !unit.eq_ignore_ascii_case("bytes") {
        return None;
    }
    let (bytes, total) = rest.trim().split_once('/')?;
    let (first, last) = bytes.split_once('-')?;
    let (first, last) = (number(first)?, number(last)?);
    let total = if total == "*" { None } else { Some(number(total)?) };
    let end = last.checked_add(1)?;
    (first <= last && total.is_none_or(|t| end <= t)).then_some((first..end, total))
}

fn number(text: &str) -> Option<u64> {
    // `parse` alone would take a sign.
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        assert_eq!(range(&(0..1)), "bytes=0-0");
        assert_eq!(range(&(100..4096)), "bytes=100-4095");
        assert_eq!(content_range(&(100..200), 1000), "bytes 100-199/1000");
        assert_eq!(parse_content_range("bytes 100-199/1000"), Some((100..200, Some(1000))));
        assert_eq!(parse_content_range("Bytes 0-0/*"), Some((0..1, None)));
    }

    #[test]
    fn nonsense_is_refused() {
        for bad in [
            "",
            "bytes",
            "bytes */1000",
            "bytes 5-4/10",
            "bytes 0-10/10",
            "bytes +0-9/10",
            "bytes 0-9",
            "bytes 0-/10",
            "lines 0-9/10",
            "bytes 0-18446744073709551615/*",
            "bytes 0-9/10/11",
        ] {
            assert_eq!(parse_content_range(bad), None, "{bad}");
        }
    }
}
