//! The crates that are linked into a program, by what cargo says of features, target and lock file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use anyhow::{Context, bail, ensure};
use serde_json::Value;

/// Name and version of a crate.
pub type Key = (String, String);

/// A crate that is linked into a program.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Crate {
    /// What it is called.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Under which licences it is offered: an SPDX expression.
    pub licence: String,
    /// SHA-256 of its package, from the lock file; none of this workspace's own.
    pub checksum: Option<String>,
    /// Where its files lie.
    pub dir: PathBuf,
    /// Names and versions of the crates it uses itself, of those that are linked.
    pub uses: BTreeSet<Key>,
}

/// What is linked into a program.
#[derive(Debug, Clone)]
pub struct Linked {
    /// The package whose program it is.
    pub package: String,
    /// The crates, its own among them, by name and version.
    pub crates: BTreeMap<Key, Crate>,
    /// The workspace.
    pub(crate) workspace: PathBuf,
}

impl Linked {
    /// Asks cargo, in `workspace`, what is linked into the program of `package` for `target`.
    ///
    /// # Errors
    /// When cargo fails, or something about a crate can't be known.
    pub fn find(workspace: &Path, package: &str, target: &str) -> anyhow::Result<Self> {
        let edges = ["--edges", "normal,no-proc-macro", "--no-dedupe"];
        let tree = ["tree", "--locked", "--package", package, "--target", target];
        let form = ["--prefix", "depth", "--format", "{p}"];
        let tree = cargo(workspace, &[&tree[..], &edges, &form].concat())?;
        let metadata =
            ["metadata", "--locked", "--format-version", "1", "--filter-platform", target];
        let metadata: Value = serde_json::from_str(&cargo(workspace, &metadata)?)?;
        let lock = metadata["workspace_root"].as_str().context("cargo metadata: no workspace")?;
        let workspace = PathBuf::from(lock);
        let checksums = checksums(&fs::read_to_string(workspace.join("Cargo.lock"))?);
        let mut crates = BTreeMap::new();
        for (key, uses) in graph(&tree)? {
            let checksum = checksums.get(&key).cloned();
            crates.insert(key.clone(), known(&metadata, key, checksum, uses)?);
        }
        ensure!(!crates.is_empty(), "nothing is linked into {package}");
        Ok(Self { package: package.to_owned(), crates, workspace })
    }

    /// The program's own crate.
    ///
    /// # Errors
    /// When it is not among those that are linked.
    pub(crate) fn program(&self) -> anyhow::Result<&Crate> {
        let program = self.crates.values().find(|found| found.name == self.package);
        program.with_context(|| format!("{} is none of its own crates", self.package))
    }
}

/// What the metadata says of a crate.
fn known(
    metadata: &Value,
    (name, version): Key,
    checksum: Option<String>,
    uses: BTreeSet<Key>,
) -> anyhow::Result<Crate> {
    let packages = metadata["packages"].as_array().context("cargo metadata: no packages")?;
    let is_it = |package: &&Value| package["name"] == *name && package["version"] == *version;
    let package = packages.iter().find(is_it);
    let package = package.with_context(|| format!("cargo metadata knows no {name} {version}"))?;
    let licence = package["license"].as_str();
    let licence =
        licence.with_context(|| format!("{name} {version} states no licence"))?.to_owned();
    let manifest = package["manifest_path"].as_str().map(Path::new).and_then(Path::parent);
    let dir = manifest.with_context(|| format!("{name} {version} lies nowhere"))?.to_owned();
    ensure!(
        checksum.is_some() != package["source"].is_null(),
        "{name} {version} comes from a registry without a checksum, or has one without"
    );
    Ok(Crate { name, version, licence, checksum, dir, uses })
}

/// The crates of `cargo tree`'s lines, each its depth, name and version; and which they use.
fn graph(tree: &str) -> anyhow::Result<BTreeMap<Key, BTreeSet<Key>>> {
    let mut found: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    let mut above: Vec<Key> = Vec::new();
    for line in tree.lines().filter(|line| !line.is_empty()) {
        let digits = line.bytes().take_while(u8::is_ascii_digit).count();
        let (depth, rest) = line.split_at(digits);
        let (Ok(depth), mut words) = (depth.parse::<usize>(), rest.split(' ')) else {
            bail!("cargo tree: {line}");
        };
        let (Some(name), Some(version)) = (words.next(), words.next()) else {
            bail!("cargo tree: {line}");
        };
        let version = version.strip_prefix('v').with_context(|| format!("cargo tree: {line}"))?;
        let key = (name.to_owned(), version.to_owned());
        above.truncate(depth);
        if let Some(user) = above.last() {
            found.entry(user.clone()).or_default().insert(key.clone());
        }
        found.entry(key.clone()).or_default();
        above.push(key);
    }
    Ok(found)
}

/// The checksums of a lock file.
fn checksums(lock: &str) -> BTreeMap<Key, String> {
    let value = |package: &str, key: &str| {
        let line = package
            .lines()
            .find_map(|line| line.strip_prefix(&format!("{key} = \""))?.strip_suffix('"'));
        line.map(str::to_owned)
    };
    let packages = lock.split("[[package]]").skip(1);
    packages
        .filter_map(|package| {
            let key = (value(package, "name")?, value(package, "version")?);
            Some((key, value(package, "checksum")?))
        })
        .collect()
}

/// What cargo prints, asked in `dir`.
fn cargo(dir: &Path, args: &[&str]) -> anyhow::Result<String> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo).current_dir(dir).args(args).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "cargo {}: {}", args.join(" "), said.trim());
    Ok(String::from_utf8(output.stdout)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str, version: &str) -> Key {
        (name.to_owned(), version.to_owned())
    }

    #[test]
    fn a_tree_becomes_a_graph() {
        let graph =
            graph("0a v1.0.0 (/x/a)\n1b v2.0.0\n2d v4.0.0\n1c v3.0.0\n2d v4.0.0\n").unwrap();
        assert_eq!(
            graph[&key("a", "1.0.0")],
            BTreeSet::from([key("b", "2.0.0"), key("c", "3.0.0")])
        );
        assert_eq!(graph[&key("c", "3.0.0")], BTreeSet::from([key("d", "4.0.0")]));
        assert_eq!(graph[&key("d", "4.0.0")], BTreeSet::new());
        assert!(super::graph("a v1.0.0").is_err());
        assert!(super::graph("0a 1.0.0").is_err());
    }

    #[test]
    fn a_lock_file_gives_checksums() {
        let lock = "version = 4\n\n[[package]]\nname = \"a\"\nversion = \"1.0.0\"\nchecksum = \"ff\"\n\
                    dependencies = [\n \"b\",\n]\n\n[[package]]\nname = \"b\"\nversion = \"2.0.0\"\n";
        assert_eq!(checksums(lock), BTreeMap::from([(key("a", "1.0.0"), "ff".to_owned())]));
    }
}
