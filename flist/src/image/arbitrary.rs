//! Random images for property tests: every table filled, all kinds, with the packs that hold the
//! contents, so that what is read can be checked too.
#![allow(clippy::expect_used, reason = "only tests use this, though not only this crate's")]

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use super::validate::type_bits;
use super::{
    Device, Dirent, Extent, Image, Inode, Kind, MAX_FILE_SIZE, MAX_MAJOR, MAX_MINOR, Pack, Tables,
    Time, XattrSet,
};
use crate::chunk::Chunk;
use crate::id::{ChunkId, PackId};

/// An image and what its packs hold.
#[derive(Debug, Clone)]
pub struct Sample {
    /// The image.
    pub image: Image,
    /// The packs, in the order of the image's pack table.
    pub packs: Vec<Vec<u8>>,
    /// The content space.
    pub content: Vec<u8>,
}

/// Any valid image.
pub fn images() -> impl Strategy<Value = Image> {
    samples().prop_map(|sample| sample.image)
}

/// Any valid image, with its packs.
pub fn samples() -> impl Strategy<Value = Sample> {
    let meta = vec(("[a-zé\0]{1,6}", "\\PC{0,12}"), 0..4);
    let rest = (meta, any::<bool>(), any::<Index>());
    (attributes(), vec(node(), 0..40), vec(set(), 0..4), contents(), rest).prop_map(
        |(root, nodes, sets, contents, (meta, btimes, profiled))| {
            let Contents { chunks, packs, content } = contents;
            let mut tables = Tree::new(root, nodes).tables(content.len() as u64, sets.len());
            tables.xattr_sets = std::iter::once(XattrSet::new()).chain(sets).collect();
            tables.packs =
                packs.iter().map(|p| Pack { id: PackId::of(p), len: p.len() as u64 }).collect();
            tables.profiled = narrow(profiled.index(chunks.len() + 1));
            tables.chunks = chunks;
            tables.meta = meta;
            if btimes {
                let later =
                    |t: Time| Time { sec: t.sec.wrapping_add(1), nsec: 999_999_999 - t.nsec };
                tables.btimes = tables.inodes.iter().map(|i| later(i.mtime)).collect();
            }
            let image = Image::new(tables).expect("the generator makes valid images");
            Sample { image, packs, content }
        },
    )
}

/// What any inode has.
#[derive(Debug, Clone)]
struct Attributes {
    permissions: u32,
    uid: u32,
    gid: u32,
    mtime: Time,
    xattrs: Index,
}

fn attributes() -> impl Strategy<Value = Attributes> {
    let id = || prop_oneof![3 => Just(0), 1 => any::<u32>()];
    let sec = prop_oneof![3 => 1_700_000_000..1_700_000_100_i64, 1 => any::<i64>()];
    let nsec = prop_oneof![Just(0), 0..1_000_000_000_u32];
    let permissions = prop_oneof![Just(0o644), Just(0o755), 0..=0o7777_u32];
    (permissions, id(), id(), sec, nsec, any::<Index>()).prop_map(
        |(permissions, uid, gid, sec, nsec, xattrs)| {
            let mtime = Time { sec, nsec };
            Attributes { permissions, uid, gid, mtime, xattrs }
        },
    )
}

/// A name to be put into some directory.
#[derive(Debug, Clone)]
struct Node {
    parent: Index,
    name: Vec<u8>,
    what: What,
}

#[derive(Debug, Clone)]
enum What {
    Directory(Attributes),
    Other(Attributes, Other),
    /// Another name of a node that is no directory, if there is one.
    HardLink(Index),
}

#[derive(Debug, Clone)]
enum Other {
    File(Vec<Run>, u64),
    Symlink(Vec<u8>),
    Char(Device),
    Block(Device),
    Fifo,
    Socket,
}

