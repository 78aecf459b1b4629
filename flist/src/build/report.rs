//! What a build tells when it is done.

use std::collections::HashMap;
use std::path::PathBuf;

use super::PackCounts;
use super::layout::Layout;
use crate::id::RootHash;
use crate::image::{Image, Inode, Kind};

/// What a build made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Names the image.
    pub root_hash: RootHash,
    /// Length of the flist in bytes.
    pub flist_len: u64,
    /// Inodes of each kind.
    pub inodes: InodeCounts,
    /// Names beyond the first of an inode.
    pub hard_links: u64,
    /// Sizes of all regular files together, holes included.
    pub file_bytes: u64,
    /// Length of the content space: without holes, and equal contents once.
    pub content_bytes: u64,
    /// Chunks in the image.
    pub chunks: u64,
    /// Packs and what went into them.
    pub packs: PackCounts,
    /// Bytes of the tree's chunks as stored, each once, wherever they lie.
    pub stored_bytes: u64,
    /// What became of the profile.
    pub profile: Profiled,
    /// What the source holds and the image does not.
    pub left_out: LeftOut,
    /// Sentences for the user: what makes this build worse than it could be.
    pub warnings: Vec<String>,
}

/// What became of the profile of a build.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Profiled {
    /// Chunks that hold what it needs; they lie first.
    pub chunks: u64,
    /// Bytes of these as stored.
    pub stored_bytes: u64,
    /// Ranges of it that the source does not have.
    pub missing: u64,
}

impl Profiled {
    pub(super) fn new(image: &Image, layout: &Layout) -> Self {
        let chunks = image.chunks().get(..image.profiled().len()).unwrap_or_default();
        Self {
            chunks: chunks.len() as u64,
            stored_bytes: chunks.iter().map(|chunk| u64::from(chunk.stored_len)).sum(),
            missing: layout.missing as u64,
        }
    }
}

/// What of a source directory is not in the image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// Mount points of pseudo file systems, recorded as empty directories.
    pub emptied: Vec<PathBuf>,
    /// The build's own output.
    pub skipped: Vec<PathBuf>,
}

/// How many inodes there are of each kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct InodeCounts {
    /// Directories.
    pub directories: u64,
    /// Regular files.
    pub files: u64,
    /// Symbolic links.
    pub symlinks: u64,
    /// Character and block devices.
    pub devices: u64,
    /// Named pipes and sockets.
    pub pipes: u64,
}

impl Report {
    /// Counts what `image` holds, whose file is `flist`.
    pub(super) fn new(
        image: &Image,
        flist: &[u8],
        packs: PackCounts,
        profile: Profiled,
        left_out: LeftOut,
        warnings: Vec<String>,
    ) -> Self {
        let distinct: HashMap<_, _> =
            image.chunks().iter().map(|c| ((c.id, c.len), u64::from(c.stored_len))).collect();
        let inodes = &image.tables().inodes;
        let file_size = |inode: &Inode| match inode.kind {
            Kind::File { size, .. } => size,
            _ => 0,
        };
        Self {
            root_hash: RootHash::of(flist),
            flist_len: flist.len() as u64,
            inodes: InodeCounts::new(inodes),
            hard_links: image.tables().dirents.len() as u64 + 1 - inodes.len() as u64,
            file_bytes: super::total(inodes.iter().map(file_size)),
            content_bytes: image.content_len(),
            chunks: image.chunks().len() as u64,
            packs,
            stored_bytes: distinct.values().sum(),
            profile,
            left_out,
            warnings,
        }
    }
}

impl InodeCounts {
    fn new(inodes: &[Inode]) -> Self {
        let mut counts = Self::default();
        for inode in inodes {
            match inode.kind {
                Kind::Directory { .. } => counts.directories += 1,
                Kind::File { .. } => counts.files += 1,
                Kind::Symlink { .. } => counts.symlinks += 1,
                Kind::Char(_) | Kind::Block(_) => counts.devices += 1,
                Kind::Fifo | Kind::Socket => counts.pipes += 1,
            }
        }
        counts
    }
}
