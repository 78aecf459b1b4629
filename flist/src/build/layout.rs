//! In which order contents are laid out: what the profile needs first, in its order, then all else in
//! the order of the inodes.

use std::ops::Range;

use super::read::Input;
use super::tree::{ROOT, Tree};
use crate::profile::{Once, Profile};

/// Ranges begin and end at multiples of this, or at the end of a file: what the kernel reads are pages.
pub(super) const PAGE: u64 = 4096;

/// A range of the regular file that is inode index `at`.
#[derive(Debug)]
pub(super) struct Stretch {
    pub(super) at: u32,
    pub(super) range: Range<u64>,
}

/// All distinct contents, each byte once.
#[derive(Debug)]
pub(super) struct Layout {
    /// What the profile needs.
    pub(super) profiled: Vec<Stretch>,
    /// The rest.
    pub(super) rest: Vec<Stretch>,
    /// How many of the profile's ranges the tree does not have.
    pub(super) missing: usize,
}

impl Layout {
    /// The layout of the files that are the first of their equals (`same`).
    pub(super) fn new(input: &Input, same: &[u32], profile: &Profile) -> Self {
        let (mut once, mut missing) = (Once::new(usize::MAX), 0);
        for need in profile.needs() {
            match find(input, same, &need.path, &need.range) {
                Some((at, range)) => drop(once.add(&at, range)),
                None => missing += 1,
            }
        }
        let mut rest = Vec::new();
        for (_, at) in same.iter().zip(0..).filter(|&(&first, at)| first == at) {
            let size = input.file(at).map_or(0, |file| file.size);
            rest.extend(once.rest(&at, 0..size).into_iter().map(|range| Stretch { at, range }));
        }
        let profiled = once.into_ranges().into_iter();
        let profiled = profiled.map(|(at, range)| Stretch { at, range }).collect();
        Self { profiled, rest, missing }
    }
}

/// Where a need of the profile lies in this tree, whole pages.
fn find(input: &Input, same: &[u32], path: &[u8], range: &Range<u64>) -> Option<(u32, Range<u64>)> {
    let at = resolve(&input.tree, &input.walk.index, path)?;
    let size = input.file(at)?.size;
    let start = range.start / PAGE * PAGE;
    let end = range.end.div_ceil(PAGE).saturating_mul(PAGE).min(size);
    let at = same.get(at as usize).copied()?;
    (start < end).then_some((at, start..end))
}

/// The inode index of what has this path; links are not followed.
fn resolve(tree: &Tree, index: &[u32], path: &[u8]) -> Option<u32> {
    let mut names = path.split(|byte| *byte == b'/').filter(|name| !name.is_empty());
    let node = names.try_fold(ROOT, |dir, name| Some(tree.entry(dir, name)?.node))?;
    index.get(node as usize).copied()
}
