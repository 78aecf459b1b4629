//! What tests and the fuzz target need: files made by hand, and the promise that any bytes are
//! refused or give an image on which every question has an answer.
#![allow(clippy::expect_used, reason = "only tests use this")]

use super::compress::Decompressor;
use super::encode::encode_with;
use super::header::{CHECKSUM_OFFSET, HEADER_LEN, Layout, Part, Section, Tag, assemble};
use super::sections;
use super::{FormatError, MAX_SOON_LEN, Soon, decode};
use crate::image::{Image, Ino, Kind, MAX_DEPTH, Piece, ROOT};

/// Most inodes, entries and extents of one image that [`exercise`] looks at.
const MAX_LOOKS: usize = 2000;
/// Longest range that [`exercise`] asks for at once.
const WINDOW: u64 = 1 << 14;

/// The flist of `image` with nothing compressed.
///
/// # Panics
/// When the image is too large for the format.
pub fn encode_raw(image: &Image) -> Vec<u8> {
    encode_with(image, |_| Ok(None)).expect("a small image can be written")
}

/// A file of these sections, each by tag, flags, and contents, not compressed.
pub fn file_of(sections: &[([u8; 4], u32, &[u8])]) -> Vec<u8> {
    let part = |&(tag, flags, bytes): &([u8; 4], u32, &[u8])| Part {
        tag: Tag(tag),
        flags,
        len: bytes.len() as u64,
        stored: bytes.to_vec(),
    };
    assemble(&sections.iter().map(part).collect::<Vec<_>>())
}

/// Puts length and checksum of a changed file right, if it has a header.
pub fn seal(file: &mut [u8]) {
    let len = file.len() as u64;
    let Some((header, rest)) = file.split_at_mut_checked(HEADER_LEN) else { return };
    let (facts, checksum) = header.split_at_mut(CHECKSUM_OFFSET);
    facts[CHECKSUM_OFFSET - 8..].copy_from_slice(&len.to_le_bytes());
    let mut hasher = blake3::Hasher::new();
    hasher.update(facts).update(rest);
    checksum.copy_from_slice(hasher.finalize().as_bytes());
}

/// A file from bytes in which each section's contents stand behind its tag. However such bytes are
/// cut and joined, the frame around the columns is sound, so that their own rules are reached.
pub fn file_of_columns(bytes: &[u8]) -> Vec<u8> {
    let mut sections: Vec<([u8; 4], Vec<u8>)> = Vec::new();
    let (mut rest, mut open) = (bytes, None);
    while let Some((&byte, behind)) = rest.split_first() {
        let tag = rest.first_chunk().filter(|tag| sections::find(Tag(**tag)).is_some());
        if let Some(tag) = tag {
            open = Some(sections.iter().position(|s| s.0 == *tag).unwrap_or(sections.len()));
            if open == Some(sections.len()) {
                sections.push((*tag, Vec::new()));
            }
            rest = &rest[4..];
        } else {
            if let Some(open) = open {
                sections[open].1.push(byte);
            }
            rest = behind;
        }
    }
    file_of(&sections.iter().map(|(tag, bytes)| (*tag, 0, &bytes[..])).collect::<Vec<_>>())
}

/// What [`file_of_columns`] makes a file of `image` from.
pub fn columns_of(image: &Image) -> Vec<u8> {
    let file = encode_raw(image);
    let layout = Layout::read(&file).expect("an flist");
    let column = |section: &Section| {
        let bytes = layout
            .section(&file, section.tag, &mut Decompressor::new())
            .expect("a section of the flist");
        [&section.tag.0, &bytes[..]].concat()
    };
    layout.sections.iter().flat_map(column).collect()
}

