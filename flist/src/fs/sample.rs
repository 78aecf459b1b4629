//! Images for tests, and contents that hang or fail when told to.
#![allow(clippy::expect_used, reason = "only tests use this")]

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use super::{Contents, Done, Lost};
use crate::chunk::{Chunk, Stored};
use crate::id::{ChunkId, PackId};
use crate::image::{Dirent, Extent, Image, Inode, Kind, Pack, Tables, Time, XattrSet};

/// A tree to make an image of.
pub(crate) enum Node {
    /// A directory.
    Dir(BTreeMap<String, Node>),
    /// A file: its size, and what it holds where; the rest is holes.
    File(u64, Vec<(u64, Vec<u8>)>),
    /// The same, executable by all as its owner.
    Setuid(u64, Vec<(u64, Vec<u8>)>),
    /// A symbolic link.
    Link(&'static str),
    /// Something without contents, with its mode.
    Other(u32, Kind),
}

/// A directory of `nodes`.
pub(crate) fn dir<N: Into<String>>(nodes: impl IntoIterator<Item = (N, Node)>) -> Node {
    Node::Dir(nodes.into_iter().map(|(name, node)| (name.into(), node)).collect())
}

/// A file without holes.
pub(crate) fn file(bytes: impl Into<Vec<u8>>) -> Node {
    let bytes = bytes.into();
    let extents = if bytes.is_empty() { Vec::new() } else { vec![(0, bytes.clone())] };
    Node::File(bytes.len() as u64, extents)
}

/// Bytes that are like no others of another seed, and compress a little.
pub(crate) fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        b"0123456789abcdef"[usize::try_from(state % 16).expect("small")]
    };
    (0..len).map(|_| next()).collect()
}

/// The time everything in these images has: before 1970, and not a whole second.
pub(crate) const TIME: Time = Time { sec: -12_345, nsec: 678_901_234 };

/// The image of `root`, its contents cut into chunks of `chunk_len`, and the stored chunks.
pub(crate) fn image(root: &Node, chunk_len: usize) -> (Image, Vec<Arc<Stored>>) {
    let mut tables = Tables::default();
    let acl = [2_u32, 0x6_0001, u32::MAX, 0x4_0004, u32::MAX, 0x4_0020, u32::MAX];
    let acl: Vec<u8> = acl.iter().flat_map(|n| n.to_le_bytes()).collect();
    let set: XattrSet = vec![
        (b"system.posix_acl_access".to_vec(), acl),
        (b"trusted.secret".to_vec(), b"s".to_vec()),
        (b"user.empty".to_vec(), Vec::new()),
        (b"user.zimg".to_vec(), b"a value\0\xff".to_vec()),
    ];
    tables.xattr_sets = vec![XattrSet::new(), set];
    let mut content = Vec::new();
    let mut queue = VecDeque::from([root]);
    let mut met = 1;
    while let Some(node) = queue.pop_front() {
        let (mode, kind) = match node {
            Node::Dir(nodes) => {
                let first = narrow(tables.dirents.len());
                for (name, child) in nodes {
                    met += 1;
                    queue.push_back(child);
                    let name_start = narrow(tables.names.len());
                    let name_len = u8::try_from(name.len()).expect("a short name");
                    tables.dirents.push(Dirent { name_start, ino: met, name_len });
                    tables.names.extend(name.as_bytes());
                }
                (0o40755, Kind::Directory { first, count: narrow(nodes.len()) })
            }
            Node::File(size, data) | Node::Setuid(size, data) => {
                let first = narrow(tables.extents.len());
                for (file_offset, bytes) in data {
                    tables.extents.push(Extent {
                        file_offset: *file_offset,
                        content_offset: content.len() as u64,
                        len: bytes.len() as u64,
                    });
                    content.extend_from_slice(bytes);
                }
                let mode = if matches!(node, Node::File(..)) { 0o100_644 } else { 0o104_755 };
                (mode, Kind::File { size: *size, first, count: narrow(data.len()) })
            }
            Node::Link(target) => {
                let start = narrow(tables.targets.len());
                tables.targets.extend(target.as_bytes());
                (0o120_777, Kind::Symlink { start, len: narrow(target.len()) })
            }
            Node::Other(mode, kind) => (*mode, kind.clone()),
        };
        // Every file of a certain size has xattrs.
        let xattrs = u32::from(matches!(kind, Kind::File { size: 11, .. }));
        tables.inodes.push(Inode { mode, uid: 70_000, gid: 80_000, xattrs, mtime: TIME, kind });
    }
    let mut pack = Vec::new();
    let mut all = Vec::new();
    for plain in content.chunks(chunk_len) {
        let frame = zstd::bulk::compress(plain, 1).expect("zstd has memory");
        let stored = if frame.len() < plain.len() { frame } else { plain.to_vec() };
        let chunk = Chunk {
            id: ChunkId::of(&stored),
            pack: 0,
            stored_len: narrow(stored.len()),
            len: narrow(plain.len()),
            offset: pack.len() as u64,
        };
        pack.extend_from_slice(&stored);
        all.push(Arc::new(chunk.verify(stored).expect("the chunk just made")));
        tables.chunks.push(chunk);
    }
    if !pack.is_empty() {
        tables.packs.push(Pack { id: PackId::of(&pack), len: pack.len() as u64 });
    }
    (Image::new(tables).expect("a valid image"), all)
}

