//! Work that several threads share, and whose results come in order all the same.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::BuildError;

/// What `work` makes of each of `items`, in their order. A thread takes `batch` neighbours at a time,
/// and has a state of its own, which `begin` makes.
///
/// # Errors
/// An error of `work`; what others had begun is then left.
pub(super) fn in_order<I: Sync, S, T: Send>(
    threads: usize,
    batch: usize,
    items: &[I],
    begin: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, &I) -> Result<T, BuildError> + Sync,
) -> Result<Vec<T>, BuildError> {
    let batches: Vec<&[I]> = items.chunks(batch.max(1)).collect();
    let next = AtomicUsize::new(0);
    let run = || {
        let mut state = begin();
        let mut done = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(batch) = batches.get(number) else { return Ok(done) };
            let results = batch.iter().map(|item| work(&mut state, item));
            match results.collect::<Result<Vec<_>, _>>() {
                Ok(results) => done.push((number, results)),
                Err(error) => {
                    next.store(batches.len(), Ordering::Relaxed);
                    return Err(error);
                }
            }
        }
    };
    let mut all = if threads.min(batches.len()) <= 1 {
        run()?
    } else {
        thread::scope(|scope| {
            let workers: Vec<_> =
                (0..threads.min(batches.len())).map(|_| scope.spawn(run)).collect();
            let results: Vec<_> = workers.into_iter().map(super::join).collect();
            results.into_iter().collect::<Result<Vec<_>, _>>()
        })?
        .into_iter()
        .flatten()
        .collect()
    };
    all.sort_unstable_by_key(|&(number, _)| number);
    Ok(all.into_iter().flat_map(|(_, results)| results).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_order() {
        let items: Vec<u32> = (0..1000).collect();
        for (threads, batch) in [(1, 1), (4, 1), (4, 7), (4, 2000), (4, 0)] {
            let doubled = in_order(threads, batch, &items, || 2, |two, item| Ok(*two * item));
            let wanted: Vec<u32> = items.iter().map(|item| 2 * item).collect();
            assert_eq!(doubled.unwrap(), wanted, "{threads} threads, batches of {batch}");
        }
        assert!(in_order(4, 1, &[0; 0], || (), |(), _| Ok(())).unwrap().is_empty());
    }

    #[test]
    fn an_error_ends_it() {
        let items: Vec<u32> = (0..1000).collect();
        for threads in [1, 4] {
            let work = |(): &mut (), item: &u32| {
                if *item == 500 { Err(BuildError::Cancelled) } else { Ok(()) }
            };
            let ended = in_order(threads, 1, &items, || (), work);
            assert!(matches!(ended, Err(BuildError::Cancelled)), "{threads} threads");
        }
    }
}
