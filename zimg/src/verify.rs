//! `zimg verify`: whether an flist, and every chunk it needs, is what it should be.

use std::io::{self, Write};
use std::ops::Range;

use anyhow::anyhow;
use argh::FromArgs;
use flist::chunk::{Chunk, Decompressor};
use flist::image::{Image, Kind, Pack};
use flist::store::{Store, StoreError};
use rayon::prelude::*;

use crate::exit::{self, Usage};
use crate::progress::Bar;
use crate::trust::{demanding, vouched};
use crate::{open, path, text};

/// Most stored bytes asked for at once.
const REQUEST: u64 = 4 << 20;
/// Bad chunks named one by one before the rest is only counted.
const NAMED: usize = 20;

demanding! {
/// Check an flist and, with --all-chunks, every chunk in the store.
#[derive(FromArgs)]
#[argh(
    subcommand,
    name = "verify",
    note = "Exit status 0 when all is good, 1 when something is bad, 3 when a store can't be reached.",
    example = "{command_name} debian.flist --all-chunks\n\
               {command_name} http://10.0.0.1:8080/debian.flist --hash 1f0c… --all-chunks\n\
               {command_name} debian.flist --key ann.pub --key bob.pub --signatures 2"
)]
pub(crate) struct Args {
    /// flist: a file or an http(s) URL
    #[argh(positional)]
    flist: String,
    /// fetch, check and decompress every chunk from each store
    #[argh(switch)]
    all_chunks: bool,
    /// where the packs lie: a directory or URL; each is checked (default: the flist's folder)
    #[argh(option)]
    store: Vec<String>,
}
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    if !args.all_chunks && !args.store.is_empty() {
        return Err(Usage("verify: --store goes with --all-chunks, which reads it".into()).into());
    }
    let opened = open::image(&args.flist, &args.trust())?;
    let sure = if args.hash.is_some() { ", as demanded" } else { "" };
    let mut out = io::stdout();
    let vouched = vouched(&opened.approval);
    let mut written =
        writeln!(out, "{}: good; root hash {}{sure}{vouched}", args.flist, opened.root_hash);
    let mut good = true;
    if args.all_chunks {
        for store in open::stores(&opened, &args.store)? {
            let bad = check_store(&opened.image, store.as_ref())?;
            good &= bad.is_empty();
            written = written.and_then(|()| report(&opened.image, store.as_ref(), &bad, &mut out));
        }
    }
    exit::answer(good, written)
}

/// A bad chunk's number, and what is wrong with it.
type Bad = (usize, String);

/// Checks every chunk in one store. Returns the bad ones by number.
fn check_store(image: &Image, store: &dyn Store) -> anyhow::Result<Vec<Bad>> {
    let runs = runs(image);
    let total: u64 = runs.iter().map(|run| run.range.end - run.range.start).sum();
    let bar = Bar::bytes("verifying", total);
    let state = || (Decompressor::new(), Vec::new());
    let check = |(decompressor, plain): &mut (io::Result<Decompressor>, Vec<u8>), run: &Run<'_>| {
        let decompressor = decompressor.as_mut().map_err(|e| anyhow!("zstd: {e}"))?;
        let bad = check_run(image, store, run, decompressor, plain);
        bar.add(run.range.end - run.range.start);
        bad
    };
    let found: anyhow::Result<Vec<_>> = runs.par_iter().map_init(state, check).collect();
    bar.done();
    let mut bad = found?.concat();
    bad.sort();
    Ok(bad)
}

fn report(image: &Image, store: &dyn Store, bad: &[Bad], out: &mut impl Write) -> io::Result<()> {
    let name = store.name();
    let chunks = image.chunks().len();
    if bad.is_empty() {
        let packs = image.packs().len();
        return writeln!(out, "{name}: good; {chunks} chunks in {packs} packs");
    }
    // What is wrong with a whole pack is said once.
    let alike: Vec<&[Bad]> = bad.chunk_by(|a, b| a.1 == b.1).collect();
    let mut users = users(image, bad).into_iter();
    for group in alike.iter().take(NAMED) {
        let mut user = users.by_ref().take(group.len()).filter(|user| !user.is_empty());
        let user = user.next().unwrap_or_default();
        match group {
            [(number, why)] => writeln!(out, "{name}: chunk number {number}: {why}{user}")?,
            [(first, why), .., (last, _)] => writeln!(
                out,
                "{name}: {} chunks, number {first} to {last}: {why}{user}",
                group.len()
            )?,
            [] => {}
        }
    }
    let named: usize = alike.iter().take(NAMED).map(|group| group.len()).sum();
    if bad.len() > named {
        writeln!(out, "{name}: and {} more", bad.len() - named)?;
    }
    writeln!(
        out,
        "{name}: bad: {} of {chunks} chunks; restore these packs from where they were built",
        bad.len()
    )
}

