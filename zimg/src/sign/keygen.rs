//! `zimg keygen`: a key pair to sign images with.

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::bail;
use argh::FromArgs;

use super::{password, secret};
use crate::{exit, file};

/// Make a key pair to sign images with: NAME.key to sign, NAME.pub to be trusted.
#[derive(FromArgs)]
#[argh(
    subcommand,
    name = "keygen",
    note = "Both are files as minisign's own. The secret key is encrypted with a password: that of\n\
            --password-file, or of ZIMG_PASSWORD in the environment, or asked for on the terminal.",
    example = "{command_name} fleet\n\
               {command_name} ci --no-password"
)]
pub(crate) struct Args {
    /// where: NAME.key and NAME.pub are written
    #[argh(positional)]
    name: PathBuf,
    /// leave the secret key unencrypted, for a machine that nobody else reads
    #[argh(switch)]
    no_password: bool,
    /// file that holds the password
    #[argh(option)]
    password_file: Option<PathBuf>,
    /// replace keys that are there
    #[argh(switch)]
    force: bool,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let (secret, public) = (file::beside(&args.name, ".key"), file::beside(&args.name, ".pub"));
    for path in [&secret, &public] {
        if !args.force && path.symlink_metadata().is_ok() {
            bail!("{} is there already: name another, or --force to lose it", path.display());
        }
    }
    let password = match args.no_password {
        true => None,
        false => Some(password::fresh(args.password_file.as_deref())?),
    };
    let files = secret::generate(password)?;
    file::write(&secret, files.secret.as_bytes(), file::PRIVATE)?;
    file::write(&public, files.public.as_bytes(), file::PUBLIC)?;
    let mut out = io::stdout();
    let told = writeln!(
        out,
        "{}: the secret key; keep it where images are signed, and nowhere else\n\
         {}: the public key {}, for `initramfs --key` and `zimg mount --key`; or as kernel argument\n\
         zimg.key={}",
        secret.display(),
        public.display(),
        files.key.id(),
        files.key
    );
    exit::answer(true, told)
}
