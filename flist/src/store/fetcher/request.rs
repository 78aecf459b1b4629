//! One request of a reader: the chunks it wants, and whom to tell once, when all are there or
//! one can't be had.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::{Done, FetchError};
use crate::chunk::Stored;

pub(super) struct Request {
    pending: Mutex<Pending>,
    /// When the reader asked.
    pub(super) began: Instant,
}

struct Pending {
    slots: Vec<Option<Arc<Stored>>>,
    missing: usize,
    done: Option<Done>,
}

/// A place in a request that waits for a chunk.
pub(super) struct Waiter {
    pub(super) request: Arc<Request>,
    pub(super) slot: usize,
}

impl Request {
    pub(super) fn new(chunks: usize, done: Done) -> Arc<Self> {
        let slots = vec![None; chunks];
        let pending = Mutex::new(Pending { slots, missing: chunks, done: Some(done) });
        Arc::new(Self { pending, began: Instant::now() })
    }

    /// Puts a chunk in its place. Returns what to call, without any lock, once all are there.
    #[must_use]
    pub(super) fn fill(&self, slot: usize, stored: &Arc<Stored>) -> Option<impl FnOnce() + use<>> {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        let place = pending.slots.get_mut(slot).filter(|place| place.is_none())?;
        *place = Some(Arc::clone(stored));
        pending.missing -= 1;
        if pending.missing > 0 {
            return None;
        }
        let done = pending.done.take()?;
        let chunks: Vec<_> = pending.slots.drain(..).flatten().collect();
        Some(move || done(Ok(chunks)))
    }

    /// Ends the request with an error, unless it has ended already.
    pub(super) fn fail(&self, error: FetchError) {
        let done = {
            let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
            pending.slots.clear();
            pending.done.take()
        };
        if let Some(done) = done {
            done(Err(error));
        }
    }
}
