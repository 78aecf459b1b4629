//! What inodes own elsewhere: extents of files, `fsiz fext ehol elen epos`, and targets of symbolic
//! links, `ltgt`.
//!
//! The usual file, all of it one extent, costs its size, one zero, and a position that is another
//! zero where the file's contents follow those of the file before.

use super::column::{Reader, Writer};
use super::decode::{Read, Source, bound, row_number};
use super::encode::Columns;
use super::sections as s;
use crate::image::{Extent, Image, Kind, MAX_EXTENTS, ROOT, Tables};

/// In `fext`: the file is one extent, or is empty.
const WHOLE: u64 = 0;
/// In `fext`: there are that many less [`LISTED`] extents, in `ehol` and `elen`.
const LISTED: u64 = 1;

#[derive(Default)]
struct Writers {
    sizes: Writer,
    counts: Writer,
    holes: Writer,
    lens: Writer,
    positions: Writer,
    /// Where in the content space the last extent ended.
    position: u64,
}

pub(super) fn write(image: &Image, out: &mut Columns) {
    let mut targets = Writer::default();
    let mut columns = Writers::default();
    for ino in ROOT..=image.inode_count() {
        if let Some(target) = image.target(ino) {
            targets.string(target);
        }
        if let Some(extents) = image.extents(ino) {
            columns.file(image.size(ino), extents);
        }
    }
    out.put(s::LINK_TARGET, targets);
    out.put(s::FILE_SIZE, columns.sizes);
    out.put(s::FILE_EXTENTS, columns.counts);
    out.put(s::EXTENT_HOLE, columns.holes);
    out.put(s::EXTENT_LEN, columns.lens);
    out.put(s::EXTENT_POS, columns.positions);
}

impl Writers {
    fn file(&mut self, size: u64, extents: &[Extent]) {
        self.sizes.number(size);
        let whole = match extents {
            [] => size == 0,
            [one] => one.len == size,
            _ => false,
        };
        self.counts.number(if whole { WHOLE } else { LISTED + extents.len() as u64 });
        let mut end = 0;
        for extent in extents {
            self.positions.delta(self.position, extent.content_offset);
            self.position = extent.content_offset + extent.len;
            if !whole {
                self.holes.number(extent.file_offset - end);
                self.lens.number(extent.len);
                end = extent.file_offset + extent.len;
            }
        }
    }
}

struct Readers<'a> {
    sizes: Reader<'a>,
    counts: Reader<'a>,
    holes: Reader<'a>,
    lens: Reader<'a>,
    positions: Reader<'a>,
    /// Where in the content space the last extent ended.
    position: u64,
}

/// Sizes and extents of the files, targets of the symbolic links.
pub(super) fn read(source: &Source<'_>, tables: &mut Tables) -> Read {
    let targets = source.bytes(s::LINK_TARGET)?;
    let (sizes, counts) = (source.bytes(s::FILE_SIZE)?, source.bytes(s::FILE_EXTENTS)?);
    let (holes, lens) = (source.bytes(s::EXTENT_HOLE)?, source.bytes(s::EXTENT_LEN)?);
    let positions = source.bytes(s::EXTENT_POS)?;
    let mut targets = Reader::new(s::LINK_TARGET, &targets);
    let mut columns = Readers {
        sizes: Reader::new(s::FILE_SIZE, &sizes),
        counts: Reader::new(s::FILE_EXTENTS, &counts),
        holes: Reader::new(s::EXTENT_HOLE, &holes),
        lens: Reader::new(s::EXTENT_LEN, &lens),
        positions: Reader::new(s::EXTENT_POS, &positions),
        position: 0,
    };
    tables.extents.reserve_exact(columns.positions.numbers_left().min(MAX_EXTENTS));
    for inode in &mut tables.inodes {
        match &mut inode.kind {
            Kind::File { size, first, count } => {
                *first = row_number(tables.extents.len());
                *size = columns.file(&mut tables.extents)?;
                *count = row_number(tables.extents.len()) - *first;
            }
            Kind::Symlink { start, len } => {
                let target = targets.string()?;
                *start = row_number(tables.targets.len());
                *len = row_number(target.len());
                tables.targets.extend_from_slice(target);
            }
            _ => {}
        }
    }
    targets.finish()?;
    columns.finish()
}

impl Readers<'_> {
    /// The size of the next file, whose extents are pushed.
    fn file(&mut self, extents: &mut Vec<Extent>) -> Read<u64> {
        let size = self.sizes.u64()?;
        let count = self.counts.u64()?;
        if count == WHOLE {
            if size > 0 {
                self.extent(0, size, extents)?;
            }
            return Ok(size);
        }
        let mut end = 0_u64;
        for _ in LISTED..count {
            let (hole, len) = (self.holes.u64()?, self.lens.u64()?);
            let start = end.checked_add(hole);
            let Some((start, stop)) = start.and_then(|s| Some((s, s.checked_add(len)?))) else {
                return Err(self.lens.bad("the extent ends beyond 2^64"));
            };
            self.extent(start, len, extents)?;
            end = stop;
        }
        Ok(size)
    }

    fn extent(&mut self, file_offset: u64, len: u64, extents: &mut Vec<Extent>) -> Read {
        let content_offset = self.positions.delta(self.position)?;
        bound(&self.positions, extents.len(), MAX_EXTENTS)?;
        self.position = content_offset.wrapping_add(len);
        extents.push(Extent { file_offset, content_offset, len });
        Ok(())
    }

    fn finish(self) -> Read {
        self.sizes.finish()?;
        self.counts.finish()?;
        self.holes.finish()?;
        self.lens.finish()?;
        self.positions.finish()
    }
}
