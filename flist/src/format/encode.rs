//! Image to flist: one image has one encoding.

use std::collections::HashMap;

use super::column::Writer;
use super::compress;
use super::error::FormatError;
use super::header::{COMPRESSED, HEADER_LEN, Part, REQUIRED, ROW_LEN, Tag, assemble};
use super::sections::{KNOWN, Known, MAX_FILE_LEN, MAX_TOTAL_LEN};
use super::{chunks, dirents, files, inodes, meta, soon, xattrs};
use crate::image::Image;

/// The flist of `image`. The same image gives the same bytes with the same version of zstd.
///
/// # Errors
/// [`FormatError::Encode`] when the image exceeds what the format allows, or zstd has no memory.
pub fn encode(image: &Image) -> Result<Vec<u8>, FormatError> {
    encode_with(image, compress::compress)
}

/// The flist of `image`, its sections compressed by `compress` where that returns something.
pub(super) fn encode_with(
    image: &Image,
    compress: impl Fn(&[u8]) -> std::io::Result<Option<Vec<u8>>>,
) -> Result<Vec<u8>, FormatError> {
    let mut columns = Columns::default();
    inodes::write(image, &mut columns);
    files::write(image, &mut columns);
    dirents::write(image, &mut columns);
    xattrs::write(image, &mut columns);
    chunks::write(image, &mut columns);
    meta::write(image, &mut columns);
    soon::write(image, &mut columns);
    let mut parts = Vec::new();
    let (mut total, mut file_len) = (0, HEADER_LEN as u64);
    for known in KNOWN {
        let Some(Writer(bytes)) = columns.0.remove(&known.tag) else { continue };
        if bytes.is_empty() {
            continue;
        }
        total += bytes.len() as u64;
        let failed = |why: String| FormatError::Encode { section: known.tag, why };
        if bytes.len() as u64 > known.max_len || total > MAX_TOTAL_LEN {
            return Err(failed("it exceeds what the format allows".to_owned()));
        }
        let frame = compress(&bytes).map_err(|e| failed(e.to_string()))?;
        let part = part(known, bytes, frame);
        file_len += (ROW_LEN + part.stored.len()) as u64;
        if file_len > MAX_FILE_LEN {
            return Err(failed("with it the flist exceeds what the format allows".to_owned()));
        }
        parts.push(part);
    }
    Ok(assemble(&parts))
}

/// A section as its frame, where there is one.
fn part(known: &Known, bytes: Vec<u8>, frame: Option<Vec<u8>>) -> Part {
    let flags = if known.required { REQUIRED } else { 0 };
    let len = bytes.len() as u64;
    match frame {
        Some(stored) => Part { tag: known.tag, flags: flags | COMPRESSED, len, stored },
        None => Part { tag: known.tag, flags, len, stored: bytes },
    }
}

/// The columns written so far.
#[derive(Default)]
pub(super) struct Columns(HashMap<Tag, Writer>);

impl Columns {
    /// Adds a column; one without rows makes no section.
    pub(super) fn put(&mut self, tag: Tag, column: Writer) {
        self.0.insert(tag, column);
    }
}
