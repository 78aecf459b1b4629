//! `zimg build`: an flist and its packs from a directory or a tar.

use std::io::{self, Read, Write};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, bail, ensure};
use argh::FromArgs;
use flist::build::{First, Options, Progress, Report, Source, Stage, build};
use flist::format::MAGIC;
use flist::id::RootHash;
use flist::profile::{MAX_PROFILE_LEN, Profile};
use flist::trust::{Name, Version};

use crate::exit::{self, Usage};
use crate::open;
use crate::progress::Bar;
use crate::sign::{self, secret::Secret};
use crate::signals::Stop;
use crate::text;

/// More would only take memory: one reader feeds them all.
const MOST_THREADS: usize = 512;

/// Build an flist, and the packs that hold its contents, from a root file system.
#[derive(FromArgs)]
#[argh(
    subcommand,
    name = "build",
    note = "SOURCE_DATE_EPOCH: times later than it are recorded as it.\n\
            The same tree and options give the same bytes on any machine.\n\
            A failed or interrupted build leaves nothing behind.",
    example = "{command_name} /srv/roots/debian debian.flist\n\
               {command_name} debian.tar.zst www/debian.flist --store www\n\
               {command_name} - debian.flist < debian.tar\n\
               {command_name} /srv/roots/debian new.flist --base old.flist\n\
               {command_name} /srv/roots/debian new.flist --profile debian.profile\n\
               {command_name} /srv/roots/debian debian.flist --sign fleet.key --version 12.5"
)]
pub(crate) struct Args {
    /// root file system: a directory, a tar (plain, .gz, .xz, .zst), or - for a tar on stdin
    #[argh(positional)]
    source: PathBuf,
    /// flist to write
    #[argh(positional)]
    out: PathBuf,
    /// directory under which packs/ lies (default: the flist's own folder)
    #[argh(option)]
    store: Option<PathBuf>,
    /// flist whose chunks are reused, not written again: a file or an http(s) URL. Its packs must
    /// lie where the new ones go, or in a store that readers are given too
    #[argh(option)]
    base: Option<String>,
    /// zstd level, 1 to 22 (default: the base's, else 12)
    #[argh(option)]
    level: Option<i32>,
    /// threads that compress (default: one a processor)
    #[argh(option)]
    threads: Option<NonZeroUsize>,
    /// profile of what a boot reads (`zimg mount --profile-out`, scripts/profile): laid out first, to
    /// be fetched ahead of need; several are merged (default: what a boot is expected to read: small
    /// files of /etc, and what the tree's init needs and starts)
    #[argh(option)]
    profile: Vec<PathBuf>,
    /// lay nothing out first, not even what a boot is expected to read
    #[argh(switch)]
    no_profile: bool,
    /// record creation times too; the image then depends on when the tree was made
    #[argh(switch)]
    btime: bool,
    /// title of the image, kept in its metadata
    #[argh(option)]
    title: Option<String>,
    /// KEY=VALUE to keep in the image's metadata; may be given several times
    #[argh(option)]
    label: Vec<String>,
    /// secret key to sign the flist with, as `zimg sign` does
    #[argh(option)]
    sign: Option<PathBuf>,
    /// name of the image that the signature states (default: the flist's, without .flist)
    #[argh(option)]
    name: Option<Name>,
    /// version of the image that the signature states: numbers joined by dots (default: the time now)
    #[argh(option)]
    version: Option<Version>,
    /// file that holds the key's password (default: ZIMG_PASSWORD, or the terminal is asked)
    #[argh(option)]
    password_file: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    // What main makes of a lone dash.
    if args.out == Path::new("/dev/stdin") {
        let why = "build: an flist can't go to standard output: name a file, packs/ lies beside it";
        return Err(Usage(why.into()).into());
    }
    if let Some(threads) = args.threads.filter(|threads| threads.get() > MOST_THREADS) {
        let why = format!("build: --threads {threads}: choose 1 to {MOST_THREADS}");
        return Err(Usage(why).into());
    }
    let signer = signer(args)?;
    let stop = Stop::on_signals()?;
    let options = Options {
        store: args.store.clone(),
        level: args.level,
        threads: args.threads,
        base: args.base.as_deref().map(open::base).transpose()?,
        first: first(args)?,
        clamp: source_date_epoch()?,
        btime: args.btime,
        meta: metadata(args)?,
    };
    let source = Source::look(&args.source)?;
    refuse_to_replace(&args.out)?;
    let bars = Bars { stop, bar: Mutex::new(None) };
    let result = build(&source, &args.out, &options, &bars);
    bars.show(None);
    let report = result?;
    tell(&report);
    print(&report, args)
        .with_context(|| format!("{} is built, but: {}", args.out.display(), exit::STDOUT))?;
    match signer {
        Some((secret, name)) => sign(args, &report, &secret, name)
            .with_context(|| format!("{} is built, but not signed", args.out.display())),
        None => {
            let old = sign::beside(&args.out);
            if old.symlink_metadata().is_ok() {
                eprintln!("zimg: warning: {} is of an older build: `zimg sign`", old.display());
            }
            Ok(())
        }
    }
}

