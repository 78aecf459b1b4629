//! Which wanted chunks become one request.

use std::ops::Range;

use crate::chunk::Chunk;

/// Whether `b` begins where `a` ends, in the same pack.
pub(super) fn adjacent(chunks: &[Chunk], a: u32, b: u32) -> bool {
    match (chunks.get(a as usize), chunks.get(b as usize)) {
        (Some(a), Some(b)) => a.pack == b.pack && a.range().end == b.offset,
        _ => false,
    }
}

/// The longest run of chunks around `number` that are `wanted`, adjacent in their pack, and
/// together no longer than `most` as stored. Grows forwards first.
pub(super) fn merge(
    chunks: &[Chunk],
    number: u32,
    most: u64,
    wanted: impl Fn(u32) -> bool,
) -> Range<u32> {
    let len = |n: u32| chunks.get(n as usize).map_or(0, |c| u64::from(c.stored_len));
    let (mut run, mut bytes) = (number..number.saturating_add(1), len(number));
    while adjacent(chunks, run.end - 1, run.end) && wanted(run.end) && bytes + len(run.end) <= most
    {
        bytes += len(run.end);
        run.end += 1;
    }
    while run.start > 0
        && adjacent(chunks, run.start - 1, run.start)
        && wanted(run.start - 1)
        && bytes + len(run.start - 1) <= most
    {
        run.start -= 1;
        bytes += len(run.start);
    }
    run
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_run_is_the_longest_of_wanted_neighbours(
            chunks in prop::collection::vec((0_u32..3, 1_u32..100, prop::bool::weighted(0.1)), 1..60),
            wanted in prop::collection::vec(prop::bool::weighted(0.8), 60),
            at in any::<prop::sample::Index>(),
            most in 1_u64..1000,
        ) {
            let mut end = 0;
            let chunks: Vec<Chunk> = chunks.into_iter().map(|(pack, stored_len, gap)| {
                let offset = end + u64::from(gap);
                end = offset + u64::from(stored_len);
                let id = crate::id::ChunkId::of(&offset.to_le_bytes());
                Chunk { id, pack: pack / 2, stored_len, len: stored_len, offset }
            }).collect();
            let at = u32::try_from(at.index(chunks.len())).unwrap();
            let is_wanted = |n: u32| wanted[n as usize];
            let run = merge(&chunks, at, most, is_wanted);
            prop_assert!(run.contains(&at));
            prop_assert!(run.clone().all(|n| n == at || is_wanted(n)));
            prop_assert!(run.clone().skip(1).all(|n| adjacent(&chunks, n - 1, n)));
            let len = |n: u32| u64::from(chunks[n as usize].stored_len);
            let bytes: u64 = run.clone().map(len).sum();
            prop_assert!(bytes <= most || run.len() == 1);
            // Nothing beside it would fit as well.
            let fits = |n: u32| is_wanted(n) && bytes + len(n) <= most;
            prop_assert!(!(adjacent(&chunks, run.end - 1, run.end) && fits(run.end)));
            prop_assert!(run.start == 0
                || !(adjacent(&chunks, run.start - 1, run.start) && fits(run.start - 1)));
        }
    }
}
