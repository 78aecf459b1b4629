//! Splits a kernel command line into words as the kernel itself does (`next_arg` in lib/cmdline.c).

/// One word: `key` or `key=value`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Word {
    /// What stands before the first `=`.
    pub(crate) key: String,
    /// What stands after it; `None` where there is no `=`.
    pub(crate) value: Option<String>,
}

/// Splits `line` at white space outside double quotes.
///
/// Quotes around a value or around a whole word are dropped. `--` ends the line: what follows is
/// for the booted init, and the kernel hands it over by itself. Bytes that are not UTF-8 become
/// U+FFFD; no key or value known here holds such.
pub(crate) fn words(line: &[u8]) -> Vec<Word> {
    let line = String::from_utf8_lossy(line);
    let mut words = Vec::new();
    let mut rest = line.trim_start_matches(is_space);
    while !rest.is_empty() {
        let end = word_end(rest);
        let raw = &rest[..end];
        if raw == "--" {
            break;
        }
        words.push(word(raw));
        rest = rest[end..].trim_start_matches(is_space);
    }
    words
}

/// What the kernel's isspace() holds for, and NUL, which ends a line.
fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c' | '\0')
}

/// Where the first word of `s` ends: at the first white space outside quotes.
fn word_end(s: &str) -> usize {
    let mut quoted = false;
    for (at, c) in s.char_indices() {
        if is_space(c) && !quoted {
            return at;
        }
        quoted ^= c == '"';
    }
    s.len()
}

fn word(raw: &str) -> Word {
    let (raw, whole) = match raw.strip_prefix('"') {
        Some(inner) => (inner, true),
        None => (raw, false),
    };
    match raw.split_once('=') {
        None => Word { key: closed(raw, whole).to_owned(), value: None },
        Some((key, value)) => {
            let (value, quoted) = match value.strip_prefix('"') {
                Some(inner) => (inner, true),
                None => (value, whole),
            };
            Word { key: key.to_owned(), value: Some(closed(value, quoted).to_owned()) }
        }
    }
}

/// Drops the closing quote of what an opening one began.
fn closed(s: &str, quoted: bool) -> &str {
    if quoted { s.strip_suffix('"').unwrap_or(s) } else { s }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(line: &str) -> Vec<(String, Option<String>)> {
        words(line.as_bytes()).into_iter().map(|w| (w.key, w.value)).collect()
    }

    fn pair(key: &str, value: &str) -> (String, Option<String>) {
        (key.to_owned(), Some(value.to_owned()))
    }

    fn flag(key: &str) -> (String, Option<String>) {
        (key.to_owned(), None)
    }

    #[test]
    fn white_space_separates() {
        assert_eq!(split("  quiet\tro \n x=1\n"), [flag("quiet"), flag("ro"), pair("x", "1")]);
        assert!(split(" \n").is_empty());
    }

    #[test]
    fn first_equals_sign_divides() {
        assert_eq!(
            split("zimg.url=http://h/?a=b c="),
            [pair("zimg.url", "http://h/?a=b"), pair("c", "")]
        );
    }

    #[test]
    fn quotes_hold_white_space() {
        assert_eq!(split(r#"a="b c" d"#), [pair("a", "b c"), flag("d")]);
        assert_eq!(split(r#""a=b c" d"#), [pair("a", "b c"), flag("d")]);
        assert_eq!(split(r#""a b""#), [flag("a b")]);
        assert_eq!(
            split(r#"dyndbg="file x +p; func y +p""#),
            [pair("dyndbg", "file x +p; func y +p")]
        );
    }

    #[test]
    fn quotes_inside_a_value_stay() {
        assert_eq!(split(r#"a=b"c d"e"#), [pair("a", r#"b"c d"e"#)]);
    }

    #[test]
    fn an_open_quote_runs_to_the_end() {
        assert_eq!(split(r#"a="b c"#), [pair("a", "b c")]);
    }

    #[test]
    fn two_dashes_end_the_line() {
        assert_eq!(split("a=1 -- zimg.verify=off"), [pair("a", "1")]);
        assert_eq!(split("a--b"), [flag("a--b")]);
    }

    #[test]
    fn bytes_beyond_utf8_do_no_harm() {
        assert_eq!(words(b"a=\xff b").len(), 2);
    }
}