/// Who signs what is built, and as what. Asked before the build, which may take long.
fn signer(args: &Args) -> anyhow::Result<Option<(Secret, Name)>> {
    let Some(key) = &args.sign else {
        for (given, option) in [
            (args.name.is_some(), "--name"),
            (args.version.is_some(), "--version"),
            (args.password_file.is_some(), "--password-file"),
        ] {
            if given {
                return Err(Usage(format!("build: {option} goes with --sign KEY")).into());
            }
        }
        return Ok(None);
    };
    let name = args.name.clone().map_or_else(|| sign::name_of(&args.out), Ok)?;
    Ok(Some((Secret::load(key, args.password_file.as_deref())?, name)))
}

/// Signs what was built, and nothing else that may have come in its place.
fn sign(args: &Args, report: &Report, secret: &Secret, name: Name) -> anyhow::Result<()> {
    let bytes = std::fs::read(&args.out).context("can't read it")?;
    ensure!(RootHash::of(&bytes) == report.root_hash, "another file is in its place already");
    let claims = sign::claims(name, args.version.clone())?;
    sign::sign(&args.out, &bytes, secret, &claims.to_string(), false)?;
    exit::answer(true, sign::tell(&args.out, secret, &claims))
}

/// An flist may be built anew in its place; any other file there is a slip of the command line, such
/// as two sources by a glob.
fn refuse_to_replace(out: &Path) -> anyhow::Result<()> {
    // What is no file at all the build itself refuses; to open a fifo would wait for a writer.
    if !std::fs::metadata(out).is_ok_and(|there| there.is_file()) {
        return Ok(());
    }
    let Ok(mut file) = std::fs::File::open(out) else { return Ok(()) };
    let mut start = [0; MAGIC.len()];
    let held = file.read(&mut start).with_context(|| format!("can't read {}", out.display()))?;
    if held == 0 || start == MAGIC {
        return Ok(());
    }
    bail!("{} is there already and is no flist: remove it, or name another file", out.display())
}

fn metadata(args: &Args) -> anyhow::Result<Vec<(String, String)>> {
    let title = args.title.iter().map(|t| Ok(("title".to_string(), t.clone())));
    let labels = args.label.iter().map(|label| match label.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((format!("label.{key}"), value.to_string())),
        _ => Err(Usage(format!("build: --label {label}: the form is KEY=VALUE")).into()),
    });
    title.chain(labels).collect()
}

/// What lies first: what one profile of all that are named says, or what is expected.
fn first(args: &Args) -> anyhow::Result<First> {
    match (args.profile.as_slice(), args.no_profile) {
        ([], false) => Ok(First::Expected),
        ([], true) => Ok(First::Profile(Profile::default())),
        (_, true) => {
            Err(Usage("build: --profile and --no-profile exclude each other".into()).into())
        }
        (paths, false) => profiles(paths).map(First::Profile),
    }
}

