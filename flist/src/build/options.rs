//! What the caller of a build chooses, and how it is told of its progress.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::{fs, thread};

use super::{BuildError, META_CHUNKER, META_COMPRESSOR, META_LEVEL, chunker};
use crate::image::Image;
use crate::profile::Profile;

/// The compression level where neither the options nor the base say one.
pub const DEFAULT_LEVEL: i32 = 12;

/// Where a tree is taken from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A directory. Other file systems mounted in it are part of the tree; of those that only show
    /// a kernel's state (proc, sysfs, cgroup, ...) the mount point alone, as an empty directory.
    Directory(PathBuf),
    /// A tar, plain or compressed with gzip, xz or zstd.
    Tar(PathBuf),
    /// The same from standard input.
    Stdin,
}

impl Source {
    /// Finds out by looking what `path` is; `-` and `/dev/stdin` are standard input.
    ///
    /// # Errors
    /// Where there is nothing.
    pub fn look(path: &Path) -> Result<Self, BuildError> {
        if path == Path::new("-") || path == Path::new("/dev/stdin") {
            return Ok(Self::Stdin);
        }
        let found = fs::metadata(path).map_err(BuildError::io("open", path))?;
        let path = path.to_path_buf();
        Ok(if found.is_dir() { Self::Directory(path) } else { Self::Tar(path) })
    }
}

/// What of the contents is laid out first, to be fetched ahead of need.
#[derive(Debug, Clone, Default)]
pub enum First {
    /// What a boot of the tree is expected to read, by what lies in it.
    #[default]
    Expected,
    /// What a boot reads, in this order; nothing, if that is none.
    Profile(Profile),
}

/// What may be chosen. The default is what `zimg build SOURCE OUT` does.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Packs go to `packs/` in this directory; by default in that of the flist.
    pub store: Option<PathBuf>,
    /// Compression level, 1 to 22; by default the base's, else [`DEFAULT_LEVEL`].
    pub level: Option<i32>,
    /// Threads that compress; by default as many as there are processors.
    pub threads: Option<NonZeroUsize>,
    /// An image whose chunks are referred to, not written again.
    pub base: Option<Image>,
    /// What is laid out first, in packs of its own.
    pub first: First,
    /// Times later than this, in seconds since 1970, become it (`SOURCE_DATE_EPOCH`).
    pub clamp: Option<i64>,
    /// Record creation times. The image then depends on when the tree was made.
    pub btime: bool,
    /// Image metadata. Keys beginning with `zimg.` are the build's own.
    pub meta: Vec<(String, String)>,
}

impl Options {
    /// The level to compress with.
    pub(super) fn level(&self) -> Result<i32, BuildError> {
        let of_base = || self.base.as_ref()?.meta_value(META_LEVEL)?.parse().ok();
        let level = self.level.or_else(of_base).unwrap_or(DEFAULT_LEVEL);
        if (1..=22).contains(&level) { Ok(level) } else { Err(BuildError::Level(level)) }
    }

    pub(super) fn threads(&self) -> usize {
        self.threads.or_else(|| thread::available_parallelism().ok()).map_or(1, NonZeroUsize::get)
    }

    /// All metadata of the image: the build's, then what was asked for.
    pub(super) fn metadata(&self, level: i32) -> Result<Vec<(String, String)>, BuildError> {
        if let Some((key, _)) = self.meta.iter().find(|(key, _)| key.starts_with("zimg.")) {
            return Err(BuildError::ReservedKey(key.clone()));
        }
        let own = [
            (META_COMPRESSOR, compressor()),
            (META_LEVEL, level.to_string()),
            (META_CHUNKER, chunker::NAME.to_owned()),
        ];
        let own = own.into_iter().map(|(key, value)| (key.to_owned(), value));
        Ok(own.chain(self.meta.iter().cloned()).collect())
    }

    /// Why few of the base's chunks may fit `image`, though the contents be equal.
    pub(super) fn base_warnings(&self, level: i32, image: &Image) -> Vec<String> {
        let Some(base) = &self.base else { return Vec::new() };
        let ours = [
            (META_COMPRESSOR, compressor()),
            (META_LEVEL, level.to_string()),
            (META_CHUNKER, chunker::NAME.to_owned()),
        ];
        let differs = |(key, ours): (&str, String)| match base.meta_value(key) {
            Some(theirs) if theirs == ours => None,
            theirs => Some(format!(
                "the base was built with {} \"{}\", this image with \"{ours}\": equal contents \
                 may be stored again",
                key.trim_start_matches("zimg."),
                theirs.unwrap_or("unknown"),
            )),
        };
        let laid = match (base.profiled().is_empty(), image.profiled().is_empty()) {
            (true, false) => Some("the base lays nothing first, this image what a boot reads"),
            (false, true) => Some("the base lays first what a boot reads, this image nothing"),
            _ => None,
        };
        let laid = laid.map(|laid| format!("{laid}: equal contents may be stored again"));
        ours.into_iter().filter_map(differs).chain(laid).collect()
    }
}

/// Equal contents give equal chunks only with the same release of it.
fn compressor() -> String {
    format!("zstd {}", zstd::zstd_safe::version_string())
}

/// What a build is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Listing the tree.
    Scan,
    /// Reading files that could be equal to others.
    Compare,
    /// Reading, compressing and writing contents.
    Compress,
    /// Writing the flist.
    Finish,
}

/// Is told how a build goes on, from several threads.
pub trait Progress: Sync {
    /// A stage begins; it has `bytes` to read, 0 where that is not known.
    fn stage(&self, _stage: Stage, _bytes: u64) {}
    /// So many more bytes of the stage were read.
    fn advance(&self, _bytes: u64) {}
    /// Whether the build shall end with [`BuildError::Cancelled`], leaving nothing behind.
    fn cancelled(&self) -> bool {
        false
    }
}

/// Tells nobody.
impl Progress for () {}
