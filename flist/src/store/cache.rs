//! Verified stored bytes in memory, by chunk id, bounded in bytes. What is asked for again while
//! it is held outlives what is not (second chance), at constant cost.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::chunk::Stored;
use crate::id::ChunkId;

/// What a held chunk costs beyond its bytes: table rows and allocation, roughly.
const OVERHEAD: u64 = 256;

pub(super) struct Cache {
    held: HashMap<ChunkId, Entry>,
    /// In order of arrival, or of the last second chance.
    order: VecDeque<ChunkId>,
    bytes: u64,
    limit: u64,
}

struct Entry {
    stored: Arc<Stored>,
    asked_again: bool,
}

impl Cache {
    pub(super) fn new(limit: u64) -> Self {
        Self { held: HashMap::new(), order: VecDeque::new(), bytes: 0, limit }
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
        entry.asked_again = true;
        Some(Arc::clone(&entry.stored))
    }

    /// Takes a chunk in, and lets others go until all fits. One that never fits is not held.
    pub(super) fn insert(&mut self, id: ChunkId, stored: Arc<Stored>) {
        let cost = cost(&stored);
        if cost > self.limit || self.held.contains_key(&id) {
            return;
        }
        while self.bytes + cost > self.limit && self.evict() {}
        self.bytes += cost;
        self.held.insert(id, Entry { stored, asked_again: false });
        self.order.push_back(id);
    }

    /// Lets the oldest go that was not asked for since it came or was last spared.
    fn evict(&mut self) -> bool {
        while let Some(id) = self.order.pop_front() {
            match self.held.get_mut(&id) {
                Some(entry) if entry.asked_again => {
                    entry.asked_again = false;
                    self.order.push_back(id);
                }
                _ => {
                    if let Some(entry) = self.held.remove(&id) {
                        self.bytes -= cost(&entry.stored);
                    }
                    return true;
                }
            }
        }
        false
    }
}

fn cost(stored: &Stored) -> u64 {
    stored.bytes().len() as u64 + OVERHEAD
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chunk::Chunk;

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
            cache.insert(id, chunk);
            assert!(cache.contains(&id));
            assert!(cache.bytes <= cache.limit && cache.order.len() == cache.held.len());
        }
        assert_eq!(cache.held.len(), 4);
    }

    #[test]
    fn what_is_asked_again_stays() {
        let mut cache = Cache::new(4 * (1000 + OVERHEAD));
        let (favourite, chunk) = stored(255, 1000);
        cache.insert(favourite, chunk);
        for fill in 0..100 {
            assert!(cache.get(&favourite).is_some(), "gone after {fill}");
            let (id, chunk) = stored(fill, 1000);
            cache.insert(id, chunk);
        }
    }

    #[test]
    fn what_never_fits_is_not_held() {
        let mut cache = Cache::new(1000);
        let (small, chunk) = stored(1, 100);
        cache.insert(small, chunk);
        let (large, chunk) = stored(2, 1000);
        cache.insert(large, chunk);
        assert!(cache.contains(&small) && !cache.contains(&large));
        let mut none = Cache::new(0);
        let (id, chunk) = stored(1, 100);
        none.insert(id, chunk);
        assert!(none.get(&id).is_none());
    }
}
