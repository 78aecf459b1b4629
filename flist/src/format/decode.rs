//! Flist to image: any bytes give an image that holds together, or an error that says where not.

use super::column::Reader;
use super::error::{FormatError, Malformed};
use super::header::{Layout, Tag};
use super::sections as s;
use crate::chunk::Chunk;
use crate::id::{ChunkId, ID_LEN, PackId};
use crate::image::{
    Device, Dirent, Extent, Image, Inode, Kind, MAX_CHUNKS, MAX_EXTENTS, MAX_INODES, MAX_META,
    MAX_META_LEN, MAX_NAME_LEN, MAX_NAMES_LEN, MAX_PACKS, MAX_XATTR_NAME_LEN, MAX_XATTR_SETS,
    MAX_XATTR_VALUE_LEN, MAX_XATTRS, Pack, ROOT, Tables, Time, XattrSet,
};

/// The image that an flist describes.
///
/// # Errors
/// [`FormatError`] says what to do about it.
pub fn decode(file: &[u8]) -> Result<Image, FormatError> {
    let layout = Layout::read(file)?;
    let source = Source { file, layout };
    let mut tables = Tables::default();
    inodes(&source, &mut tables)?;
    files(&source, &mut tables)?;
    dirents(&source, &mut tables)?;
    tables.xattr_sets = xattrs(&source)?;
    tables.packs = packs(&source)?;
    tables.chunks = chunks(&source)?;
    tables.meta = metadata(&source)?;
    if !source.is_empty(s::BIRTH_SEC) {
        tables.btimes = times(&source, s::BIRTH_SEC, s::BIRTH_NSEC, tables.inodes.len())?;
    }
    Ok(Image::new(tables)?)
}

type Read<T = ()> = Result<T, Malformed>;

struct Source<'a> {
    file: &'a [u8],
    layout: Layout,
}

impl Source<'_> {
    fn bytes(&self, tag: Tag) -> Read<Vec<u8>> {
        self.layout.section(self.file, tag)
    }

    fn is_empty(&self, tag: Tag) -> bool {
        !self.layout.sections.iter().any(|section| section.tag == tag && section.len > 0)
    }

    /// All rows of a column of numbers below 2^32, one for each of `count` things.
    fn numbers(&self, tag: Tag, count: usize) -> Read<Vec<u32>> {
        let bytes = self.bytes(tag)?;
        let mut reader = Reader::new(tag, &bytes);
        let numbers = (0..count).map(|_| reader.u32()).collect::<Read<_>>()?;
        reader.finish()?;
        Ok(numbers)
    }
}

/// Refuses row `have` of a table that may have `max` rows.
fn bound(reader: &Reader<'_>, have: usize, max: usize) -> Read {
    if have < max { Ok(()) } else { Err(reader.bad("there are too many rows")) }
}

/// All inodes; those that own rows of other tables own none yet.
fn inodes(source: &Source<'_>, tables: &mut Tables) -> Read {
    let bytes = source.bytes(s::INODE_MODE)?;
    let mut modes = Reader::new(s::INODE_MODE, &bytes);
    while !modes.is_empty() {
        let mode = modes.u32()?;
        bound(&modes, tables.inodes.len(), MAX_INODES)?;
        let kind = match mode & 0o170_000 {
            0o140_000 => Kind::Socket,
            0o120_000 => Kind::Symlink { start: 0, len: 0 },
            0o100_000 => Kind::File { size: 0, first: 0, count: 0 },
            0o060_000 => Kind::Block(Device { major: 0, minor: 0 }),
            0o040_000 => Kind::Directory { first: 0, count: 0 },
            0o020_000 => Kind::Char(Device { major: 0, minor: 0 }),
            0o010_000 => Kind::Fifo,
            _ => return Err(modes.bad("the mode has no known type")),
        };
        let mtime = Time::default();
        tables.inodes.push(Inode { mode, uid: 0, gid: 0, xattrs: 0, mtime, kind });
    }
    let count = tables.inodes.len();
    for (inode, uid) in tables.inodes.iter_mut().zip(source.numbers(s::INODE_UID, count)?) {
        inode.uid = uid;
    }
    for (inode, gid) in tables.inodes.iter_mut().zip(source.numbers(s::INODE_GID, count)?) {
        inode.gid = gid;
    }
    for (inode, set) in tables.inodes.iter_mut().zip(source.numbers(s::INODE_XATTRS, count)?) {
        inode.xattrs = set;
    }
    let mtimes = times(source, s::INODE_SEC, s::INODE_NSEC, count)?;
    for (inode, mtime) in tables.inodes.iter_mut().zip(mtimes) {
        inode.mtime = mtime;
    }
    devices(source, tables)
}

