//! Which bytes of a file have come up already.

use std::collections::BTreeMap;
use std::ops::Range;

/// Ranges that neither overlap nor touch: end by start.
#[derive(Debug, Default)]
pub(crate) struct Covered(BTreeMap<u64, u64>);

impl Covered {
    /// Adds `range`; returns the parts of it that are new, in ascending order.
    pub(crate) fn add(&mut self, range: Range<u64>) -> Vec<Range<u64>> {
        let mut new = Vec::new();
        if range.is_empty() {
            return new;
        }
        let (mut at, mut whole) = (range.start, range.clone());
        // All that overlap or touch become one with it.
        for (start, end) in self.touching(&range) {
            if at < start {
                new.push(at..start.min(range.end));
            }
            at = at.max(end);
            whole = whole.start.min(start)..whole.end.max(end);
            self.0.remove(&start);
        }
        if at < range.end {
            new.push(at..range.end);
        }
        self.0.insert(whole.start, whole.end);
        new
    }

    fn touching(&self, range: &Range<u64>) -> Vec<(u64, u64)> {
        let before =
            self.0.range(..range.start).next_back().filter(|(_, end)| **end >= range.start);
        let within = self.0.range(range.start..=range.end);
        before.into_iter().chain(within).map(|(start, end)| (*start, *end)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn as_a_set_of_bytes_has_it(
            ranges in prop::collection::vec((0_u64..60, 0_u64..12), 0..40),
        ) {
            let (mut covered, mut model) = (Covered::default(), BTreeSet::new());
            for (start, len) in ranges {
                let range = start..start + len;
                let new: Vec<u64> = range.clone().filter(|byte| model.insert(*byte)).collect();
                let got: Vec<u64> = covered.add(range).into_iter().flatten().collect();
                prop_assert_eq!(got, new);
                let held: Vec<u64> = covered.0.iter().flat_map(|(s, e)| *s..*e).collect();
                prop_assert_eq!(held, model.iter().copied().collect::<Vec<_>>());
                let mut ends = covered.0.iter().zip(covered.0.keys().skip(1));
                prop_assert!(ends.all(|((_, end), next)| end < next));
            }
        }
    }
}
