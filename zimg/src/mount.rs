//! `zimg mount`: an image as a directory, in the foreground or by a process of its own.

use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use anyhow::{Context, bail};
use argh::FromArgs;
use flist::fs::Fs;
use flist::fuse::{self, MountOptions, Mounted, PROFILED_READAHEAD_KIB, READAHEAD_KIB, Unmounter};
use flist::profile::{Prefetch, Recorder};
use flist::store::{Fetcher, Prefetched};
use nix::sys::signal::Signal;

use crate::exit::{self, Silent, Usage};
use crate::open::{self, Opened};
use crate::signals::StopSignals;
use crate::text;
use crate::trust::demanding;

/// What a mount in the background says to the process that started it.
const READY: &str = "mounted";
/// Set in the environment of a mount in the background.
const BACKGROUND: &str = "ZIMG_MOUNT_BACKGROUND";

demanding! {
/// Mount an image, read-only; contents are fetched and checked as they are read.
#[derive(FromArgs)]
#[argh(
    subcommand,
    name = "mount",
    note = "A URL needs --key or --hash, or --insecure. Once mounted, reads wait while the server is away.\n\
            Unmount with `umount DIR` or `fusermount3 -u DIR`, or by SIGTERM or ctrl-c (twice, to\n\
            end it though files are in use).\n\
            As root the image's permissions hold for all users; --suid and --dev as in mount(8).",
    example = "{command_name} debian.flist /mnt\n\
               {command_name} http://10.0.0.1:8080/debian.flist /mnt --hash 1f0c… --foreground\n\
               {command_name} http://10.0.0.1:8080/web.flist /mnt --key fleet.pub --name web\n\
               {command_name} debian.flist /mnt --profile-out debian.profile"
)]
pub(crate) struct Args {
    /// flist: a file or an http(s) URL
    #[argh(positional)]
    flist: String,
    /// directory to mount on
    #[argh(positional)]
    dir: PathBuf,
    /// where the packs lie: a directory or URL, several being mirrors (default: the flist's folder)
    #[argh(option)]
    store: Vec<String>,
    /// accept an flist from a URL without a key or hash to check it by
    #[argh(switch)]
    insecure: bool,
    /// stay, log to standard error, and tell at the end what was fetched
    #[argh(switch)]
    foreground: bool,
    /// honour setuid, setgid and file capabilities (root only)
    #[argh(switch)]
    suid: bool,
    /// honour device nodes (root only)
    #[argh(switch)]
    dev: bool,
    /// what to fetch before it is read: off, profile or all (default off, with --profile profile)
    #[argh(option)]
    prefetch: Option<Prefetch>,
    /// profile that says what is read first, a file or URL (default: the image's own)
    #[argh(option)]
    profile: Option<String>,
    /// once unmounted, write what was read, in order, to this file: for `zimg build --profile`
    #[argh(option)]
    profile_out: Option<PathBuf>,
    /// most MiB of stored chunks to keep in memory (default 128)
    #[argh(option, default = "128")]
    cache: u32,
}
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let background = std::env::var_os(BACKGROUND).is_some();
    if !args.foreground && !background {
        return start_background();
    }
    let signals = StopSignals::block()?;
    if background {
        // A session of its own, so that no terminal's end is ours.
        rustix::process::setsid().context("setsid")?;
    }
    small_pages();
    let opened = open::trusted(&args.flist, &args.trust(), args.insecure)?;
    let profile_out = args.profile_out.as_deref().map(std::path::absolute).transpose()?;
    let fetcher = open::patient_fetcher(&opened, &args.store, u64::from(args.cache) << 20)?;
    prefetch(args, &opened, &fetcher)?;
    let recorder = Arc::new(Recorder::default());
    let mut fs = Fs::new(Arc::clone(&opened.image), Arc::clone(&fetcher) as _);
    if profile_out.is_some() {
        fs = fs.recorded(Arc::clone(&recorder));
    }
    let fs = Arc::new(fs);
    let by_profile = args.profile_out.is_some() || args.profile.is_some();
    let options = MountOptions {
        allow_other: rustix::process::geteuid().is_root(),
        readahead_kib: if by_profile { PROFILED_READAHEAD_KIB } else { READAHEAD_KIB },
        suid: args.suid,
        dev: args.dev,
        ..MountOptions::default()
    };
    let mounted = fuse::mount(fs, &args.dir, &options)?;
    let unmounter = mounted.unmounter();
    let mut asked_before = false;
    signals.on_each(move |signal| {
        if std::mem::replace(&mut asked_before, true) {
            unmounter.abort();
            // A mount taken away from its directory is beyond unmounting. The kernel ends it once
            // nobody answers any more.
            std::process::exit(0);
        } else {
            unmount(&unmounter, signal);
        }
    })?;
    announce(&mounted, background)?;
    mounted.wait().with_context(|| format!("the server of {} failed", args.dir.display()))?;
    if !background {
        tell(&fetcher);
    }
    if let Some(path) = profile_out {
        let text = recorder.end(&opened.image).to_text();
        std::fs::write(&path, text).with_context(|| format!("--profile-out {}", path.display()))?;
    }
    Ok(())
}

