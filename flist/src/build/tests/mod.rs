//! Builds of real trees, read back with a tiny reader and compared with what was built.

pub(crate) mod archive;
mod compare;
mod directory;
mod faults;
mod profile;
mod tar;
mod tar_entries;

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::{BuildError, Options, Report, Source, build};
use crate::chunk::Decompressor;
use crate::format;
use crate::image::{Image, Ino};

/// A store and its flists, in a folder of its own.
struct Bench {
    folder: TempDir,
}

impl Bench {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Builds `source` to `name`.
    fn build(&self, source: &Path, name: &str, options: &Options) -> Result<Report, BuildError> {
        build(&Source::look(source)?, &self.path(name), options, &())
    }

    /// Builds, and decodes what was built.
    fn image(&self, source: &Path, name: &str, options: &Options) -> (Image, Report) {
        let report = self.build(source, name, options).unwrap();
        (self.decode(name), report)
    }

    fn decode(&self, name: &str) -> Image {
        format::decode(&fs::read(self.path(name)).unwrap()).unwrap()
    }

    /// Names of the packs there are.
    fn packs(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.path("packs")) else { return Vec::new() };
        let name = |e: std::io::Result<fs::DirEntry>| e.unwrap().file_name();
        entries.map(|e| name(e).into_string().unwrap()).collect()
    }

    /// The whole contents of a regular file.
    fn contents(&self, image: &Image, ino: Ino) -> Vec<u8> {
        let size = image.size(ino);
        let mut bytes = vec![0; usize::try_from(size).unwrap()];
        for piece in image.pieces(ino, 0..size) {
            let plain = self.plain(image, piece.chunk as usize);
            let from = piece.chunk_offset as usize;
            let at = usize::try_from(piece.file_offset).unwrap();
            bytes[at..at + piece.len as usize]
                .copy_from_slice(&plain[from..from + piece.len as usize]);
        }
        bytes
    }

    /// A chunk, verified and decompressed.
    fn plain(&self, image: &Image, chunk: usize) -> Vec<u8> {
        let chunk = &image.chunks()[chunk];
        let name = image.pack_of(chunk).unwrap().id.to_string();
        let pack = fs::File::open(self.path("packs").join(name)).unwrap();
        let mut stored = vec![0; chunk.stored_len as usize];
        std::os::unix::fs::FileExt::read_exact_at(&pack, &mut stored, chunk.offset).unwrap();
        let mut plain = Vec::new();
        let stored = chunk.verify(stored).unwrap();
        Decompressor::new().unwrap().plain_into(&stored, &mut plain).unwrap();
        plain
    }
}

/// Bytes that do not compress, different for each `seed`, the same in every run.
fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}
