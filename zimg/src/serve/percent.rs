//! Percent-encoding of paths in URLs, bytes in and bytes out.

use std::fmt::Write;

/// The bytes that `text` stands for; `None` where a `%` is not followed by two hexadecimal digits.
pub(super) fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.iter().copied();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            out.push(digit(rest.next()?)? << 4 | digit(rest.next()?)?);
        } else {
            out.push(byte);
        }
    }
    Some(out)
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|d| u8::try_from(d).ok())
}

/// `path` as it may stand in a URL: everything but RFC 3986's unreserved characters and `/` escaped.
pub(super) fn encode(path: &[u8]) -> String {
    let mut out = String::with_capacity(path.len());
    for &byte in path {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn decodes_and_refuses() {
        assert_eq!(decode(b"/a%20b%2f%00%fF").unwrap(), b"/a b/\0\xff");
        for bad in ["%", "%1", "%zz", "a%+1", "%%41"] {
            assert_eq!(decode(bad.as_bytes()), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn there_and_back(path: Vec<u8>) {
            let text = encode(&path);
            prop_assert!(text.bytes().all(|b| b.is_ascii_graphic()));
            prop_assert_eq!(decode(text.as_bytes()).unwrap(), path);
        }

        #[test]
        fn garbage_never_panics(text: Vec<u8>) {
            let _ = decode(&text);
        }
    }
}
