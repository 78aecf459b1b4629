//! SECURITY.md names tests that show its claims: they are there.
#![expect(clippy::unwrap_used, reason = "a test ends where anything fails")]

mod sources;

use std::collections::BTreeSet;
use std::fs;

/// Names of tests: words in backquotes that underscores join, as those of no option are.
fn named(text: &str) -> BTreeSet<&str> {
    let quoted = text.split('`').skip(1).step_by(2);
    let is_test = |word: &&str| {
        word.contains('_') && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
    };
    quoted.filter(is_test).collect()
}

#[test]
fn the_tests_that_security_names_exist() {
    let text = fs::read_to_string(sources::workspace().join("SECURITY.md")).unwrap();
    let files =
        sources::below(&["flist/src", "flist/tests", "init/src", "tests/tests", "uring/src"]);
    let code: String = files.iter().map(|file| fs::read_to_string(file).unwrap()).collect();
    let names = named(&text);
    let missing: Vec<_> =
        names.iter().filter(|name| !code.contains(&format!("fn {name}("))).collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert!(names.len() > 30, "{}", names.len());
}
