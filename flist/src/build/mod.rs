//! Makes an flist and its packs from a directory or a tar: the same bytes on any machine, with any
//! number of threads.
//!
//! Scan the tree, put its inodes in order, find equal contents, lay the distinct ones end to end,
//! those that a boot reads first, cut, compress and pack them, and write the flist. A build that fails leaves nothing behind.

mod chunker;
mod dedup;
mod error;
mod expect;
mod feed;
#[cfg(any(test, feature = "testing"))]
pub(crate) mod fuzzing;
mod holes;
mod layout;
mod options;
mod output;
mod packs;
mod parallel;
mod pipeline;
mod pseudo;
mod read;
mod report;
mod scan;
mod tables;
mod tar;
mod tree;

use std::path::Path;
use std::thread::ScopedJoinHandle;

pub use error::BuildError;
pub use options::{DEFAULT_LEVEL, First, Options, Progress, Source, Stage};
pub use packs::PackCounts;
pub use report::{InodeCounts, LeftOut, Profiled, Report};

use crate::format;
use crate::image::{Image, Tables};
use layout::Layout;
use output::Output;
use packs::{Finished, Packs};
use pipeline::Contents;
use read::{Input, Place};
use scan::{Scanned, Top};
use tree::Walk;

/// Metadata: the compressor and its version.
pub const META_COMPRESSOR: &str = "zimg.compressor";
/// Metadata: the compression level.
pub const META_LEVEL: &str = "zimg.level";
/// Metadata: how the content space was cut.
pub const META_CHUNKER: &str = "zimg.chunker";

/// Builds the flist `out` from `source`.
///
/// # Errors
/// [`BuildError`] names the file that was the trouble; nothing of the build is left behind.
pub fn build(
    source: &Source,
    out: &Path,
    options: &Options,
    progress: &dyn Progress,
) -> Result<Report, BuildError> {
    let level = options.level()?;
    let meta = options.metadata(level)?;
    let threads = options.threads();
    let mut output = Output::open(out, options.store.as_deref())?;

    progress.stage(Stage::Scan, 0);
    let (input, found) = read_tree(source, &output, threads, progress)?;
    let same = dedup::first_of_equals(&input, threads, progress)?;
    progress.stage(Stage::Compress, distinct_bytes(&input, &same));
    let packs = Packs::new(output.packs(), options.base.as_ref());
    let layout = match &options.first {
        First::Expected => Layout::new(&input, &same, &expect::expected(&input)?),
        First::Profile(profile) => Layout::new(&input, &same, profile),
    };
    let contents = pipeline::run(&input, &layout, packs, level, threads, progress)?;
    input.place.unchanged()?;
    progress.stage(Stage::Finish, 0);
    let Contents { chunks, profiled, packs: Finished { table, counts, undo }, extents } = contents;
    let tables = Tables { chunks, profiled, packs: table, meta, ..Tables::default() };
    let image = Image::new(tables::fill(&input, &same, &extents, tables, options)?)?;
    let flist = format::encode(&image)?;
    output.write(&flist)?;
    undo.keep();

    let profile = Profiled::new(&image, &layout);
    Ok(Report::new(&image, &flist, counts, profile, found, options.base_warnings(level, &image)))
}

/// The tree, where its contents lie, and what was left out.
fn read_tree(
    source: &Source,
    output: &Output,
    threads: usize,
    progress: &dyn Progress,
) -> Result<(Input, LeftOut), BuildError> {
    let (mut tree, place, left_out) = match source {
        Source::Directory(path) => {
            let top = Top::open(path)?;
            let Scanned { tree, left_out } =
                scan::scan(&top, &output.identities()?, threads, progress)?;
            (tree, Place::Directory(top), left_out)
        }
        Source::Tar(path) => {
            let (tree, place) = tar::read(Some(path), output.packs(), progress)?;
            (tree, place, LeftOut::default())
        }
        Source::Stdin => {
            let (tree, place) = tar::read(None, output.packs(), progress)?;
            (tree, place, LeftOut::default())
        }
    };
    let walk = Walk::new(&mut tree)?;
    Ok((Input { tree, walk, place }, left_out))
}

/// Bytes of all files that are the first of their equals.
fn distinct_bytes(input: &Input, same: &[u32]) -> u64 {
    let firsts = same.iter().zip(0..).filter(|&(&first, at)| first == at);
    total(firsts.filter_map(|(_, at)| input.file(at)).map(|file| file.size))
}

/// The sum, for a progress bar or a report: sparse files may be huge, and many.
fn total(sizes: impl Iterator<Item = u64>) -> u64 {
    sizes.fold(0, u64::saturating_add)
}

/// The result of a thread; its panic goes on in this one.
fn join<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

#[cfg(test)]
pub(crate) mod tests;
