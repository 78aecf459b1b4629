//! `zimg diff`: what changed between two images, why, and what a node that holds the old one
//! would fetch for the new one.

use std::collections::HashSet;
use std::io::{self, BufWriter, Write};

use argh::FromArgs;
use flist::id::RootHash;
use flist::image::{Image, Ino, Inode, Kind, ROOT};
use serde_json::json;

use crate::open::{self, Contents};
use crate::trust::Trust;
use crate::{exit, ls, path, text};

/// Bytes compared at a time.
const STEP: u64 = 1 << 20;

/// Compare two flists: entries added, removed and changed, and the bytes to fetch.
#[derive(FromArgs)]
#[argh(
    subcommand,
    name = "diff",
    note = "Exit status 0 when the trees are equal, 1 when they differ.\n\
            Where chunks differ but sizes are equal, contents are read from the stores to compare.",
    example = "{command_name} debian-1.flist debian-2.flist\n\
               {command_name} --json old.flist http://10.0.0.1:8080/new.flist"
)]
pub(crate) struct Args {
    /// old flist: a file or an http(s) URL
    #[argh(positional)]
    old: String,
    /// new flist: a file or an http(s) URL
    #[argh(positional)]
    new: String,
    /// one JSON object; paths as in `zimg ls --json`
    #[argh(switch)]
    json: bool,
    /// where the packs of both lie: a directory or URL (default: each flist's own folder)
    #[argh(option)]
    store: Vec<String>,
    /// root hash the old flist must have
    #[argh(option)]
    hash_old: Option<RootHash>,
    /// root hash the new flist must have
    #[argh(option)]
    hash_new: Option<RootHash>,
}

/// One entry that is not the same in both.
enum Change {
    Added(Vec<u8>),
    Removed(Vec<u8>),
    Changed(Vec<u8>, Vec<&'static str>),
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let old = open::image(&args.old, &Trust { hash: args.hash_old, ..Trust::default() })?;
    let new = open::image(&args.new, &Trust { hash: args.hash_new, ..Trust::default() })?;
    let mut walk = Walk {
        old: &old.image,
        new: &new.image,
        old_contents: Contents::new(&old, &args.store)?,
        new_contents: Contents::new(&new, &args.store)?,
        links: Links::default(),
        changes: Vec::new(),
    };
    walk.directory(ROOT, ROOT, Vec::new())?;
    let changes = walk.changes;
    let (chunks, bytes) = to_fetch(&old.image, &new.image);
    let mut out = BufWriter::new(io::stdout().lock());
    let written = if args.json {
        write_json(&changes, chunks, bytes, &mut out)
    } else {
        write_text(&changes, chunks, bytes, &mut out)
    };
    exit::answer(changes.is_empty(), written.and_then(|()| out.flush()))
}

/// Chunks of `new` that `old` does not have, and their stored bytes.
fn to_fetch(old: &Image, new: &Image) -> (u64, u64) {
    let mut held: HashSet<_> = old.chunks().iter().map(|c| c.id).collect();
    new.chunks()
        .iter()
        .filter(|c| held.insert(c.id))
        .fold((0, 0), |(chunks, bytes), c| (chunks + 1, bytes + u64::from(c.stored_len)))
}

/// Which inode of one image was met as which of the other, so that link groups are compared.
#[derive(Default)]
struct Links {
    old_to_new: std::collections::HashMap<Ino, Ino>,
    new_to_old: std::collections::HashMap<Ino, Ino>,
}

impl Links {
    /// Whether the two were, wherever they were met before, met together.
    fn agree(&mut self, old: Ino, new: Ino) -> bool {
        *self.old_to_new.entry(old).or_insert(new) == new
            && *self.new_to_old.entry(new).or_insert(old) == old
    }
}

struct Walk<'a> {
    old: &'a Image,
    new: &'a Image,
    old_contents: Contents,
    new_contents: Contents,
    links: Links,
    changes: Vec<Change>,
}