/// One profile of all that are named.
fn profiles(paths: &[PathBuf]) -> anyhow::Result<Profile> {
    let read = |path: &PathBuf| -> anyhow::Result<Profile> {
        let name = || format!("--profile {}", path.display());
        let mut text = Vec::new();
        let file = std::fs::File::open(path).with_context(name)?;
        file.take(MAX_PROFILE_LEN).read_to_end(&mut text).with_context(name)?;
        Profile::parse(&text).with_context(name)
    };
    Ok(Profile::merged(paths.iter().map(read).collect::<anyhow::Result<Vec<_>>>()?))
}

fn source_date_epoch() -> anyhow::Result<Option<i64>> {
    let Some(text) = std::env::var_os("SOURCE_DATE_EPOCH") else { return Ok(None) };
    let seconds = text.to_str().and_then(|t| t.parse().ok());
    let seconds =
        seconds.ok_or_else(|| Usage(format!("SOURCE_DATE_EPOCH={text:?}: seconds since 1970")))?;
    Ok(Some(seconds))
}

/// A progress bar for each stage of the build.
struct Bars {
    stop: Stop,
    bar: Mutex<Option<Bar>>,
}

impl Bars {
    fn show(&self, next: Option<Bar>) {
        let mut bar = self.bar.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = std::mem::replace(&mut *bar, next) {
            last.done();
        }
    }
}

impl Progress for Bars {
    fn stage(&self, stage: Stage, bytes: u64) {
        let what = match stage {
            Stage::Scan => "listing",
            Stage::Compare => "comparing",
            Stage::Compress => "compressing",
            Stage::Finish => "finishing",
        };
        self.show(Some(Bar::bytes(what, bytes)));
    }

    fn advance(&self, bytes: u64) {
        if let Some(bar) = &*self.bar.lock().unwrap_or_else(PoisonError::into_inner) {
            bar.add(bytes);
        }
    }

    fn cancelled(&self) -> bool {
        self.stop.check().is_err()
    }
}

/// Says what is not as one might think.
fn tell(report: &Report) {
    for warning in &report.warnings {
        eprintln!("zimg: warning: {warning}");
    }
    for dir in &report.left_out.emptied {
        eprintln!("zimg: {}: a pseudo file system, kept as an empty directory", dir.display());
    }
    for path in &report.left_out.skipped {
        eprintln!("zimg: {}: part of what is being built, left out", path.display());
    }
}

fn print(report: &Report, args: &Args) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let inodes = &report.inodes;
    writeln!(
        out,
        "{}: {} in {} files, {} directories, {} symlinks, {} devices, {} pipes and sockets",
        args.out.display(),
        text::bytes(report.file_bytes),
        inodes.files,
        inodes.directories,
        inodes.symlinks,
        inodes.devices,
        inodes.pipes,
    )?;
    writeln!(
        out,
        "flist of {}; contents stored in {}, in {} chunks: {} new, {} of the base; wrote {}",
        text::bytes(report.flist_len),
        text::bytes(report.stored_bytes),
        report.chunks,
        report.packs.new_chunks,
        report.packs.base_chunks,
        text::bytes(report.packs.bytes_written),
    )?;
    let profile = &report.profile;
    if args.profile.is_empty() && profile.chunks > 0 {
        writeln!(
            out,
            "a boot is expected to read {} in {} chunks: they lie first",
            text::bytes(profile.stored_bytes),
            profile.chunks,
        )?;
    } else if profile.chunks > 0 || profile.missing > 0 {
        writeln!(
            out,
            "profile: {} in {} chunks lie first; {} of its ranges are not in this tree",
            text::bytes(profile.stored_bytes),
            profile.chunks,
            profile.missing,
        )?;
    }
    writeln!(out, "root hash {}", report.root_hash)
}
