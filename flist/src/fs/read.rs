//! Reads: a range of a file becomes pieces of chunks, each from memory or to be fetched, and
//! these one run of bytes.

use std::sync::{Arc, Mutex, PoisonError};

use super::plain::{Plain, PlainCache};
use super::{Fs, FsError, Lost};
use crate::chunk::{Corrupt, Decompressor, Stored};
use crate::image::{Ino, Piece};

/// Bytes of decompressed chunks that are kept: for the chunks that many small files share and for
/// both sides of a read's edge; the kernel's page cache is what keeps contents. With the most of it a
/// boot of Debian has next to no chunk decompressed twice; with the least, one in five is one again.
const PLAIN_CACHE_MAX: u64 = 16 << 20;
const PLAIN_CACHE_MIN: u64 = 8 << 20;
/// Which part of the machine's memory that is, within these bounds.
const PLAIN_CACHE_PART: u64 = 64;
/// Buffers and contexts kept for the next reads: as many as threads usually read at once.
const MAX_SCRATCHES: usize = 4;
/// Longest buffer that is kept: the longest read of the kernel.
const MAX_SCRATCH_LEN: usize = 1 << 20;

/// What a read needs besides its sources; dear to make, so reused.
struct Scratch {
    out: Vec<u8>,
    zstd: Decompressor,
}

#[derive(Default)]
struct Scratches(Mutex<Vec<Scratch>>);

impl Scratches {
    fn with<T>(&self, work: impl FnOnce(&mut Scratch) -> T) -> Result<T, FsError> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut scratch = match kept {
            Some(scratch) => scratch,
            None => Scratch {
                out: Vec::new(),
                zstd: Decompressor::new().map_err(|_no_memory| FsError::NoMemory)?,
            },
        };
        let result = work(&mut scratch);
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < MAX_SCRATCHES && scratch.out.len() <= MAX_SCRATCH_LEN {
            kept.push(scratch);
        }
        Ok(result)
    }
}

/// Where the bytes of a piece come from.
enum Source {
    Plain(Arc<Plain>),
    Stored(Arc<Stored>),
    /// To be fetched: the how-manieth of the chunks asked for.
    Asked(usize),
}

/// A read on its way: its range, cut at the end of the file, and what it consists of.
struct Plan {
    ino: Ino,
    start: u64,
    len: usize,
    parts: Vec<(Piece, Source)>,
    /// Chunks that are not in memory.
    missing: Vec<u32>,
}

impl Fs {
    /// Reads `len` bytes of file `ino` at `offset`, fewer only at its end, and gives them to
    /// `done`: at once and on this thread if all is in memory, else when and where it has been
    /// fetched. `len` bounds the memory used; the kernel asks for 1 MiB at most.
    pub fn read(
        &self,
        ino: Ino,
        offset: u64,
        len: usize,
        done: impl FnOnce(Result<&[u8], FsError>) + Send + 'static,
    ) {
        let plan = match self.plan(ino, offset, len) {
            Ok(plan) => plan,
            Err(error) => return done(Err(error)),
        };
        if let Some(recorder) = &self.recorder {
            recorder.note(ino, plan.start..plan.start + plan.len as u64);
        }
        if plan.missing.is_empty() {
            return self.assembler.finish(&plan, &[], done);
        }
        let assembler = Arc::clone(&self.assembler);
        let missing = plan.missing.clone();
        let ready = Box::new(move |fetched: Result<Vec<Arc<Stored>>, Lost>| match fetched {
            Ok(fetched) => assembler.finish(&plan, &fetched, done),
            Err(why) => done(Err(FsError::Lost { ino: plan.ino, why })),
        });
        self.contents.request(&missing, ready);
    }

    /// The same, waiting for what must be fetched: for programs that read outside of a mount.
    ///
    /// # Errors
    /// Those of a read.
    pub fn read_wait(&self, ino: Ino, offset: u64, len: usize) -> Result<Vec<u8>, FsError> {
        let (sender, receiver) = std::sync::mpsc::sync_channel(1);
        self.read(ino, offset, len, move |result| {
            // The receiver below waits, so there is one.
            let _ = sender.send(result.map(<[u8]>::to_vec));
        });
        receiver
            .recv()
            .unwrap_or_else(|dropped| Err(FsError::Lost { ino, why: Lost::new(dropped) }))
    }

    fn plan(&self, ino: Ino, start: u64, len: usize) -> Result<Plan, FsError> {
        let end = start.saturating_add(len as u64).min(self.file_size(ino)?);
        let len = usize::try_from(end.saturating_sub(start)).unwrap_or(len);
        let mut plan = Plan { ino, start, len, parts: Vec::new(), missing: Vec::new() };
        for piece in self.image.pieces(ino, start..end) {
            let source = self.source(piece.chunk, &mut plan.missing);
            plan.parts.push((piece, source));
        }
        if let Some((last, _)) = plan.parts.last() {
            self.look_ahead(last.chunk);
        }
        Ok(plan)
    }

