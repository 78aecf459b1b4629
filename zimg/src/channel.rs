//! `zimg channel`: the small signed file that tells a fleet which image to run.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use argh::FromArgs;
use flist::date;
use flist::id::RootHash;
use flist::store::Location;
use flist::trust::{
    CHANNEL_SUFFIX, Channel, Claims, MAX_CHANNEL_LEN, Name, Reference, Signatures, Version,
};

use crate::exit::{self, Usage};
use crate::sign::{self, secret::Secret};
use crate::trust::{Trust, vouched};
use crate::{file, open};

/// Seconds of a day, and the most days that a channel may last: a thousand years.
const DAY: i64 = 86_400;
const MOST_DAYS: u32 = 365_000;

/// Make and show channels: small signed files that name the image a fleet is to run.
#[derive(FromArgs)]
#[argh(subcommand, name = "channel")]
pub(crate) struct Args {
    #[argh(subcommand)]
    command: Command,
}

#[derive(FromArgs)]
#[argh(subcommand)]
enum Command {
    Set(SetArgs),
    Show(ShowArgs),
}

/// Write a channel that names an flist, and sign it.
#[derive(FromArgs)]
#[argh(
    subcommand,
    name = "set",
    note = "Nodes that boot by zimg.url=http://.../stable.channel then run that image from their next boot\n\
            on. Publish the flist and its packs before the channel, under names of their own version.\n\
            Where several keys must sign, the others do by `zimg sign stable.channel KEY --add`.",
    example = "{command_name} www/stable.channel www/web-12.5.flist --sign fleet.key --version 12.5\n\
               {command_name} stable.channel web.flist --sign fleet.key --url https://cdn.example/web.flist"
)]
struct SetArgs {
    /// channel to write, a file NAME.channel
    #[argh(positional)]
    channel: PathBuf,
    /// flist it is to name, a file
    #[argh(positional)]
    flist: PathBuf,
    /// secret key to sign it with
    #[argh(option)]
    sign: PathBuf,
    /// name of the image (default: what the flist's signature by this key states, or the flist's)
    #[argh(option)]
    name: Option<Name>,
    /// version of the image (default: what the flist's signature by this key states)
    #[argh(option)]
    version: Option<Version>,
    /// where nodes find the flist: a URL, or a path from the channel's folder on (default: where it
    /// lies below that)
    #[argh(option)]
    url: Option<String>,
    /// days that the channel lasts; nodes refuse it afterwards (default 365)
    #[argh(option, default = "365")]
    days: u32,
    /// go back to an older version, or take another image
    #[argh(switch)]
    force: bool,
    /// file that holds the key's password
    #[argh(option)]
    password_file: Option<PathBuf>,
}

/// Show what a channel says and, with --key, check it as a node does.
#[derive(FromArgs)]
#[argh(
    subcommand,
    name = "show",
    example = "{command_name} http://10.0.0.1:8080/stable.channel --key fleet.pub"
)]
struct ShowArgs {
    /// channel: a file or an http(s) URL that ends in .channel
    #[argh(positional)]
    channel: String,
    /// public key that must have signed it: the file NAME.pub, or its base64; of several one is enough
    #[argh(option)]
    key: Vec<String>,
    /// how many of these keys must have signed it (default 1)
    #[argh(option)]
    signatures: Option<usize>,
    /// name of the image that it must have
    #[argh(option)]
    name: Option<Name>,
    /// least version of the image that it must have
    #[argh(option)]
    min_version: Option<Version>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    match &args.command {
        Command::Set(args) => set(args),
        Command::Show(args) => show(args),
    }
}

fn set(args: &SetArgs) -> anyhow::Result<()> {
    if args.channel.file_name().is_none() || !is_channel(&args.channel) {
        let why = format!("channel: a channel's name ends in {CHANNEL_SUFFIX}, as stable.channel");
        return Err(Usage(why).into());
    }
    if !(1..=MOST_DAYS).contains(&args.days) {
        let why = format!("channel: --days {}: choose 1 to {MOST_DAYS}", args.days);
        return Err(Usage(why).into());
    }
    let flist = reference(args)?;
    let bytes = sign::flist(&args.flist)?;
    let secret = Secret::load(&args.sign, args.password_file.as_deref())?;
    let (name, version) = identity(args, &bytes, &secret)?;
    let expires = date::now() + i64::from(args.days) * DAY;
    let channel = Channel { name, version, root_hash: RootHash::of(&bytes), flist, expires };
    if !args.force {
        no_step_back(&args.channel, &channel)?;
    }
    let text = channel.to_string().into_bytes();
    anyhow::ensure!(text.len() as u64 <= MAX_CHANNEL_LEN, "the URL is too long for a channel");
    file::write(&args.channel, &text, file::PUBLIC)?;
    let claims = claims(&channel);
    sign::sign(&args.channel, &text, &secret, &claims.to_string(), false)
        .with_context(|| format!("{} is written, but not signed", args.channel.display()))?;
    let mut out = io::stdout();
    let told = writeln!(out, "{}: until {}", args.channel.display(), date::text(expires))
        .and_then(|()| sign::tell(&args.channel, &secret, &claims));
    exit::answer(true, told)
}

