//! Makes the names of an image and fills its files. All calls are relative to directories opened
//! name by name without following links, so no depth is too deep and nothing leaves the tree.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;

use anyhow::Context;
use flist::image::{Image, Ino, Kind, ROOT};
use rayon::prelude::*;
use rustix::fs::{self, AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::open::Contents;
use crate::path;
use crate::progress::Bar;
use crate::signals::Stop;
use crate::text;

/// Bytes read and written at a time.
const STEP: u64 = 1 << 20;

/// An image on its way into a directory.
pub(super) struct Tree<'a> {
    pub(super) image: &'a Image,
    contents: &'a Contents,
    root: OwnedFd,
    stop: &'a Stop,
    bar: &'a Bar,
    /// For each inode by index: the directory and the dirent (by index) that first name it.
    first: Vec<(Ino, usize)>,
    /// Whether the user is root, who may do all of it: then nothing is left out.
    pub(super) privileged: bool,
}

impl<'a> Tree<'a> {
    pub(super) fn new(
        image: &'a Image,
        contents: &'a Contents,
        root: OwnedFd,
        stop: &'a Stop,
        bar: &'a Bar,
    ) -> Self {
        let privileged = rustix::process::geteuid().is_root();
        let mut first = vec![(0, 0); image.inode_count() as usize];
        for dir in 1..=image.inode_count() {
            for (at, entry) in image.entries(dir).unwrap_or_default().iter().enumerate() {
                if let Some(place) = first.get_mut(entry.ino as usize - 1)
                    && *place == (0, 0)
                {
                    *place = (dir, at);
                }
            }
        }
        Self { image, contents, root, stop, bar, first, privileged }
    }

    /// The directory that first names `ino`, and the name; `None` for the root.
    pub(super) fn place(&self, ino: Ino) -> Option<(Ino, &'a [u8])> {
        let &(dir, at) = self.first.get(ino as usize - 1)?;
        let entry = self.image.entries(dir)?.get(at)?;
        Some((dir, self.image.name(entry)))
    }

    /// Path of an inode in the image, for messages.
    pub(super) fn path(&self, ino: Ino) -> String {
        let mut names = Vec::new();
        let mut at = ino;
        while let Some((dir, name)) = self.place(at) {
            names.push(name);
            at = dir;
        }
        let path = names.iter().rev().fold(Vec::new(), |path, name| path::join(&path, name));
        format!("/{}", text::escaped(&path))
    }

    /// Opens a directory of the tree.
    pub(super) fn open_directory(&self, dir: Ino) -> anyhow::Result<OwnedFd> {
        let mut names = Vec::new();
        let mut at = dir;
        while let Some((parent, name)) = self.place(at) {
            names.push(name);
            at = parent;
        }
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY;
        let open = |at: &OwnedFd, name: &[u8]| {
            fs::openat(at, name, flags, Mode::empty())
                .with_context(|| format!("can't open {}", self.path(dir)))
        };
        names.iter().rev().try_fold(open(&self.root, b".")?, |at, name| open(&at, name))
    }

    /// Makes every name: files empty, directories open to the user alone until all is done.
    pub(super) fn make(&self) -> anyhow::Result<()> {
        for dir in 1..=self.image.inode_count() {
            let Some(entries) = self.image.entries(dir) else { continue };
            self.stop.check()?;
            let at = self.open_directory(dir)?;
            for (index, entry) in entries.iter().enumerate() {
                let name = self.image.name(entry);
                let made = if self.first.get(entry.ino as usize - 1) == Some(&(dir, index)) {
                    self.make_one(&at, name, entry.ino)
                } else {
                    self.link(&at, name, entry.ino)
                };
                made.with_context(|| {
                    format!("can't make '{}' in {}", text::escaped(name), self.path(dir))
                })?;
            }
        }
        Ok(())
    }

    fn make_one(&self, at: &OwnedFd, name: &[u8], ino: Ino) -> anyhow::Result<()> {
        let mode = Mode::RUSR | Mode::WUSR;
        let Some(inode) = self.image.inode(ino) else { return Ok(()) };
        let node = |kind, dev| match fs::mknodat(at, name, kind, mode, dev) {
            Err(Errno::PERM) if !self.privileged => Ok(()),
            other => other,
        };
        match inode.kind {
            Kind::Directory { .. } => fs::mkdirat(at, name, Mode::RWXU)?,
            Kind::File { .. } => {
                let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
                fs::openat(at, name, flags, mode).map(drop)?;
            }
            Kind::Symlink { .. } => {
                fs::symlinkat(self.image.target(ino).unwrap_or_default(), at, name)?;
            }
            Kind::Char(d) => node(FileType::CharacterDevice, fs::makedev(d.major, d.minor))?,
            Kind::Block(d) => node(FileType::BlockDevice, fs::makedev(d.major, d.minor))?,
            Kind::Fifo => node(FileType::Fifo, 0)?,
            Kind::Socket => node(FileType::Socket, 0)?,
        }
        Ok(())
    }

    fn link(&self, at: &OwnedFd, name: &[u8], ino: Ino) -> anyhow::Result<()> {
        let Some((dir, first)) = self.place(ino) else { return Ok(()) };
        let from = self.open_directory(dir)?;
        match fs::linkat(&from, first, at, name, AtFlags::empty()) {
            // Its first name is a device that could not be made.
            Err(Errno::NOENT) if !self.privileged => Ok(()),
            other => Ok(other?),
        }
    }

    /// Writes the contents of every file, in the order in which they lie in the store.
    pub(super) fn fill(&self) -> anyhow::Result<()> {
        let mut files: Vec<(u64, Ino)> = (1..=self.image.inode_count())
            .filter(|&ino| {
                matches!(self.image.inode(ino).map(|i| &i.kind), Some(Kind::File { .. }))
            })
            .map(|ino| {
                let extents = self.image.extents(ino).unwrap_or_default();
                (extents.first().map_or(0, |e| e.content_offset), ino)
            })
            .collect();
        files.sort_unstable();
        files.par_iter().try_for_each(|&(_, ino)| {
            self.stop.check()?;
            self.fill_one(ino).with_context(|| format!("can't write {}", self.path(ino)))
        })
    }

    fn fill_one(&self, ino: Ino) -> anyhow::Result<()> {
        let size = self.image.size(ino);
        let Some((dir, name)) = self.place(ino) else { return Ok(()) };
        if size == 0 {
            return Ok(());
        }
        let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = File::from(fs::openat(self.open_directory(dir)?, name, flags, Mode::empty())?);
        file.set_len(size)?;
        for extent in self.image.extents(ino).unwrap_or_default() {
            let end = extent.file_offset + extent.len;
            let mut at = extent.file_offset;
            while at < end {
                self.stop.check()?;
                let bytes = self.contents.read(ino, at..end.min(at + STEP))?;
                file.write_all_at(&bytes, at)?;
                self.bar.add(bytes.len() as u64);
                at += bytes.len() as u64;
            }
        }
        Ok(())
    }

    /// Every inode, directories last and the deepest of them first, as their times must be set
    /// after their entries.
    pub(super) fn bottom_up(&self) -> impl Iterator<Item = Ino> {
        let is_directory = |&ino: &Ino| self.image.entries(ino).is_some();
        let all = ROOT..=self.image.inode_count();
        all.clone().filter(move |ino| !is_directory(ino)).chain(all.rev().filter(is_directory))
    }
}
