//! The frame of an flist: header, section table, checksum. What opens is as long as it says, holds
//! the bytes that were written, and needs no feature this reader lacks.

use std::collections::HashSet;
use std::fmt;

use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::compress::Decompressor;
use super::error::{FormatError, Malformed, UnknownFeature};
use super::looks::looks;
use super::sections::{self, MAX_FILE_LEN};

/// First bytes of an flist: not ASCII, the name, and a line end that a copy as text changes.
pub const MAGIC: [u8; 8] = *b"\x93flist\r\n";
/// The version of the format that is written here, and the latest that is read.
pub const VERSION: u32 = 1;
/// Length of the header in bytes.
pub const HEADER_LEN: usize = 64;
/// Where in the header the checksum lies, to the header's end.
pub const CHECKSUM_OFFSET: usize = 32;
/// Length of a row of the section table in bytes.
pub const ROW_LEN: usize = 32;
/// Most sections.
pub const MAX_SECTIONS: u32 = 64;
/// Section flag bit 0: the section is one zstd frame.
pub(super) const COMPRESSED: u32 = 1;
/// Section flag bit 1: who does not know the section can't read the image.
pub(super) const REQUIRED: u32 = 1 << 1;

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Header {
    magic: [u8; 8],
    version: U32,
    sections: U32,
    compat: U32,
    incompat: U32,
    file_len: U64,
    checksum: [u8; 32],
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Row {
    tag: [u8; 4],
    flags: U32,
    offset: U64,
    stored_len: U64,
    len: U64,
}

const _: () = assert!(size_of::<Header>() == HEADER_LEN);
const _: () = assert!(std::mem::offset_of!(Header, checksum) == CHECKSUM_OFFSET);
const _: () = assert!(size_of::<Row>() == ROW_LEN);

/// The name of a section: four visible ASCII characters.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tag(pub [u8; 4]);

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.escape_ascii().fmt(f)
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tag({self})")
    }
}

/// A row of the section table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Section {
    /// Its name.
    pub tag: Tag,
    /// Its flags.
    pub flags: u32,
    /// Where in the file it begins.
    pub offset: u64,
    /// Its length in the file.
    pub stored_len: u64,
    /// Its length once decompressed.
    pub len: u64,
}

impl Section {
    /// What it holds, in a few words; `None` where this reader does not know it.
    pub fn meaning(&self) -> Option<&'static str> {
        sections::find(self.tag).map(|known| known.meaning)
    }

    /// Whether it is stored as a zstd frame.
    pub fn is_compressed(&self) -> bool {
        self.flags & COMPRESSED != 0
    }
}

/// What header and section table say of an flist whose checksum is right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// The version of the format.
    pub version: u32,
    /// Feature flags that any reader may ignore.
    pub compat: u32,
    /// Feature flags that a reader must know.
    pub incompat: u32,
    /// The sections in file order.
    pub sections: Vec<Section>,
}

impl Layout {
    /// Reads header and section table, and checks all of `file` against the header's checksum.
    ///
    /// # Errors
    /// Whatever keeps this reader from an understanding of every section that matters.
    pub fn read(file: &[u8]) -> Result<Self, FormatError> {
        let rest = file.get(HEADER_LEN..).unwrap_or_default();
        Self::understand(header(file)?, rest)
    }

    /// The same of a file of which only the beginning is there, and of which nothing is verified; `None`
    /// while that does not hold the whole table, and where this is no flist that this reader can read.
    pub(super) fn peek(beginning: &[u8]) -> Option<Self> {
        let (header, rest) = Header::ref_from_prefix(beginning).ok()?;
        Self::understand(header, rest).ok().filter(|_| header.magic == MAGIC)
    }

    /// Header and section table, with which `rest` begins.
    fn understand(header: &Header, rest: &[u8]) -> Result<Self, FormatError> {
        let version = header.version.get();
        if version > VERSION {
            return Err(FormatError::LaterVersion(version));
        }
        let malformed = |what| FormatError::Malformed(Malformed::Header(what));
        if version == 0 {
            return Err(malformed("there is no version 0"));
        }
        let incompat = header.incompat.get();
        if incompat != 0 {
            let bit = incompat.trailing_zeros();
            return Err(FormatError::UnknownFeature(UnknownFeature::Bit(bit)));
        }
        let count = header.sections.get();
        if count > MAX_SECTIONS {
            return Err(malformed("there are too many sections"));
        }
        let Ok((rows, _)) = <[Row]>::ref_from_prefix_with_elems(rest, count as usize) else {
            return Err(malformed("the section table reaches beyond the file"));
        };
        let sections = table(rows, header.file_len.get())?;
        Ok(Self { version, compat: header.compat.get(), incompat, sections })
    }

    /// The contents of the section of that name, decompressed; nothing where there is no such
    /// section.
    pub(super) fn section(
        &self,
        file: &[u8],
        tag: Tag,
        zstd: &mut Decompressor,
    ) -> Result<Vec<u8>, Malformed> {
        let Some(section) = self.sections.iter().find(|s| s.tag == tag) else {
            return Ok(Vec::new());
        };
        let bad = |what| Malformed::Section { section: tag, what };
        let stored = usize::try_from(section.offset)
            .ok()
            .zip(usize::try_from(section.stored_len).ok())
            .and_then(|(start, len)| file.get(start..start.checked_add(len)?))
            .ok_or_else(|| bad("it reaches beyond the file"))?;
        if section.is_compressed() {
            zstd.decompress(stored, section.len).map_err(bad)
        } else {
            Ok(stored.to_vec())
        }
    }
}

