//! `notices`: writes what is linked into a program of this workspace, as a text of licences or an SBOM.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs};

use anyhow::Context;
use argh::FromArgs;
use notices::Linked;

/// Writes what is linked into a program: the texts of its licences, its SBOM, or both.
#[derive(FromArgs, Debug)]
#[argh(error_code(0, "They are written."), error_code(1, "Something about a part is not known."))]
struct Options {
    /// the package whose program it is
    #[argh(positional)]
    package: String,

    /// the target it is built for. Default: x86_64-unknown-linux-musl
    #[argh(option, arg_name = "TRIPLE", default = "String::from(\"x86_64-unknown-linux-musl\")")]
    target: String,

    /// where the licences go: a text
    #[argh(option, arg_name = "FILE")]
    licenses: Option<PathBuf>,

    /// where the SBOM goes: CycloneDX 1.5, JSON
    #[argh(option, arg_name = "FILE")]
    sbom: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(&argh::from_env()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("notices: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> anyhow::Result<()> {
    let linked = Linked::find(&env::current_dir()?, &options.package, &options.target)?;
    if let Some(path) = &options.licenses {
        put(path, &linked.licenses()?)?;
    }
    if let Some(path) = &options.sbom {
        put(path, &linked.sbom()?)?;
    }
    Ok(())
}

/// Writes `text`; a file that holds it already keeps its time, so that nothing is built anew for it.
fn put(path: &Path, text: &str) -> anyhow::Result<()> {
    if fs::read_to_string(path).is_ok_and(|was| was == text) {
        return Ok(());
    }
    fs::write(path, text).with_context(|| path.display().to_string())
}
