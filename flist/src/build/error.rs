//! Why a build ended without an image, in words that name the file.

use std::io;
use std::path::{Path, PathBuf};

use crate::format::FormatError;
use crate::image::Invalid;

/// A build that failed. Nothing of it is left behind.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The system refused something.
    #[error("cannot {doing} {path}: {source}", path = .path.display())]
    Io {
        /// What was to be done.
        doing: &'static str,
        /// To which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file is no longer what it was when the tree was scanned.
    #[error(
        "{path} changed while it was being read; build from a tree at rest (a copy or a snapshot)",
        path = .0.display()
    )]
    Changed(PathBuf),
    /// Something in the tree does not fit into an image.
    #[error("{path}: {why}", path = .path.display())]
    Entry {
        /// Which entry.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The source is neither a directory nor a tar.
    #[error("{path} is neither a directory nor a tar archive: {why}", path = .path.display())]
    NotASource {
        /// The source.
        path: PathBuf,
        /// What it is instead.
        why: String,
    },
    /// The archive is damaged, or holds what can't be taken from it.
    #[error("{path}, at byte {at}{}: {why}", entry.as_ref().map(|e| format!(" (entry {})", e.display())).unwrap_or_default(), path = .path.display())]
    Tar {
        /// The archive.
        path: PathBuf,
        /// Where in it, after decompression.
        at: u64,
        /// Which entry, where that is known.
        entry: Option<PathBuf>,
        /// What is wrong.
        why: String,
    },
    /// `--btime`, but a creation time is not known.
    #[error("the creation time of {path} is not known; build without --btime", path = .0.display())]
    NoCreationTime(PathBuf),
    /// A compression level that zstd does not have.
    #[error("compression level {0} is out of bounds: choose 1 to 22")]
    Level(i32),
    /// A metadata key that is the builder's own.
    #[error(
        "the metadata key {0:?} is reserved: keys beginning with \"zimg.\" are set by the build"
    )]
    ReservedKey(String),
    /// The image would exceed a limit of the format.
    #[error("too many {0} for one image")]
    TooMany(&'static str),
    /// The tables do not make an image.
    #[error("the tree does not fit into an image: {0}")]
    Invalid(#[from] Invalid),
    /// The image can't be written as an flist.
    #[error("the tree does not fit into an flist: {0}")]
    Encode(#[from] FormatError),
    /// [`Progress::cancelled`](super::Progress::cancelled) said so.
    #[error("interrupted")]
    Cancelled,
}

impl BuildError {
    /// For `map_err`: the system refused `doing` to `path`.
    pub(super) fn io<E: Into<io::Error>>(
        doing: &'static str,
        path: impl AsRef<Path>,
    ) -> impl FnOnce(E) -> Self {
        move |e| Self::Io { doing, path: path.as_ref().to_path_buf(), source: e.into() }
    }
}

/// A count as the tables hold it.
pub(super) fn fit(count: usize, what: &'static str) -> Result<u32, BuildError> {
    u32::try_from(count).ok().ok_or(BuildError::TooMany(what))
}
