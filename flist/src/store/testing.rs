//! For the tests of this module: images without files, and a store whose faults are scripted.

use std::collections::{HashMap, HashSet, VecDeque};
use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use super::{Body, Fault, FetchOptions, Patience, Store, StoreError, Unreachable};
use crate::chunk::{Chunk, Stored};
use crate::id::{ChunkId, PackId};
use crate::image::{Image, Inode, Kind, Pack, Tables, Time};

/// An image that is nothing but chunks, and its packs.
pub(super) struct Fixture {
    pub(super) image: Arc<Image>,
    pub(super) packs: HashMap<PackId, Vec<u8>>,
    /// The contents of each chunk.
    pub(super) plain: Vec<Vec<u8>>,
}

impl Fixture {
    /// `packs` packs of `each` chunks of about `len` bytes, every third one stored raw.
    pub(super) fn new(packs: u32, each: u32, len: usize) -> Self {
        let plain = (0..packs * each).map(|n| contents(n, len + n as usize % 7)).collect();
        Self::of(plain, each as usize)
    }

    /// An image of these contents, so many chunks a pack.
    pub(super) fn of(plain: Vec<Vec<u8>>, each: usize) -> Self {
        Self::by_profile(plain, each, 0)
    }

    /// The same with a profile of so many chunks.
    pub(super) fn by_profile(plain: Vec<Vec<u8>>, each: usize, profiled: u32) -> Self {
        let root = Inode {
            mode: 0o040_755,
            uid: 0,
            gid: 0,
            xattrs: 0,
            mtime: Time::default(),
            kind: Kind::Directory { first: 0, count: 0 },
        };
        let mut tables = Tables {
            inodes: vec![root],
            xattr_sets: vec![Vec::new()],
            profiled,
            ..Tables::default()
        };
        let mut packs = HashMap::new();
        for (pack, group) in plain.chunks(each).enumerate() {
            let mut bytes = Vec::new();
            for plain in group {
                let frame = zstd::bulk::compress(plain, 1).unwrap();
                let stored = if frame.len() < plain.len() { &frame } else { plain };
                tables.chunks.push(Chunk {
                    id: ChunkId::of(stored),
                    pack: u32::try_from(pack).unwrap(),
                    stored_len: u32::try_from(stored.len()).unwrap(),
                    len: u32::try_from(plain.len()).unwrap(),
                    offset: bytes.len() as u64,
                });
                bytes.extend_from_slice(stored);
            }
            let id = PackId::of(&bytes);
            tables.packs.push(Pack { id, len: bytes.len() as u64 });
            packs.insert(id, bytes);
        }
        let image = Arc::new(Image::new(tables).unwrap());
        Self { image, packs, plain }
    }

    /// Whether these are chunks `numbers`, by their contents.
    pub(super) fn check(&self, numbers: &[u32], stored: &[Arc<Stored>]) {
        assert_eq!(numbers.len(), stored.len());
        let mut decompressor = crate::chunk::Decompressor::new().unwrap();
        let mut out = Vec::new();
        for (number, stored) in numbers.iter().zip(stored) {
            decompressor.plain_into(stored, &mut out).unwrap();
            assert!(out == self.plain[*number as usize], "chunk {number}");
        }
    }

    pub(super) fn store(&self, name: &str) -> Arc<Scripted> {
        keep_log();
        Arc::new(Scripted::new(name, self.packs.clone()))
    }
}

/// Bytes that differ from chunk to chunk; every third chunk's do not compress.
pub(super) fn contents(number: u32, len: usize) -> Vec<u8> {
    let mut hash = blake3::Hasher::new();
    hash.update(&number.to_le_bytes());
    let mut bytes = vec![0; len];
    hash.finalize_xof().fill(&mut bytes);
    if !number.is_multiple_of(3) {
        bytes.iter_mut().for_each(|b| *b &= 3);
    }
    bytes
}

/// What a scripted store does when asked.
#[derive(Debug, Clone)]
pub(super) enum Act {
    /// Answers as it should.
    Serve,
    /// Can't be asked.
    Refuse,
    /// Says that the pack is not there.
    Missing,
    /// Breaks off after so many bytes.
    Break(usize),
    /// Serves what was asked for with every so many bytes one changed.
    Corrupt(usize),
    /// Serves the pack as if the byte at this offset of it had one bit changed.
    Flip(usize),
    /// Sends the whole pack.
    Whole,
}

/// A store in memory that follows a script, then serves.
pub(super) struct Scripted {
    name: String,
    packs: HashMap<PackId, Vec<u8>>,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    script: VecDeque<Act>,
    always: Act,
    /// Packs it does not have.
    lacks: HashSet<PackId>,
    /// The ranges asked for, as they came.
    asked: Vec<(PackId, Range<u64>)>,
    closed_gate: bool,
}

impl Scripted {
    fn new(name: &str, packs: HashMap<PackId, Vec<u8>>) -> Self {
        let state = State {
            script: VecDeque::new(),
            always: Act::Serve,
            lacks: HashSet::new(),
            asked: Vec::new(),
            closed_gate: false,
        };
        Self { name: name.into(), packs, state: Mutex::new(state), changed: Condvar::new() }
    }

