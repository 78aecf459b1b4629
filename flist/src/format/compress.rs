//! Sections as zstd frames: written at one level, read at any, never longer than recorded.

use zstd::zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer, ResetDirective};

/// The level sections are compressed at.
pub(super) const LEVEL: i32 = 19;
/// Largest window a frame may ask the reader for, as a power of two: 8 MiB, what [`LEVEL`] uses.
pub(super) const WINDOW_LOG_MAX: u32 = 23;

/// Room for output is made ahead of it for so many times the input, or this much in bytes: more
/// than a frame gives that is no bomb, less than a hostile length in the section table could ask.
const RATIO: usize = 64;
const ROOM: usize = 64 << 10;

/// The frame of `bytes`, if that is smaller.
pub(super) fn compress(bytes: &[u8]) -> std::io::Result<Option<Vec<u8>>> {
    let frame = zstd::bulk::compress(bytes, LEVEL)?;
    Ok((frame.len() < bytes.len()).then_some(frame))
}

#[cfg(test)]
thread_local! {
    /// How many frames this thread has begun to read, for tests of what comes before that.
    pub(crate) static FRAMES: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// What reads frames one after the other: its memory, most of the cost of a small one, is reused.
pub(super) struct Decompressor(Option<DCtx<'static>>);

impl Decompressor {
    pub(super) fn new() -> Self {
        let ready = |mut zstd: DCtx<'static>| {
            zstd.set_parameter(DParameter::WindowLogMax(WINDOW_LOG_MAX)).ok().map(|_| zstd)
        };
        Self(DCtx::try_create().and_then(ready))
    }

    /// The contents of the one frame that `stored` is, of exactly `len` bytes. Memory is taken as
    /// real output needs it.
    pub(super) fn decompress(&mut self, stored: &[u8], len: u64) -> Result<Vec<u8>, &'static str> {
        #[cfg(test)]
        FRAMES.set(FRAMES.get() + 1);
        let no_memory = "zstd has no memory";
        let zstd = self.0.as_mut().ok_or(no_memory)?;
        zstd.reset(ResetDirective::SessionOnly).map_err(|_code| no_memory)?;
        let wrong_len = "its length is not the recorded one";
        let len = usize::try_from(len).map_err(|_long| wrong_len)?;
        let mut input = InBuffer::around(stored);
        let mut out = Vec::with_capacity(len.min(ROOM.max(stored.len().saturating_mul(RATIO))));
        loop {
            if out.len() == out.capacity() {
                // One byte more than there should be, so that a frame that goes on shows.
                out.reserve_exact(ROOM.min(len - out.len()).max(1));
            }
            let (read, written) = (input.pos(), out.len());
            let more =
                zstd.decompress_stream(&mut OutBuffer::around_pos(&mut out, written), &mut input);
            let more = more.map_err(|_damage| "it is no sound zstd frame")?;
            if out.len() > len || (more == 0 && out.len() < len) {
                return Err(wrong_len);
            }
            if more == 0 {
                break;
            }
            if input.pos() == read && out.len() == written {
                return Err("it is no sound zstd frame");
            }
        }
        if input.pos() == stored.len() { Ok(out) } else { Err("bytes follow its zstd frame") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decompress(stored: &[u8], len: u64) -> Result<Vec<u8>, &'static str> {
        Decompressor::new().decompress(stored, len)
    }

    #[test]
    fn any_level_is_read_within_its_length() {
        let bytes = b"the same again and again, ".repeat(5000);
        for level in [1, 3, LEVEL, 22] {
            let frame = zstd::bulk::compress(&bytes, level).unwrap();
            assert_eq!(decompress(&frame, bytes.len() as u64).unwrap(), bytes);
            for len in [0, 1, bytes.len() as u64 - 1, bytes.len() as u64 + 1, u64::MAX] {
                assert!(decompress(&frame, len).unwrap_err().contains("length"), "{len}");
            }
        }
    }

    #[test]
    fn long_output_of_little_input_comes_whole() {
        let bytes = vec![0; 3_000_000];
        let frame = zstd::bulk::compress(&bytes, LEVEL).unwrap();
        assert!(frame.len() * RATIO < ROOM);
        assert_eq!(decompress(&frame, bytes.len() as u64).unwrap(), bytes);
        for len in [bytes.len() as u64 - 1, bytes.len() as u64 + 1] {
            assert!(decompress(&frame, len).unwrap_err().contains("length"), "{len}");
        }
    }

    #[test]
    fn one_reader_reads_on_after_damage() {
        let frame = zstd::bulk::compress(&[7; 1000], LEVEL).unwrap();
        let mut reader = Decompressor::new();
        assert!(reader.decompress(&frame[..frame.len() - 1], 1000).is_err());
        assert!(reader.decompress(b"no frame", 8).is_err());
        assert_eq!(reader.decompress(&frame, 1000).unwrap(), [7; 1000]);
    }

    #[test]
    fn nothing_hides_behind_a_frame() {
        let mut frame = zstd::bulk::compress(b"x", 3).unwrap();
        let one = frame.clone();
        frame.push(0);
        assert_eq!(decompress(&frame, 1), Err("bytes follow its zstd frame"));
        let two = [one.clone(), one.clone()].concat();
        assert_eq!(decompress(&two, 1), Err("bytes follow its zstd frame"));
        assert!(decompress(&two, 2).is_err());
        assert!(decompress(&one[..one.len() - 1], 1).is_err());
        assert!(decompress(b"", 0).is_err());
        assert!(decompress(b"no frame", 1).is_err());
    }
}
