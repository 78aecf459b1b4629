//! Verified stored bytes in memory, by chunk id, bounded in bytes. What is asked for again while
//! it is held outlives what is not (second chance), at constant cost.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::chunk::{Chunk, Stored};
use crate::id::ChunkId;

/// What a held chunk costs beyond its bytes: table rows and allocation, roughly.
const OVERHEAD: u64 = 256;

/// What a cache must hold, in bytes, for all of these chunks to be in it.
pub(super) fn room_for(chunks: &[Chunk]) -> u64 {
    chunks.iter().map(|chunk| u64::from(chunk.stored_len) + OVERHEAD).sum()
}

pub(super) struct Cache {
    held: HashMap<ChunkId, Entry>,
    /// In order of arrival, or of the last second chance.
    order: VecDeque<ChunkId>,
    /// What was prefetched for a reader who is still to come, in order of arrival; some may have been
    /// read.
    unread: VecDeque<ChunkId>,
    bytes: u64,
    limit: u64,
}

struct Entry {
    stored: Arc<Stored>,
    usage: Usage,
}

/// Whether a chunk is likely to be asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Usage {
    /// Its reader is still to come.
    Unread,
    /// It was read, and may go.
    Read,
    /// It was asked for since it came, or was last spared.
    ReadAgain,
}

impl Cache {
    pub(super) fn new(limit: u64) -> Self {
        let (order, unread) = (VecDeque::new(), VecDeque::new());
        Self { held: HashMap::new(), order, unread, bytes: 0, limit }
    }

    /// The most it holds, in bytes.
    pub(super) fn limit(&self) -> u64 {
        self.limit
    }

    pub(super) fn contains(&self, id: &ChunkId) -> bool {
        self.held.contains_key(id)
    }

    pub(super) fn get(&mut self, id: &ChunkId) -> Option<Arc<Stored>> {
        let entry = self.held.get_mut(id)?;
        if std::mem::replace(&mut entry.usage, Usage::ReadAgain) == Usage::Unread {
            self.order.push_back(*id);
        }
        Some(Arc::clone(&entry.stored))
    }

    /// Takes a chunk in, and lets others go until all fits: such as its reader has not `read` yet last.
    /// One that never fits is not held.
    pub(super) fn insert(&mut self, id: ChunkId, stored: Arc<Stored>, read: bool) {
        let cost = cost(&stored);
        if cost > self.limit || self.held.contains_key(&id) {
            return;
        }
        while self.bytes + cost > self.limit && self.evict() {}
        self.bytes += cost;
        let (usage, queue) = match read {
            true => (Usage::Read, &mut self.order),
            false => (Usage::Unread, &mut self.unread),
        };
        self.held.insert(id, Entry { stored, usage });
        queue.push_back(id);
        if self.unread.len() > 2 * self.held.len() {
            let held = &self.held;
            self.unread.retain(|id| held.get(id).is_some_and(|e| e.usage == Usage::Unread));
        }
    }

    /// Lets the oldest go that was read and not asked for since it was last spared; if there is none,
    /// the oldest that was not read.
    fn evict(&mut self) -> bool {
        while let Some(id) = self.order.pop_front() {
            match self.held.get_mut(&id) {
                Some(entry) if entry.usage == Usage::ReadAgain => {
                    entry.usage = Usage::Read;
                    self.order.push_back(id);
                }
                _ => return self.remove(&id),
            }
        }
        while let Some(id) = self.unread.pop_front() {
            if self.held.get(&id).is_some_and(|entry| entry.usage == Usage::Unread) {
                return self.remove(&id);
            }
        }
        false
    }

    fn remove(&mut self, id: &ChunkId) -> bool {
        let gone = self.held.remove(id);
        self.bytes -= gone.as_ref().map_or(0, |entry| cost(&entry.stored));
        gone.is_some()
    }
}

fn cost(stored: &Stored) -> u64 {
    stored.bytes().len() as u64 + OVERHEAD
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(fill: u8, len: usize) -> (ChunkId, Arc<Stored>) {
        let bytes = vec![fill; len];
        let id = ChunkId::of(&bytes);
        let len = u32::try_from(len).unwrap();
        let chunk = Chunk { id, pack: 0, stored_len: len, len, offset: 0 };
        (id, Arc::new(chunk.verify(bytes).unwrap()))
    }

    #[test]
    fn the_limit_holds() {
        let mut cache = Cache::new(4 * (1000 + OVERHEAD));
        for fill in 0..100 {
            let (id, chunk) = stored(fill, 1000);
            cache.insert(id, chunk, true);
            assert!(cache.contains(&id));
            assert!(cache.bytes <= cache.limit && cache.order.len() == cache.held.len());
        }
        assert_eq!(cache.held.len(), 4);
    }

    #[test]
    fn what_is_asked_again_stays() {
        let mut cache = Cache::new(4 * (1000 + OVERHEAD));
        let (favourite, chunk) = stored(255, 1000);
        cache.insert(favourite, chunk, true);
        for fill in 0..100 {
            assert!(cache.get(&favourite).is_some(), "gone after {fill}");
            let (id, chunk) = stored(fill, 1000);
            cache.insert(id, chunk, true);
        }
    }

    #[test]
    fn what_nobody_has_read_yet_stays_longest() {
        let mut cache = Cache::new(4 * (1000 + OVERHEAD));
        let (unread, chunk) = stored(255, 1000);
        cache.insert(unread, chunk, false);
        for fill in 0..8 {
            let (id, chunk) = stored(fill, 1000);
            cache.insert(id, chunk, true);
            cache.get(&id);
        }
        assert!(cache.contains(&unread));
    }

    #[test]
    fn what_never_fits_is_not_held() {
        let mut cache = Cache::new(1000);
        let (small, chunk) = stored(1, 100);
        cache.insert(small, chunk, true);
        let (large, chunk) = stored(2, 1000);
        cache.insert(large, chunk, true);
        assert!(cache.contains(&small) && !cache.contains(&large));
        let mut none = Cache::new(0);
        let (id, chunk) = stored(1, 100);
        none.insert(id, chunk, true);
        assert!(none.get(&id).is_none());
    }
}