/// Chunks that lie one after the other in a pack, to be asked for at once.
struct Run<'a> {
    pack: &'a Pack,
    range: Range<u64>,
    /// Chunk numbers, by offset.
    chunks: Vec<usize>,
}

/// All distinct chunks in runs of at most [`REQUEST`] bytes.
fn runs(image: &Image) -> Vec<Run<'_>> {
    let place = |&i: &usize| image.chunks().get(i).map(|c| (c.pack, c.offset));
    let mut order: Vec<usize> = (0..image.chunks().len()).collect();
    order.sort_by_key(place);
    order.dedup_by_key(|i| place(i));
    let mut runs: Vec<Run<'_>> = Vec::new();
    for number in order {
        let Some(chunk) = image.chunks().get(number) else { continue };
        let Some(pack) = image.pack_of(chunk) else { continue };
        match runs.last_mut() {
            Some(run)
                if run.pack.id == pack.id
                    && run.range.end == chunk.offset
                    && chunk.range().end - run.range.start <= REQUEST =>
            {
                run.range.end = chunk.range().end;
                run.chunks.push(number);
            }
            _ => runs.push(Run { pack, range: chunk.range(), chunks: vec![number] }),
        }
    }
    runs
}

/// The bad chunks of a run, each with why.
fn check_run(
    image: &Image,
    store: &dyn Store,
    run: &Run<'_>,
    decompressor: &mut Decompressor,
    plain: &mut Vec<u8>,
) -> anyhow::Result<Vec<Bad>> {
    let chunks = || run.chunks.iter().filter_map(|&n| Some((n, image.chunks().get(n)?)));
    let bytes = match store.fetch(run.pack, run.range.clone()) {
        Ok(bytes) => bytes,
        // A pack that is not there makes the store bad; a store that can't be asked says nothing.
        Err(e @ (StoreError::Unreachable { .. } | StoreError::Status { .. })) => {
            return Err(e.into());
        }
        Err(e) if run.chunks.len() > 1 && !matches!(e, StoreError::Missing { .. }) => {
            return check_each(image, store, run, decompressor, plain);
        }
        Err(e) => return Ok(chunks().map(|(n, _)| (n, e.to_string())).collect()),
    };
    let mut bad = Vec::new();
    for (number, chunk) in chunks() {
        if let Err(why) = check_chunk(chunk, run, &bytes, decompressor, plain) {
            bad.push((number, why));
        }
    }
    Ok(bad)
}

/// The same, a request a chunk: what is wrong with one should not be said of its neighbours.
fn check_each(
    image: &Image,
    store: &dyn Store,
    run: &Run<'_>,
    decompressor: &mut Decompressor,
    plain: &mut Vec<u8>,
) -> anyhow::Result<Vec<Bad>> {
    let mut bad = Vec::new();
    for &number in &run.chunks {
        let Some(chunk) = image.chunks().get(number) else { continue };
        let one = Run { pack: run.pack, range: chunk.range(), chunks: vec![number] };
        bad.extend(check_run(image, store, &one, decompressor, plain)?);
    }
    Ok(bad)
}

fn check_chunk(
    chunk: &Chunk,
    run: &Run<'_>,
    bytes: &[u8],
    decompressor: &mut Decompressor,
    plain: &mut Vec<u8>,
) -> Result<(), String> {
    let at = |offset: u64| usize::try_from(offset - run.range.start).unwrap_or(usize::MAX);
    let stored = bytes.get(at(chunk.offset)..at(chunk.range().end)).unwrap_or_default().to_vec();
    let whence = |why: &dyn std::fmt::Display| {
        format!("{why} (pack {} at {}, {} bytes)", run.pack.id, chunk.offset, chunk.stored_len)
    };
    let stored = chunk.verify(stored).map_err(|why| whence(&why))?;
    decompressor.plain_into(&stored, plain).map_err(|why| whence(&why))
}

/// For each bad chunk the first file that needs it, as ` (needed by /path)`.
fn users(image: &Image, bad: &[Bad]) -> Vec<String> {
    let mut users = vec![String::new(); bad.len()];
    let _: Result<(), std::convert::Infallible> =
        path::walk_directories(image, flist::image::ROOT, Vec::new(), &mut |dir, base| {
            for entry in image.entries(dir).unwrap_or_default() {
                let Some(Kind::File { size, .. }) = image.inode(entry.ino).map(|i| &i.kind) else {
                    continue;
                };
                for piece in image.pieces(entry.ino, 0..*size) {
                    let at = bad.binary_search_by_key(&(piece.chunk as usize), |(n, _)| *n);
                    if let Ok(at) = at
                        && let Some(user) = users.get_mut(at)
                        && user.is_empty()
                    {
                        let path = path::join(base, image.name(entry));
                        *user = format!("; needed by /{}", text::escaped(&path));
                    }
                }
            }
            Ok(())
        });
    users
}
