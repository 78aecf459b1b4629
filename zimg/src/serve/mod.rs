//! `zimg serve`: a static HTTP/1.1 server of one directory, for flists and their packs.
//!
//! GET and HEAD, kept-alive connections, one range a request, nothing outside the directory.
//! `request` and `plan` are pure: bytes to a request, a request to a response. `connection` moves
//! bytes, `server` threads.

mod announce;
mod connection;
mod listen;
mod page;
mod percent;
mod plan;
mod range;
mod request;
mod response;
mod server;
#[cfg(test)]
mod tests;
mod tree;

use std::io;
use std::os::fd::AsFd;
use std::path::PathBuf;

use anyhow::Context;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// Serve a directory of flists and packs over HTTP, and print the kernel arguments for each flist.
#[derive(Debug, argh::FromArgs)]
#[argh(
    subcommand,
    name = "serve",
    example = "Serve to this machine and its qemu guests:\n  {command_name} out\nServe to the network:\n  {command_name} out --listen 0.0.0.0:80\nServe on a free port, which the first line of output names:\n  {command_name} out --listen 127.0.0.1:0",
    note = "The access log goes to stderr, a line for each request:\n  time client method path range status bytes milliseconds\nEnds at once and in good order on ctrl-c and SIGTERM.",
    error_code(1, "the directory cannot be read, or the address cannot be listened on")
)]
pub(crate) struct ServeArgs {
    /// the directory, as `zimg build` left it: NAME.flist beside packs/
    #[argh(positional)]
    dir: PathBuf,

    /// where to listen: ADDRESS:PORT, or either (default 127.0.0.1:8080; port 0 picks a free one)
    #[argh(option, default = "\"127.0.0.1:8080\".to_owned()", arg_name = "addr")]
    listen: String,

    /// write no access log
    #[argh(switch)]
    quiet: bool,
}

/// Serves until SIGINT or SIGTERM.
pub(crate) fn run(args: ServeArgs) -> anyhow::Result<()> {
    let stop = ending_signals().context("cannot watch for signals")?;
    let tree = tree::Tree::open(&args.dir)
        .with_context(|| format!("cannot serve {}", args.dir.display()))?;
    let listener = listen::bind(&args.listen)?;
    let local = listener.local_addr().context("cannot tell where it listens")?;
    let reachable = listen::reachable(local)?;
    let server = server::Server::new(listener, tree, server::LIMITS, args.quiet)
        .with_context(|| format!("cannot serve on {local}"))?;
    match announce::print(&mut io::stdout().lock(), &args.dir, local, &reachable) {
        // Whoever read the first line may have had enough.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            return Err(error).context("cannot write to stdout");
        }
        _ => {}
    }
    server.run(stop.as_fd()).with_context(|| format!("cannot go on serving on {local}"))
}

/// A descriptor that is readable once the process is to end. To be made before any thread, as
/// these inherit that the signals are held back.
fn ending_signals() -> nix::Result<SignalFd> {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGINT);
    signals.add(Signal::SIGTERM);
    signals.thread_block()?;
    SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC)
}
