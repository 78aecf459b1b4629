//! The command line: builds, looks at and serves flists.
#![forbid(unsafe_code)]

mod serve;

use std::process::ExitCode;

/// Builds, looks at and serves flists.
#[derive(argh::FromArgs)]
struct Args {
    #[argh(subcommand)]
    command: Command,
}

#[derive(argh::FromArgs)]
#[argh(subcommand)]
enum Command {
    Serve(serve::ServeArgs),
}

fn main() -> ExitCode {
    let Args { command: Command::Serve(args) } = argh::from_env();
    match serve::run(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("zimg: {error:#}");
            ExitCode::FAILURE
        }
    }
}
