//! Image to flist: one image has one encoding.

use std::collections::HashMap;

use super::column::Writer;
use super::compress;
use super::error::FormatError;
use super::header::{COMPRESSED, Part, REQUIRED, Tag, assemble};
use super::sections as s;
use crate::image::{Image, Kind, ROOT, Tables, Time};

/// The flist of `image`. The same image gives the same bytes with the same version of zstd.
///
/// # Errors
/// [`FormatError::Encode`] when a section exceeds what the format allows, or zstd has no memory.
pub fn encode(image: &Image) -> Result<Vec<u8>, FormatError> {
    let mut columns = Columns::default();
    let tables = image.tables();
    inodes(tables, &mut columns);
    files(image, &mut columns);
    dirents(image, &mut columns);
    xattrs(tables, columns.of(s::XATTR_SET));
    chunks(tables, &mut columns);
    metadata(tables, columns.of(s::META));
    times(tables.btimes.iter(), s::BIRTH_SEC, s::BIRTH_NSEC, &mut columns);
    let mut parts = Vec::new();
    let mut total = 0;
    for known in s::KNOWN {
        let Writer(bytes) = columns.0.remove(&known.tag).unwrap_or_default();
        total += bytes.len() as u64;
        let too_long = bytes.len() as u64 > known.max_len || total > s::MAX_TOTAL_LEN;
        if too_long {
            let why = "it exceeds what the format allows".to_owned();
            return Err(FormatError::Encode { section: known.tag, why });
        }
        if !bytes.is_empty() {
            parts.push(part(known, bytes)?);
        }
    }
    Ok(assemble(&parts))
}

/// A section compressed, where that makes it smaller.
fn part(known: &s::Known, bytes: Vec<u8>) -> Result<Part, FormatError> {
    let failed = |e: std::io::Error| FormatError::Encode { section: known.tag, why: e.to_string() };
    let flags = if known.required { REQUIRED } else { 0 };
    let len = bytes.len() as u64;
    Ok(match compress::compress(&bytes).map_err(failed)? {
        Some(stored) => Part { tag: known.tag, flags: flags | COMPRESSED, len, stored },
        None => Part { tag: known.tag, flags, len, stored: bytes },
    })
}

/// A writer for each section that has something in it.
#[derive(Default)]
struct Columns(HashMap<Tag, Writer>);

impl Columns {
    fn of(&mut self, tag: Tag) -> &mut Writer {
        self.0.entry(tag).or_default()
    }
}

fn inodes(tables: &Tables, columns: &mut Columns) {
    for inode in &tables.inodes {
        columns.of(s::INODE_MODE).number(inode.mode.into());
        columns.of(s::INODE_UID).number(inode.uid.into());
        columns.of(s::INODE_GID).number(inode.gid.into());
        columns.of(s::INODE_XATTRS).number(inode.xattrs.into());
        if let Kind::Char(device) | Kind::Block(device) = inode.kind {
            columns.of(s::DEVICE).number(u64::from(device.major) << 20 | u64::from(device.minor));
        }
    }
    times(tables.inodes.iter().map(|i| &i.mtime), s::INODE_SEC, s::INODE_NSEC, columns);
}

fn times<'a>(times: impl Iterator<Item = &'a Time>, sec: Tag, nsec: Tag, columns: &mut Columns) {
    let mut last = 0;
    for time in times {
        let now = time.sec.cast_unsigned();
        columns.of(sec).delta(last, now);
        columns.of(nsec).number(time.nsec.into());
        last = now;
    }
}

/// Files with their extents, and symbolic links.
fn files(image: &Image, columns: &mut Columns) {
    let mut position = 0;
    for ino in ROOT..=image.inode_count() {
        if let Some(target) = image.target(ino) {
            columns.of(s::LINK_TARGET).string(target);
        }
        let Some(extents) = image.extents(ino) else { continue };
        let size = image.size(ino);
        columns.of(s::FILE_SIZE).number(size);
        let plain = match extents {
            [] => size == 0,
            [one] => one.len == size,
            _ => false,
        };
        let count = if plain { 0 } else { extents.len() as u64 + 1 };
        columns.of(s::FILE_EXTENTS).number(count);
        let mut end = 0;
        for extent in extents {
            columns.of(s::EXTENT_POS).delta(position, extent.content_offset);
            position = extent.content_offset.wrapping_add(extent.len);
            if !plain {
                columns.of(s::EXTENT_HOLE).number(extent.file_offset.wrapping_sub(end));
                columns.of(s::EXTENT_LEN).number(extent.len);
                end = extent.file_offset.wrapping_add(extent.len);
            }
        }
    }
}

fn dirents(image: &Image, columns: &mut Columns) {
    let mut new = ROOT + 1;
    for ino in ROOT..=image.inode_count() {
        let Some(entries) = image.entries(ino) else { continue };
        for entry in entries {
            columns.of(s::DIRENT_NAME).string(image.name(entry));
            let ino = if entry.ino == new { 0 } else { entry.ino };
            columns.of(s::DIRENT_INO).number(ino.into());
            new += u32::from(ino == 0);
        }
        columns.of(s::DIRENT_NAME).string(b"");
    }
}

fn xattrs(tables: &Tables, column: &mut Writer) {
    for set in tables.xattr_sets.iter().skip(1) {
        column.number(set.len() as u64);
        for (name, value) in set {
            column.counted(name);
            column.counted(value);
        }
    }
}

fn chunks(tables: &Tables, columns: &mut Columns) {
    let (mut pack, mut end) = (0, 0);
    for chunk in &tables.chunks {
        columns.of(s::CHUNK_LEN).number(chunk.len.into());
        columns.of(s::CHUNK_STORED).number(chunk.stored_len.into());
        columns.of(s::CHUNK_PACK).delta(pack, chunk.pack.into());
        if u64::from(chunk.pack) != pack {
            (pack, end) = (chunk.pack.into(), 0);
        }
        columns.of(s::CHUNK_OFFSET).delta(end, chunk.offset);
        end = chunk.range().end;
        columns.of(s::CHUNK_ID).0.extend_from_slice(chunk.id.as_bytes());
    }
    for pack in &tables.packs {
        columns.of(s::PACK_LEN).number(pack.len);
        columns.of(s::PACK_ID).0.extend_from_slice(pack.id.as_bytes());
    }
}

fn metadata(tables: &Tables, column: &mut Writer) {
    for (key, value) in &tables.meta {
        column.counted(key.as_bytes());
        column.counted(value.as_bytes());
    }
}
