//! `zimg sign`: a signature beside an flist, as minisign's, that states which image it is of.

pub(crate) mod keygen;
mod password;
pub(crate) mod secret;

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use argh::FromArgs;
use flist::date;
use flist::format::decode_whole;
use flist::trust::{Channel, Claims, MAX_SIGNATURES_LEN, Name, SUFFIX, Signatures, Version};

use crate::exit::{self, Usage};
use crate::{channel, file};
use secret::Secret;

/// Sign an flist, or a channel: whoever trusts the key can trust the image.
#[derive(FromArgs)]
#[argh(
    subcommand,
    name = "sign",
    note = "Writes FLIST.minisig, which `minisign -V` checks too. It states the image's name, its version\n\
            and the date, for those who demand them by --name and --min-version, or zimg.name= and\n\
            zimg.min-version=.\n\
            The password of the key is that of --password-file, or of ZIMG_PASSWORD in the environment,\n\
            or asked for on the terminal.",
    example = "{command_name} debian.flist fleet.key --version 12.5\n\
               {command_name} debian.flist second.key --version 12.5 --add"
)]
pub(crate) struct Args {
    /// flist or channel to sign, a file
    #[argh(positional)]
    flist: PathBuf,
    /// secret key, as `zimg keygen` or `minisign -G` made it
    #[argh(positional)]
    key: PathBuf,
    /// name of the image to state (default: the file's, without .flist)
    #[argh(option)]
    name: Option<Name>,
    /// version of the image to state: numbers joined by dots (default: the time now)
    #[argh(option)]
    version: Option<Version>,
    /// keep the signatures by other keys that are there
    #[argh(switch)]
    add: bool,
    /// file that holds the key's password
    #[argh(option)]
    password_file: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    if channel::is_channel(&args.flist) {
        return sign_channel(args);
    }
    let name = args.name.clone().map_or_else(|| name_of(&args.flist), Ok)?;
    let bytes = flist(&args.flist)?;
    let secret = Secret::load(&args.key, args.password_file.as_deref())?;
    let claims = claims(name, args.version.clone())?;
    sign(&args.flist, &bytes, &secret, &claims.to_string(), args.add)?;
    exit::answer(true, tell(&args.flist, &secret, &claims))
}

/// The bytes of the file `path`, which is an flist.
pub(crate) fn flist(path: &Path) -> anyhow::Result<Vec<u8>> {
    let bytes = file::read(path)?;
    decode_whole(&bytes).with_context(|| path.display().to_string())?;
    Ok(bytes)
}

/// Signs a channel, which states by itself what it names.
fn sign_channel(args: &Args) -> anyhow::Result<()> {
    if args.name.is_some() || args.version.is_some() {
        let why = "sign: a channel has its name and version from `zimg channel set`";
        return Err(Usage(why.into()).into());
    }
    let path = &args.flist;
    let bytes = file::read(path)?;
    let channel = Channel::parse(&bytes).with_context(|| path.display().to_string())?;
    let secret = Secret::load(&args.key, args.password_file.as_deref())?;
    let claims = channel::claims(&channel);
    sign(path, &bytes, &secret, &claims.to_string(), args.add)?;
    exit::answer(true, tell(path, &secret, &claims))
}

/// What is stated of an image: where no version is given, one that is later than all before.
pub(crate) fn claims(name: Name, version: Option<Version>) -> anyhow::Result<Claims> {
    let now = date::now();
    // 2026-11-24T17:39:02Z is 2026.11.24.173902.
    let by_date = date::stamp(now).replace(['Z', ':'], "").replace(['-', 'T'], ".");
    let version = version.map_or_else(|| by_date.parse().context("the clock"), Ok)?;
    Ok(Claims { name, version, date: Some(now) })
}

/// The name of an image, by that of its flist.
pub(crate) fn name_of(flist: &Path) -> anyhow::Result<Name> {
    let file = flist.file_name().and_then(OsStr::to_str).unwrap_or_default();
    let stem = file.strip_suffix(".flist").unwrap_or(file);
    stem.parse().map_err(|why| {
        Usage(format!("--name is missing, and the file's name can't be it: {why}")).into()
    })
}

/// Where the signatures of `file` lie.
pub(crate) fn beside(file: &Path) -> PathBuf {
    file::beside(file, SUFFIX)
}

/// Lays the signature of `bytes`, those of `file`, beside it, in the place of all that are there, or
/// only of those by the same key.
pub(crate) fn sign(
    file: &Path,
    bytes: &[u8],
    secret: &Secret,
    comment: &str,
    keep: bool,
) -> anyhow::Result<()> {
    let path = beside(file);
    let mut signatures = if keep { there(&path)? } else { Signatures::default() };
    signatures.put(secret.sign(bytes, comment)?);
    let text = signatures.to_string();
    // What nobody could read is not written.
    Signatures::parse(text.as_bytes()).with_context(|| format!("{}", path.display()))?;
    file::write(&path, text.as_bytes(), file::PUBLIC)
}

/// The signatures in the file `path`, if there is one.
fn there(path: &Path) -> anyhow::Result<Signatures> {
    match fs::metadata(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Signatures::default()),
        about => {
            let about = about.with_context(|| format!("can't read {}", path.display()))?;
            anyhow::ensure!(about.len() <= MAX_SIGNATURES_LEN, "{}: too long", path.display());
        }
    }
    let bytes = file::read(path)?;
    Signatures::parse(&bytes).with_context(|| format!("{}", path.display()))
}

/// Says what was signed.
pub(crate) fn tell(file: &Path, secret: &Secret, claims: &Claims) -> io::Result<()> {
    writeln!(
        io::stdout(),
        "{}: signed by key {} as {} version {}",
        beside(file).display(),
        secret.public().id(),
        claims.name,
        claims.version
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_of_its_own() {
        let name: Name = "x".parse().unwrap();
        let one = claims(name.clone(), None).unwrap();
        assert!(one.version > "2026.11".parse().unwrap(), "{one}");
        assert_eq!(Claims::parse(&one.to_string()), Ok(one));
        let given = claims(name, Some("1.2".parse().unwrap())).unwrap();
        assert_eq!(given.version.to_string(), "1.2");
    }

    #[test]
    fn names_of_files() {
        for (path, name) in
            [("/a/debian.flist", "debian"), ("web-1", "web-1"), ("x.y.flist", "x.y")]
        {
            assert_eq!(name_of(Path::new(path)).unwrap().to_string(), name);
        }
        assert!(name_of(Path::new("a b.flist")).is_err());
        assert!(name_of(Path::new(".flist")).is_err());
        assert_eq!(beside(Path::new("a/x.flist")), Path::new("a/x.flist.minisig"));
    }
}
