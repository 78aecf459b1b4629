//! `scripts/bench`: measures the promises, each beside its peer in the same run, and writes
//! BENCHMARKS.md.

mod boot;
mod broken;
mod build;
mod far;
mod herd;
mod mounted;
mod nbd;
mod network;
mod peers;
mod picture;
mod plot;
mod program;
mod report;
mod scale;
mod shop;
mod sizes;
mod transports;
mod trust;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use argh::FromArgs;
use report::Report;
use tests::{out, root};

/// Measure the promises and write BENCHMARKS.md.
#[derive(FromArgs)]
#[argh(name = "scripts/bench", example = "{command_name}\n{command_name} --only boot --runs 3")]
struct Args {
    /// measure only: sizes, build, mounted, peers, scale, trust, network, boot, far, herd (default: all); what BENCHMARKS.md says of the others stays
    #[argh(option)]
    only: Option<String>,
    /// of far, measure only this way, as BENCHMARKS.md calls it: "50 ms, 100 Mbit/s"
    #[argh(option)]
    way: Option<String>,
    /// runs of each timing (default 5)
    #[argh(option, default = "5")]
    runs: usize,
    /// what the big tree is taken from: its first 76,000 entries (default /usr)
    #[argh(option, default = "PathBuf::from(\"/usr\")")]
    tree: PathBuf,
    /// files of the image that shows scale (default 1000000)
    #[argh(option, default = "1_000_000")]
    files: usize,
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
    files: usize,
    way: Option<String>,
}

type Part = (&'static str, fn(&Bench, &mut Report) -> anyhow::Result<()>);

const PARTS: [Part; 10] = [
    ("sizes", sizes::run),
    ("build", build::run),
    ("mounted", mounted::run),
    ("peers", peers::run),
    ("scale", scale::run),
    ("trust", trust::run),
    ("network", network::run),
    ("boot", boot::run),
    ("far", far::run),
    ("herd", herd::run),
];

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
    let scratch = tempfile::tempdir_in(out::cache()?)?;
    let bench = Bench {
        tree: big_tree(&args.tree, scratch.path())?,
        scratch,
        root: root::directory(&root::DEBIAN)?,
        runs: args.runs.max(1),
        files: args.files.max(1),
        way: args.way.clone(),
    };
    let mut report = Report::default();
    for (name, part) in PARTS {
        if args.only.as_deref().is_none_or(|only| only == name) {
            eprintln!("measuring: {name}");
            part(&bench, &mut report)?;
        }
    }
    let made_by = std::env::args().skip(1).fold("scripts/bench".to_owned(), |line, word| {
        line + " " + &if word.contains(' ') { format!("{word:?}") } else { word }
    });
    let path = out::workspace().join("BENCHMARKS.md");
    let page = report.page(&std::fs::read_to_string(&path)?, &made_by, bench.runs)?;
    std::fs::write(path, &page)?;
    std::fs::write(out::workspace().join(picture::FILE), picture::of(&page).svg())?;
    Ok(())
}

/// The first 76,000 entries of `source`, as hard links where that can be.
fn big_tree(source: &Path, scratch: &Path) -> anyhow::Result<PathBuf> {
    let tree = scratch.join("tree");
    std::fs::create_dir(&tree)?;
    let take = "find . -xdev | head -n 76000 | cpio --quiet -pdlm \"$1\"";
    let mut command = Command::new("sh");
    command.current_dir(source).args(["-c", take, "sh"]).arg(&tree);
    root::run(&mut command)?;
    Ok(tree)
}
