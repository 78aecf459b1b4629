//! What was asked of stores and how long readers waited, in the order in which it ended: for who wants to
//! see how a boot went.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// How many of each are kept: more than a boot has. What comes later is not.
const MOST: usize = 4096;

/// What was asked and waited for.
#[derive(Debug, Default)]
pub struct Journal {
    /// Requests to stores.
    pub requests: Vec<Asked>,
    /// Waits of readers for what was not held: when each began and ended.
    pub stalls: Vec<(Instant, Instant)>,
}

/// A request to a store.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    /// When it was made.
    pub began: Instant,
    /// When its answer began; `None` where there was none.
    pub answered: Option<Instant>,
    /// When it ended, well or not.
    pub ended: Instant,
    /// Stored bytes of the chunks that came and were right.
    pub bytes: u64,
    /// What it was for.
    pub reason: Reason,
}

#[cfg(test)]
impl Asked {
    /// A request for what a reader waits for, whose answer came after so many milliseconds, and took so
    /// many.
    pub(super) fn within(head: u64, body: u64, bytes: u64) -> Self {
        let [head, body] = [head, body].map(std::time::Duration::from_millis);
        let (began, reason) = (Instant::now(), Reason::Read);
        Self { began, answered: Some(began + head), ended: began + head + body, bytes, reason }
    }
}

/// Why chunks are fetched.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Reason {
    /// A reader waits for them.
    #[default]
    Read,
    /// They follow what a reader reads.
    Ahead,
    /// They are fetched ahead of all readers.
    Prefetch,
}

/// A journal while it is kept.
pub(super) struct Kept(Mutex<Option<Journal>>);

impl Kept {
    pub(super) fn new(keep: bool) -> Self {
        Self(Mutex::new(keep.then(Journal::default)))
    }

    /// The journal, which is kept no longer.
    pub(super) fn take(&self) -> Journal {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or_default()
    }

    pub(super) fn asked(&self, asked: Asked) {
        self.note(|journal| push(&mut journal.requests, asked));
    }

    /// A wait that began then ends now.
    pub(super) fn waited(&self, began: Instant) {
        self.note(|journal| push(&mut journal.stalls, (began, Instant::now())));
    }

    fn note(&self, note: impl FnOnce(&mut Journal)) {
        if let Some(journal) = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            note(journal);
        }
    }
}

fn push<T>(list: &mut Vec<T>, item: T) {
    if list.len() < MOST {
        list.push(item);
    }
}
