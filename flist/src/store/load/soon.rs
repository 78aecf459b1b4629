//! What a boot needs first is asked for as soon as the beginning of the flist says what that is, and is
//! there, or on its way, when the image is.

use std::ops::Range;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use super::Packs;
use crate::format::{BEGINNING_LEN, Soon};
use crate::id::PackId;
use crate::image::Pack;
use crate::store::{self, Body, Client, Fault, Location, Store, StoreError};

/// Stack of the thread that asks, in bytes: TLS takes most of it.
const STACK: usize = 256 << 10;

/// How much is handed on at a time, in bytes.
const BLOCK: u64 = 64 << 10;

/// Sees an flist come, and asks for what it says.
pub(super) struct Watch<'a> {
    client: &'a Client,
    /// Where to ask; `None` once that is done, or can't be.
    at: Option<Location>,
    beginning: Vec<u8>,
    begun: Option<Begun>,
}

impl<'a> Watch<'a> {
    /// For the flist at `location`.
    pub(super) fn new(client: &'a Client, packs: Option<&Packs>, location: &Location) -> Self {
        let at = packs.map(|packs| match packs {
            Packs::Beside => location.folder(),
            Packs::At(place) => place.clone(),
        });
        Self { client, at, beginning: Vec::new(), begun: None }
    }

    /// These bytes come next.
    pub(super) fn see(&mut self, block: &[u8]) {
        let Some(at) = &self.at else { return };
        let left = BEGINNING_LEN.saturating_sub(self.beginning.len());
        self.beginning.extend_from_slice(block.get(..left).unwrap_or(block));
        if let Some(soon) = Soon::peek(&self.beginning) {
            self.begun = Begun::begin(self.client, at, soon);
            self.at = None;
        } else if self.beginning.len() == BEGINNING_LEN {
            self.at = None;
        }
    }

    /// What was asked for.
    pub(super) fn begun(self) -> Option<Begun> {
        self.begun
    }
}

/// A stretch of a pack on its way. Nothing of it is verified.
#[derive(Debug)]
pub struct Begun {
    location: Location,
    pack: PackId,
    range: Range<u64>,
    /// Its bytes as they come, up to an error.
    blocks: Receiver<Result<Vec<u8>, StoreError>>,
}

impl Begun {
    /// Asks for `soon` at `location`; not where no thread can be had.
    fn begin(client: &Client, location: &Location, soon: Soon) -> Option<Self> {
        let (send, blocks) = mpsc::channel();
        let (location, pack, range) = (location.clone(), soon.pack.id, soon.range.clone());
        // Whoever waits for it asks with more patience if this comes to nothing, or asks another.
        let store = store::open(&client.hasty(), &location);
        let thread = thread::Builder::new().name("soon".to_owned()).stack_size(STACK);
        thread.spawn(move || send_all(&*store, &soon, &send)).ok()?;
        Some(Self { location, pack, range, blocks })
    }

    /// Where it comes from.
    pub fn location(&self) -> &Location {
        &self.location
    }

    /// A store like `store`, which lies there. Who asks it first for just this stretch gets what was asked
    /// for already.
    pub fn before(self, store: Arc<dyn Store>) -> Arc<dyn Store> {
        Arc::new(Ahead { store, begun: Arc::new(Mutex::new(Some(self))) })
    }
}

/// Sends what comes of `soon`. Nothing if it can't be had: whoever asks for it next will hear why.
fn send_all(store: &dyn Store, soon: &Soon, to: &Sender<Result<Vec<u8>, StoreError>>) {
    let Ok(mut body) = store.open(&soon.pack, soon.range.clone()) else { return };
    // A server that knows no ranges sends a pack that nobody has asked for yet.
    if body.remaining() != soon.range {
        return;
    }
    loop {
        let left = body.remaining();
        let len = (left.end - left.start).min(BLOCK);
        let block = if len == 0 { return } else { body.read(len) };
        let is_over = block.is_err();
        // Nobody may want it any more.
        if to.send(block).is_err() || is_over {
            return;
        }
    }
}

/// A store of which something was asked for already.
struct Ahead {
    store: Arc<dyn Store>,
    begun: Arc<Mutex<Option<Begun>>>,
}

impl Store for Ahead {
    fn name(&self) -> &str {
        self.store.name()
    }

    fn open(&self, pack: &Pack, range: Range<u64>) -> Result<Box<dyn Body + '_>, StoreError> {
        if let Some(Begun { blocks, .. }) = self.begun(pack, &range)
            && let Ok(Ok(block)) = blocks.recv()
        {
            let total = range.end - range.start;
            let name = self.name().to_owned();
            return Ok(Box::new(Coming { name, total, remaining: range, block, at: 0, blocks }));
        }
        self.store.open(pack, range)
    }

    fn hasty(&self) -> Option<Arc<dyn Store>> {
        let store = self.store.hasty()?;
        Some(Arc::new(Self { store, begun: Arc::clone(&self.begun) }))
    }

    fn shutdown(&self) {
        self.store.shutdown();
    }
}

impl Ahead {
    /// What was asked for already, if it is this: once.
    fn begun(&self, pack: &Pack, range: &Range<u64>) -> Option<Begun> {
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        begun.take_if(|begun| begun.pack == pack.id && begun.range == *range)
    }
}

/// What was asked for already, as it comes.
struct Coming {
    name: String,
    total: u64,
    remaining: Range<u64>,
    /// What has come, and how much of that was read.
    block: Vec<u8>,
    at: usize,
    blocks: Receiver<Result<Vec<u8>, StoreError>>,
}

impl Body for Coming {
    fn remaining(&self) -> Range<u64> {
        self.remaining.clone()
    }

    fn read_exact(&mut self, mut buf: &mut [u8]) -> Result<(), StoreError> {
        while !buf.is_empty() {
            let here = self.block.get(self.at..).unwrap_or_default();
            let len = here.len().min(buf.len());
            if len == 0 {
                self.block = self.blocks.recv().unwrap_or_else(|_ended| Err(self.short()))?;
                self.at = 0;
                continue;
            }
            let (filled, rest) = buf.split_at_mut(len);
            filled.copy_from_slice(here.get(..len).unwrap_or_default());
            buf = rest;
            self.at += len;
            self.remaining.start += len as u64;
        }
        Ok(())
    }
}

impl Coming {
    fn short(&self) -> StoreError {
        let got = self.total - (self.remaining.end - self.remaining.start);
        let fault = Fault::Short { got, want: self.total };
        StoreError::Protocol { place: self.name.clone(), fault }
    }
}

#[cfg(test)]
mod tests;
