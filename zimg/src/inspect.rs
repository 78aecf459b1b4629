//! `zimg inspect`: what an flist is made of, in figures.

use std::collections::HashSet;
use std::io::{self, Write};

use argh::FromArgs;
use flist::chunk::Chunk;
use flist::image::{Image, Kind};
use serde_json::{Value, json};

use crate::open::{self, Opened};
use crate::trust::demanding;
use crate::{exit, text};

demanding! {
/// Show an flist's root hash, sizes, counts, ratio, chunks and packs.
#[derive(FromArgs)]
#[argh(
    subcommand,
    name = "inspect",
    example = "{command_name} debian.flist\n{command_name} --json debian.flist | jq -r .root_hash"
)]
pub(crate) struct Args {
    /// flist: a file or an http(s) URL
    #[argh(positional)]
    flist: String,
    /// one JSON object
    #[argh(switch)]
    json: bool,
}
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let opened = open::image(&args.flist, &args.trust())?;
    let figures = Figures::of(&opened.image);
    let mut out = io::stdout().lock();
    exit::answer(
        true,
        if args.json {
            writeln!(out, "{:#}", figures.json(&opened))
        } else {
            figures.print(&opened, &mut out)
        },
    )
}

/// Counts and sums over an image's tables.
#[derive(Default)]
struct Figures {
    directories: u64,
    files: u64,
    symlinks: u64,
    devices: u64,
    fifos: u64,
    sockets: u64,
    names: u64,
    with_xattrs: u64,
    /// Sizes of all regular files, each hard-linked one once, holes included.
    file_bytes: u64,
    /// The same without holes.
    data_bytes: u64,
    /// Length of the content space: equal contents once.
    content_bytes: u64,
    /// Chunks as stored, equal ones once.
    stored_bytes: u64,
    distinct_chunks: u64,
    raw_chunks: u64,
    smallest: u64,
    largest: u64,
    pack_bytes: u64,
}

impl Figures {
    fn of(image: &Image) -> Self {
        let mut f = Self { content_bytes: image.content_len(), ..Self::default() };
        f.names = image.tables().dirents.len() as u64;
        for ino in 1..=image.inode_count() {
            let Some(inode) = image.inode(ino) else { continue };
            f.with_xattrs += u64::from(inode.xattrs != 0);
            match inode.kind {
                Kind::Directory { .. } => f.directories += 1,
                Kind::File { size, .. } => {
                    f.files += 1;
                    f.file_bytes = f.file_bytes.saturating_add(size);
                    f.data_bytes += image.data_len(ino);
                }
                Kind::Symlink { .. } => f.symlinks += 1,
                Kind::Char(_) | Kind::Block(_) => f.devices += 1,
                Kind::Fifo => f.fifos += 1,
                Kind::Socket => f.sockets += 1,
            }
        }
        let mut seen = HashSet::new();
        for chunk in image.chunks().iter().filter(|c| seen.insert(c.id)) {
            f.distinct_chunks += 1;
            f.raw_chunks += u64::from(chunk.is_raw());
            f.stored_bytes += u64::from(chunk.stored_len);
        }
        let lengths = || image.chunks().iter().map(|c| u64::from(c.len));
        f.smallest = lengths().min().unwrap_or(0);
        f.largest = lengths().max().unwrap_or(0);
        f.pack_bytes = image.packs().iter().map(|p| p.len).sum();
        f
    }

    fn mean_chunk(&self, image: &Image) -> u64 {
        self.content_bytes.checked_div(image.chunks().len() as u64).unwrap_or(0)
    }

    fn json(&self, opened: &Opened) -> Value {
        let image = &opened.image;
        json!({
            "root_hash": opened.root_hash.to_string(),
            "version": opened.layout.version,
            "flist_bytes": opened.flist_len,
            "sections": opened.layout.sections.iter().map(|section| json!({
                "tag": section.tag.to_string(), "meaning": section.meaning(),
                "stored_bytes": section.stored_len, "bytes": section.len,
            })).collect::<Vec<_>>(),
            "inodes": {
                "all": image.inode_count(), "directories": self.directories, "files": self.files,
                "symlinks": self.symlinks, "devices": self.devices, "fifos": self.fifos,
                "sockets": self.sockets, "with_xattrs": self.with_xattrs,
            },
            "names": self.names,
            "file_bytes": self.file_bytes,
            "data_bytes": self.data_bytes,
            "content_bytes": self.content_bytes,
            "stored_bytes": self.stored_bytes,
            "ratio": ratio(self.stored_bytes, self.data_bytes),
            "flist_ratio": ratio(opened.flist_len, self.data_bytes),
            "chunks": {
                "count": image.chunks().len(), "distinct": self.distinct_chunks,
                "raw": self.raw_chunks, "smallest": self.smallest, "largest": self.largest,
                "mean": self.mean_chunk(image),
            },
            "profile_chunks": image.profiled().len(),
            "packs": pack_use(image).map(|(pack, used)| json!({
                "id": pack.id.to_string(), "bytes": pack.len, "used_bytes": used,
            })).collect::<Vec<_>>(),
            "metadata": image.meta().iter().map(|(k, v)| json!([k, v])).collect::<Vec<_>>(),
        })
    }

