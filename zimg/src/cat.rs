//! `zimg cat`: the contents of files of an image.

use std::io::{self, Write};

use anyhow::Context;
use argh::FromArgs;

use crate::exit;
use crate::open::{self, Contents};
use crate::path;
use crate::trust::demanding;

/// Bytes read at a time.
const STEP: u64 = 1 << 20;

demanding! {
/// Write files of an image to standard output, checked as they are read.
#[derive(FromArgs)]
#[argh(
    subcommand,
    name = "cat",
    example = "{command_name} debian.flist /etc/os-release\n\
               {command_name} http://10.0.0.1:8080/debian.flist /etc/passwd /etc/group"
)]
pub(crate) struct Args {
    /// flist: a file or an http(s) URL
    #[argh(positional)]
    flist: String,
    /// paths in the image; symbolic links are followed within it
    #[argh(positional)]
    paths: Vec<String>,
    /// where the packs lie: a directory or URL, several being mirrors (default: the flist's folder)
    #[argh(option)]
    store: Vec<String>,
}
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    if args.paths.is_empty() {
        return Err(exit::Usage("cat: name at least one path in the image".into()).into());
    }
    let opened = open::image(&args.flist, &args.trust())?;
    let contents = Contents::new(&opened, &args.store)?;
    // All paths first: a wrong one should not show after half of the output.
    let inodes = args.paths.iter().map(|p| path::regular(&opened.image, p.as_bytes()));
    let inodes = inodes.collect::<anyhow::Result<Vec<_>>>()?;
    let mut out = io::stdout().lock();
    for (ino, path) in inodes.into_iter().zip(&args.paths) {
        let size = opened.image.size(ino);
        let mut at = 0;
        while at < size {
            let end = size.min(at + STEP);
            let bytes =
                contents.read(ino, at..end).with_context(|| format!("can't read {path}"))?;
            out.write_all(&bytes).context(exit::STDOUT)?;
            at = end;
        }
    }
    out.flush().context(exit::STDOUT)
}