impl Walk<'_> {
    fn directory(&mut self, old: Ino, new: Ino, base: Vec<u8>) -> anyhow::Result<()> {
        let mut waiting = vec![(old, new, base)];
        while let Some((old, new, base)) = waiting.pop() {
            self.entry(old, new, &base)?;
            let (mut a, mut b) = (
                self.old.entries(old).unwrap_or_default().iter().peekable(),
                self.new.entries(new).unwrap_or_default().iter().peekable(),
            );
            let mut below = Vec::new();
            loop {
                let order = match (a.peek(), b.peek()) {
                    (None, None) => break,
                    (Some(_), None) => std::cmp::Ordering::Less,
                    (None, Some(_)) => std::cmp::Ordering::Greater,
                    (Some(x), Some(y)) => self.old.name(x).cmp(self.new.name(y)),
                };
                let was = order.is_le().then(|| a.next()).flatten();
                let is = order.is_ge().then(|| b.next()).flatten();
                match (was, is) {
                    (Some(was), Some(is)) => {
                        let path = path::join(&base, self.old.name(was));
                        if is_directory(self.old, was.ino) && is_directory(self.new, is.ino) {
                            below.push((was.ino, is.ino, path));
                        } else {
                            self.entry(was.ino, is.ino, &path)?;
                            self.all(self.old, was.ino, &path, Change::Removed, false);
                            self.all(self.new, is.ino, &path, Change::Added, false);
                        }
                    }
                    (Some(was), None) => {
                        let path = path::join(&base, self.old.name(was));
                        self.all(self.old, was.ino, &path, Change::Removed, true);
                    }
                    (None, Some(is)) => {
                        let path = path::join(&base, self.new.name(is));
                        self.all(self.new, is.ino, &path, Change::Added, true);
                    }
                    (None, None) => {}
                }
            }
            waiting.extend(below.into_iter().rev());
        }
        Ok(())
    }

    /// Notes `ino` (where `itself`) and all that is below it.
    fn all(
        &mut self,
        image: &Image,
        ino: Ino,
        path: &[u8],
        change: fn(Vec<u8>) -> Change,
        itself: bool,
    ) {
        if itself {
            self.changes.push(change(path.to_vec()));
        }
        let changes = &mut self.changes;
        let _: Result<(), std::convert::Infallible> =
            path::walk_directories(image, ino, path.to_vec(), &mut |dir, path| {
                for entry in image.entries(dir).unwrap_or_default() {
                    changes.push(change(path::join(path, image.name(entry))));
                }
                Ok(())
            });
    }

    /// Compares one entry that both have.
    fn entry(&mut self, old: Ino, new: Ino, path: &[u8]) -> anyhow::Result<()> {
        let (Some(was), Some(is)) = (self.old.inode(old), self.new.inode(new)) else {
            return Ok(());
        };
        let mut why = attributes(was, is);
        match (&was.kind, &is.kind) {
            (Kind::File { size: a, .. }, Kind::File { size: b, .. }) => {
                if a != b {
                    why.push("size");
                } else if !self.same_contents(old, new)? {
                    why.push("contents");
                }
            }
            (Kind::Symlink { .. }, Kind::Symlink { .. })
                if self.old.target(old) != self.new.target(new) =>
            {
                why.push("target");
            }
            (Kind::Char(a), Kind::Char(b)) | (Kind::Block(a), Kind::Block(b)) if a != b => {
                why.push("device");
            }
            (a, b) if std::mem::discriminant(a) != std::mem::discriminant(b) => why.push("type"),
            _ => {}
        }
        if self.old.xattrs(old) != self.new.xattrs(new) {
            why.push("xattrs");
        }
        if !self.links.agree(old, new) {
            why.push("links");
        }
        if !why.is_empty() {
            self.changes.push(Change::Changed(path.to_vec(), why));
        }
        Ok(())
    }

    /// Whether two files of one size hold the same. Chunks tell where they are the same; where
    /// they are not (a neighbour's change moves the cuts), the bytes are read.
    fn same_contents(&mut self, old: Ino, new: Ino) -> anyhow::Result<bool> {
        let size = self.old.size(old);
        let pieces = |image: &Image, ino| {
            image
                .pieces(ino, 0..size)
                .into_iter()
                .filter_map(|p| {
                    let id = image.chunks().get(p.chunk as usize)?.id;
                    Some((id, p.chunk_offset, p.file_offset, p.len))
                })
                .collect::<Vec<_>>()
        };
        if pieces(self.old, old) == pieces(self.new, new) {
            return Ok(true);
        }
        let mut at = 0;
        while at < size {
            let range = at..size.min(at + STEP);
            let was = self.old_contents.read(old, range.clone())?;
            if was != self.new_contents.read(new, range.clone())? {
                return Ok(false);
            }
            at = range.end;
        }
        Ok(true)
    }
}

fn attributes(was: &Inode, is: &Inode) -> Vec<&'static str> {
    let mut why = Vec::new();
    if was.mode & 0o7777 != is.mode & 0o7777 {
        why.push("mode");
    }
    if was.uid != is.uid {
        why.push("uid");
    }
    if was.gid != is.gid {
        why.push("gid");
    }
    if was.mtime != is.mtime {
        why.push("mtime");
    }
    why
}

fn is_directory(image: &Image, ino: Ino) -> bool {
    image.inode(ino).is_some_and(|i| matches!(i.kind, Kind::Directory { .. }))
}

fn write_text(changes: &[Change], chunks: u64, bytes: u64, out: &mut impl Write) -> io::Result<()> {
    let (mut added, mut removed, mut changed) = (0, 0, 0);
    for change in changes {
        match change {
            Change::Added(path) => {
                added += 1;
                writeln!(out, "+ /{}", text::escaped(path))?;
            }
            Change::Removed(path) => {
                removed += 1;
                writeln!(out, "- /{}", text::escaped(path))?;
            }
            Change::Changed(path, why) => {
                changed += 1;
                writeln!(out, "! /{} ({})", text::escaped(path), why.join(", "))?;
            }
        }
    }
    writeln!(
        out,
        "{added} added, {removed} removed, {changed} changed; {chunks} chunks to fetch, {} ({bytes} bytes)",
        text::bytes(bytes)
    )
}

fn write_json(changes: &[Change], chunks: u64, bytes: u64, out: &mut impl Write) -> io::Result<()> {
    let named = |path: &[u8]| {
        let mut entry = json!({});
        ls::put_bytes(&mut entry, "path", &[b"/", path].concat());
        entry
    };
    let (mut added, mut removed, mut changed) = (Vec::new(), Vec::new(), Vec::new());
    for change in changes {
        match change {
            Change::Added(path) => added.push(named(path)),
            Change::Removed(path) => removed.push(named(path)),
            Change::Changed(path, why) => {
                let mut entry = named(path);
                entry["why"] = json!(why);
                changed.push(entry);
            }
        }
    }
    let all = json!({
        "added": added, "removed": removed, "changed": changed,
        "chunks_to_fetch": chunks, "bytes_to_fetch": bytes,
    });
    writeln!(out, "{all:#}")
}
