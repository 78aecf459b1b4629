//! The chunks, `clen csto cpak coff chid`, the packs they lie in, `plen pkid`,
//! and how many of them a profile has, `prof`.
//!
//! Chunks usually follow each other in their pack, so that pack and offset are zeros.

use super::column::{Reader, Writer};
use super::decode::{Read, Source, bound};
use super::encode::Columns;
use super::error::Malformed;
use super::header::Tag;
use super::sections as s;
use crate::chunk::Chunk;
use crate::id::{ChunkId, ID_LEN, PackId};
use crate::image::{Image, MAX_CHUNKS, MAX_PACKS, Pack, Tables};

pub(super) fn write(image: &Image, out: &mut Columns) {
    let (mut lens, mut stored) = (Writer::default(), Writer::default());
    let (mut packs, mut offsets) = (Writer::default(), Writer::default());
    let mut ids = Writer::default();
    let (mut pack, mut end) = (0, 0);
    for chunk in image.chunks() {
        lens.number(chunk.len.into());
        stored.number(chunk.stored_len.into());
        packs.delta(pack, chunk.pack.into());
        if u64::from(chunk.pack) != pack {
            (pack, end) = (chunk.pack.into(), 0);
        }
        offsets.delta(end, chunk.offset);
        end = chunk.range().end;
        ids.0.extend_from_slice(chunk.id.as_bytes());
    }
    out.put(s::CHUNK_LEN, lens);
    out.put(s::CHUNK_STORED, stored);
    out.put(s::CHUNK_PACK, packs);
    out.put(s::CHUNK_OFFSET, offsets);
    out.put(s::CHUNK_ID, ids);
    write_packs(image.packs(), out);
    let mut profiled = Writer::default();
    if !image.profiled().is_empty() {
        profiled.number(image.profiled().end.into());
    }
    out.put(s::PROFILED, profiled);
}

fn write_packs(packs: &[Pack], out: &mut Columns) {
    let (mut lens, mut ids) = (Writer::default(), Writer::default());
    for pack in packs {
        lens.number(pack.len);
        ids.0.extend_from_slice(pack.id.as_bytes());
    }
    out.put(s::PACK_LEN, lens);
    out.put(s::PACK_ID, ids);
}

/// All chunks and packs.
pub(super) fn read(source: &Source<'_>, tables: &mut Tables) -> Read {
    tables.packs = read_packs(source)?;
    let lens = read_lens(source, s::CHUNK_LEN, MAX_CHUNKS)?;
    let stored_lens = source.numbers(s::CHUNK_STORED, lens.len())?;
    let (packs, offsets) = (source.bytes(s::CHUNK_PACK)?, source.bytes(s::CHUNK_OFFSET)?);
    let bytes = source.bytes(s::CHUNK_ID)?;
    let ids = ids(s::CHUNK_ID, &bytes, lens.len())?;
    let mut packs = Reader::new(s::CHUNK_PACK, &packs);
    let mut offsets = Reader::new(s::CHUNK_OFFSET, &offsets);
    tables.chunks.reserve_exact(lens.len());
    let (mut last, mut end) = (0, 0);
    for ((len, stored_len), id) in lens.into_iter().zip(stored_lens).zip(ids) {
        let Ok(len) = u32::try_from(len) else {
            let row = tables.chunks.len() as u64;
            return Err(Malformed::Row { section: s::CHUNK_LEN, row, what: "it is too long" });
        };
        let Ok(pack) = u32::try_from(packs.delta(last)?) else {
            return Err(packs.bad("there is no such pack"));
        };
        if u64::from(pack) != last {
            (last, end) = (pack.into(), 0);
        }
        let offset = offsets.delta(end)?;
        end = offset.wrapping_add(stored_len.into());
        let id = ChunkId::from_bytes(id);
        tables.chunks.push(Chunk { id, pack, stored_len, len, offset });
    }
    packs.finish()?;
    offsets.finish()?;
    tables.profiled = read_profiled(source)?;
    Ok(())
}

/// How many chunks the profile has: one number, or none.
fn read_profiled(source: &Source<'_>) -> Read<u32> {
    let bytes = source.bytes(s::PROFILED)?;
    let mut reader = Reader::new(s::PROFILED, &bytes);
    let profiled = if reader.is_empty() { 0 } else { reader.u32()? };
    reader.finish()?;
    Ok(profiled)
}

fn read_packs(source: &Source<'_>) -> Read<Vec<Pack>> {
    let lens = read_lens(source, s::PACK_LEN, MAX_PACKS)?;
    let bytes = source.bytes(s::PACK_ID)?;
    let ids = ids(s::PACK_ID, &bytes, lens.len())?;
    Ok(ids.zip(lens).map(|(id, len)| Pack { id: PackId::from_bytes(id), len }).collect())
}

/// A column of at most `max` numbers that says how many rows its table has.
fn read_lens(source: &Source<'_>, tag: Tag, max: usize) -> Read<Vec<u64>> {
    let bytes = source.bytes(tag)?;
    let mut reader = Reader::new(tag, &bytes);
    let mut lens = Vec::new();
    while !reader.is_empty() {
        let len = reader.u64()?;
        bound(&reader, lens.len(), max)?;
        lens.push(len);
    }
    Ok(lens)
}

/// The rows of a column of `count` ids.
fn ids(tag: Tag, bytes: &[u8], count: usize) -> Read<impl Iterator<Item = [u8; ID_LEN]>> {
    let (ids, rest) = bytes.as_chunks::<ID_LEN>();
    if ids.len() == count && rest.is_empty() {
        return Ok(ids.iter().copied());
    }
    Err(Malformed::Section { section: tag, what: "its length is not 32 bytes a row" })
}