/// Begins to fetch what was asked for, ahead of all readers.
fn prefetch(args: &Args, opened: &Opened, fetcher: &Fetcher) -> anyhow::Result<()> {
    let profile = args.profile.as_deref().map(|name| open::profile(opened, name)).transpose()?;
    let asked = if profile.is_some() { Prefetch::Profile } else { Prefetch::Off };
    let what = args.prefetch.unwrap_or(asked);
    let chunks = what.chunks(&opened.image, profile.as_ref());
    let all = Fetcher::cache_for_all(&opened.image);
    if what == Prefetch::All && all > u64::from(args.cache) << 20 {
        let why = format!("mount: --prefetch all: the image takes {}: --cache", text::bytes(all));
        // One more for what is on its way.
        return Err(Usage(format!("{why} {} or more", all.div_ceil(1 << 20) + 1)).into());
    }
    if !chunks.is_empty() {
        let ended = |fetched: Prefetched| match fetched.missing {
            0 => log::info!("{} are fetched", text::bytes(fetched.bytes)),
            n => log::warn!("{n} chunks can't be fetched ahead: no store has them right"),
        };
        fetcher.prefetch(chunks, Box::new(ended));
    }
    Ok(())
}

/// Keeps memory to what is used: on huge pages, which the allocator asks for, a cache of 80 MB
/// took 540 instead of 170.
fn small_pages() {
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(true) {
        log::debug!("huge pages stay in use: {error}");
    }
}

/// On the first signal: unmounts, and where files are in use takes the mount away from its
/// directory; the server then ends with the last of them, or with a second signal.
fn unmount(unmounter: &Unmounter, signal: Signal) {
    if let Err(busy) = unmounter.unmount() {
        log::warn!("{signal}: {busy}; a second signal ends it by force");
        if let Err(error) = unmounter.detach() {
            log::error!("{error}");
        }
    }
}

/// What was fetched, at the end.
fn tell(fetcher: &Fetcher) {
    let stats = fetcher.stats();
    eprintln!(
        "zimg: fetched {} in {} requests; {} reads of held chunks",
        text::bytes(stats.bytes),
        stats.requests,
        stats.hits,
    );
}

/// Starts this command again in the background and waits until that has mounted or failed.
fn start_background() -> anyhow::Result<()> {
    let program = std::env::current_exe().context("can't find this program's file")?;
    let mut child = Command::new(program)
        .args(std::env::args_os().skip(1))
        .env(BACKGROUND, "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("can't start a process in the background")?;
    let stdout = child.stdout.take().context("the process in the background has no output")?;
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line)?;
    if line.trim_end() == READY {
        return Ok(());
    }
    // It has said on standard error what was wrong.
    match child.wait()?.code() {
        Some(code) if code == i32::from(exit::BAD) => Err(Silent(exit::BAD).into()),
        Some(code) if code == i32::from(exit::USAGE) => Err(Silent(exit::USAGE).into()),
        Some(code) if code == i32::from(exit::UNREACHABLE) => Err(Silent(exit::UNREACHABLE).into()),
        _ => bail!("the process in the background ended before it had mounted"),
    }
}

/// Says that the mount is there. In the background nothing more is said: the terminal is left.
fn announce(mounted: &Mounted, background: bool) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    if !background {
        writeln!(out, "mounted on {}", mounted.dir().display())?;
        return Ok(out.flush()?);
    }
    writeln!(out, "{READY}")?;
    out.flush()?;
    let null = std::fs::OpenOptions::new().write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdout(&null)?;
    rustix::stdio::dup2_stderr(&null)?;
    // Keeps no directory busy.
    std::env::set_current_dir(Path::new("/"))?;
    Ok(())
}