fn times(source: &Source<'_>, sec: Tag, nsec: Tag, count: usize) -> Read<Vec<Time>> {
    let (secs, nsecs) = (source.bytes(sec)?, source.numbers(nsec, count)?);
    let mut secs = Reader::new(sec, &secs);
    let mut times = Vec::with_capacity(count);
    let mut now = 0;
    for nsec in nsecs {
        now = secs.delta(now)?;
        times.push(Time { sec: now.cast_signed(), nsec });
    }
    secs.finish()?;
    Ok(times)
}

fn devices(source: &Source<'_>, tables: &mut Tables) -> Read {
    let bytes = source.bytes(s::DEVICE)?;
    let mut numbers = Reader::new(s::DEVICE, &bytes);
    for inode in &mut tables.inodes {
        if let Kind::Char(device) | Kind::Block(device) = &mut inode.kind {
            let number = numbers.u32()?;
            *device = Device { major: number >> 20, minor: number & 0xf_ffff };
        }
    }
    numbers.finish()
}

/// The columns from which files and their extents come.
struct Files<'a> {
    sizes: Reader<'a>,
    counts: Reader<'a>,
    holes: Reader<'a>,
    lens: Reader<'a>,
    positions: Reader<'a>,
    /// Where in the content space the last extent ended.
    position: u64,
}

/// Sizes and extents of the files, targets of the symbolic links.
fn files(source: &Source<'_>, tables: &mut Tables) -> Read {
    let targets = source.bytes(s::LINK_TARGET)?;
    let (sizes, counts) = (source.bytes(s::FILE_SIZE)?, source.bytes(s::FILE_EXTENTS)?);
    let (holes, lens) = (source.bytes(s::EXTENT_HOLE)?, source.bytes(s::EXTENT_LEN)?);
    let positions = source.bytes(s::EXTENT_POS)?;
    let mut targets = Reader::new(s::LINK_TARGET, &targets);
    let mut columns = Files {
        sizes: Reader::new(s::FILE_SIZE, &sizes),
        counts: Reader::new(s::FILE_EXTENTS, &counts),
        holes: Reader::new(s::EXTENT_HOLE, &holes),
        lens: Reader::new(s::EXTENT_LEN, &lens),
        positions: Reader::new(s::EXTENT_POS, &positions),
        position: 0,
    };
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
    columns.sizes.finish()?;
    columns.counts.finish()?;
    columns.holes.finish()?;
    columns.lens.finish()?;
    columns.positions.finish()
}

