//! `zimg unpack`: writes an image out as an ordinary tree, with everything that survives in it.

mod attributes;
mod tree;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use argh::FromArgs;

use crate::open::{self, Contents};
use crate::progress::Bar;
use crate::signals::Stop;
use crate::trust::demanding;
use tree::Tree;

demanding! {
/// Write an image out as an ordinary directory tree.
#[derive(FromArgs)]
#[argh(
    subcommand,
    name = "unpack",
    note = "Root restores everything: owners, modes, times, xattrs, devices, hard links, holes.\n\
            An ordinary user gets the same but for owners, devices and privileged xattrs; what was\n\
            left out is said. A failed unpack leaves DIR as it was.",
    example = "{command_name} debian.flist /mnt/root\n\
               {command_name} http://10.0.0.1:8080/debian.flist root --hash 1f0c…"
)]
pub(crate) struct Args {
    /// flist: a file or an http(s) URL
    #[argh(positional)]
    flist: String,
    /// directory to fill: empty, or not there yet
    #[argh(positional)]
    dir: PathBuf,
    /// where the packs lie: a directory or URL, several being mirrors (default: the flist's folder)
    #[argh(option)]
    store: Vec<String>,
    /// accept an flist from a URL without a key or hash to check it by
    #[argh(switch)]
    insecure: bool,
}
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let stop = Stop::on_signals()?;
    let opened = open::trusted(&args.flist, &args.trust(), args.insecure)?;
    let contents = Contents::new(&opened, &args.store)?;
    let made = prepare(&args.dir)?;
    let root = rustix::fs::open(
        &args.dir,
        rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::CLOEXEC,
        rustix::fs::Mode::empty(),
    )
    .with_context(|| format!("can't open {}", args.dir.display()))?;
    let bar = Bar::bytes("unpacking", opened.image.content_len());
    let tree = Tree::new(&opened.image, &contents, root, &stop, &bar);
    let result = tree.make().and_then(|()| tree.fill()).and_then(|()| attributes::restore(&tree));
    bar.done();
    match result {
        Ok(left_out) => {
            left_out.iter().for_each(|line| eprintln!("zimg: {line}"));
            Ok(())
        }
        Err(error) => {
            clear(&args.dir, made).with_context(|| {
                format!("{error:#}; and what there is of {} can't be removed", args.dir.display())
            })?;
            Err(error.context(format!("nothing is unpacked into {}", args.dir.display())))
        }
    }
}

/// Makes sure that `dir` is an empty directory. Returns whether it had to be made.
fn prepare(dir: &Path) -> anyhow::Result<bool> {
    match fs::create_dir(dir) {
        Ok(()) => return Ok(true),
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(e) => return Err(e).with_context(|| format!("can't make {}", dir.display())),
    }
    let mut entries = fs::read_dir(dir).with_context(|| format!("can't list {}", dir.display()))?;
    // A fresh ext4 has this, and nobody would call it full for that.
    let there = entries.find_map(|e| match e {
        Ok(e) if e.file_name() == "lost+found" => None,
        Ok(e) => Some(Ok(e.file_name())),
        Err(e) => Some(Err(e)),
    });
    match there.transpose()? {
        None => Ok(false),
        Some(name) => bail!(
            "{} is not empty ({:?} is in it): name an empty or a new directory",
            dir.display(),
            name
        ),
    }
}

/// Removes what a failed unpack made.
fn clear(dir: &Path, made: bool) -> anyhow::Result<()> {
    if made {
        return Ok(fs::remove_dir_all(dir)?);
    }
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            if entry.file_name() != "lost+found" {
                fs::remove_dir_all(entry.path())?;
            }
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    ensure!(dir.is_dir(), "it has gone");
    Ok(())
}
