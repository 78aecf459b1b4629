//! A chunk: the unit of fingerprint, compression and fetch. Only [`Chunk::verify`] makes
//! [`Stored`], and only `Stored` can be decompressed.

use crate::id::ChunkId;

/// Longest chunk, before compression and as stored, in bytes.
pub const MAX_CHUNK_LEN: u32 = 1 << 20;

/// Where a chunk of the content space lies and how to know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunk {
    /// BLAKE3 of the stored bytes.
    pub id: ChunkId,
    /// Index into the image's pack table.
    pub pack: u32,
    /// Length as stored; equal to `len` if and only if the chunk is stored raw.
    pub stored_len: u32,
    /// Length in the content space, at most [`MAX_CHUNK_LEN`].
    pub len: u32,
    /// Offset of the stored bytes in the pack.
    pub offset: u64,
}

/// Bytes that are not the chunk they were said to be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Corrupt {
    /// The number of bytes is not the recorded one.
    #[error("chunk {id}: {got} bytes where {want} were recorded")]
    Length {
        /// The chunk wanted.
        id: ChunkId,
        /// Bytes there.
        got: usize,
        /// Bytes recorded.
        want: u32,
    },
    /// The fingerprint differs.
    #[error("chunk {id}: the bytes there have the fingerprint {got}")]
    Fingerprint {
        /// The chunk wanted.
        id: ChunkId,
        /// The fingerprint of the bytes there.
        got: ChunkId,
    },
    /// The stored bytes are what the flist records, but do not decompress to the recorded length.
    #[error(
        "chunk {id}: does not decompress to its recorded {want} bytes; the flist was built wrong"
    )]
    Frame {
        /// The chunk.
        id: ChunkId,
        /// Its recorded length.
        want: u32,
    },
}

impl Chunk {
    /// Whether the stored bytes are the contents themselves.
    pub fn is_raw(&self) -> bool {
        self.stored_len == self.len
    }

    /// Where the stored bytes lie in their pack.
    pub fn range(&self) -> std::ops::Range<u64> {
        self.offset..self.offset + u64::from(self.stored_len)
    }

    /// Checks length and fingerprint: the one way to get [`Stored`].
    pub fn verify(&self, bytes: Vec<u8>) -> Result<Stored, Corrupt> {
        if bytes.len() != self.stored_len as usize {
            return Err(Corrupt::Length { id: self.id, got: bytes.len(), want: self.stored_len });
        }
        let got = ChunkId::of(&bytes);
        if got != self.id {
            return Err(Corrupt::Fingerprint { id: self.id, got });
        }
        Ok(Stored { id: self.id, len: self.len, bytes: bytes.into_boxed_slice() })
    }
}

/// Verified stored bytes of one chunk. Nothing else makes them:
///
/// ```compile_fail,E0451
/// # use flist::{chunk::{Chunk, Stored}, id::ChunkId};
/// let unverified = Stored { id: ChunkId::of(b""), len: 0, bytes: Box::from([]) };
/// ```
///
/// and nothing else is decompressed:
///
/// ```compile_fail,E0308
/// # use flist::chunk::Decompressor;
/// Decompressor::new().unwrap().plain_into(&b"unverified".to_vec(), &mut Vec::new());
/// ```
///
/// The control of both:
///
/// ```
/// use flist::{chunk::{Chunk, Decompressor}, id::ChunkId};
/// let chunk = Chunk { id: ChunkId::of(b"bytes"), pack: 0, stored_len: 5, len: 5, offset: 0 };
/// let stored = chunk.verify(b"bytes".to_vec()).unwrap();
/// let mut plain = Vec::new();
/// Decompressor::new().unwrap().plain_into(&stored, &mut plain).unwrap();
/// assert_eq!(plain, b"bytes");
/// assert!(chunk.verify(b"other".to_vec()).is_err());
/// ```
#[derive(Debug)]
pub struct Stored {
    id: ChunkId,
    len: u32,
    bytes: Box<[u8]>,
}

impl Stored {
    /// The stored bytes: what a cache holds.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Length once decompressed.
    pub fn plain_len(&self) -> usize {
        self.len as usize
    }
}

/// A decompression context, to be reused: making one costs more than a small chunk.
pub struct Decompressor(zstd::bulk::Decompressor<'static>);

impl Decompressor {
    /// A fresh context.
    ///
    /// # Errors
    /// When zstd can't allocate one.
    pub fn new() -> std::io::Result<Self> {
        let mut zstd = zstd::bulk::Decompressor::new()?;
        zstd.set_parameter(zstd::zstd_safe::DParameter::WindowLogMax(MAX_CHUNK_LEN.ilog2()))?;
        Ok(Self(zstd))
    }

    /// The contents of `stored`, put into `out`, which becomes as long as they are.
    ///
    /// # Errors
    /// [`Corrupt::Frame`] when the verified bytes are not a zstd frame of the recorded length.
    pub fn plain_into(&mut self, stored: &Stored, out: &mut Vec<u8>) -> Result<(), Corrupt> {
        out.resize(stored.plain_len(), 0);
        self.plain_to(stored, out)
    }

    /// The contents of `stored`, put into `out`, which is as long as they are. So nothing is ever
    /// written beyond the chunk's recorded length.
    ///
    /// # Errors
    /// [`Corrupt::Frame`] as above, or when `out` has another length.
    pub fn plain_to(&mut self, stored: &Stored, out: &mut [u8]) -> Result<(), Corrupt> {
        let bad = Corrupt::Frame { id: stored.id, want: stored.len };
        if out.len() != stored.plain_len() {
            return Err(bad);
        }
        if stored.bytes.len() == out.len() {
            out.copy_from_slice(&stored.bytes);
            return Ok(());
        }
        match self.0.decompress_to_buffer(&stored.bytes, out) {
            Ok(written) if written == out.len() => Ok(()),
            Ok(_) | Err(_) => Err(bad),
        }
    }
}
