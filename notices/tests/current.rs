//! The texts of licences that are shipped are those of what is linked now, and the SBOM names all of it.

#![expect(clippy::unwrap_used, reason = "a test ends where anything fails")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use notices::Linked;
use serde_json::Value;

const TARGET: &str = "x86_64-unknown-linux-musl";
const PROGRAMS: [&str; 2] = ["init", "zimg"];

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn linked(package: &str) -> Linked {
    Linked::find(&workspace(), package, TARGET).unwrap()
}

/// Name and version of each crate that is linked, in cargo's words.
fn named_by_cargo(package: &str) -> Vec<String> {
    let mut tree = Command::new(env!("CARGO"));
    tree.current_dir(workspace()).args(["tree", "--locked", "--package", package]);
    tree.args(["--target", TARGET, "--edges", "no-build,no-dev,no-proc-macro", "--prefix", "none"]);
    let printed = String::from_utf8(tree.output().unwrap().stdout).unwrap();
    let words = printed.lines().filter(|line| !line.is_empty()).map(|line| line.split(' '));
    let mut crates: Vec<String> =
        words.map(|words| words.take(2).collect::<Vec<_>>().join(" ").replace(" v", " ")).collect();
    crates.sort();
    crates.dedup();
    crates
}

#[test]
fn what_is_shipped_is_what_is_linked() {
    for package in PROGRAMS {
        let shipped = fs::read_to_string(workspace().join(package).join("LICENSES.txt")).unwrap();
        let is_current = linked(package).licenses().unwrap() == shipped;
        assert!(is_current, "{package}/LICENSES.txt is not what is linked: run scripts/licenses");
    }
}

#[test]
fn every_crate_is_in_both() {
    for package in PROGRAMS {
        let linked = linked(package);
        let (text, sbom) = (linked.licenses().unwrap(), linked.sbom().unwrap());
        let sbom: Value = serde_json::from_str(&sbom).unwrap();
        let own = &sbom["metadata"]["component"];
        let parts = sbom["components"].as_array().unwrap().iter().chain([own]);
        let name = |part: &Value| {
            format!("{} {}", part["name"].as_str().unwrap(), part["version"].as_str().unwrap())
        };
        let mut in_sbom: Vec<String> = parts.map(name).collect();
        in_sbom.sort();
        let crates = named_by_cargo(package);
        assert!(crates.len() > 40, "{crates:?}");
        assert_eq!(in_sbom, crates);
        for part in &crates {
            assert!(text.contains(&format!("\n  {part}: ")), "{part}");
        }
        for needed in
            ["blake3 ", "ring ", "webpki-roots ", "zstd-sys ", "musl: ", "Rust's standard"]
        {
            assert!(text.contains(&format!("\n  {needed}")), "{needed}");
        }
        assert!(
            text.contains("Copyright © 2005-2020 Rich Felker") && text.contains("Meta Platforms")
        );
    }
}

#[test]
fn sboms_refer_to_what_they_name_and_state_checksums() {
    for package in PROGRAMS {
        let sbom: Value = serde_json::from_str(&linked(package).sbom().unwrap()).unwrap();
        let parts = sbom["components"].as_array().unwrap();
        let mut known: Vec<&Value> = parts.iter().map(|part| &part["bom-ref"]).collect();
        known.push(&sbom["metadata"]["component"]["bom-ref"]);
        for edge in sbom["dependencies"].as_array().unwrap() {
            assert!(known.contains(&&edge["ref"]), "{edge}");
            assert!(edge["dependsOn"].as_array().unwrap().iter().all(|to| known.contains(&to)));
        }
        let own = ["flist", "uring"];
        let outside = parts.iter().filter(|part| own.iter().all(|own| part["name"] != **own));
        for part in outside {
            assert_eq!(part["hashes"][0]["content"].as_str().unwrap().len(), 64, "{part}");
            assert!(part["purl"].as_str().unwrap().starts_with("pkg:cargo/"), "{part}");
        }
    }
}