/// Decodes `file`. Where it gives an image, asks all that can be asked of that.
///
/// # Errors
/// Those of [`decode`].
///
/// # Panics
/// When a promise is broken: an answer is missing or wrong, or the image does not come back from
/// its own encoding.
pub fn exercise(file: &[u8]) -> Result<Image, FormatError> {
    let soon = Soon::peek(file).map(|soon| soon.range.end - soon.range.start);
    assert!(soon.is_none_or(|len| (1..=MAX_SOON_LEN).contains(&len)), "{soon:?}");
    let image = decode(file).inspect_err(|error| assert!(!error.to_string().is_empty()))?;
    for ino in (0..=image.inode_count()).chain([u32::MAX]).take(MAX_LOOKS) {
        inode(&image, ino);
    }
    let again = decode(&encode_raw(&image)).expect("what was decoded can be encoded");
    assert!(again == image, "what was decoded comes back from its encoding");
    Ok(image)
}

fn inode(image: &Image, ino: Ino) {
    let Some(inode) = image.inode(ino) else {
        assert_eq!((image.nlink(ino), image.size(ino), image.data_len(ino)), (0, 0, 0));
        assert!(image.entries(ino).is_none() && image.pieces(ino, 0..u64::MAX).is_empty());
        return;
    };
    assert!(image.nlink(ino) > 0, "each inode has a name, or is the root");
    assert!(image.xattrs(ino).windows(2).all(|w| w[0].0 < w[1].0));
    assert_eq!(image.btime(ino).is_some(), !image.tables().btimes.is_empty());
    match inode.kind {
        Kind::Directory { .. } => directory(image, ino),
        Kind::File { size, .. } => file(image, ino, size),
        Kind::Symlink { len, .. } => {
            assert_eq!(image.target(ino).map(<[u8]>::len), Some(len as usize));
        }
        _ => assert_eq!(image.size(ino), 0),
    }
}

fn directory(image: &Image, ino: Ino) {
    for entry in image.entries(ino).expect("a directory").iter().take(MAX_LOOKS) {
        let name = image.name(entry);
        assert_eq!(image.lookup(ino, name), Some(entry.ino));
        assert_eq!(image.lookup(ino, &[name, b"/"].concat()), None);
        if image.entries(entry.ino).is_some() {
            assert_eq!(image.parent(entry.ino), Some(ino));
        }
    }
    let parents = std::iter::successors(Some(ino), |&at| image.parent(at).filter(|_| at != ROOT));
    let ancestors = parents.take(MAX_DEPTH as usize + 2).collect::<Vec<_>>();
    assert_eq!(ancestors.last(), Some(&ROOT), "each directory is below the root");
    assert_eq!(image.resolve(&b"../".repeat(ancestors.len())), Some(ROOT));
}

fn file(image: &Image, ino: Ino, size: u64) {
    let extents = image.extents(ino).expect("a file");
    assert!(image.data_len(ino) <= size);
    let ends = extents
        .iter()
        .take(MAX_LOOKS / 20)
        .flat_map(|e| [e.file_offset.saturating_sub(9), e.file_offset, e.file_offset + e.len - 1]);
    for start in ends.chain([0, size.saturating_sub(WINDOW), size, u64::MAX]) {
        let range = start..start.saturating_add(WINDOW);
        let pieces = image.pieces(ino, range.clone());
        let inside = |e: &crate::image::Extent| {
            let end = range.end.min(e.file_offset + e.len);
            end.saturating_sub(range.start.max(e.file_offset))
        };
        let want: u64 = extents.iter().map(inside).sum();
        assert_eq!(pieces.iter().map(|p| u64::from(p.len)).sum::<u64>(), want);
        let mut at = range.start;
        for &Piece { file_offset, chunk, chunk_offset, len } in &pieces {
            let chunk = image.chunks().get(chunk as usize).expect("a chunk of the image");
            assert!(len > 0 && file_offset >= at, "pieces ascend");
            assert!(chunk_offset.checked_add(len).is_some_and(|end| end <= chunk.len));
            assert!(image.pack_of(chunk).is_some_and(|pack| chunk.range().end <= pack.len));
            at = file_offset + u64::from(len);
        }
        assert!(at <= range.end.max(range.start));
    }
}
