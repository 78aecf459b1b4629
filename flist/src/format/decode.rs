//! Flist to image: any bytes give an image that holds together, or an error that says where not.

use std::cell::RefCell;

use super::column::Reader;
use super::compress::Decompressor;
use super::error::{FormatError, Malformed};
use super::header::{Layout, Tag};
use super::{chunks, dirents, files, inodes, meta, xattrs};
use crate::image::{Image, Tables};

/// The image that an flist describes, and how the file is laid out.
///
/// # Errors
/// [`FormatError`] says what to do about it.
pub fn decode_whole(file: &[u8]) -> Result<(Image, Layout), FormatError> {
    let layout = Layout::read(file)?;
    let image = image(&Source { file, layout: &layout, zstd: Decompressor::new().into() })?;
    Ok((image, layout))
}

/// The image alone of [`decode_whole`].
///
/// # Errors
/// The same.
pub fn decode(file: &[u8]) -> Result<Image, FormatError> {
    decode_whole(file).map(|(image, _layout)| image)
}

fn image(source: &Source<'_>) -> Result<Image, FormatError> {
    let mut tables = Tables::default();
    inodes::read(source, &mut tables)?;
    files::read(source, &mut tables)?;
    dirents::read(source, &mut tables)?;
    xattrs::read(source, &mut tables)?;
    chunks::read(source, &mut tables)?;
    meta::read(source, &mut tables)?;
    Ok(Image::new(tables)?)
}

/// What reading a part of an flist gives.
pub(super) type Read<T = ()> = Result<T, Malformed>;

/// The sections to read from.
pub(super) struct Source<'a> {
    file: &'a [u8],
    layout: &'a Layout,
    zstd: RefCell<Decompressor>,
}

impl Source<'_> {
    /// The contents of a section; nothing where it is not there.
    pub(super) fn bytes(&self, tag: Tag) -> Read<Vec<u8>> {
        self.layout.section(self.file, tag, &mut self.zstd.borrow_mut())
    }

    /// Whether a section is not there, or holds nothing.
    pub(super) fn is_empty(&self, tag: Tag) -> bool {
        !self.layout.sections.iter().any(|section| section.tag == tag && section.len > 0)
    }

    /// A column of `count` numbers below 2^32.
    pub(super) fn numbers(&self, tag: Tag, count: usize) -> Read<Vec<u32>> {
        let bytes = self.bytes(tag)?;
        let mut reader = Reader::new(tag, &bytes);
        // A column of as many inodes as there are: what it takes is bounded already.
        let mut numbers = Vec::with_capacity(count);
        for _ in 0..count {
            numbers.push(reader.u32()?);
        }
        reader.finish()?;
        Ok(numbers)
    }
}

/// Refuses the row just read if `have` rows before it are all there may be.
pub(super) fn bound(reader: &Reader<'_>, have: usize, max: usize) -> Read {
    if have < max { Ok(()) } else { Err(reader.bad("there are too many rows")) }
}

/// The index of a row, or how many there are: the tables' limits are far below 2^32.
pub(super) fn row_number(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}
