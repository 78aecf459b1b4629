//! The password of a secret key: from a file, from the environment, or asked for on the terminal.

use std::fs;
use std::path::Path;

use anyhow::{Context, bail};

use crate::exit::Usage;

/// The variable of the environment that may hold it.
const VARIABLE: &str = "ZIMG_PASSWORD";

/// Longest password, as minisign has it.
const MAX: usize = 1024;

/// The password of the key in `key`.
pub(super) fn of(key: &Path, file: Option<&Path>) -> anyhow::Result<String> {
    match given(file)? {
        Some(password) => Ok(password),
        None => ask(&format!("Password of {}: ", key.display())),
    }
}

/// A password for a key that is being made.
pub(super) fn fresh(file: Option<&Path>) -> anyhow::Result<String> {
    let password = match given(file)? {
        Some(password) => password,
        None => {
            let first = ask("Password for the secret key: ")?;
            if first != ask("Once more: ")? {
                bail!("the two passwords differ; no key is made");
            }
            first
        }
    };
    if password.is_empty() {
        let why = "keygen: the password is empty: give one, or --no-password for a key without";
        return Err(Usage(why.into()).into());
    }
    Ok(password)
}

fn given(file: Option<&Path>) -> anyhow::Result<Option<String>> {
    let password = match (file, std::env::var(VARIABLE)) {
        (Some(file), _) => {
            let name = || format!("--password-file {}", file.display());
            let text = fs::read_to_string(file).with_context(name)?;
            let line = text.strip_suffix('\n').unwrap_or(&text);
            Some(line.strip_suffix('\r').unwrap_or(line).to_owned())
        }
        (None, Ok(password)) => Some(password),
        (None, Err(std::env::VarError::NotPresent)) => None,
        (None, Err(error)) => return Err(error).context(VARIABLE),
    };
    password.map(bounded).transpose()
}

fn ask(prompt: &str) -> anyhow::Result<String> {
    let answer = rpassword::prompt_password(prompt);
    bounded(answer.with_context(|| {
        format!("no password: there is no terminal to ask on; give --password-file or {VARIABLE}")
    })?)
}

fn bounded(password: String) -> anyhow::Result<String> {
    anyhow::ensure!(password.len() <= MAX, "the password is longer than {MAX} bytes");
    Ok(password)
}