    /// What it does the next times, one after the other.
    pub(super) fn script(&self, acts: impl IntoIterator<Item = Act>) {
        self.state.lock().unwrap().script.extend(acts);
    }

    /// What it does once the script is at its end.
    pub(super) fn always(&self, act: Act) {
        self.state.lock().unwrap().always = act;
    }

    /// Takes a pack away, or gives it back.
    pub(super) fn lack(&self, pack: PackId, lacks: bool) {
        let mut state = self.state.lock().unwrap();
        if lacks {
            state.lacks.insert(pack)
        } else {
            state.lacks.remove(&pack)
        };
    }

    /// Lets requests wait, or go on.
    pub(super) fn hold(&self, hold: bool) {
        self.state.lock().unwrap().closed_gate = hold;
        self.changed.notify_all();
    }

    pub(super) fn asked(&self) -> Vec<(PackId, Range<u64>)> {
        self.state.lock().unwrap().asked.clone()
    }

    /// Waits until it has been asked so often.
    pub(super) fn wait_asked(&self, times: usize) {
        let state = self.state.lock().unwrap();
        let wait = Duration::from_secs(20);
        let few = |s: &mut State| s.asked.len() < times;
        let (state, timeout) = self.changed.wait_timeout_while(state, wait, few).unwrap();
        assert!(!timeout.timed_out(), "asked {} times, not {times}", state.asked.len());
    }
}

impl Store for Scripted {
    fn name(&self) -> &str {
        &self.name
    }

    fn shutdown(&self) {
        self.hold(false);
    }

    fn open(&self, pack: &Pack, range: Range<u64>) -> Result<Box<dyn Body + '_>, StoreError> {
        let act = {
            let mut state = self.state.lock().unwrap();
            state.asked.push((pack.id, range.clone()));
            self.changed.notify_all();
            let mut state = self.changed.wait_while(state, |s| s.closed_gate).unwrap();
            if state.lacks.contains(&pack.id) {
                Act::Missing
            } else {
                state.script.pop_front().unwrap_or_else(|| state.always.clone())
            }
        };
        let place = self.name.clone();
        let bytes = &self.packs[&pack.id];
        let cut = |r: Range<u64>| {
            bytes[usize::try_from(r.start).unwrap()..usize::try_from(r.end).unwrap()].to_vec()
        };
        let part = cut(range.clone());
        let body = |bytes, remaining| {
            let place = self.name.clone();
            Ok(Box::new(Part { place, bytes, remaining }) as Box<dyn Body>)
        };
        match act {
            Act::Serve => body(part, range),
            Act::Refuse => Err(StoreError::Unreachable {
                place,
                addresses: Vec::new(),
                cause: Unreachable::Refused,
            }),
            Act::Missing => Err(StoreError::Missing { place, status: Some(404) }),
            Act::Break(after) => body(part[..after.min(part.len())].to_vec(), range),
            Act::Corrupt(every) => {
                let mut part = part;
                part.iter_mut().step_by(every).for_each(|b| *b ^= 0x10);
                body(part, range)
            }
            Act::Flip(at) => {
                let mut part = part;
                let within = at.checked_sub(usize::try_from(range.start).unwrap());
                if let Some(byte) = within.and_then(|at| part.get_mut(at)) {
                    *byte ^= 1 << (at % 8);
                }
                body(part, range)
            }
            Act::Whole => body(bytes.clone(), 0..pack.len),
        }
    }
}

struct Part {
    place: String,
    bytes: Vec<u8>,
    remaining: Range<u64>,
}

impl Body for Part {
    fn remaining(&self) -> Range<u64> {
        self.remaining.clone()
    }

    fn read_exact(&mut self, buf: &mut [u8]) -> Result<(), StoreError> {
        if buf.len() > self.bytes.len() {
            let fault = Fault::Short { got: 0, want: 0 };
            return Err(StoreError::Protocol { place: self.place.clone(), fault });
        }
        buf.copy_from_slice(&self.bytes[..buf.len()]);
        self.bytes.drain(..buf.len());
        self.remaining.start += buf.len() as u64;
        Ok(())
    }
}

/// Options for tests: next to no waits, nothing ahead.
pub(super) fn options() -> FetchOptions {
    FetchOptions {
        connections: 4,
        lookahead: 0,
        along: 0,
        patience: Patience::Forever,
        first_wait: Duration::from_micros(1),
        longest_wait: Duration::from_micros(100),
        ..FetchOptions::default()
    }
}

/// What was logged about the store called `name`.
pub(super) fn logged(name: &str) -> Vec<String> {
    let lines = LINES.lock().unwrap();
    lines.iter().filter(|line| line.contains(name)).cloned().collect()
}

static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Lines;

impl log::Log for Lines {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.level() <= log::Level::Warn
    }

    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            LINES.lock().unwrap().push(record.args().to_string());
        }
    }

    fn flush(&self) {}
}

/// Keeps what is logged from now on, for [`logged`].
fn keep_log() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        log::set_logger(&Lines).unwrap();
        log::set_max_level(log::LevelFilter::Warn);
    });
}
