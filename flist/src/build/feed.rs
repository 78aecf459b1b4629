//! Reads all contents in the order of a layout, and cuts them into chunks for those who compress.

use std::sync::mpsc::{Receiver, Sender};

use super::chunker::Chunker;
use super::layout::{Layout, Stretch};
use super::parallel::in_order;
use super::pipeline::{Extents, Slot, goes_on};
use super::read::{Input, Reader};
use super::{BuildError, Progress};
use crate::image::Extent;

/// Stretches no longer than this are read by several threads at a time: of small files, what costs is
/// that they are opened.
const SHORT: u64 = 64 << 10;
/// So many of them at the most,
const MANY: usize = 1024;
/// and so many bytes.
const TOGETHER: u64 = 8 << 20;
/// A thread takes so many at a time: neighbours, so mostly of one directory.
const BATCH: usize = 32;

/// Reads and cuts.
pub(super) struct Feeder<'a> {
    input: &'a Input,
    progress: &'a dyn Progress,
    threads: usize,
    chunker: Chunker,
    free: Receiver<Slot>,
    out: Sender<Slot>,
    /// Number of the next chunk.
    number: usize,
    /// What is laid out so far, each with its inode index.
    pieces: Vec<(u32, Extent)>,
    /// Where the content space ends so far.
    end: u64,
}

/// A short stretch, read: where in the file its pieces lie, how long they are, and what they hold.
#[derive(Default)]
struct Read {
    pieces: Vec<(u64, usize)>,
    bytes: Vec<u8>,
}

impl<'a> Feeder<'a> {
    /// One that takes the slots that are `free`, and sends them `out`.
    pub(super) fn new(
        input: &'a Input,
        progress: &'a dyn Progress,
        threads: usize,
        free: Receiver<Slot>,
        out: Sender<Slot>,
    ) -> Self {
        let (chunker, pieces) = (Chunker::new(), Vec::new());
        Self { input, progress, threads, chunker, free, out, number: 0, pieces, end: 0 }
    }

    /// Returns the extents, and how many chunks hold what the profile needs.
    pub(super) fn feed(mut self, layout: &Layout) -> Result<(Extents, usize), BuildError> {
        let mut reader = Reader::new(self.input);
        self.lay_all(&mut reader, &layout.profiled)?;
        self.send(true)?;
        let profiled = self.number;
        self.lay_all(&mut reader, &layout.rest)?;
        self.send(true)?;
        Ok((Extents::new(self.pieces), profiled))
    }

    fn lay_all(
        &mut self,
        reader: &mut Reader<'_>,
        mut stretches: &[Stretch],
    ) -> Result<(), BuildError> {
        while let [first, others @ ..] = stretches {
            let short = short(stretches);
            if short.len() > 1 {
                self.lay_short(short)?;
                stretches = stretches.get(short.len()..).unwrap_or_default();
            } else {
                reader.read_range(first.at, first.range.clone(), &mut |offset, bytes: &[u8]| {
                    self.take(first.at, offset, bytes)
                })?;
                stretches = others;
            }
        }
        Ok(())
    }

    /// Lays many short ones.
    fn lay_short(&mut self, stretches: &[Stretch]) -> Result<(), BuildError> {
        let read = |reader: &mut Reader<'_>, stretch: &Stretch| {
            let mut read = Read::default();
            reader.read_range(stretch.at, stretch.range.clone(), &mut |offset, bytes: &[u8]| {
                read.pieces.push((offset, bytes.len()));
                read.bytes.extend_from_slice(bytes);
                Ok(())
            })?;
            Ok(read)
        };
        let input = self.input;
        let all = in_order(self.threads, BATCH, stretches, || Reader::new(input), read)?;
        for (stretch, Read { pieces, bytes }) in stretches.iter().zip(all) {
            let mut rest = bytes.as_slice();
            for (offset, len) in pieces {
                let (piece, after) = rest.split_at(len);
                self.take(stretch.at, offset, piece)?;
                rest = after;
            }
        }
        Ok(())
    }

    /// The content space goes on with these bytes, at `offset` of the file that is inode index `at`.
    fn take(&mut self, at: u32, offset: u64, bytes: &[u8]) -> Result<(), BuildError> {
        if self.progress.cancelled() {
            return Err(BuildError::Cancelled);
        }
        self.progress.advance(bytes.len() as u64);
        self.extend(at, offset, bytes.len() as u64);
        self.chunker.push(bytes);
        self.send(false)
    }

    /// Records that the content space goes on with these bytes of the file that is inode index `at`.
    fn extend(&mut self, at: u32, file_offset: u64, len: u64) {
        let piece = Extent { file_offset, content_offset: self.end, len };
        self.end += len;
        match self.pieces.last_mut() {
            Some((of, last)) if *of == at && goes_on(last, &piece) => last.len += len,
            _ => self.pieces.push((at, piece)),
        }
    }

    /// Sends off what is cut; all there is, where the profile or the content space ends here (`last`).
    fn send(&mut self, last: bool) -> Result<(), BuildError> {
        while let Some(chunk) = self.chunker.next(last) {
            // The writer hangs up when it fails, and its error is the one that is told.
            let mut slot = self.free.recv().ok().ok_or(BuildError::Cancelled)?;
            slot.number = self.number;
            slot.plain.clear();
            slot.plain.extend_from_slice(chunk);
            slot.ends_pack = last && self.chunker.is_empty();
            self.number += 1;
            self.out.send(slot).ok().ok_or(BuildError::Cancelled)?;
        }
        Ok(())
    }
}

/// The short ones that `stretches` begin with, as many as are read together.
fn short(stretches: &[Stretch]) -> &[Stretch] {
    let mut sum = 0;
    let count = stretches.iter().take(MANY).take_while(|stretch| {
        let len = stretch.range.end - stretch.range.start;
        sum += len;
        len <= SHORT && sum <= TOGETHER
    });
    stretches.get(..count.count()).unwrap_or_default()
}
