//! Reads the data of the tree's regular files from where it lies, and notices files that changed.

use std::fs::File as FsFile;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags, SeekFrom, StatxFlags};
use rustix::io::Errno;

use super::BuildError;
use super::holes::{Holes, Sink};
use super::scan::{Top, identity_of, time_of};
use super::tree::{Data, File, Identity, Node, Segment, Tree, Walk, What};
use crate::image::Time;

/// Bytes read at a time.
const BUFFER: usize = 256 << 10;

/// Where the contents of a tree lie.
pub(super) enum Place {
    /// In a directory.
    Directory(Top),
    /// In an archive, whose length and time of modification were these, or in its spool; the path
    /// is the archive's.
    Archive { file: FsFile, path: PathBuf, stamp: Option<(u64, Time)> },
}

impl Place {
    /// Whether an archive that is read in place is still what it was.
    pub(super) fn unchanged(&self) -> Result<(), BuildError> {
        match self {
            Self::Archive { file, path, stamp: Some(stamp) } if stamp_of(file, path)? != *stamp => {
                Err(BuildError::Changed(path.clone()))
            }
            _ => Ok(()),
        }
    }
}

/// Length and time of modification.
pub(super) fn stamp_of(file: &FsFile, path: &Path) -> Result<(u64, Time), BuildError> {
    let stat = rustix::fs::statx(file, c"", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS)
        .map_err(BuildError::io("examine", path))?;
    Ok((stat.stx_size, time_of(&stat.stx_mtime)))
}

/// The tree, its order and its contents: what the steps of a build share.
pub(super) struct Input {
    pub(super) tree: Tree,
    pub(super) walk: Walk,
    pub(super) place: Place,
}

impl Input {
    /// The regular file that is inode index `at`.
    pub(super) fn file(&self, at: u32) -> Option<&File> {
        match self.node(at).map(|n| &n.what) {
            Some(What::File(file)) => Some(file),
            _ => None,
        }
    }

    /// The node that is inode index `at`.
    pub(super) fn node(&self, at: u32) -> Option<&Node> {
        self.walk.order.get(at as usize).and_then(|met| self.tree.node(met.node))
    }

    /// The path of inode index `at`, as an error shows it.
    pub(super) fn path(&self, at: u32) -> PathBuf {
        let below = self.walk.path(&self.tree, at);
        match &self.place {
            Place::Directory(top) => top.path.join(below),
            Place::Archive { path, .. } => path.join(below),
        }
    }
}

