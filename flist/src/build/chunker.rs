//! Cuts the content space into chunks by its bytes (FastCDC), so that an insertion moves only the
//! cuts near it. With these parameters chunks of a Debian root are 262 KiB on average, and small ones
//! are rare; what else was tried gave larger packs or fewer, larger chunks.

use fastcdc::v2020::{Normalization, cut, select_masks};

use crate::chunk::MAX_CHUNK_LEN;

/// Shortest chunk but for the last of an image.
pub(super) const MIN: usize = 64 << 10;
/// From here on a cut is four times as likely.
const CENTER: usize = 160 << 10;
/// Chooses the masks: 19 bits of them are set before the center, 17 after it.
const MASKS_FOR: usize = 256 << 10;
/// Longest chunk.
pub(super) const MAX: usize = MAX_CHUNK_LEN as usize;

/// The chunker and its parameters, as an image's metadata records them.
pub(super) const NAME: &str = "fastcdc-2020 min 65536 center 163840 max 1048576 masks 19 17";

const _: () = assert!(MIN == 65_536 && CENTER == 163_840 && MAX == 1_048_576, "NAME says so");

/// The bytes that were cut off are dropped once they are this many.
const SLACK: usize = 4 << 20;

/// Bytes go in, chunks come out.
pub(super) struct Chunker {
    buffer: Vec<u8>,
    /// What lies before is cut off already.
    start: usize,
    masks: (u64, u64),
}

impl Chunker {
    pub(super) fn new() -> Self {
        let buffer = Vec::with_capacity(SLACK + 2 * MAX);
        Self { buffer, start: 0, masks: select_masks(MASKS_FOR, Normalization::Level1) }
    }

    /// Appends to the content space.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        if self.start >= SLACK {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// Whether all that was pushed is cut off.
    pub(super) fn is_empty(&self) -> bool {
        self.start == self.buffer.len()
    }

    /// The next chunk, if what was pushed so far decides where it ends; `last` says that a
    /// chunk must end here.
    pub(super) fn next(&mut self, last: bool) -> Option<&[u8]> {
        let rest = self.buffer.get(self.start..).unwrap_or_default();
        if rest.is_empty() || rest.len() < MAX && !last {
            return None;
        }
        let (strict, loose) = self.masks;
        let (_, len) = cut(rest, MIN, CENTER, MAX, strict, loose, strict << 1, loose << 1);
        self.start += len;
        rest.get(..len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cuts(bytes: &[u8], step: usize) -> Vec<usize> {
        let (mut chunker, mut lens) = (Chunker::new(), Vec::new());
        for part in bytes.chunks(step) {
            chunker.push(part);
            while let Some(chunk) = chunker.next(false) {
                lens.push(chunk.len());
            }
        }
        while let Some(chunk) = chunker.next(true) {
            lens.push(chunk.len());
        }
        lens
    }

    /// Bytes without a pattern, the same in every run.
    fn noise(len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        blake3::Hasher::new().finalize_xof().fill(&mut bytes);
        bytes
    }

    #[test]
    fn cuts_depend_on_the_bytes_alone() {
        let bytes = noise(20 << 20);
        let whole = cuts(&bytes, bytes.len());
        assert_eq!(whole.iter().sum::<usize>(), bytes.len());
        assert!(whole.iter().all(|&len| len <= MAX));
        assert!(whole.iter().rev().skip(1).all(|&len| len >= MIN));
        for step in [1 << 10, 4097, MAX, 3 << 20] {
            assert_eq!(cuts(&bytes, step), whole, "pushed in steps of {step}");
        }
    }

    #[test]
    fn an_insertion_moves_only_its_neighbours() {
        let old = noise(20 << 20);
        let mut new = old.clone();
        new.splice(5 << 20..5 << 20, *b"inserted");
        let ends = |lens: Vec<usize>, len: usize| -> Vec<usize> {
            let mut end = 0;
            lens.iter()
                .map(|l| {
                    end += l;
                    len - end
                })
                .collect()
        };
        let (old, new) = (ends(cuts(&old, MAX), old.len()), ends(cuts(&new, MAX), new.len()));
        let lost = old.iter().filter(|e| !new.contains(e)).count();
        // Before the insertion all cuts move in this measure, which counts from the end.
        let before = old.iter().filter(|&&e| e > 15 << 20).count();
        assert!(lost <= before + 3, "{lost} of {} cuts were lost", old.len());
    }

    #[test]
    fn masks_are_what_the_name_says() {
        let (strict, loose) = Chunker::new().masks;
        assert_eq!((strict.count_ones(), loose.count_ones()), (19, 17));
    }

    #[test]
    fn average_of_noise() {
        let bytes = noise(100 << 20);
        let average = bytes.len() / cuts(&bytes, MAX).len();
        assert!((200 << 10..330 << 10).contains(&average), "{average}");
    }
}