    /// A reader is at this chunk: if it goes in order, and the next is in memory, that is decompressed
    /// meanwhile.
    fn look_ahead(&self, chunk: u32) {
        if let Some(ahead) = &self.ahead
            && let Some(next) = self.assembler.plain.next(chunk)
            && (next as usize) < self.image.chunks().len()
            && let Some(stored) = self.contents.held(next)
        {
            ahead.want((next, stored));
        }
    }

    fn source(&self, chunk: u32, missing: &mut Vec<u32>) -> Source {
        if let Some(plain) = self.assembler.plain.ready(chunk) {
            return Source::Plain(plain);
        }
        // Extents of one file may share a chunk: what is asked for already is not asked again.
        if let Some(at) = missing.iter().position(|&m| m == chunk) {
            return Source::Asked(at);
        }
        if let Some(stored) = self.contents.held(chunk) {
            return Source::Stored(stored);
        }
        missing.push(chunk);
        Source::Asked(missing.len() - 1)
    }
}

/// Makes the bytes of a read from its chunks.
pub(super) struct Assembler {
    pub(super) plain: PlainCache,
    scratches: Scratches,
}

impl Default for Assembler {
    fn default() -> Self {
        let plain = PlainCache::new(plain_cache_len(crate::memory()));
        Self { plain, scratches: Scratches::default() }
    }
}

/// How much of `memory` decompressed chunks may take.
pub(super) fn plain_cache_len(memory: u64) -> usize {
    let len = (memory / PLAIN_CACHE_PART).clamp(PLAIN_CACHE_MIN, PLAIN_CACHE_MAX);
    usize::try_from(len).unwrap_or(usize::MAX)
}

impl Assembler {
    fn finish(
        &self,
        plan: &Plan,
        fetched: &[Arc<Stored>],
        done: impl FnOnce(Result<&[u8], FsError>),
    ) {
        // A read within one chunk that is there needs no copy.
        if let [(piece, Source::Plain(plain))] = plan.parts.as_slice()
            && piece.len as usize == plan.len
            && let Some(bytes) = plain.bytes().get(span(piece))
        {
            return done(Ok(bytes));
        }
        let mut done = Some(done);
        let worked = self.scratches.with(|scratch| {
            let result = self.assemble(plan, fetched, scratch);
            if let Some(done) = done.take() {
                done(result.map(|()| scratch.out.get(..plan.len).unwrap_or_default()));
            }
        });
        if let (Err(error), Some(done)) = (worked, done) {
            done(Err(error));
        }
    }

    /// Puts the bytes of the plan into the first `plan.len` of the scratch buffer. Either each of
    /// them is written, or it is an error: the buffer holds bytes of other files.
    fn assemble(
        &self,
        plan: &Plan,
        fetched: &[Arc<Stored>],
        scratch: &mut Scratch,
    ) -> Result<(), FsError> {
        let Scratch { out, zstd } = scratch;
        if out.len() < plan.len {
            out.resize(plan.len, 0);
        }
        let short = || FsError::ShortChunk(plan.ino);
        let mut rest = out.get_mut(..plan.len).ok_or_else(short)?;
        let mut at = plan.start;
        for (piece, source) in &plan.parts {
            let hole = usize::try_from(piece.file_offset - at).unwrap_or(usize::MAX);
            let (zeros, behind) = rest.split_at_mut_checked(hole).ok_or_else(short)?;
            zeros.fill(0);
            let (room, behind) =
                behind.split_at_mut_checked(piece.len as usize).ok_or_else(short)?;
            self.fill(room, piece, source, fetched, zstd).map_err(|fault| match fault {
                Fault::Short => short(),
                Fault::Corrupt(why) => FsError::Corrupt { ino: plan.ino, why },
            })?;
            rest = behind;
            at = piece.file_offset + u64::from(piece.len);
        }
        rest.fill(0);
        Ok(())
    }

    fn fill(
        &self,
        room: &mut [u8],
        piece: &Piece,
        source: &Source,
        fetched: &[Arc<Stored>],
        zstd: &mut Decompressor,
    ) -> Result<(), Fault> {
        let stored = match source {
            Source::Plain(plain) => return copy(plain, piece, room),
            Source::Stored(stored) => stored,
            Source::Asked(at) => fetched.get(*at).ok_or(Fault::Short)?,
        };
        if piece.chunk_offset == 0 && room.len() == stored.plain_len() {
            // Nothing of the chunk is left for another read, so it need not be kept.
            return zstd.plain_to(stored, room).map_err(Fault::Corrupt);
        }
        let plain = self.plain.get(piece.chunk, stored, zstd).map_err(Fault::Corrupt)?;
        copy(&plain, piece, room)
    }
}

enum Fault {
    Short,
    Corrupt(Corrupt),
}

/// Which bytes of its chunk a piece is.
fn span(piece: &Piece) -> std::ops::Range<usize> {
    let start = piece.chunk_offset as usize;
    start..start + piece.len as usize
}

fn copy(plain: &Plain, piece: &Piece, room: &mut [u8]) -> Result<(), Fault> {
    room.copy_from_slice(plain.bytes().get(span(piece)).ok_or(Fault::Short)?);
    Ok(())
}
