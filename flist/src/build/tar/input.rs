//! The bytes of an archive, decompressed: headers are read, contents stay where they lie or, where
//! they can't be read again (compressed, or from a pipe), go to an unnamed file.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::header::{BLOCK, Header};
use crate::build::output::Temp;
use crate::build::read::{Place, stamp_of};
use crate::build::{BuildError, Progress};
use crate::format::looks;
use crate::image::Time;

/// Enough to know any kind of file by.
const HEAD: usize = 64 << 10;
/// Largest window of a zstd frame that is accepted, as `zstd --long=31` makes.
const ZSTD_WINDOW_LOG: u32 = 31;

/// An archive being read.
pub(super) struct Input<'a> {
    from: From<'a>,
    /// Position in the archive, after decompression.
    pos: u64,
    /// The archive's path, to be shown.
    pub(super) path: PathBuf,
}

enum From<'a> {
    /// A plain tar on a disk, with its length and time of modification.
    File { file: File, stamp: (u64, Time) },
    /// Anything else. What it holds is kept in the spool.
    Stream { reader: Box<dyn Read + 'a>, spool: Spool },
}

impl<'a> Input<'a> {
    /// Opens an archive and looks what it is. A spool, if it takes one, lies in `store`.
    pub(super) fn open(
        path: &Path,
        store: &Path,
        progress: &'a dyn Progress,
    ) -> Result<Self, BuildError> {
        let file = File::open(path).map_err(BuildError::io("open", path))?;
        let regular = file.metadata().map_err(BuildError::io("examine", path))?.is_file();
        let mut head = [0; BLOCK];
        if regular && file.read_exact_at(&mut head, 0).is_ok() && is_tar(&head) {
            let stamp = stamp_of(&file, path)?;
            return Ok(Self { from: From::File { file, stamp }, pos: 0, path: path.to_path_buf() });
        }
        Self::stream(file, path, store, progress)
    }

    /// An archive from a stream, standard input for one.
    pub(super) fn stream(
        reader: impl Read + AsFd + 'a,
        path: &Path,
        store: &Path,
        progress: &'a dyn Progress,
    ) -> Result<Self, BuildError> {
        let failed = || |e| failed(path, 0, e);
        let packed = peek(Attentive { reader, progress }).map_err(failed())?;
        let reader = decompressed(packed).map_err(failed())?;
        let mut plain = peek(reader).map_err(failed())?;
        let head = plain.fill_buf().map_err(failed())?;
        if !head.first_chunk().is_some_and(is_tar) {
            let why = looks(head).to_string();
            return Err(BuildError::NotASource { path: path.to_path_buf(), why });
        }
        let spool = Spool { temp: Temp::new_in(store)?, len: 0, dir: store.to_path_buf() };
        let from = From::Stream { reader: Box::new(plain), spool };
        Ok(Self { from, pos: 0, path: path.to_path_buf() })
    }

    /// Where the next byte lies.
    pub(super) fn pos(&self) -> u64 {
        self.pos
    }

    /// The next block.
    pub(super) fn block(&mut self) -> Result<[u8; BLOCK], BuildError> {
        let mut block = [0; BLOCK];
        self.exact(&mut block)?;
        Ok(block)
    }

    /// The next `len` bytes and what pads them to whole blocks.
    pub(super) fn bytes(&mut self, len: usize) -> Result<Vec<u8>, BuildError> {
        let mut bytes = vec![0; len.next_multiple_of(BLOCK)];
        self.exact(&mut bytes)?;
        bytes.truncate(len);
        Ok(bytes)
    }

    fn exact(&mut self, buffer: &mut [u8]) -> Result<(), BuildError> {
        let read = match &mut self.from {
            From::File { file, .. } => file.read_exact_at(buffer, self.pos),
            From::Stream { reader, .. } => reader.read_exact(buffer),
        };
        read.map_err(|e| self.failed(e))?;
        self.pos += buffer.len() as u64;
        Ok(())
    }

    /// Passes over `len` bytes of contents and what pads them, so that they can be read later.
    /// Returns where they lie in the [`Place`].
    pub(super) fn contents(&mut self, len: u64) -> Result<u64, BuildError> {
        let padded = len.checked_next_multiple_of(BLOCK as u64).filter(|&len| len < 1 << 62);
        let padded = padded.ok_or_else(|| self.wrong(None, "a size in it is out of bounds"))?;
        let at = match &mut self.from {
            From::File { .. } => {
                // The last byte has to be there; the padding of the very last entry may be missing.
                if let Some(last) = len.checked_sub(1) {
                    let start = self.pos;
                    self.pos = start + last;
                    self.exact(&mut [0])?;
                    self.pos = start;
                }
                self.pos
            }
            From::Stream { reader, spool } => {
                let at = spool.len;
                spool.take(reader, len, padded).map_err(|trouble| match trouble {
                    Trouble::Read(e) => failed(&self.path, self.pos, e),
                    Trouble::Write(e) => e,
                })?;
                at
            }
        };
        self.pos += padded;
        Ok(at)
    }