/// Whether `path` is a channel's, by its name.
pub(crate) fn is_channel(path: &Path) -> bool {
    Location::Path(path.to_owned()).is_channel()
}

/// What the signature of a channel states: what itself does.
pub(crate) fn claims(channel: &Channel) -> Claims {
    let (name, version) = (channel.name.clone(), channel.version.clone());
    Claims { name, version, date: Some(date::now()) }
}

/// Where nodes find the flist.
fn reference(args: &SetArgs) -> anyhow::Result<Reference> {
    if let Some(url) = &args.url {
        return Ok(Reference::new(url).map_err(|why| Usage(format!("--url {url}: {why}")))?);
    }
    let folder = |path: &Path| -> anyhow::Result<PathBuf> {
        let whole = std::path::absolute(path)?;
        let folder = whole.parent().context("a file lies in a folder")?;
        folder.canonicalize().with_context(|| format!("can't find {}", folder.display()))
    };
    let name = args.flist.file_name().context("an flist has a name")?;
    let lies_at = folder(&args.flist)?.join(name);
    let below = lies_at.strip_prefix(folder(&args.channel)?).ok().and_then(Path::to_str);
    let reference = below.and_then(|path| Reference::new(path).ok());
    let why = "channel: --url is missing: the flist does not lie below the channel's folder, or its name \
               can't stand in a URL as it is";
    Ok(reference.ok_or_else(|| Usage(why.into()))?)
}

/// Which image the flist is: as the arguments say, or its signature by the same key.
fn identity(args: &SetArgs, bytes: &[u8], secret: &Secret) -> anyhow::Result<(Name, Version)> {
    let beside = sign::beside(&args.flist);
    let signatures = fs::read(&beside).ok().and_then(|text| Signatures::parse(&text).ok());
    let signatures = signatures.unwrap_or_default();
    let own = signatures.iter().find(|signature| secret.public().signed(bytes, signature));
    let stated = own.and_then(|signature| Claims::parse(signature.comment()).ok());
    let version = args.version.clone().or(stated.as_ref().map(|claims| claims.version.clone()));
    let why = || format!("channel: --version is missing: {} states none", beside.display());
    let version = version.ok_or_else(|| Usage(why()))?;
    let name = args.name.clone().or(stated.map(|claims| claims.name));
    Ok((name.map_or_else(|| sign::name_of(&args.flist), Ok)?, version))
}

/// What is there already must be of the same image, and not later.
fn no_step_back(path: &Path, new: &Channel) -> anyhow::Result<()> {
    let bytes = match fs::read(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        read => read.with_context(|| format!("can't read {}", path.display()))?,
    };
    let old = Channel::parse(&bytes)
        .with_context(|| format!("{} is there already (--force replaces it)", path.display()))?;
    if old.name != new.name {
        bail!(
            "{} is of the image {}, not {}; --force takes another",
            path.display(),
            old.name,
            new.name
        );
    }
    if old.version > new.version {
        bail!(
            "{} has version {}, which is later than {}; --force goes back, where no node demands it by \
             zimg.min-version=",
            path.display(),
            old.version,
            new.version
        );
    }
    Ok(())
}

fn show(args: &ShowArgs) -> anyhow::Result<()> {
    let trust = Trust {
        keys: &args.key,
        signatures: args.signatures,
        name: args.name.as_ref(),
        min_version: args.min_version.as_ref(),
        ..Trust::default()
    };
    let (channel, approval) = open::channel(&args.channel, &trust)?;
    let by = match &approval {
        Some(approval) => vouched(approval).trim_start_matches("; ").to_owned(),
        None => "not checked: --key does".to_owned(),
    };
    let Channel { name, version, root_hash, flist, expires } = &channel;
    let ended = if *expires <= date::now() { " (expired)" } else { "" };
    let text = format!(
        "name       {name}\nversion    {version}\nroot hash  {root_hash}\nflist      {flist}\n\
         expires    {}{ended}\nsignature  {by}",
        date::text(*expires)
    );
    exit::answer(true, writeln!(io::stdout(), "{text}"))
}
