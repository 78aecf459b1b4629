//! `zimg`: builds, mounts, checks and serves flists.
#![forbid(unsafe_code)]

mod build;
mod cat;
mod channel;
mod diff;
mod exit;
mod file;
mod inspect;
mod logger;
mod ls;
mod mount;
mod open;
mod path;
mod plot;
mod progress;
mod proxy;
mod serve;
mod sign;
mod signals;
mod text;
mod trust;
mod unpack;
mod verify;

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use argh::FromArgs;

/// musl's own allocator collapses under the threads of a build.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What is linked into this program, and the texts of its licences. `scripts/licenses` writes them.
const LICENSES: &str = include_str!("../LICENSES.txt");

/// Builds, mounts, checks and serves flists: operating-system images that boot over HTTP.
#[derive(FromArgs)]
#[argh(
    name = "zimg",
    note = "Exit status: 0 good, 1 the thing is bad, 2 usage, 3 not reachable.",
    note = "`zimg --version` tells its version, `zimg --licenses` the licences of all that is linked into it.",
    note = "Proxies are those of the environment: http_proxy, https_proxy, all_proxy, no_proxy.",
    example = "{command_name} build ./root debian.flist\n{command_name} serve .\n\
               {command_name} COMMAND --help"
)]
struct Cli {
    #[argh(subcommand)]
    command: Command,
}

#[derive(FromArgs)]
#[argh(subcommand)]
enum Command {
    Build(build::Args),
    Mount(mount::Args),
    Unpack(unpack::Args),
    Ls(ls::Args),
    Cat(cat::Args),
    Inspect(inspect::Args),
    Verify(verify::Args),
    Diff(diff::Args),
    Serve(serve::ServeArgs),
    Keygen(sign::keygen::Args),
    Sign(sign::Args),
    Channel(channel::Args),
    Plot(plot::Args),
}

fn main() -> ExitCode {
    logger::init();
    let command = match parse() {
        Ok(command) => command,
        Err(code) => return code,
    };
    let result = match command {
        Command::Build(args) => build::run(&args),
        Command::Mount(args) => mount::run(&args),
        Command::Unpack(args) => unpack::run(&args),
        Command::Ls(args) => ls::run(&args),
        Command::Cat(args) => cat::run(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Diff(args) => diff::run(&args),
        Command::Serve(args) => serve::run(args),
        Command::Keygen(args) => sign::keygen::run(&args),
        Command::Sign(args) => sign::run(&args),
        Command::Channel(args) => channel::run(&args),
        Command::Plot(args) => plot::run(&args),
    };
    let Err(error) = result else { return ExitCode::SUCCESS };
    end(&error)
}

/// The command that the command line names, or the status after help or a usage error was shown.
fn parse() -> Result<Command, ExitCode> {
    let usage = |text: &str| {
        eprintln!("zimg: {}", one_line(text));
        ExitCode::from(exit::USAGE)
    };
    let args: Vec<String> =
        std::env::args_os().skip(1).map(OsString::into_string).collect::<Result<_, _>>().map_err(
            |arg| usage(&format!("{arg:?} is not UTF-8: go by way of a symbolic link to it")),
        )?;
    if args.iter().any(String::is_empty) {
        return Err(usage("an argument is empty, perhaps by a variable that is not set"));
    }
    // argh takes a lone dash for an option it does not know.
    let stdin = |arg| if arg == "-" { "/dev/stdin" } else { arg };
    let args: Vec<&str> = args.iter().map(String::as_str).map(stdin).collect();
    match args.as_slice() {
        ["--version" | "-V"] => {
            return Err(show(concat!("zimg ", env!("CARGO_PKG_VERSION"))));
        }
        ["--licenses"] => return Err(show(LICENSES.trim_end())),
        _ => {}
    }
    match Cli::from_args(&["zimg"], &args) {
        Ok(cli) => Ok(cli.command),
        Err(early) if early.status.is_ok() => Err(show(early.output.trim_end())),
        Err(early) => Err(usage(&early.output)),
    }
}

/// Writes what was asked for to standard output. Returns the status after that.
fn show(text: &str) -> ExitCode {
    let written = writeln!(io::stdout(), "{text}");
    exit::answer(true, written).map_or_else(|error| end(&error), |()| ExitCode::SUCCESS)
}

/// Says what is left to say of an error. Returns its status.
fn end(error: &anyhow::Error) -> ExitCode {
    let (status, said) = exit::verdict(error);
    if let Some(said) = said {
        eprintln!("{said}");
    }
    ExitCode::from(status)
}

/// argh's messages, some of which are lists, as the one sentence that everything else is.
fn one_line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    format!("{}; `zimg COMMAND --help` tells more", words.join(" ").trim_end_matches('.'))
}
