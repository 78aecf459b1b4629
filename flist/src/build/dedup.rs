//! Finds regular files of equal contents, so that each content is in the image once.

use std::collections::HashMap;

use super::parallel::in_order;
use super::read::{Input, Reader};
use super::{BuildError, Progress, Stage};

/// Files taken by a thread at a time: neighbours, so mostly of one directory.
const BATCH: usize = 32;

/// For each inode index the first inode index of the same contents; itself where there is none
/// before it, and where it is no regular file.
pub(super) fn first_of_equals(
    input: &Input,
    threads: usize,
    progress: &dyn Progress,
) -> Result<Vec<u32>, BuildError> {
    let candidates = of_equal_size(input);
    let size = |&at: &u32| input.file(at).map_or(0, |f| f.size);
    progress.stage(Stage::Compare, super::total(candidates.iter().map(size)));
    let hashes = hash_all(input, &candidates, threads, progress)?;
    let mut same: Vec<u32> = (0..).take(input.walk.order.len()).collect();
    let mut first = HashMap::new();
    for (&at, hash) in candidates.iter().zip(hashes) {
        let key = (hash, size(&at));
        if let Some(cell) = same.get_mut(at as usize) {
            *cell = *first.entry(key).or_insert(at);
        }
    }
    Ok(same)
}

/// The regular files that share their size with another, in inode order. Empty ones need no
/// comparison.
fn of_equal_size(input: &Input) -> Vec<u32> {
    let files = || (0..).take(input.walk.order.len()).filter_map(|at| Some((at, input.file(at)?)));
    let mut sizes: HashMap<u64, u32> = HashMap::new();
    files().for_each(|(_, file)| *sizes.entry(file.size).or_default() += 1);
    let shared = |size| size > 0 && sizes.get(&size).is_some_and(|&n| n > 1);
    files().filter(|(_, file)| shared(file.size)).map(|(at, _)| at).collect()
}

/// The hash of each file's data and where it lies, in the order of `files`.
fn hash_all(
    input: &Input,
    files: &[u32],
    threads: usize,
    progress: &dyn Progress,
) -> Result<Vec<blake3::Hash>, BuildError> {
    let work = |reader: &mut Reader<'_>, &at: &u32| {
        if progress.cancelled() {
            return Err(BuildError::Cancelled);
        }
        hash(reader, at, progress)
    };
    in_order(threads, BATCH, files, || Reader::new(input), work)
}

fn hash(
    reader: &mut Reader<'_>,
    at: u32,
    progress: &dyn Progress,
) -> Result<blake3::Hash, BuildError> {
    let (mut hasher, mut layout) = (blake3::Hasher::new(), blake3::Hasher::new());
    let mut end = 0;
    reader.read(at, &mut |offset: u64, bytes: &[u8]| {
        if offset != end {
            layout.update(&end.to_le_bytes()).update(&offset.to_le_bytes());
        }
        end = offset + bytes.len() as u64;
        hasher.update(bytes);
        progress.advance(bytes.len() as u64);
        Ok(())
    })?;
    Ok(hasher.update(layout.finalize().as_bytes()).finalize())
}
