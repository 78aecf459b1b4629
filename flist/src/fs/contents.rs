//! What the file system asks of whatever fetches chunks.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use crate::chunk::Stored;
use crate::store::Fetcher;

/// Why contents can't be had, in the words of what fetches them.
#[derive(Clone)]
pub struct Lost(Arc<dyn Error + Send + Sync>);

impl Lost {
    /// Wraps the reason.
    pub fn new(why: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(why.into().into())
    }

    /// The reason itself.
    pub fn reason(&self) -> &(dyn Error + 'static) {
        &*self.0
    }
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Called once, on any thread, with the chunks asked for, in the order asked.
pub type Done = Box<dyn FnOnce(Result<Vec<Arc<Stored>>, Lost>) + Send>;

/// Where the chunks of one image come from.
pub trait Contents: Send + Sync {
    /// The chunk, if it is in memory. Never waits.
    fn held(&self, chunk: u32) -> Option<Arc<Stored>>;

    /// Fetches chunks and calls `done` once all are there or can't be had. Never waits.
    fn request(&self, chunks: &[u32], done: Done);
}

impl Contents for Fetcher {
    fn held(&self, chunk: u32) -> Option<Arc<Stored>> {
        Fetcher::held(self, chunk)
    }

    fn request(&self, chunks: &[u32], done: Done) {
        Fetcher::request(self, chunks, Box::new(|result| done(result.map_err(Lost::new))));
    }
}
