//! Shell patterns as `modules.alias` uses them: `*`, `?` and `[...]`.

/// Whether `pattern` matches the whole of `text`.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    // Where to go on from if the text after the last star has to begin later.
    let mut retry: Option<(usize, usize)> = None;
    loop {
        if pattern.get(p) == Some(&b'*') {
            retry = Some((p + 1, t));
            p += 1;
            continue;
        }
        if p == pattern.len() && t == text.len() {
            return true;
        }
        let step = text.get(t).and_then(|c| one(&pattern[p..], *c));
        match (step, retry) {
            (Some(used), _) => {
                p += used;
                t += 1;
            }
            (None, Some((after_star, from))) if from < text.len() => {
                p = after_star;
                t = from + 1;
                retry = Some((after_star, t));
            }
            (None, _) => return false,
        }
    }
}

/// How many bytes of `pattern` stand for the one byte `c`; `None` where they don't match.
fn one(pattern: &[u8], c: u8) -> Option<usize> {
    match pattern.first()? {
        b'?' => Some(1),
        b'[' => class(pattern, c),
        first => (*first == c).then_some(1),
    }
}

/// The same for a class: `[abc]`, `[a-z]`, `[!x]`.
fn class(pattern: &[u8], c: u8) -> Option<usize> {
    let negated = pattern.get(1) == Some(&b'!');
    let begin = if negated { 2 } else { 1 };
    // A closing bracket right at the beginning is a member.
    let len = pattern.get(begin + 1..)?.iter().position(|b| *b == b']')? + 1;
    let members = &pattern[begin..begin + len];
    let mut found = false;
    let mut at = 0;
    while let Some(low) = members.get(at) {
        let range = (members.get(at + 1) == Some(&b'-')).then(|| members.get(at + 2)).flatten();
        found |= (*low..=*range.unwrap_or(low)).contains(&c);
        at += if range.is_some() { 3 } else { 1 };
    }
    (found != negated).then_some(begin + len + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, text, want) in [
            ("virtio:d00000001v*", "virtio:d00000001v00001AF4", true),
            ("virtio:d00000001v*", "virtio:d00000002v00001AF4", false),
            (
                "pci:v00008086d000010D3sv*sd*bc*sc*i*",
                "pci:v00008086d000010D3sv00008086sd0000A01Fbc02sc00i00",
                true,
            ),
            (
                "pci:v*d*sv*sd*bc01sc06i01*",
                "pci:v00008086d00002922sv00001AF4sd00001100bc01sc06i01",
                true,
            ),
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("a", "", false),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbYbZ", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("usb:v0525pA4A[12]d*", "usb:v0525pA4A2d0001", true),
            ("usb:v0525pA4A[12]d*", "usb:v0525pA4A3d0001", false),
            ("x[0-9A-F]y", "xCy", true),
            ("x[0-9A-F]y", "xGy", false),
            ("x[!0-9]y", "xay", true),
            ("x[!0-9]y", "x5y", false),
            ("x[]a]y", "x]y", true),
            ("x[", "x[", false),
            ("**a", "bba", true),
        ] {
            assert_eq!(matches(pattern, text), want, "{pattern} on {text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn never_panics(pattern in "[a*?\\[\\]!-]{0,12}", text in "[a\\]-]{0,12}") {
            let _either = matches(&pattern, &text);
        }

        #[test]
        fn a_plain_text_matches_itself(text in "[a-z0-9:,]{0,20}") {
            proptest::prop_assert!(matches(&text, &text));
            proptest::prop_assert!(matches(&["*", &text, "*"].concat(), &text));
        }
    }
}