impl Files<'_> {
    /// The size of the next file, whose extents are pushed.
    fn file(&mut self, extents: &mut Vec<Extent>) -> Read<u64> {
        let size = self.sizes.u64()?;
        let explicit = match self.counts.u64()? {
            0 => {
                if size > 0 {
                    self.extent(0, size, extents)?;
                }
                return Ok(size);
            }
            more => more - 1,
        };
        let mut end = 0_u64;
        for _ in 0..explicit {
            let (hole, len) = (self.holes.u64()?, self.lens.u64()?);
            let start = end.checked_add(hole);
            let Some((start, after)) = start.and_then(|s| Some((s, s.checked_add(len)?))) else {
                return Err(self.lens.bad("the extent ends beyond 2^64"));
            };
            self.extent(start, len, extents)?;
            end = after;
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
}

/// Table lengths are bounded far below 2^32 by the longest section.
fn row_number(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

fn dirents(source: &Source<'_>, tables: &mut Tables) -> Read {
    let (names, inos) = (source.bytes(s::DIRENT_NAME)?, source.bytes(s::DIRENT_INO)?);
    let mut names = Reader::new(s::DIRENT_NAME, &names);
    let mut inos = Reader::new(s::DIRENT_INO, &inos);
    let mut new = ROOT;
    for inode in &mut tables.inodes {
        let Kind::Directory { first, count } = &mut inode.kind else { continue };
        *first = row_number(tables.dirents.len());
        loop {
            let name = names.string()?;
            let Ok(name_len) = u8::try_from(name.len()) else {
                return Err(names.bad("the name is too long"));
            };
            const { assert!(MAX_NAME_LEN == u8::MAX as usize) };
            if name_len == 0 {
                break;
            }
            bound(&names, tables.dirents.len(), MAX_INODES)?;
            if tables.names.len() + name.len() > MAX_NAMES_LEN {
                return Err(names.bad("the names together are too long"));
            }
            let ino = match inos.u32()? {
                0 => {
                    new += 1;
                    new
                }
                ino => ino,
            };
            let name_start = row_number(tables.names.len());
            tables.dirents.push(Dirent { name_start, ino, name_len });
            tables.names.extend_from_slice(name);
        }
        *count = row_number(tables.dirents.len()) - *first;
    }
    names.finish()?;
    inos.finish()
}

fn xattrs(source: &Source<'_>) -> Read<Vec<XattrSet>> {
    let bytes = source.bytes(s::XATTR_SET)?;
    let mut reader = Reader::new(s::XATTR_SET, &bytes);
    let mut sets = vec![XattrSet::new()];
    while !reader.is_empty() {
        let count = reader.u32()?;
        bound(&reader, sets.len(), MAX_XATTR_SETS)?;
        let mut set = XattrSet::new();
        for _ in 0..count {
            bound(&reader, set.len(), MAX_XATTRS)?;
            let name = reader.counted(MAX_XATTR_NAME_LEN)?.to_vec();
            set.push((name, reader.counted(MAX_XATTR_VALUE_LEN)?.to_vec()));
        }
        sets.push(set);
    }
    Ok(sets)
}

/// The ids of a section of nothing else.
fn ids(tag: Tag, bytes: &[u8], count: usize) -> Read<impl Iterator<Item = [u8; ID_LEN]>> {
    let (ids, rest) = bytes.as_chunks::<ID_LEN>();
    if ids.len() == count && rest.is_empty() {
        return Ok(ids.iter().copied());
    }
    Err(Malformed::Section { section: tag, what: "its length is not that of one id a row" })
}

fn packs(source: &Source<'_>) -> Read<Vec<Pack>> {
    let (lens, bytes) = (source.bytes(s::PACK_LEN)?, source.bytes(s::PACK_ID)?);
    let mut lens = Reader::new(s::PACK_LEN, &lens);
    let mut packs = Vec::new();
    while !lens.is_empty() {
        let len = lens.u64()?;
        bound(&lens, packs.len(), MAX_PACKS)?;
        packs.push(len);
    }
    let ids = ids(s::PACK_ID, &bytes, packs.len())?;
    Ok(ids.zip(packs).map(|(id, len)| Pack { id: PackId::from_bytes(id), len }).collect())
}

fn chunks(source: &Source<'_>) -> Read<Vec<Chunk>> {
    let bytes = source.bytes(s::CHUNK_LEN)?;
    let mut reader = Reader::new(s::CHUNK_LEN, &bytes);
    let mut lens = Vec::new();
    while !reader.is_empty() {
        let len = reader.u32()?;
        bound(&reader, lens.len(), MAX_CHUNKS)?;
        lens.push(len);
    }
    let stored = source.numbers(s::CHUNK_STORED, lens.len())?;
    let (packs, offsets) = (source.bytes(s::CHUNK_PACK)?, source.bytes(s::CHUNK_OFFSET)?);
    let bytes = source.bytes(s::CHUNK_ID)?;
    let ids = ids(s::CHUNK_ID, &bytes, lens.len())?;
    let mut packs = Reader::new(s::CHUNK_PACK, &packs);
    let mut offsets = Reader::new(s::CHUNK_OFFSET, &offsets);
    let mut chunks = Vec::with_capacity(lens.len());
    let (mut last, mut end) = (0, 0);
    for ((len, stored_len), id) in lens.into_iter().zip(stored).zip(ids) {
        let Ok(pack) = u32::try_from(packs.delta(last)?) else {
            return Err(packs.bad("there is no such pack"));
        };
        if u64::from(pack) != last {
            (last, end) = (pack.into(), 0);
        }
        let offset = offsets.delta(end)?;
        end = offset.wrapping_add(stored_len.into());
        chunks.push(Chunk { id: ChunkId::from_bytes(id), pack, stored_len, len, offset });
    }
    packs.finish()?;
    offsets.finish()?;
    Ok(chunks)
}

fn metadata(source: &Source<'_>) -> Read<Vec<(String, String)>> {
    let bytes = source.bytes(s::META)?;
    let mut reader = Reader::new(s::META, &bytes);
    let mut meta = Vec::new();
    while !reader.is_empty() {
        bound(&reader, meta.len(), MAX_META)?;
        let mut text = || {
            let bytes = reader.counted(MAX_META_LEN)?;
            String::from_utf8(bytes.to_vec()).map_err(|_invalid| reader.bad("it is not UTF-8"))
        };
        meta.push((text()?, text()?));
        reader.next_row();
    }
    Ok(meta)
}
