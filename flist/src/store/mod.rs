//! Where contents come from: stores, mirrors, caches, and the fetcher above them.
//!
//! A [`Store`] hands out byte ranges of packs and is never believed: only the [`Fetcher`] gives
//! chunks away, and it has verified them.

mod cache;
pub mod dir;
mod error;
pub mod fetcher;
pub mod http;
pub mod load;
mod location;
mod mirrors;

#[cfg(test)]
mod hostile;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod testserver;

use std::ops::Range;

pub use error::{Fault, ProxyFault, Stage, StoreError, Unreachable};
pub use fetcher::{
    Asked, FetchError, FetchOptions, Fetcher, Journal, PREFETCHES, Patience, Prefetched, Reason,
    Stats,
};
pub use http::{BadProxy, Client, ClientError, ClientOptions, ClockHelp, Proxies, Proxy, look_up};
pub use load::{Begun, LoadError, LoadOptions, Loaded, Packs, load, load_channel, load_file};
pub use location::{BadLocation, Location};
pub use mirrors::Mirrors;

use std::sync::Arc;

use crate::image::Pack;

/// A place that holds packs.
pub trait Store: Send + Sync {
    /// What messages call it: a URL or a directory.
    fn name(&self) -> &str;

    /// Asks for `range` of `pack`; the bytes are then read from what this returns.
    ///
    /// # Errors
    /// [`StoreError`] when the store does not have them, or can't be asked.
    fn open(&self, pack: &Pack, range: Range<u64>) -> Result<Box<dyn Body + '_>, StoreError>;

    /// The same place, asked with less patience: for while another store may have it sooner. `None`
    /// where there is nothing to wait for.
    fn hasty(&self) -> Option<Arc<dyn Store>> {
        None
    }

    /// Ends what is under way: what `open` and reads wait for fails soon, and so does all that
    /// is asked later.
    fn shutdown(&self) {}

    /// All of `range` of `pack`, in memory.
    ///
    /// # Errors
    /// As [`open`](Store::open), and when the bytes end early.
    fn fetch(&self, pack: &Pack, range: Range<u64>) -> Result<Vec<u8>, StoreError> {
        let mut body = self.open(pack, range.clone())?;
        skip(&mut *body, range.start)?;
        body.read(range.end - range.start)
    }
}

/// The bytes of a pack on their way from a store.
pub trait Body: Send {
    /// What of the pack is still to come: at first the range asked for, or all of the pack
    /// where a server knows no ranges.
    fn remaining(&self) -> Range<u64>;

    /// Fills `buf` with the next bytes.
    ///
    /// # Errors
    /// [`StoreError`] when they end early, stall, or the connection breaks.
    fn read_exact(&mut self, buf: &mut [u8]) -> Result<(), StoreError>;

    /// The next `len` bytes.
    ///
    /// # Errors
    /// As [`read_exact`](Body::read_exact).
    fn read(&mut self, len: u64) -> Result<Vec<u8>, StoreError> {
        let mut bytes = vec![0; usize::try_from(len).unwrap_or(usize::MAX)];
        self.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}

/// Passes over what comes before `offset` of the pack.
fn skip(body: &mut dyn Body, offset: u64) -> Result<(), StoreError> {
    let mut scratch = vec![0; 1 << 16];
    loop {
        let left = offset.saturating_sub(body.remaining().start);
        let len = usize::try_from(left).unwrap_or(usize::MAX).min(scratch.len());
        match scratch.get_mut(..len) {
            Some(part) if !part.is_empty() => body.read_exact(part)?,
            _ => return Ok(()),
        }
    }
}

/// The store at `location`.
pub fn open(client: &Client, location: &Location) -> std::sync::Arc<dyn Store> {
    match location {
        Location::Url(url) => std::sync::Arc::new(http::Http::new(client.clone(), url.clone())),
        Location::Path(path) => std::sync::Arc::new(dir::Dir::new(path.clone())),
    }
}
