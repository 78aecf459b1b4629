//! The archive as one zstd frame, its length a multiple of 4, so that another archive
//! (configuration, say) can follow by plain `cat`: the kernel takes an uncompressed cpio only at
//! such an offset.

use std::io::{self, Write};

/// The best level that needs no more memory of the kernel than 8 MiB of window.
const LEVEL: i32 = 19;
/// A zstd block that is raw, empty and not the frame's last: three bytes of nothing.
const EMPTY_BLOCK: [u8; 3] = [0; 3];

/// Compresses the archive, which has one byte at least: its trailer is one.
pub(crate) fn compress(archive: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = zstd::Encoder::new(Vec::new(), LEVEL)?;
    encoder.set_pledged_src_size(Some(archive.len() as u64))?;
    encoder.include_checksum(true)?;
    encoder.write_all(archive)?;
    encoder.flush()?;
    let body = encoder.get_ref().len();
    let mut frame = encoder.finish()?;
    let tail = frame.split_off(body);
    while (frame.len() + tail.len()) % 4 != 0 {
        frame.extend_from_slice(&EMPTY_BLOCK);
    }
    frame.extend_from_slice(&tail);
    Ok(frame)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_length_ends_on_a_multiple_of_four_and_decompresses() {
        let text: Vec<u8> = (0..5000u32).flat_map(|n| n.wrapping_mul(n).to_le_bytes()).collect();
        let mut paddings = [false; 4];
        for len in (1..64).chain([1000, text.len()]) {
            let frame = compress(&text[..len]).unwrap();
            assert_eq!(frame.len() % 4, 0);
            assert_eq!(zstd::decode_all(&frame[..]).unwrap(), &text[..len]);
            assert_eq!(compress(&text[..len]).unwrap(), frame, "the same every time");
            let blocks = frame.len() - zstd::encode_all(&text[..len], LEVEL).unwrap().len();
            paddings[blocks % 4] = true;
        }
        assert!(paddings.iter().filter(|&&seen| seen).count() > 1, "padding was put to the test");
    }
}
