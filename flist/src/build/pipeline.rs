//! Contents to packs: one thread reads and cuts, several compress, one writes in order. Memory is
//! bounded by the slots that go round between them.

use std::collections::BTreeMap;
use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

use zstd::bulk::Compressor;
use zstd::zstd_safe::CParameter;

use super::error::fit;
use super::feed::Feeder;
use super::layout::Layout;
use super::packs::{Finished, Packs};
use super::read::Input;
use super::{BuildError, Progress};
use crate::chunk::Chunk;
use crate::id::ChunkId;
use crate::image::Extent;

/// Chunks under way, for each thread that compresses.
const SLOTS_PER_THREAD: usize = 6;

/// All contents, written.
pub(super) struct Contents {
    pub(super) chunks: Vec<Chunk>,
    /// How many of them, from the first, hold what the profile needs.
    pub(super) profiled: u32,
    pub(super) packs: Finished,
    pub(super) extents: Extents,
}

/// The extents of the files that have contents of their own.
#[derive(Default)]
pub(super) struct Extents {
    /// File by file, in inode order; a file's in file order.
    all: Vec<Extent>,
    /// Inode index, first in `all`, and how many; in inode order.
    of: Vec<(u32, usize, usize)>,
}

impl Extents {
    /// Those of the pieces laid out, in any order, each with its inode index.
    pub(super) fn new(mut pieces: Vec<(u32, Extent)>) -> Self {
        pieces.sort_unstable_by_key(|(at, piece)| (*at, piece.file_offset));
        let mut extents = Self::default();
        for (at, piece) in pieces {
            let begin = extents.all.len();
            match (extents.of.last_mut(), extents.all.last_mut()) {
                (Some(of), Some(last)) if of.0 == at && goes_on(last, &piece) => {
                    last.len += piece.len;
                    continue;
                }
                (Some(of), _) if of.0 == at => of.2 += 1,
                _ => extents.of.push((at, begin, 1)),
            }
            extents.all.push(piece);
        }
        extents
    }

    /// Those of inode index `at`.
    pub(super) fn of(&self, at: u32) -> &[Extent] {
        let found = self.of.binary_search_by_key(&at, |of| of.0).ok();
        let own = found.and_then(|found| self.of.get(found)).copied();
        own.and_then(|(_, first, count)| self.all.get(first..first + count)).unwrap_or_default()
    }
}

/// Whether `next` goes on where `last` ends, in the file and in the content space.
pub(super) fn goes_on(last: &Extent, next: &Extent) -> bool {
    last.file_offset + last.len == next.file_offset
        && last.content_offset + last.len == next.content_offset
}

/// A chunk on its way, with its number in the content space.
pub(super) struct Slot {
    pub(super) number: usize,
    /// Whether it is the last one of the profile, and so of its pack.
    pub(super) ends_pack: bool,
    pub(super) plain: Vec<u8>,
    frame: Vec<u8>,
    id: ChunkId,
}

impl Slot {
    fn new() -> Self {
        let id = ChunkId::from_bytes([0; 32]);
        Self { number: 0, ends_pack: false, plain: Vec::new(), frame: Vec::new(), id }
    }

    /// Raw, unless compression saves something.
    fn stored(&self) -> &[u8] {
        if self.frame.len() < self.plain.len() { &self.frame } else { &self.plain }
    }
}

/// Reads all contents in the order of `layout`, cuts, compresses and writes them.
pub(super) fn run(
    input: &Input,
    layout: &Layout,
    packs: Packs<'_>,
    level: i32,
    threads: usize,
    progress: &dyn Progress,
) -> Result<Contents, BuildError> {
    let slots = threads * SLOTS_PER_THREAD;
    let (free_in, free_out) = channel();
    let (cut_in, cut_out) = channel();
    let (done_in, done_out) = channel();
    let cut_out = Mutex::new(cut_out);
    for slot in (0..slots).map(|_| Slot::new()) {
        free_in.send(slot).ok().ok_or(BuildError::Cancelled)?;
    }
    let (written, fed) = thread::scope(|scope| {
        let feeder = Feeder::new(input, progress, threads, free_out, cut_in);
        let feeder = scope.spawn(move || feeder.feed(layout));
        for _ in 0..threads {
            let (cut, done) = (&cut_out, done_in.clone());
            scope.spawn(move || compress(level, cut, &done));
        }
        drop(done_in);
        // Returns, and so ends the others, at the first error.
        let written = write(done_out, free_in, packs);
        (written, super::join(feeder))
    });
    let (chunks, packs) = written?;
    let (extents, profiled) = fed?;
    Ok(Contents { chunks, profiled: fit(profiled, "chunks")?, packs: packs.finish()?, extents })
}

/// Compresses what is cut until no more comes or nobody wants it.
fn compress(level: i32, cut: &Mutex<Receiver<Slot>>, done: &Sender<Result<Slot, BuildError>>) {
    let mut compressor = None;
    loop {
        let next = cut.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(mut slot) = next else { return };
        let result = squeeze(&mut compressor, level, &mut slot).map(|()| slot);
        if done.send(result.map_err(BuildError::io("compress", "a chunk"))).is_err() {
            return;
        }
    }
}

fn squeeze(
    compressor: &mut Option<Compressor<'static>>,
    level: i32,
    slot: &mut Slot,
) -> io::Result<()> {
    let compressor = match compressor {
        Some(ready) => ready,
        None => compressor.insert(new_compressor(level)?),
    };
    slot.frame.clear();
    slot.frame.reserve(zstd::zstd_safe::compress_bound(slot.plain.len()));
    compressor.compress_to_buffer(&slot.plain, &mut slot.frame)?;
    slot.id = ChunkId::of(slot.stored());
    Ok(())
}

/// Frames that hold their content's length, and neither a checksum nor a dictionary's number.
fn new_compressor(level: i32) -> io::Result<Compressor<'static>> {
    let mut compressor = Compressor::new(level)?;
    compressor.set_parameter(CParameter::ContentSizeFlag(true))?;
    compressor.set_parameter(CParameter::ChecksumFlag(false))?;
    compressor.set_parameter(CParameter::DictIdFlag(false))?;
    Ok(compressor)
}

/// Writes chunks in the order of their numbers.
fn write<'a>(
    done: Receiver<Result<Slot, BuildError>>,
    free: Sender<Slot>,
    mut packs: Packs<'a>,
) -> Result<(Vec<Chunk>, Packs<'a>), BuildError> {
    let mut chunks = Vec::new();
    let mut waiting = BTreeMap::new();
    for slot in done {
        let slot = slot?;
        waiting.insert(slot.number, slot);
        while let Some(slot) = waiting.remove(&chunks.len()) {
            let len = fit(slot.plain.len(), "bytes")?;
            chunks.push(packs.add(slot.id, len, slot.stored())?);
            if slot.ends_pack {
                packs.close()?;
            }
            // Nobody takes it any more once all is read.
            let _ = free.send(slot);
        }
    }
    Ok((chunks, packs))
}