    /// Reads to the end, so that a compressed archive's own checks are made, and that a program
    /// which writes it to us does not fail.
    pub(super) fn finish(mut self) -> Result<Place, BuildError> {
        if let From::Stream { reader, .. } = &mut self.from {
            let drained = io::copy(reader, &mut io::sink());
            drained.map_err(|e| self.failed(e))?;
        }
        let (file, stamp) = match self.from {
            From::File { file, stamp } => (file, Some(stamp)),
            From::Stream { spool, .. } => (spool.temp.into_file()?, None),
        };
        Ok(Place::Archive { file, path: self.path, stamp })
    }

    /// An error that says where in the archive.
    pub(super) fn wrong(&self, entry: Option<&[u8]>, why: impl Into<String>) -> BuildError {
        super::wrong(&self.path, self.pos, entry, why)
    }

    fn failed(&self, e: io::Error) -> BuildError {
        failed(&self.path, self.pos, e)
    }
}

/// What an error while reading at `pos` means.
fn failed(path: &Path, pos: u64, e: io::Error) -> BuildError {
    match e.kind() {
        io::ErrorKind::UnexpectedEof => super::wrong(path, pos, None, "the archive is cut short"),
        // Errors that are not the system's are the decompressors'.
        _ if e.raw_os_error().is_none() => {
            super::wrong(path, pos, None, format!("the compressed archive is damaged: {e}"))
        }
        _ => BuildError::io("read", path)(e),
    }
}

/// Whether a tar can begin with this block. One without entries is all zeros.
fn is_tar(block: &[u8; BLOCK]) -> bool {
    block.iter().all(|&b| b == 0) || Header::parse(block).is_ok()
}

/// A reader that gives up once the build is cancelled, also while it waits for what does not come.
struct Attentive<'a, R> {
    reader: R,
    progress: &'a dyn Progress,
}

/// How often a reader that waits looks whether it still should.
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

impl<R: Read + AsFd> Read for Attentive<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.progress.cancelled() {
                return Err(io::Error::other("interrupted"));
            }
            // At the end, or in trouble, it is ready too: the read tells.
            let mut wanted = [PollFd::new(&self.reader, PollFlags::IN)];
            match poll(&mut wanted, Some(&LOOK)) {
                Ok(0) | Err(Errno::INTR) => {}
                Ok(_) => return self.reader.read(buffer),
                Err(e) => return Err(e.into()),
            }
        }
    }
}

/// A reader whose first bytes are in its buffer, all of [`HEAD`] unless there are fewer.
fn peek(mut reader: impl Read) -> io::Result<impl BufRead> {
    let mut head = Vec::new();
    reader.by_ref().take(HEAD as u64).read_to_end(&mut head)?;
    Ok(io::Cursor::new(head).chain(BufReader::with_capacity(HEAD, reader)))
}

fn decompressed<'a>(mut reader: impl BufRead + 'a) -> io::Result<Box<dyn Read + 'a>> {
    let head = reader.fill_buf()?;
    Ok(match head {
        [0x1f, 0x8b, ..] => Box::new(flate2::bufread::MultiGzDecoder::new(reader)),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Box::new(lzma_rust2::XzReader::new(reader, true)),
        // A frame, or one that is to be skipped, as pzstd makes.
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(reader)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG)?;
            Box::new(decoder)
        }
        _ => Box::new(reader),
    })
}

/// The contents of a stream, one after the other.
struct Spool {
    temp: Temp,
    len: u64,
    dir: PathBuf,
}

enum Trouble {
    Read(io::Error),
    Write(BuildError),
}

impl Spool {
    /// Takes `len` bytes of what comes, and drops those after them up to `padded`.
    fn take(&mut self, reader: &mut dyn Read, len: u64, padded: u64) -> Result<(), Trouble> {
        let mut buffer = vec![0; HEAD];
        let mut done = 0;
        while done < padded {
            let want = usize::try_from(padded - done).map_or(HEAD, |n| n.min(HEAD));
            let part = buffer.get_mut(..want).unwrap_or_default();
            let got = match reader.read(part) {
                Ok(0) => return Err(Trouble::Read(io::ErrorKind::UnexpectedEof.into())),
                Ok(got) => got,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(Trouble::Read(e)),
            };
            let keep = usize::try_from(len.saturating_sub(done)).map_or(got, |n| n.min(got));
            let written = self.temp.file.write_all(part.get(..keep).unwrap_or_default());
            let doing = "keep the archive's contents in";
            written.map_err(BuildError::io(doing, &self.dir)).map_err(Trouble::Write)?;
            done += got as u64;
        }
        self.len += len;
        Ok(())
    }
}
