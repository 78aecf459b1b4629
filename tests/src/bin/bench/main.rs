//! `scripts/bench`: measures the promises, each beside its peer in the same run, and writes
//! BENCHMARKS.md.

mod boot;
mod build;
mod mounted;
mod report;
mod sizes;

use std::path::PathBuf;
use std::process::ExitCode;

use argh::FromArgs;
use report::Report;
use tests::{out, root};

/// Measure the promises and write BENCHMARKS.md.
#[derive(FromArgs)]
#[argh(name = "scripts/bench", example = "{command_name}\n{command_name} --only boot --runs 3")]
struct Args {
    /// measure only: sizes, build, mounted, boot (default: all; BENCHMARKS.md is written only then)
    #[argh(option)]
    only: Option<String>,
    /// runs of each timing (default 5)
    #[argh(option, default = "5")]
    runs: usize,
    /// the big tree (default /usr)
    #[argh(option, default = "PathBuf::from(\"/usr\")")]
    tree: PathBuf,
}

/// What all measurements share.
struct Bench {
    /// Scratch, gone at the end.
    scratch: tempfile::TempDir,
    /// The Debian root.
    root: PathBuf,
    /// The big tree.
    tree: PathBuf,
    runs: usize,
}

type Part = (&'static str, fn(&Bench, &mut Report) -> anyhow::Result<()>);

const PARTS: [Part; 4] =
    [("sizes", sizes::run), ("build", build::run), ("mounted", mounted::run), ("boot", boot::run)];

fn main() -> ExitCode {
    match run(&argh::from_env()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("scripts/bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> anyhow::Result<()> {
    if let Some(only) = &args.only {
        anyhow::ensure!(PARTS.iter().any(|(name, _)| name == only), "no part is called {only}");
    }
    let bench = Bench {
        scratch: tempfile::tempdir_in(out::cache()?)?,
        root: root::directory(&root::DEBIAN)?,
        tree: args.tree.clone(),
        runs: args.runs.max(1),
    };
    let mut report = Report::default();
    for (name, part) in PARTS {
        if args.only.as_deref().is_none_or(|only| only == name) {
            eprintln!("measuring: {name}");
            part(&bench, &mut report)?;
        }
    }
    let text = report.markdown(bench.runs)?;
    println!("{text}");
    if args.only.is_none() {
        std::fs::write(out::workspace().join("BENCHMARKS.md"), text)?;
    }
    Ok(())
}
