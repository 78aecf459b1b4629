//! Several stores that should hold the same packs: tried in turn, the one that works is kept.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Store, StoreError};

/// At least one store.
pub struct Mirrors {
    stores: Vec<Mirror>,
    preferred: AtomicUsize,
}

struct Mirror {
    store: Arc<dyn Store>,
    /// The same, for as long as others may be quicker; `None` where there are no others.
    hasty: Option<Arc<dyn Store>>,
}

/// How long to wait for one mirror.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Haste {
    /// Others may be quicker.
    Hasty,
    /// None was.
    Patient,
}

impl Mirrors {
    /// Mirrors in the order in which they are first tried; `None` if there is none.
    pub fn new(stores: Vec<Arc<dyn Store>>) -> Option<Self> {
        let alone = stores.len() == 1;
        let mirror = |store: Arc<dyn Store>| {
            let hasty = if alone { None } else { store.hasty() };
            Mirror { store, hasty }
        };
        let stores: Vec<_> = stores.into_iter().map(mirror).collect();
        (!stores.is_empty()).then(|| Self { stores, preferred: AtomicUsize::new(0) })
    }

    /// What messages call them.
    pub fn names(&self) -> Vec<&str> {
        self.stores.iter().map(|mirror| mirror.store.name()).collect()
    }

    /// All of them, the one that last worked first, each with its number.
    pub(super) fn in_turn(&self, haste: Haste) -> impl Iterator<Item = (usize, &dyn Store)> {
        let first = self.preferred.load(Ordering::Relaxed);
        let (before, from) = self.stores.split_at(first.min(self.stores.len()));
        let numbered = from.iter().zip(first..).chain(before.iter().zip(0..));
        numbered.map(move |(mirror, number)| match (haste, &mirror.hasty) {
            (Haste::Hasty, Some(store)) => (number, &**store),
            (Haste::Hasty | Haste::Patient, _) => (number, &*mirror.store),
        })
    }

    /// Mirror `number` works: the next fetch begins with it. `failure` says why one before it
    /// does not, if it could not be asked.
    pub(super) fn keep(&self, number: usize, failure: Option<&StoreError>) {
        let last = self.preferred.swap(number, Ordering::Relaxed);
        if let Some(mirror) = self.stores.get(number).filter(|_| last != number) {
            let why = failure.map(|error| format!("{error}; ")).unwrap_or_default();
            log::warn!("{why}going on with the store {}", mirror.store.name());
        }
    }

    pub(super) fn shutdown(&self) {
        self.stores.iter().for_each(|mirror| mirror.store.shutdown());
    }
}

impl From<Arc<dyn Store>> for Mirrors {
    fn from(store: Arc<dyn Store>) -> Self {
        let mirror = Mirror { store, hasty: None };
        Self { stores: vec![mirror], preferred: AtomicUsize::new(0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Pack;
    use crate::store::Body;
    use crate::store::dir::Dir;
    use std::ops::Range;

    fn mirrors(names: &[&str]) -> Mirrors {
        let stores = names.iter().map(|n| Arc::new(Dir::new((*n).into())) as Arc<dyn Store>);
        Mirrors::new(stores.collect()).unwrap()
    }

    #[test]
    fn the_one_that_works_comes_first() {
        let mirrors = mirrors(&["a", "b", "c"]);
        let order = || {
            mirrors
                .in_turn(Haste::Hasty)
                .map(|(n, s)| format!("{n}{}", s.name()))
                .collect::<Vec<_>>()
        };
        assert_eq!(order(), ["0a", "1b", "2c"]);
        mirrors.keep(2, None);
        assert_eq!(order(), ["2c", "0a", "1b"]);
        mirrors.keep(1, None);
        assert_eq!(order(), ["1b", "2c", "0a"]);
    }

    /// A store that is called otherwise where it is asked in haste.
    struct Named(&'static str);

    impl Store for Named {
        fn name(&self) -> &str {
            self.0
        }

        fn open(&self, _: &Pack, _: Range<u64>) -> Result<Box<dyn Body + '_>, StoreError> {
            Err(StoreError::Missing { place: self.0.into(), status: None })
        }

        fn hasty(&self) -> Option<Arc<dyn Store>> {
            Some(Arc::new(Self("hasty")))
        }
    }

    #[test]
    fn haste_is_for_where_there_are_others() {
        let names = |mirrors: &Mirrors, haste| {
            mirrors.in_turn(haste).map(|(_, store)| store.name().to_owned()).collect::<Vec<_>>()
        };
        let two = Mirrors::new(vec![Arc::new(Named("a")), Arc::new(Named("b"))]).unwrap();
        assert_eq!(names(&two, Haste::Hasty), ["hasty", "hasty"]);
        assert_eq!(names(&two, Haste::Patient), ["a", "b"]);
        let one = Mirrors::new(vec![Arc::new(Named("a"))]).unwrap();
        assert_eq!(names(&one, Haste::Hasty), ["a"]);
    }

    #[test]
    fn no_mirror_is_none() {
        assert!(Mirrors::new(Vec::new()).is_none());
    }
}
