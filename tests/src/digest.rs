//! Digests, by the programs of the host that make them.

use std::fs;
use std::process::Command;

use anyhow::ensure;

use crate::root::run;

/// What `tool` (`sha256sum`) prints of `bytes`, in hexadecimal digits.
///
/// # Errors
/// When there is no such program, or it prints nothing.
pub fn digest(tool: &str, bytes: &[u8]) -> anyhow::Result<String> {
    let file = tempfile::NamedTempFile::new()?;
    fs::write(file.path(), bytes)?;
    let printed = String::from_utf8(run(Command::new(tool).arg(file.path()))?)?;
    let digits = printed.split(' ').next().unwrap_or_default();
    ensure!(!digits.is_empty(), "{tool} printed nothing");
    Ok(digits.to_owned())
}
