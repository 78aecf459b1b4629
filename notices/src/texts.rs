//! The text of licences that is shipped with a program.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};

use crate::choice::{choose, spdx};
use crate::{Crate, Linked};

/// The licence that has one text for all.
const APACHE: &str = "Apache-2.0";

/// What comes with Rust: linked into every program, and no crate that cargo knows of.
const WITH_RUST: [(&str, &str); 3] = [
    ("Rust's standard library", "Apache-2.0"),
    ("LLVM's compiler-rt and libunwind", "Apache-2.0 WITH LLVM-exception"),
    ("musl", "MIT"),
];

/// musl's own file, of 1.2.5.
const MUSL: &str = include_str!("../texts/musl.txt");

/// How the names of files begin that hold a licence, or something that goes with one.
const NAMES: [&str; 5] = ["LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE"];

/// Files of licences that are not the ones taken: what is offered beside them.
const NOT_TAKEN: [(&str, &str); 3] = [
    // zstd is offered under the GPL too.
    ("zstd-sys", "zstd/COPYING"),
    // Parts of it that are Apache-2.0's or MIT's, as we like.
    ("ring", "src/polyfill/once_cell/LICENSE-MIT"),
    ("ring", "src/polyfill/once_cell/LICENSE-APACHE"),
];

impl Linked {
    /// What is linked, under which licence each part is shipped, and these licences' texts, each once.
    ///
    /// # Errors
    /// When a crate's licence has no text.
    pub fn licenses(&self) -> anyhow::Result<String> {
        let apache = fs::read_to_string(self.workspace.join("LICENSE-APACHE"))?;
        let mut texts = Texts::default();
        let mut list = String::new();
        for part in self.crates.values() {
            let (title, taken) =
                (format!("{} {}", part.name, part.version), choose(&part.licence)?);
            writeln!(list, "  {title}: {}", told(&taken, &part.licence))?;
            // Of this workspace: its two texts are said below.
            if part.checksum.is_none() {
                continue;
            }
            let mut found = 0;
            for file in files(part, &taken)? {
                texts.add(&title, &read(&part.dir.join(file))?);
                found += 1;
            }
            ensure!(
                found > 0 || taken == [APACHE],
                "{title}: no text of {} in {}",
                taken.join(" AND "),
                part.dir.display()
            );
        }
        for (part, licence) in WITH_RUST {
            writeln!(list, "  {part}: {licence}")?;
        }
        texts.add("musl", MUSL);
        let mut out = format!(
            "What is linked into {}, and under which licence each part of it is shipped.\n\
             zimg's own parts are offered under MIT or Apache-2.0, at your option.\n\
             `scripts/licenses` writes this file.\n\n{list}",
            self.package
        );
        let ours = fs::read_to_string(self.workspace.join("LICENSE-MIT"))?;
        write!(out, "{}{}{}", section("zimg", &ours), texts.out(), section(APACHE, &apache))?;
        Ok(out)
    }
}

/// What is taken, and what of if that is not all.
fn told(taken: &[String], offered: &str) -> String {
    let (taken, offered) = (taken.join(" AND "), spdx(offered));
    if taken == offered { taken } else { format!("{taken} (offered: {offered})") }
}

/// The files of `part` that go with the licences `taken`, below its directory. Where it is Apache-2.0 alone,
/// these are notices, if any: its text is said once for all.
fn files(part: &Crate, taken: &[String]) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    walk(&part.dir, Path::new(""), &mut files)?;
    files.retain(|file| {
        let path = file.to_string_lossy();
        let name = file.file_name().unwrap_or_default().to_string_lossy().to_ascii_uppercase();
        let is_notice = name.starts_with("NOTICE") || name.starts_with("COPYRIGHT");
        let is_nested = file.components().count() > 1;
        let is_other =
            name.contains("APACHE") || name.contains("UNLICENSE") || name.contains("CC0");
        !NOT_TAKEN.iter().any(|(name, not)| *name == part.name && *not == path)
            && (is_notice || !is_other && (is_nested || taken != [APACHE]))
    });
    files.sort();
    Ok(files)
}

