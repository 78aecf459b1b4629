//! SECURITY.md names tests that show its claims: they are there.
#![expect(clippy::unwrap_used, reason = "a test ends where anything fails")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|ext| ext == "rs") {
            found.push(path);
        }
    }
}

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
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let text = fs::read_to_string(workspace.join("SECURITY.md")).unwrap();
    let mut files = Vec::new();
    for room in ["flist/src", "flist/tests", "init/src", "tests/tests"] {
        sources(&workspace.join(room), &mut files);
    }
    let code: String = files.iter().map(|file| fs::read_to_string(file).unwrap()).collect();
    let names = named(&text);
    let missing: Vec<_> =
        names.iter().filter(|name| !code.contains(&format!("fn {name}("))).collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert!(names.len() > 30, "{}", names.len());
}
