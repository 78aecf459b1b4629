//! Sections as zstd frames: written at one level, read at any, never longer than recorded.

use std::io::{Cursor, Read};

/// The level sections are compressed at.
pub(super) const LEVEL: i32 = 19;
/// Largest window a frame may ask the reader for, as a power of two: 8 MiB, what [`LEVEL`] uses.
pub(super) const WINDOW_LOG_MAX: u32 = 23;

/// The frame of `bytes`, if that is smaller.
pub(super) fn compress(bytes: &[u8]) -> std::io::Result<Option<Vec<u8>>> {
    let frame = zstd::bulk::compress(bytes, LEVEL)?;
    Ok((frame.len() < bytes.len()).then_some(frame))
}

/// The contents of the one frame that `stored` is, of exactly `len` bytes. Memory is taken as
/// real output needs it.
pub(super) fn decompress(stored: &[u8], len: u64) -> Result<Vec<u8>, &'static str> {
    let mut input = Cursor::new(stored);
    let mut out = Vec::new();
    {
        let no_memory = |_none| "zstd has no memory";
        let mut decoder = zstd::Decoder::with_buffer(&mut input).map_err(no_memory)?.single_frame();
        decoder.window_log_max(WINDOW_LOG_MAX).map_err(no_memory)?;
        let limit = len.saturating_add(1);
        decoder.take(limit).read_to_end(&mut out).map_err(|_damage| "it is no sound zstd frame")?;
    }
    if out.len() as u64 != len {
        return Err("its length is not the recorded one");
    }
    if input.position() != stored.len() as u64 {
        return Err("bytes follow its zstd frame");
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

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
