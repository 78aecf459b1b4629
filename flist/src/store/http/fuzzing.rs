//! What the fuzz target `range` runs.

use super::range::{content_range, parse_content_range};

/// Reads a `Content-Range`.
pub(crate) fn range(bytes: &[u8]) {
    let Ok(header) = str::from_utf8(bytes) else { return };
    let Some((range, total)) = parse_content_range(header) else { return };
    assert!(range.start < range.end && total.is_none_or(|total| range.end <= total), "{header}");
    let total = total.unwrap_or(u64::MAX);
    let again = parse_content_range(&content_range(&range, total));
    assert_eq!(again, Some((range, Some(total))), "read as written");
}
