//! The entries of an archive, each with all that the blocks before it say of it.

use super::header::{BLOCK, Header, Wrong};
use super::input::Input;
use super::pax::Records;
use super::sparse;
use crate::build::tree::Segment;
use crate::build::{BuildError, Progress};
use crate::image::{Device, Time, XattrSet};

/// Longest extended header or long name: all extended attributes of an inode fit.
const MAX_EXTENDED: u64 = 64 << 20;

/// One entry.
pub(super) struct Member {
    /// Where its header begins.
    pub(super) at: u64,
    pub(super) path: Vec<u8>,
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) mtime: Time,
    pub(super) btime: Option<Time>,
    pub(super) xattrs: XattrSet,
    pub(super) what: Content,
}

/// What an entry is.
pub(super) enum Content {
    File {
        size: u64,
        segments: Vec<Segment>,
    },
    /// Another name of what an entry before it is.
    Link(Vec<u8>),
    Symlink(Vec<u8>),
    Directory,
    Char(Device),
    Block(Device),
    Fifo,
}

/// Reads an archive, entry by entry.
pub(super) struct Members<'a> {
    pub(super) input: Input<'a>,
    progress: &'a dyn Progress,
    /// What global headers said.
    global: Records,
}

/// What stands before an entry and is about it alone.
#[derive(Default)]
struct Before {
    records: Records,
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
}

impl<'a> Members<'a> {
    pub(super) fn new(input: Input<'a>, progress: &'a dyn Progress) -> Self {
        Self { input, progress, global: Records::default() }
    }

    /// The next entry; none at the end mark, which has to be there.
    pub(super) fn next(&mut self) -> Result<Option<Member>, BuildError> {
        let mut before = Before::default();
        loop {
            if self.progress.cancelled() {
                return Err(BuildError::Cancelled);
            }
            let at = self.input.pos();
            let block = self.input.block()?;
            if block.iter().all(|&b| b == 0) {
                return Ok(None);
            }
            let header = Header::parse(&block).map_err(|why| self.wrong(at, None, why))?;
            match header.kind {
                b'x' | b'X' => before.records.extend(self.records(&header)?),
                b'g' => {
                    let records = self.records(&header)?;
                    self.global.extend(records);
                }
                b'L' => before.path = Some(self.long_name(&header)?),
                b'K' => before.link = Some(self.long_name(&header)?),
                // The volume's label.
                b'V' => {
                    self.input.contents(header.size)?;
                }
                _ => return self.member(at, header, before, &block).map(Some),
            }
        }
    }

    fn member(
        &mut self,
        at: u64,
        header: Header,
        before: Before,
        block: &[u8; BLOCK],
    ) -> Result<Member, BuildError> {
        let mut records = self.global.clone();
        records.extend(before.records);
        let path = before.path.unwrap_or_else(|| header.path.clone());
        let path = records.get("path").map_or(path, <[u8]>::to_vec);
        let path = records.get("GNU.sparse.name").map_or(path, <[u8]>::to_vec);
        let wrong = |why: Wrong| super::wrong(&self.input.path, at, Some(&path), why);
        let link = before.link.unwrap_or_else(|| header.link.clone());
        let link = records.get("linkpath").map_or(link, <[u8]>::to_vec);
        let mut member = Member {
            at,
            mode: header.mode & 0o7777,
            uid: records.number("uid").map_err(wrong)?.unwrap_or(header.uid),
            gid: records.number("gid").map_err(wrong)?.unwrap_or(header.gid),
            mtime: records
                .time("mtime")
                .map_err(wrong)?
                .unwrap_or(Time { sec: header.mtime, nsec: 0 }),
            btime: records.time("LIBARCHIVE.creationtime").map_err(wrong)?,
            xattrs: records.xattrs().map_err(wrong)?,
            what: Content::Directory,
            path: path.clone(),
        };
        let device = Device {
            major: records.number("SCHILY.devmajor").map_err(wrong)?.unwrap_or(header.major),
            minor: records.number("SCHILY.devminor").map_err(wrong)?.unwrap_or(header.minor),
        };
        member.what = match header.kind {
            // As v7 wrote directories.
            0 | b'0' | b'7' if path.ends_with(b"/") => {
                self.input.contents(header.size)?;
                Content::Directory
            }
            0 | b'0' | b'7' | b'S' => self.file(&header, &records, block, &path)?,
            b'1' => Content::Link(link),
            b'2' => Content::Symlink(link),
            b'3' => Content::Char(device),
            b'4' => Content::Block(device),
            b'5' => Content::Directory,
            b'6' => Content::Fifo,
            // A directory with a list of what was in it.
            b'D' => {
                self.input.contents(header.size)?;
                Content::Directory
            }
            b'M' => return Err(wrong("it begins in another volume of the archive")),
            _ => return Err(wrong("an entry of this type is not known")),
        };
        Ok(member)
    }

    fn file(
        &mut self,
        header: &Header,
        records: &Records,
        block: &[u8; BLOCK],
        path: &[u8],
    ) -> Result<Content, BuildError> {
        let at = self.input.pos();
        let size = records.number("size").map_err(|why| self.wrong(at, Some(path), why))?;
        let mut stored = size.unwrap_or(header.size);
        let map = sparse::map(&mut self.input, header.kind, block, records, &mut stored)
            .map_err(|e| e.into_error(&self.input, path))?;
        let start = self.input.contents(stored)?;
        self.progress.advance(stored);
        let Some(map) = map else {
            let all = Segment { file_offset: 0, at: start, len: stored };
            let segments = if stored == 0 { Vec::new() } else { vec![all] };
            return Ok(Content::File { size: stored, segments });
        };
        let segments = map.segments(start, stored);
        let segments = segments.map_err(|why| self.wrong(at, Some(path), why))?;
        Ok(Content::File { size: map.size, segments })
    }

    fn records(&mut self, header: &Header) -> Result<Records, BuildError> {
        let at = self.input.pos();
        let bytes = self.extended(header)?;
        Records::parse(&bytes).map_err(|why| self.wrong(at, None, why))
    }

    /// The name that is the contents of this entry.
    fn long_name(&mut self, header: &Header) -> Result<Vec<u8>, BuildError> {
        let mut name = self.extended(header)?;
        if let Some(end) = name.iter().position(|&b| b == 0) {
            name.truncate(end);
        }
        Ok(name)
    }

    fn extended(&mut self, header: &Header) -> Result<Vec<u8>, BuildError> {
        let len = usize::try_from(header.size).ok().filter(|_| header.size <= MAX_EXTENDED);
        let too_long = || self.input.wrong(None, "an extended header is too long");
        self.input.bytes(len.ok_or_else(too_long)?)
    }

    fn wrong(&self, at: u64, entry: Option<&[u8]>, why: Wrong) -> BuildError {
        super::wrong(&self.input.path, at, entry, why)
    }
}