fn narrow(value: usize) -> u32 {
    u32::try_from(value).expect("small")
}

/// What becomes of a request for a chunk.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is in memory.
    Held,
    /// It comes, on another thread.
    Comes,
    /// It can't be had.
    Fails,
    /// It doesn't come until [`Fake::release`].
    Hangs,
}

/// Contents that do what they are told.
pub(crate) struct Fake {
    stored: Vec<Arc<Stored>>,
    fate: Box<dyn Fn(u32) -> Fate + Send + Sync>,
    hanging: Mutex<Vec<(Vec<u32>, Done)>>,
    asked: AtomicUsize,
}

impl Fake {
    /// Contents with a fate for each chunk.
    pub(crate) fn new(
        stored: Vec<Arc<Stored>>,
        fate: impl Fn(u32) -> Fate + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            stored,
            fate: Box::new(fate),
            hanging: Mutex::default(),
            asked: AtomicUsize::new(0),
        })
    }

    /// How often a chunk was asked for, in memory or not.
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Relaxed)
    }

    /// How many requests hang.
    pub(crate) fn hanging(&self) -> usize {
        self.hanging.lock().expect("no test panics in it").len()
    }

    /// Lets what hangs go on.
    pub(crate) fn release(&self) {
        let hanging = std::mem::take(&mut *self.hanging.lock().expect("no test panics in it"));
        for (chunks, done) in hanging {
            done(Ok(self.get(&chunks)));
        }
    }

    fn get(&self, chunks: &[u32]) -> Vec<Arc<Stored>> {
        chunks.iter().map(|&c| Arc::clone(&self.stored[c as usize])).collect()
    }
}

impl Contents for Fake {
    fn held(&self, chunk: u32) -> Option<Arc<Stored>> {
        self.asked.fetch_add(1, Relaxed);
        ((self.fate)(chunk) == Fate::Held).then(|| Arc::clone(&self.stored[chunk as usize]))
    }

    fn request(&self, chunks: &[u32], done: Done) {
        let has = |fate| chunks.iter().any(|&c| (self.fate)(c) == fate);
        if has(Fate::Fails) {
            done(Err(Lost::new("the store is gone")));
        } else if has(Fate::Hangs) {
            self.hanging.lock().expect("no test panics in it").push((chunks.to_vec(), done));
        } else {
            let fetched = self.get(chunks);
            std::thread::spawn(move || done(Ok(fetched)));
        }
    }
}
