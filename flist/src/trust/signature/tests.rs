use super::*;
use crate::trust::PublicKey;
use crate::trust::examples::{KEY, LEGACY, PREHASHED};
use crate::trust::testing::Signer;
use proptest::prelude::*;

fn parse(text: &str) -> Result<Signatures, BadSignatures> {
    Signatures::parse(text.as_bytes())
}

fn only(text: &str) -> Signature {
    let signatures = parse(text).unwrap();
    assert_eq!(signatures.0.len(), 1);
    signatures.0[0].clone()
}

#[test]
fn both_kinds_that_minisign_makes() {
    let key: PublicKey = KEY.parse().unwrap();
    for text in [PREHASHED, LEGACY] {
        let signature = only(text);
        assert_eq!(signature.id().to_string(), "E7620F1842B4E81F");
        assert!(signature.comment().ends_with("\tfile:test"));
        assert!(key.signed(b"test", &signature));
        assert!(!key.signed(b"Test", &signature) && !key.signed(b"", &signature));
    }
}

#[test]
fn line_ends_and_empty_lines_mean_nothing() {
    let many = format!("\n{PREHASHED}\n\n{LEGACY}");
    for text in [many.clone(), many.replace('\n', "\r\n"), many.trim().to_owned()] {
        let signatures = parse(&text).unwrap();
        assert_eq!(signatures.to_string(), format!("{PREHASHED}{LEGACY}"));
    }
}

#[test]
fn a_key_has_one_place() {
    let (ann, bob) = (Signer::new(), Signer::new());
    let mut all = ann.signatures(b"old", "1");
    all.put(only(&bob.sign(b"x", "2")));
    all.put(only(&ann.sign(b"new", "3")));
    let comments: Vec<_> = all.iter().map(Signature::comment).collect();
    assert_eq!(comments, ["2", "3"]);
}

#[test]
fn what_is_no_signature_is_named() {
    for (text, word) in [
        ("", "empty"),
        ("<!DOCTYPE html>", "HTML"),
        ("\u{93}flist", "no signature"),
        ("trusted comment: x\n", "no signature"),
    ] {
        let said = parse(text).unwrap_err().to_string();
        assert!(said.contains(word), "{said}");
    }
    assert!(matches!(Signatures::parse(b"\x93flist\r\n\xff"), Err(BadSignatures::Other(_))));
    let lines: Vec<&str> = PREHASHED.lines().collect();
    for missing in 1..4 {
        let text = lines[..missing].join("\n");
        let error = parse(&text).unwrap_err();
        assert!(
            matches!(error, BadSignatures::Line { line, .. } if line == missing + 1),
            "{error}"
        );
    }
    for at in 1..4 {
        let mut wrong = lines.clone();
        wrong[at] = "nothing known";
        let error = parse(&wrong.join("\n")).unwrap_err();
        assert!(matches!(error, BadSignatures::Line { line, .. } if line == at + 1), "{error}");
    }
    let other_kind = PREHASHED.replacen("\nRUQ", "\nRVQ", 1);
    assert!(matches!(parse(&other_kind), Err(BadSignatures::Line { line: 2, .. })));
    let second = format!("{PREHASHED}nothing");
    assert!(matches!(parse(&second), Err(BadSignatures::Line { line: 5, .. })));
}

#[test]
fn no_more_than_anybody_needs() {
    assert_eq!(parse(&PREHASHED.repeat(MAX_SIGNATURES)).unwrap().0.len(), MAX_SIGNATURES);
    assert!(matches!(parse(&PREHASHED.repeat(MAX_SIGNATURES + 1)), Err(BadSignatures::TooMany)));
    let long = "x".repeat(usize::try_from(MAX_SIGNATURES_LEN).unwrap());
    let long = PREHASHED.replacen("signature from", &long, 1);
    assert!(matches!(parse(&long), Err(BadSignatures::TooMany)));
}

/// Each byte of a signature changed, removed or added: it is refused, or says the same as before.
#[test]
fn no_byte_of_a_signature_can_be_another() {
    let key: PublicKey = KEY.parse().unwrap();
    let comment = only(PREHASHED).comment().to_owned();
    let untrusted = PREHASHED.find('\n').unwrap();
    let mut still_good = 0;
    let mut check = |text: Vec<u8>, what: &str, at: usize| {
        let Ok(signatures) = Signatures::parse(&text) else { return };
        if signatures.iter().any(|s| key.signed(b"test", s)) {
            assert!(signatures.iter().all(|s| s.comment() == comment), "{what} at {at}");
            still_good += 1;
            // The first line is nobody's word; line ends and empty lines are not looked at.
            let outside = at <= untrusted || matches!(text.get(at), Some(b'\n' | b'\r') | None);
            let line_end = PREHASHED.as_bytes().get(at).is_none_or(|byte| *byte == b'\n');
            assert!(outside || line_end, "{what} at {at}");
        }
    };
    for at in 0..PREHASHED.len() {
        for bit in 0..8 {
            let mut text = PREHASHED.as_bytes().to_vec();
            text[at] ^= 1 << bit;
            check(text, "a bit flipped", at);
        }
        check(PREHASHED.as_bytes()[..at].to_vec(), "cut", at);
        let mut text = PREHASHED.as_bytes().to_vec();
        text.remove(at);
        check(text, "removed", at);
        for added in [b'A', b' ', b'\n', 0] {
            let mut text = PREHASHED.as_bytes().to_vec();
            text.insert(at, added);
            check(text, "added", at);
        }
    }
    // The control: a change to the untrusted comment is one that counts as none.
    assert!(still_good > 100, "{still_good}");
}

proptest! {
    #[test]
    fn garbage_never_panics(bytes: Vec<u8>, text in "(untrusted comment: |trusted comment: |RUQ|[a-zA-Z0-9=+/]{88}|[a-zA-Z0-9=+/]{97}|\n){0,16}") {
        let _ = (Signatures::parse(&bytes), Signatures::parse(text.as_bytes()));
    }

    #[test]
    fn changed_ones_never_panic(at in 0..PREHASHED.len(), with: char) {
        let mut text: Vec<char> = PREHASHED.chars().collect();
        text[at] = with;
        if let Ok(signatures) = parse(&text.into_iter().collect::<String>()) {
            let key: PublicKey = KEY.parse().unwrap();
            signatures.iter().for_each(|s| { key.signed(b"test", s); });
        }
    }
}