/// An extent before the length of the content space is known.
#[derive(Debug, Clone)]
struct Run {
    hole: u64,
    start: Index,
    len: Index,
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    let byte = any::<u8>().prop_map(|b| if b == 0 || b == b'/' { b'_' } else { b });
    prop_oneof![
        4 => "[a-c]{1,3}".prop_map(String::into_bytes),
        1 => vec(byte.clone(), 1..6),
        1 => vec(byte, 255),
    ]
    .prop_filter("no name of a directory's own", |name| name != b"." && name != b"..")
}

fn node() -> impl Strategy<Value = Node> {
    let what = prop_oneof![
        3 => attributes().prop_map(What::Directory),
        6 => (attributes(), other()).prop_map(|(a, other)| What::Other(a, other)),
        1 => any::<Index>().prop_map(What::HardLink),
    ];
    (any::<Index>(), name(), what).prop_map(|(parent, name, what)| Node { parent, name, what })
}

fn other() -> impl Strategy<Value = Other> {
    let hole = || prop_oneof![4 => Just(0), 1 => 0..5000_u64, 1 => 0..MAX_FILE_SIZE / 64];
    let run = (hole(), any::<Index>(), any::<Index>());
    let runs = vec(run.prop_map(|(hole, start, len)| Run { hole, start, len }), 0..4);
    let device =
        || (0..=MAX_MAJOR, 0..=MAX_MINOR).prop_map(|(major, minor)| Device { major, minor });
    prop_oneof![
        8 => (runs, hole()).prop_map(|(runs, tail)| Other::File(runs, tail)),
        2 => vec(1..=255_u8, 1..40).prop_map(Other::Symlink),
        1 => device().prop_map(Other::Char),
        1 => device().prop_map(Other::Block),
        1 => Just(Other::Fifo),
        1 => Just(Other::Socket),
    ]
}

fn set() -> impl Strategy<Value = XattrSet> {
    let names = "(user|trusted|security)\\.[a-z]{0,9}".prop_map(String::into_bytes);
    proptest::collection::btree_map(names, vec(any::<u8>(), 0..50), 1..4)
        .prop_map(|map| map.into_iter().collect())
}

#[derive(Debug, Clone)]
struct Contents {
    chunks: Vec<Chunk>,
    packs: Vec<Vec<u8>>,
    content: Vec<u8>,
}

fn contents() -> impl Strategy<Value = Contents> {
    let bytes = prop_oneof![
        vec(any::<u8>(), 1..400),
        (any::<u8>(), 1..3000_usize).prop_map(|(byte, len)| vec![byte; len]),
    ];
    (1..4_usize, vec((bytes, any::<Index>(), vec(any::<u8>(), 0..9)), 0..8)).prop_map(
        |(packs, specs)| {
            // A pack holds a byte at least, and may hold what no chunk of this image refers to.
            let mut packs = vec![b"-".to_vec(); packs];
            let (mut chunks, mut content) = (Vec::new(), Vec::new());
            for (bytes, pack, gap) in specs {
                let pack = pack.index(packs.len());
                let frame = zstd::bulk::compress(&bytes, 3).expect("zstd has memory");
                let stored = if frame.len() < bytes.len() { &frame } else { &bytes };
                packs[pack].extend(gap);
                chunks.push(Chunk {
                    id: ChunkId::of(stored),
                    pack: narrow(pack),
                    stored_len: narrow(stored.len()),
                    len: narrow(bytes.len()),
                    offset: packs[pack].len() as u64,
                });
                packs[pack].extend(stored);
                content.extend(bytes);
            }
            Contents { chunks, packs, content }
        },
    )
}

fn narrow(value: usize) -> u32 {
    u32::try_from(value).expect("random images are small")
}

/// Nodes by number, directories by name; node 0 is the root.
struct Tree {
    nodes: Vec<(Attributes, Option<Other>)>,
    directories: BTreeMap<usize, BTreeMap<Vec<u8>, usize>>,
}

