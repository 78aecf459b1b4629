//! Lays stored chunks into packs, each once, and refers to those that the base image's packs hold.

use std::collections::HashMap;
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use super::BuildError;
use super::error::fit;
use super::output::{Temp, Undo, sync_dir};
use crate::chunk::Chunk;
use crate::id::{ChunkId, PackId};
use crate::image::{Image, Pack};

/// A pack ends before it would exceed this.
const PACK_LEN: u64 = 64 << 20;

/// Finished packs that are held open without a name; beyond that they get theirs early.
const MAX_NAMELESS: usize = 256;

/// A chunk is the same as another if both agree: the same stored bytes may be a raw chunk here
/// and a compressed one there.
type Key = (ChunkId, u32);

/// What became of the chunks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PackCounts {
    /// Packs that were written.
    pub written: u64,
    /// Packs that lay in the store already, whole.
    pub present: u64,
    /// Packs of the base image that this image refers to.
    pub from_base: u64,
    /// Bytes of the packs that were written.
    pub bytes_written: u64,
    /// Distinct chunks that went into this build's packs.
    pub new_chunks: u64,
    /// Bytes of these, as stored.
    pub new_chunk_bytes: u64,
    /// Chunks that the base's packs hold.
    pub base_chunks: u64,
    /// Chunks equal to an earlier one of this image.
    pub equal_chunks: u64,
}

/// Writes packs into a store.
pub(super) struct Packs<'a> {
    dir: PathBuf,
    base: Option<&'a Image>,
    base_chunks: HashMap<Key, Chunk>,
    /// By index in the base's pack table: the index in ours.
    base_packs: HashMap<u32, u32>,
    known: HashMap<Key, (u32, u64)>,
    table: Vec<Pack>,
    open: Option<Open>,
    nameless: Vec<(Temp, Pack)>,
    undo: Undo,
    counts: PackCounts,
}

/// The pack being written.
struct Open {
    temp: Temp,
    hasher: blake3::Hasher,
    len: u64,
    index: u32,
}

/// The packs a finished image lies in. Dropped, what was newly written is removed again.
pub(super) struct Finished {
    pub(super) table: Vec<Pack>,
    pub(super) counts: PackCounts,
    pub(super) undo: Undo,
}

impl<'a> Packs<'a> {
    /// Packs go to directory `dir`; chunks that `base` has are not written again.
    pub(super) fn new(dir: &Path, base: Option<&'a Image>) -> Self {
        let chunks = base.map_or(&[][..], Image::chunks);
        Self {
            dir: dir.to_path_buf(),
            base,
            // The first of equal ones, as everywhere.
            base_chunks: chunks.iter().rev().map(|c| ((c.id, c.len), *c)).collect(),
            base_packs: HashMap::new(),
            known: HashMap::new(),
            table: Vec::new(),
            open: None,
            nameless: Vec::new(),
            undo: Undo::default(),
            counts: PackCounts::default(),
        }
    }

    /// The chunk of `len` bytes whose stored bytes are these.
    pub(super) fn add(
        &mut self,
        id: ChunkId,
        len: u32,
        stored: &[u8],
    ) -> Result<Chunk, BuildError> {
        let stored_len = fit(stored.len(), "bytes")?;
        let key = (id, len);
        let (pack, offset) = if let Some(&place) = self.known.get(&key) {
            self.counts.equal_chunks += 1;
            place
        } else {
            let place = match self.base_chunks.get(&key).copied() {
                Some(chunk) => self.refer(&chunk)?,
                None => self.write(stored)?,
            };
            self.known.insert(key, place);
            place
        };
        Ok(Chunk { id, pack, stored_len, len, offset })
    }

    /// A place in a pack of the base.
    fn refer(&mut self, chunk: &Chunk) -> Result<(u32, u64), BuildError> {
        self.counts.base_chunks += 1;
        if let Some(&index) = self.base_packs.get(&chunk.pack) {
            return Ok((index, chunk.offset));
        }
        let pack = self.base.and_then(|base| base.pack_of(chunk)).copied();
        let index = self.enter(pack.ok_or(BuildError::TooMany("packs"))?)?;
        self.base_packs.insert(chunk.pack, index);
        self.counts.from_base += 1;
        Ok((index, chunk.offset))
    }

    fn enter(&mut self, pack: Pack) -> Result<u32, BuildError> {
        let index = fit(self.table.len(), "packs")?;
        self.table.push(pack);
        Ok(index)
    }

    /// A place in the open pack, or in the next.
    fn write(&mut self, stored: &[u8]) -> Result<(u32, u64), BuildError> {
        let len = stored.len() as u64;
        if self.open.as_ref().is_some_and(|open| open.len + len > PACK_LEN) {
            self.close()?;
        }
        let mut open = match self.open.take() {
            Some(open) => open,
            None => {
                let index = self.enter(Pack { id: PackId::from_bytes([0; 32]), len: 0 })?;
                let temp = Temp::new_in(&self.dir)?;
                Open { temp, hasher: blake3::Hasher::new(), len: 0, index }
            }
        };
        open.temp.file.write_all(stored).map_err(BuildError::io("write a pack in", &self.dir))?;
        open.hasher.update(stored);
        let place = (open.index, open.len);
        open.len += len;
        self.open = Some(open);
        self.counts.new_chunks += 1;
        self.counts.new_chunk_bytes += len;
        Ok(place)
    }

    /// Ends the open pack: what is added next goes into another.
    pub(super) fn close(&mut self) -> Result<(), BuildError> {
        let Some(open) = self.open.take() else { return Ok(()) };
        let pack = Pack { id: open.hasher.finalize().into(), len: open.len };
        if let Some(entry) = self.table.get_mut(open.index as usize) {
            *entry = pack;
        }
        self.nameless.push((open.temp, pack));
        if self.nameless.len() > MAX_NAMELESS {
            self.name_all()?;
        }
        Ok(())
    }

    fn name_all(&mut self) -> Result<(), BuildError> {
        for (mut temp, pack) in std::mem::take(&mut self.nameless) {
            let path = self.dir.join(pack.id.to_string());
            if is_whole(&path, &pack)? {
                self.counts.present += 1;
                continue;
            }
            let replaces = path.exists();
            temp.persist(&path)?;
            if !replaces {
                self.undo.push(path);
            }
            self.counts.written += 1;
            self.counts.bytes_written += pack.len;
        }
        Ok(())
    }

    /// Gives all packs their names.
    pub(super) fn finish(mut self) -> Result<Finished, BuildError> {
        self.close()?;
        self.name_all()?;
        if self.counts.written > 0 {
            sync_dir(&self.dir)?;
        }
        Ok(Finished { table: self.table, counts: self.counts, undo: self.undo })
    }
}

/// Whether the pack lies there already, undamaged.
fn is_whole(path: &Path, pack: &Pack) -> Result<bool, BuildError> {
    let hash = || -> std::io::Result<bool> {
        let file = File::open(path)?;
        if file.metadata()?.len() != pack.len {
            return Ok(false);
        }
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(file)?;
        Ok(PackId::from(hasher.finalize()) == pack.id)
    };
    match hash() {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(false),
        other => other.map_err(BuildError::io("read", path)),
    }
}