/// The header of a file that is whole and undamaged.
fn header(file: &[u8]) -> Result<&Header, FormatError> {
    let have = file.len() as u64;
    if !file.starts_with(&MAGIC) && (file.is_empty() || !MAGIC.starts_with(file)) {
        return Err(FormatError::NotAnFlist(looks(file)));
    }
    let Ok((header, rest)) = Header::ref_from_prefix(file) else {
        return Err(FormatError::Truncated { have, want: HEADER_LEN as u64 });
    };
    let want = header.file_len.get();
    if want > MAX_FILE_LEN {
        return Err(FormatError::Damaged("it says that it is longer than any flist"));
    }
    if have < want {
        return Err(FormatError::Truncated { have, want });
    }
    if have > want {
        return Err(FormatError::Damaged("bytes follow its end"));
    }
    if checksum(header, rest) != header.checksum {
        return Err(FormatError::Damaged("its checksum is not that of its bytes"));
    }
    Ok(header)
}

/// BLAKE3 of all the file but the checksum.
fn checksum(header: &Header, rest: &[u8]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(header.as_bytes().get(..CHECKSUM_OFFSET).unwrap_or_default());
    hasher.update(rest);
    *hasher.finalize().as_bytes()
}

/// The rows of the section table, which tile the file from the table's end to the file's.
fn table(rows: &[Row], file_len: u64) -> Result<Vec<Section>, FormatError> {
    let mut sections = Vec::with_capacity(rows.len());
    let mut tags = HashSet::new();
    let mut at = (HEADER_LEN + size_of_val(rows)) as u64;
    let mut total = 0_u64;
    for row in rows {
        let section = section(row)?;
        let bad = |what| Malformed::Section { section: section.tag, what };
        if !tags.insert(section.tag) {
            return Err(bad("there are two of that name").into());
        }
        if section.offset != at {
            return Err(bad("it does not begin where the one before ends").into());
        }
        at = at
            .checked_add(section.stored_len)
            .filter(|&end| end <= file_len)
            .ok_or_else(|| bad("it reaches beyond the file"))?;
        if section.meaning().is_some() {
            total = total.saturating_add(section.len);
        }
        sections.push(section);
    }
    if at != file_len {
        return Err(Malformed::Header("bytes follow the last section").into());
    }
    if total > sections::MAX_TOTAL_LEN {
        return Err(Malformed::Header("the sections together are too long").into());
    }
    Ok(sections)
}

/// One row of the section table, checked by itself.
fn section(row: &Row) -> Result<Section, FormatError> {
    let section = Section {
        tag: Tag(row.tag),
        flags: row.flags.get(),
        offset: row.offset.get(),
        stored_len: row.stored_len.get(),
        len: row.len.get(),
    };
    let bad = |what| Malformed::Section { section: section.tag, what };
    if !row.tag.iter().all(u8::is_ascii_graphic) {
        return Err(bad("its name is not four visible ASCII characters").into());
    }
    let Some(known) = sections::find(section.tag) else {
        if section.flags & REQUIRED != 0 {
            return Err(FormatError::UnknownFeature(UnknownFeature::Section(section.tag)));
        }
        return Ok(section);
    };
    let unknown = section.flags & !(COMPRESSED | REQUIRED);
    if unknown != 0 {
        let bit = unknown.trailing_zeros();
        let feature = UnknownFeature::SectionBit { section: section.tag, bit };
        return Err(FormatError::UnknownFeature(feature));
    }
    if section.len > known.max_len {
        return Err(bad("it is too long").into());
    }
    if !section.is_compressed() && section.stored_len != section.len {
        return Err(bad("it is not compressed, yet its two lengths differ").into());
    }
    Ok(section)
}

/// Contents of a section on its way into a file.
pub(super) struct Part {
    pub(super) tag: Tag,
    pub(super) flags: u32,
    pub(super) len: u64,
    pub(super) stored: Vec<u8>,
}

/// The file of these sections.
pub(super) fn assemble(parts: &[Part]) -> Vec<u8> {
    let table_end = HEADER_LEN + parts.len() * ROW_LEN;
    let file_len = table_end + parts.iter().map(|p| p.stored.len()).sum::<usize>();
    let mut rest = Vec::with_capacity(file_len);
    let mut offset = table_end as u64;
    for part in parts {
        let row = Row {
            tag: part.tag.0,
            flags: part.flags.into(),
            offset: offset.into(),
            stored_len: (part.stored.len() as u64).into(),
            len: part.len.into(),
        };
        rest.extend_from_slice(row.as_bytes());
        offset += part.stored.len() as u64;
    }
    parts.iter().for_each(|part| rest.extend_from_slice(&part.stored));
    let mut header = Header {
        magic: MAGIC,
        version: VERSION.into(),
        sections: u32::try_from(parts.len()).unwrap_or(u32::MAX).into(),
        compat: 0.into(),
        incompat: 0.into(),
        file_len: (file_len as u64).into(),
        checksum: [0; 32],
    };
    header.checksum = checksum(&header, &rest);
    [header.as_bytes(), &rest].concat()
}