/// Collects the files below `dir/at` whose names say that they hold a licence.
fn walk(dir: &Path, at: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let here = dir.join(at);
    for entry in fs::read_dir(&here).with_context(|| here.display().to_string())? {
        let entry = entry?;
        let path = at.join(entry.file_name());
        let name = entry.file_name().to_string_lossy().to_ascii_uppercase();
        if entry.file_type()?.is_dir() {
            walk(dir, &path, files)?;
        } else if NAMES.iter().any(|begin| name.starts_with(begin)) && !name.ends_with(".RS") {
            files.push(path);
        }
    }
    Ok(())
}

fn read(path: &Path) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| path.display().to_string())
}

/// Texts, each with all whose it is, in the order in which they came.
#[derive(Default)]
struct Texts {
    order: Vec<String>,
    owners: BTreeMap<String, Vec<String>>,
}

impl Texts {
    fn add(&mut self, owner: &str, text: &str) {
        let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
        let text = lines.join("\n").trim_matches('\n').to_owned();
        let owners = self.owners.entry(text.clone()).or_default();
        if owners.is_empty() {
            self.order.push(text);
        }
        if !owners.iter().any(|known| known == owner) {
            owners.push(owner.to_owned());
        }
    }

    fn out(&self) -> String {
        let owners = |text| self.owners.get(text).map(|owners| owners.join(", "));
        self.order.iter().map(|text| section(&owners(text).unwrap_or_default(), text)).collect()
    }
}

fn section(title: &str, text: &str) -> String {
    format!("\n==== {title}\n\n{}\n", text.trim_matches('\n'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(licence: &str, dir: &Path) -> Crate {
        Crate {
            name: "a".to_owned(),
            version: "1.0.0".to_owned(),
            licence: licence.to_owned(),
            checksum: Some("ff".to_owned()),
            dir: dir.to_owned(),
            uses: Default::default(),
        }
    }

    fn linked(part: Crate) -> Linked {
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let key = (part.name.clone(), part.version.clone());
        Linked { package: "p".to_owned(), crates: BTreeMap::from([(key, part)]), workspace }
    }

    #[test]
    fn a_licence_without_a_text_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let made = |licence| linked(part(licence, dir.path())).licenses();
        assert!(made("MIT").unwrap_err().to_string().contains("a 1.0.0: no text of MIT"));
        fs::write(dir.path().join("LICENSE-APACHE"), "another").unwrap();
        assert!(made("MIT").is_err(), "nor is that of another one");
        assert!(made("MIT OR Apache-2.0").unwrap().contains("Apache-2.0 (offered: MIT OR Apache"));
        fs::write(dir.path().join("LICENSE-MIT"), "Copyright Ann\n").unwrap();
        assert!(made("MIT").unwrap().contains("==== a 1.0.0\n\nCopyright Ann\n"));
    }

    #[test]
    fn what_is_nested_and_notices_are_found() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("vendor/lib")).unwrap();
        fs::write(dir.path().join("vendor/lib/LICENSE"), "Copyright Bob").unwrap();
        fs::write(dir.path().join("LICENSE-MIT"), "Copyright Ann").unwrap();
        fs::write(dir.path().join("NOTICE"), "By Eve").unwrap();
        let text = linked(part("MIT OR Apache-2.0", dir.path())).licenses().unwrap();
        assert!(text.contains("Copyright Bob") && text.contains("By Eve"), "{text}");
        assert!(!text.contains("Copyright Ann"), "that offer is not taken");
    }

    #[test]
    fn equal_texts_stand_once() {
        let mut texts = Texts::default();
        texts.add("a 1", "Text\n");
        texts.add("b 1", "\nText  ");
        texts.add("a 1", "Text");
        texts.add("c 1", "Other");
        assert_eq!(texts.out(), "\n==== a 1, b 1\n\nText\n\n==== c 1\n\nOther\n");
    }
}