    fn print(&self, opened: &Opened, out: &mut impl Write) -> io::Result<()> {
        let image = &opened.image;
        let mut line = |name: &str, value: String| writeln!(out, "{name:<12} {value}");
        line("root hash", opened.root_hash.to_string())?;
        line(
            "flist",
            format!(
                "version {}, {} ({})",
                opened.layout.version,
                text::bytes(opened.flist_len),
                one_in(opened.flist_len, self.data_bytes),
            ),
        )?;
        for section in &opened.layout.sections {
            let meaning = section.meaning().unwrap_or("of a later zimg, ignored");
            let (tag, stored) = (section.tag, text::bytes(section.stored_len));
            line("", format!("{tag} {stored:>9} of {:>9}  {meaning}", text::bytes(section.len)))?;
        }
        line(
            "inodes",
            format!(
                "{}: {} files, {} directories, {} symlinks, {} devices, {} fifos, {} sockets",
                image.inode_count(),
                self.files,
                self.directories,
                self.symlinks,
                self.devices,
                self.fifos,
                self.sockets,
            ),
        )?;
        line("names", format!("{} ({} inodes with xattrs)", self.names, self.with_xattrs))?;
        line(
            "files",
            format!(
                "{}, of which {} are no holes and {} are distinct",
                text::bytes(self.file_bytes),
                text::bytes(self.data_bytes),
                text::bytes(self.content_bytes),
            ),
        )?;
        line(
            "stored",
            format!(
                "{}, {:.1} % of the data",
                text::bytes(self.stored_bytes),
                100.0 * ratio(self.stored_bytes, self.data_bytes),
            ),
        )?;
        line(
            "chunks",
            format!(
                "{}, {} distinct, {} stored raw; {} to {}, {} on average",
                image.chunks().len(),
                self.distinct_chunks,
                self.raw_chunks,
                text::bytes(self.smallest),
                text::bytes(self.largest),
                text::bytes(self.mean_chunk(image)),
            ),
        )?;
        if !image.profiled().is_empty() {
            let chunks = image.chunks().get(..image.profiled().len()).unwrap_or_default();
            let stored = chunks.iter().map(|chunk| u64::from(chunk.stored_len)).sum();
            let stored = text::bytes(stored);
            line("profile", format!("the first {} of them, {stored}", chunks.len()))?;
        }
        line("packs", format!("{}, {}", image.packs().len(), text::bytes(self.pack_bytes)))?;
        for (pack, used) in pack_use(image) {
            let share = 100.0 * ratio(used, pack.len);
            line("", format!("{} {}, {share:.1} % used", pack.id, text::bytes(pack.len)))?;
        }
        for (key, value) in image.meta() {
            line(
                "metadata",
                format!("{} = {}", text::escaped(key.as_bytes()), text::escaped(value.as_bytes()),),
            )?;
        }
        Ok(())
    }
}

/// Each pack with how many of its bytes this image refers to.
fn pack_use(image: &Image) -> impl Iterator<Item = (&flist::image::Pack, u64)> {
    let mut used = vec![0_u64; image.packs().len()];
    let mut seen = HashSet::new();
    for Chunk { pack, offset, stored_len, .. } in image.chunks() {
        if seen.insert((*pack, *offset))
            && let Some(used) = used.get_mut(*pack as usize)
        {
            *used += u64::from(*stored_len);
        }
    }
    image.packs().iter().zip(used)
}

#[expect(clippy::cast_precision_loss, reason = "a ratio for people")]
fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

fn one_in(part: u64, whole: u64) -> String {
    match whole.checked_div(part) {
        Some(times) if times > 0 => format!("1/{times} of the data"),
        _ => String::from("more than the data"),
    }
}
