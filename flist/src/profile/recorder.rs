//! Notes what is read of a mounted image.

use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::once::Once;
use super::{MAX_NEEDS, Need, Profile};
use crate::image::{Image, Ino};

/// Takes down the ranges of files that are read, in the order in which each is first read.
#[derive(Debug)]
pub struct Recorder(Mutex<State>);

#[derive(Debug)]
struct State {
    /// `None` once the recording has ended.
    read: Option<Once<Ino>>,
    /// When something was last read that had not been read before.
    last: Instant,
}

impl Default for Recorder {
    fn default() -> Self {
        Self(Mutex::new(State { read: Some(Once::new(MAX_NEEDS)), last: Instant::now() }))
    }
}

impl Recorder {
    /// `range` of the file `ino` is read; it lies within the file.
    pub fn note(&self, ino: Ino, range: Range<u64>) {
        let mut state = self.lock();
        if state.read.as_mut().is_some_and(|read| read.add(&ino, range)) {
            state.last = Instant::now();
        }
    }

    /// For how long nothing has been read that was not read before.
    pub fn quiet(&self) -> Duration {
        self.lock().last.elapsed()
    }

    /// Ends the recording: what was read of `image` until now. A second time it is nothing.
    pub fn end(&self, image: &Image) -> Profile {
        let read = self.lock().read.take();
        let ranges = read.map(Once::into_ranges).unwrap_or_default();
        let inos: Vec<Ino> = ranges.iter().map(|(ino, _)| *ino).collect();
        let needs = image.paths(&inos).into_iter().zip(ranges);
        Profile::new(needs.filter_map(|(path, (_, range))| Some(Need { path: path?, range })))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
