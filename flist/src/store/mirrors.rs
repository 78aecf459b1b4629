//! Several stores that should hold the same packs: tried in turn, the one that works is kept.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Store, StoreError};

/// At least one store.
pub struct Mirrors {
    stores: Vec<Arc<dyn Store>>,
    preferred: AtomicUsize,
}

impl Mirrors {
    /// Mirrors in the order in which they are first tried; `None` if there is none.
    pub fn new(stores: Vec<Arc<dyn Store>>) -> Option<Self> {
        (!stores.is_empty()).then(|| Self { stores, preferred: AtomicUsize::new(0) })
    }

    /// What messages call them.
    pub fn names(&self) -> Vec<&str> {
        self.stores.iter().map(|store| store.name()).collect()
    }

    /// All of them, the one that last worked first, each with its number.
    pub(super) fn in_turn(&self) -> impl Iterator<Item = (usize, &dyn Store)> {
        let first = self.preferred.load(Ordering::Relaxed);
        let (before, from) = self.stores.split_at(first.min(self.stores.len()));
        let numbered = from.iter().zip(first..).chain(before.iter().zip(0..));
        numbered.map(|(store, number)| (number, &**store))
    }

    /// Mirror `number` works: the next fetch begins with it. `failure` says why one before it
    /// does not, if it could not be asked.
    pub(super) fn keep(&self, number: usize, failure: Option<&StoreError>) {
        let last = self.preferred.swap(number, Ordering::Relaxed);
        if let Some(store) = self.stores.get(number).filter(|_| last != number) {
            let why = failure.map(|error| format!("{error}; ")).unwrap_or_default();
            log::warn!("{why}going on with the store {}", store.name());
        }
    }

    pub(super) fn shutdown(&self) {
        self.stores.iter().for_each(|store| store.shutdown());
    }
}

impl From<Arc<dyn Store>> for Mirrors {
    fn from(store: Arc<dyn Store>) -> Self {
        Self { stores: vec![store], preferred: AtomicUsize::new(0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::dir::Dir;

    fn mirrors(names: &[&str]) -> Mirrors {
        let stores = names.iter().map(|n| Arc::new(Dir::new((*n).into())) as Arc<dyn Store>);
        Mirrors::new(stores.collect()).unwrap()
    }

    #[test]
    fn the_one_that_works_comes_first() {
        let mirrors = mirrors(&["a", "b", "c"]);
        let order =
            || mirrors.in_turn().map(|(n, s)| format!("{n}{}", s.name())).collect::<Vec<_>>();
        assert_eq!(order(), ["0a", "1b", "2c"]);
        mirrors.keep(2, None);
        assert_eq!(order(), ["2c", "0a", "1b"]);
        mirrors.keep(1, None);
        assert_eq!(order(), ["1b", "2c", "0a"]);
    }

    #[test]
    fn no_mirror_is_none() {
        assert!(Mirrors::new(Vec::new()).is_none());
    }
}
