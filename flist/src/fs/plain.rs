//! The few chunks that are kept decompressed, least recently used out first. A chunk is never
//! decompressed twice at a time.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::chunk::{Corrupt, Decompressor, Stored};

/// Spare buffers kept for the next chunks.
const SPARES: usize = 2;

/// A chunk that is or soon will be decompressed.
#[derive(Default)]
pub(super) struct Plain(OnceLock<Result<Vec<u8>, Corrupt>>);

impl Plain {
    fn is_ready(&self) -> bool {
        matches!(self.0.get(), Some(Ok(_)))
    }

    /// The contents; nothing before they are ready.
    pub(super) fn bytes(&self) -> &[u8] {
        self.0.get().and_then(|r| r.as_ref().ok()).map_or(&[], Vec::as_slice)
    }
}

struct Kept {
    chunk: u32,
    len: usize,
    plain: Arc<Plain>,
}

#[derive(Default)]
struct State {
    /// The most recently used last. Few: chunks are some 256 KiB.
    kept: Vec<Kept>,
    len: usize,
    spares: Vec<Vec<u8>>,
}

/// Decompressed chunks, at most `max` bytes of them (or one chunk).
pub(super) struct PlainCache {
    max: usize,
    state: Mutex<State>,
}

impl PlainCache {
    pub(super) fn new(max: usize) -> Self {
        Self { max, state: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing below can panic between two changes that belong together.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The chunk, if it is decompressed already.
    pub(super) fn ready(&self, chunk: u32) -> Option<Arc<Plain>> {
        self.lock().touch(chunk).filter(|p| p.is_ready())
    }

    /// The chunk after `chunk`, if it is not kept, but the two before `chunk` are: then it is probably
    /// wanted next. (With one, a reader all over a Debian root had chunks decompressed in vain.)
    pub(super) fn next(&self, chunk: u32) -> Option<u32> {
        let state = self.lock();
        let has = |chunk| state.kept.iter().any(|k| k.chunk == chunk);
        let (first, next) = (chunk.checked_sub(2)?, chunk.checked_add(1)?);
        (has(first) && has(chunk - 1) && !has(next)).then_some(next)
    }

    /// The chunk, decompressed here and now unless another thread is just doing it.
    pub(super) fn get(
        &self,
        chunk: u32,
        stored: &Stored,
        zstd: &mut Decompressor,
    ) -> Result<Arc<Plain>, Corrupt> {
        let (plain, mut spare) = {
            let mut state = self.lock();
            let plain = state.touch(chunk);
            let plain = plain.unwrap_or_else(|| state.insert(chunk, stored.plain_len(), self.max));
            (plain, state.spares.pop().unwrap_or_default())
        };
        let done = plain.0.get_or_init(|| {
            zstd.plain_into(stored, &mut spare).map(|()| std::mem::take(&mut spare))
        });
        let done = done.as_ref().map(|_| ()).map_err(Clone::clone);
        self.lock().spare(spare);
        done.map(|()| plain)
    }
}

impl State {
    fn touch(&mut self, chunk: u32) -> Option<Arc<Plain>> {
        let at = self.kept.iter().rposition(|k| k.chunk == chunk)?;
        if let Some(tail) = self.kept.get_mut(at..) {
            tail.rotate_left(1);
        }
        self.kept.last().map(|k| Arc::clone(&k.plain))
    }

    fn insert(&mut self, chunk: u32, len: usize, max: usize) -> Arc<Plain> {
        while self.len + len > max && !self.kept.is_empty() {
            let old = self.kept.remove(0);
            self.len -= old.len;
            if let Some(Plain(cell)) = Arc::into_inner(old.plain) {
                self.spare(cell.into_inner().and_then(Result::ok).unwrap_or_default());
            }
        }
        let plain = Arc::<Plain>::default();
        self.kept.push(Kept { chunk, len, plain: Arc::clone(&plain) });
        self.len += len;
        plain
    }

    fn spare(&mut self, buffer: Vec<u8>) {
        if buffer.capacity() > 0 && self.spares.len() < SPARES {
            self.spares.push(buffer);
        }
    }
}