impl Tree {
    /// A name that is taken is left out, as is a hard link to nothing.
    fn new(root: Attributes, specs: Vec<Node>) -> Self {
        let directories = BTreeMap::from([(0, BTreeMap::new())]);
        let mut tree = Self { nodes: vec![(root, None)], directories };
        for spec in specs {
            let parents: Vec<usize> = tree.directories.keys().copied().collect();
            let parent = *spec.parent.get(&parents);
            let new = tree.nodes.len();
            let others = tree.nodes.iter().enumerate().filter(|(_, node)| node.1.is_some());
            let others: Vec<usize> = others.map(|(number, _)| number).collect();
            let Some(entries) = tree.directories.get_mut(&parent) else { continue };
            if entries.contains_key(&spec.name) {
                continue;
            }
            match spec.what {
                What::HardLink(_) if others.is_empty() => {}
                What::HardLink(to) => {
                    entries.insert(spec.name, *to.get(&others));
                }
                What::Directory(attributes) => {
                    entries.insert(spec.name, new);
                    tree.nodes.push((attributes, None));
                    tree.directories.insert(new, BTreeMap::new());
                }
                What::Other(attributes, other) => {
                    entries.insert(spec.name, new);
                    tree.nodes.push((attributes, Some(other)));
                }
            }
        }
        tree
    }

    /// Inodes in the order of a walk, directory by directory.
    fn tables(&self, content_len: u64, sets: usize) -> Tables {
        let mut tables = Tables::default();
        let mut numbers = BTreeMap::from([(0, 1)]);
        let mut queue = VecDeque::from([0]);
        while let Some(node) = queue.pop_front() {
            let (attributes, other) = &self.nodes[node];
            let kind = match other {
                Some(other) => other.kind(content_len, &mut tables),
                None => {
                    let first = narrow(tables.dirents.len());
                    for (name, child) in &self.directories[&node] {
                        let next = narrow(numbers.len() + 1);
                        let ino = *numbers.entry(*child).or_insert_with(|| {
                            queue.push_back(*child);
                            next
                        });
                        let name_start = narrow(tables.names.len());
                        let name_len = u8::try_from(name.len()).expect("names are short");
                        tables.dirents.push(Dirent { name_start, ino, name_len });
                        tables.names.extend(name);
                    }
                    Kind::Directory { first, count: narrow(tables.dirents.len()) - first }
                }
            };
            tables.inodes.push(Inode {
                mode: type_bits(&kind) | attributes.permissions,
                uid: attributes.uid,
                gid: attributes.gid,
                xattrs: narrow(attributes.xattrs.index(sets + 1)),
                mtime: attributes.mtime,
                kind,
            });
        }
        tables
    }
}

impl Other {
    fn kind(&self, content_len: u64, tables: &mut Tables) -> Kind {
        match self {
            Self::File(runs, tail) => {
                let first = narrow(tables.extents.len());
                let mut end = 0;
                for run in runs {
                    let Range { start, end: stop } = run.range(content_len);
                    if start < stop {
                        let len = stop - start;
                        let file_offset = end + run.hole;
                        tables.extents.push(Extent { file_offset, content_offset: start, len });
                        end = file_offset + len;
                    }
                }
                let count = narrow(tables.extents.len()) - first;
                Kind::File { size: end + tail, first, count }
            }
            Self::Symlink(target) => {
                let start = narrow(tables.targets.len());
                tables.targets.extend(target);
                Kind::Symlink { start, len: narrow(target.len()) }
            }
            Self::Char(device) => Kind::Char(*device),
            Self::Block(device) => Kind::Block(*device),
            Self::Fifo => Kind::Fifo,
            Self::Socket => Kind::Socket,
        }
    }
}

impl Run {
    /// A part of the content space; empty where that is.
    fn range(&self, content_len: u64) -> Range<u64> {
        let Ok(space @ 1..) = usize::try_from(content_len) else { return 0..0 };
        let start = self.start.index(space);
        let end = start + 1 + self.len.index(space - start);
        start as u64..end as u64
    }
}
