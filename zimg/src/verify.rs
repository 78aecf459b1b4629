//! `zimg verify`: whether an flist, and every chunk it needs, is what it should be.

use std::io;
use std::ops::Range;

use anyhow::anyhow;
use argh::FromArgs;
use flist::chunk::{Chunk, Decompressor};
use flist::id::RootHash;
use flist::image::{Image, Kind, Pack};
use flist::store::{Store, StoreError};
use rayon::prelude::*;

use crate::open;
use crate::progress::Bar;
use crate::{exit, path, text};

/// Most stored bytes asked for at once.
const REQUEST: u64 = 4 << 20;
/// Bad chunks named one by one before the rest is only counted.
const NAMED: usize = 20;

/// Check an flist and, with --all-chunks, every chunk in the store.
#[derive(FromArgs)]
#[argh(
    subcommand,
    name = "verify",
    note = "Exit status 0 when all is good, 1 when something is bad, 3 when a store can't be reached.",
    example = "{command_name} debian.flist --all-chunks\n\
               {command_name} http://10.0.0.1:8080/debian.flist --hash 1f0c… --all-chunks"
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
    /// root hash the flist must have
    #[argh(option)]
    hash: Option<RootHash>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let opened = open::image(&args.flist, args.hash)?;
    let sure = if args.hash.is_some() { ", as demanded" } else { "" };
    println!("{}: good; root hash {}{sure}", args.flist, opened.root_hash);
    if !args.all_chunks {
        return Ok(());
    }
    let mut bad = false;
    for store in open::stores(&opened, &args.store)? {
        bad |= !check_store(&opened.image, store.as_ref())?;
    }
    if bad { Err(exit::Silent(exit::BAD).into()) } else { Ok(()) }
}

/// Checks every chunk in one store and prints what is bad. Returns whether all is good.
fn check_store(image: &Image, store: &dyn Store) -> anyhow::Result<bool> {
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
    report(image, store, &bad);
    Ok(bad.is_empty())
}

fn report(image: &Image, store: &dyn Store, bad: &[(usize, String)]) {
    let name = store.name();
    let chunks = image.chunks().len();
    if bad.is_empty() {
        let packs = image.packs().len();
        println!("{name}: good; {chunks} chunks in {packs} packs");
        return;
    }
    let users = users(image, bad);
    for ((number, why), user) in bad.iter().zip(users).take(NAMED) {
        println!("{name}: chunk number {number}: {why}{user}");
    }
    if bad.len() > NAMED {
        println!("{name}: and {} more", bad.len() - NAMED);
    }
    println!(
        "{name}: bad: {} of {chunks} chunks; restore these packs from where they were built",
        bad.len()
    );
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
) -> anyhow::Result<Vec<(usize, String)>> {
    let chunks = || run.chunks.iter().filter_map(|&n| Some((n, image.chunks().get(n)?)));
    let bytes = match store.fetch(run.pack, run.range.clone()) {
        Ok(bytes) => bytes,
        // A pack that is not there makes the store bad; a store that can't be asked says nothing.
        Err(e @ (StoreError::Unreachable { .. } | StoreError::Status { .. })) => {
            return Err(e.into());
        }
        Err(_) if run.chunks.len() > 1 => {
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
) -> anyhow::Result<Vec<(usize, String)>> {
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
fn users(image: &Image, bad: &[(usize, String)]) -> Vec<String> {
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