/// Reads files; one for each thread.
pub(super) struct Reader<'a> {
    input: &'a Input,
    /// The directory whose files were read last, by inode index.
    dir: Option<(u32, OwnedFd)>,
    buffer: Vec<u8>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(input: &'a Input) -> Self {
        Self { input, dir: None, buffer: vec![0; BUFFER] }
    }

    /// The data of the regular file that is inode index `at`, holes left out.
    pub(super) fn read(&mut self, at: u32, sink: &mut dyn Sink) -> Result<(), BuildError> {
        let size = self.input.file(at).map_or(0, |file| file.size);
        self.read_range(at, 0..size, sink)
    }

    /// The same of `range` of it, whose ends are multiples of a page or the end of the file.
    pub(super) fn read_range(
        &mut self,
        at: u32,
        range: Range<u64>,
        sink: &mut dyn Sink,
    ) -> Result<(), BuildError> {
        let (Some(node), Some(file)) = (self.input.node(at), self.input.file(at)) else {
            return Ok(());
        };
        if range.is_empty() {
            return Ok(());
        }
        let mut holes = Holes::new(range.start, sink);
        match &file.data {
            Data::Disk { identity, sparse } => {
                let open = self.open(at)?;
                let read = if *sparse {
                    self.sparse(at, &open, range, &mut holes)
                } else {
                    self.range(at, &open, range, &mut holes)
                };
                // That it was another, or has changed meanwhile, explains any error.
                self.unchanged(at, &open, node, *identity)?;
                read?;
            }
            Data::Archive(segments) => self.segments(at, segments, range, &mut holes)?,
        }
        holes.finish()
    }

    /// Opens the file in its directory, which is kept open for the next.
    fn open(&mut self, at: u32) -> Result<FsFile, BuildError> {
        let Place::Directory(top) = &self.input.place else {
            return Err(BuildError::Changed(self.input.path(at)));
        };
        let (tree, walk) = (&self.input.tree, &self.input.walk);
        let parent = walk.order.get(at as usize).map_or(0, |met| met.dir);
        let dir = match self.dir.take() {
            Some((of, dir)) if of == parent => dir,
            _ => top.open_dir(&walk.names(tree, parent))?,
        };
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = rustix::fs::openat(&dir, walk.name(tree, at), flags, Mode::empty());
        self.dir = Some((parent, dir));
        match file {
            Ok(file) => Ok(file.into()),
            // Gone, or now a link.
            Err(Errno::NOENT | Errno::LOOP) => Err(BuildError::Changed(self.input.path(at))),
            Err(e) => Err(failed(self.input, at)(e)),
        }
    }

    fn unchanged(
        &self,
        at: u32,
        open: &FsFile,
        node: &Node,
        identity: Identity,
    ) -> Result<(), BuildError> {
        let stat = rustix::fs::statx(open, c"", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS)
            .map_err(failed(self.input, at))?;
        let size = self.input.file(at).map_or(0, |f| f.size);
        let same = identity_of(&stat) == identity
            && stat.stx_size == size
            && time_of(&stat.stx_mtime) == node.mtime;
        if same { Ok(()) } else { Err(BuildError::Changed(self.input.path(at))) }
    }

    /// Asks the file system where data is, so as not to read what are holes anyway.
    fn sparse(
        &mut self,
        at: u32,
        open: &FsFile,
        range: Range<u64>,
        holes: &mut Holes<'_>,
    ) -> Result<(), BuildError> {
        let mut offset = range.start;
        while offset < range.end {
            let data = match rustix::fs::seek(open, SeekFrom::Data(offset)) {
                Ok(data) => data.min(range.end),
                Err(Errno::NXIO) => range.end,
                // The file system does not tell.
                Err(Errno::INVAL | Errno::OPNOTSUPP) => offset,
                Err(e) => return Err(failed(self.input, at)(e)),
            };
            holes.zeros(data - offset)?;
            let end = match rustix::fs::seek(open, SeekFrom::Hole(data)) {
                Ok(end) if end > data => end.min(range.end),
                Ok(_) | Err(Errno::INVAL | Errno::OPNOTSUPP | Errno::NXIO) => range.end,
                Err(e) => return Err(failed(self.input, at)(e)),
            };
            self.range(at, open, data..end, holes)?;
            offset = end;
        }
        Ok(())
    }

    /// All bytes of `range`.
    fn range(
        &mut self,
        at: u32,
        open: &FsFile,
        range: Range<u64>,
        holes: &mut Holes<'_>,
    ) -> Result<(), BuildError> {
        let mut offset = range.start;
        while offset < range.end {
            let want = usize::try_from(range.end - offset).map_or(BUFFER, |n| n.min(BUFFER));
            let buffer = self.buffer.get_mut(..want).unwrap_or_default();
            let got = match open.read_at(buffer, offset) {
                Ok(0) => return Err(BuildError::Changed(self.input.path(at))),
                Ok(got) => got,
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(failed(self.input, at)(e)),
            };
            holes.bytes(buffer.get(..got).unwrap_or_default())?;
            offset += got as u64;
        }
        Ok(())
    }

    fn segments(
        &mut self,
        at: u32,
        segments: &[Segment],
        range: Range<u64>,
        holes: &mut Holes<'_>,
    ) -> Result<(), BuildError> {
        let Place::Archive { file: archive, .. } = &self.input.place else {
            return Err(BuildError::Changed(self.input.path(at)));
        };
        let mut offset = range.start;
        for segment in segments {
            let start = segment.file_offset.max(range.start);
            let end = (segment.file_offset + segment.len).min(range.end);
            if start < end {
                holes.zeros(start - offset)?;
                let begin = segment.at + (start - segment.file_offset);
                self.range(at, archive, begin..begin + (end - start), holes)?;
                offset = end;
            }
        }
        holes.zeros(range.end - offset)
    }
}

fn failed<E: Into<std::io::Error>>(input: &Input, at: u32) -> impl FnOnce(E) -> BuildError {
    BuildError::io("read", input.path(at))
}
