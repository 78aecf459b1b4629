//! Ranges of several files in the order in which they first come up, each byte once.

use std::collections::HashMap;
use std::hash::Hash;
use std::ops::Range;

use super::covered::Covered;

/// Ranges with what names their file.
#[derive(Debug)]
pub(crate) struct Once<K> {
    covered: HashMap<K, Covered>,
    ranges: Vec<(K, Range<u64>)>,
    most: usize,
}

impl<K: Clone + Eq + Hash> Once<K> {
    /// None yet, and at most `most`: what comes beyond is dropped.
    pub(crate) fn new(most: usize) -> Self {
        Self { covered: HashMap::new(), ranges: Vec::new(), most }
    }

    /// `range` of the file `key` comes up. Returns whether any of it is new.
    pub(crate) fn add(&mut self, key: &K, range: Range<u64>) -> bool {
        let covered = match self.covered.get_mut(key) {
            Some(covered) => covered,
            None => self.covered.entry(key.clone()).or_default(),
        };
        let new = covered.add(range);
        let is_new = !new.is_empty();
        new.into_iter().for_each(|range| self.push(key, range));
        is_new
    }

    fn push(&mut self, key: &K, range: Range<u64>) {
        if let Some((last, before)) = self.ranges.last_mut()
            && last == key
            && before.end == range.start
        {
            before.end = range.end;
        } else if self.ranges.len() < self.most {
            self.ranges.push((key.clone(), range));
        }
    }

    /// What of `range` of the file `key` has not come up.
    #[cfg(feature = "build")]
    pub(crate) fn rest(&mut self, key: &K, range: Range<u64>) -> Vec<Range<u64>> {
        self.covered.remove(key).unwrap_or_default().add(range)
    }

    /// All of them.
    pub(crate) fn into_ranges(self) -> Vec<(K, Range<u64>)> {
        self.ranges
    }
}
