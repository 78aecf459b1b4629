//! Each rule, broken alone in tables that are sound but for that.

use super::*;
use crate::chunk::Chunk;
use crate::id::{ChunkId, PackId};
use crate::image::{Device, Extent, Pack};

fn inode(mode: u32, kind: Kind) -> Inode {
    Inode { mode, uid: 0, gid: 0, xattrs: 0, mtime: Time::default(), kind }
}

fn directory(first: u32, count: u32) -> Inode {
    inode(0o040_755, Kind::Directory { first, count })
}

/// `/d/x` a fifo, `/f` and `/h` one file of two extents, `/l` a link, `/n` a device.
fn sound() -> Tables {
    let dirent = |name_start, ino| Dirent { name_start, ino, name_len: 1 };
    let extent = |file_offset, content_offset, len| Extent { file_offset, content_offset, len };
    let chunk =
        |offset, len| Chunk { id: ChunkId::of(b"c"), pack: 0, stored_len: len - 1, len, offset };
    Tables {
        inodes: vec![
            directory(0, 5),
            directory(5, 1),
            inode(0o100_644, Kind::File { size: 100, first: 0, count: 2 }),
            inode(0o120_777, Kind::Symlink { start: 0, len: 2 }),
            inode(0o020_600, Kind::Char(Device { major: 1, minor: 3 })),
            inode(0o010_644, Kind::Fifo),
        ],
        dirents: vec![
            dirent(0, 2),
            dirent(1, 3),
            dirent(2, 3),
            dirent(3, 4),
            dirent(4, 5),
            dirent(5, 6),
        ],
        names: b"dfhlnx".to_vec(),
        extents: vec![extent(0, 40, 10), extent(20, 0, 30)],
        targets: b"ab".to_vec(),
        xattr_sets: vec![vec![], vec![(b"user.a".to_vec(), b"1".to_vec())]],
        chunks: vec![chunk(0, 30), chunk(40, 20)],
        profiled: 1,
        packs: vec![Pack { id: PackId::of(b"p"), len: 60 }],
        btimes: vec![Time { sec: -1, nsec: 999_999_999 }; 6],
        meta: vec![("title".to_owned(), String::new())],
    }
}

#[test]
fn sound_tables_are_taken() {
    let image = Image::new(sound()).unwrap();
    let nlinks = (1..=6).map(|ino| image.nlink(ino)).collect::<Vec<_>>();
    assert_eq!(nlinks, [3, 2, 2, 1, 1, 1]);
    assert_eq!((image.parent(1), image.parent(2), image.parent(3)), (Some(1), Some(1), None));
    assert_eq!(image.resolve(b"/d/x"), Some(6));
    assert_eq!(image.content_len(), 50);
}

/// What breaks the rule, and how that is said.
type Case = (fn(&mut Tables), &'static str);

fn file(t: &mut Tables) -> (&mut u64, &mut u32, &mut u32) {
    match &mut t.inodes[2].kind {
        Kind::File { size, first, count } => (size, first, count),
        kind => panic!("{kind:?} is no file"),
    }
}

fn link(t: &mut Tables, new_start: u32, new_len: u32) {
    t.inodes[3].kind = Kind::Symlink { start: new_start, len: new_len };
}

fn xattr(t: &mut Tables, name: &[u8], value_len: usize) {
    t.xattr_sets[1] = vec![(name.to_vec(), vec![0; value_len])];
}

/// Directory in directory, the deepest at `depth`.
fn nest(t: &mut Tables, depth: u32) {
    *t = Tables { xattr_sets: vec![vec![]], ..Tables::default() };
    for level in 0..depth {
        t.inodes.push(directory(level, 1));
        t.dirents.push(Dirent { name_start: level, ino: level + 2, name_len: 1 });
        t.names.push(b'd');
    }
    t.inodes.push(directory(depth, 0));
}

#[rustfmt::skip]
const SIZES: &[Case] = &[
    (|t| t.dirents.resize(MAX_INODES + 1, t.dirents[0]), "dirents: too many rows"),
    (|t| t.names = vec![0; MAX_NAMES_LEN + 1], "names: too many rows"),
    (|t| t.targets = vec![0; MAX_TARGETS_LEN + 1], "targets: too many rows"),
    (|t| t.xattr_sets.resize(MAX_XATTR_SETS + 1, vec![]), "xattr sets: too many rows"),
    (|t| t.chunks.resize(MAX_CHUNKS + 1, t.chunks[0]), "chunks: too many rows"),
    (|t| t.packs.resize(MAX_PACKS + 1, t.packs[0]), "packs: too many rows"),
    (|t| t.meta.resize(MAX_META + 1, t.meta[0].clone()), "metadata: too many rows"),
    (|t| t.btimes.truncate(5), "creation times: there is one for each inode, or none"),
    (|t| t.btimes.push(Time::default()), "creation times: there is one for each inode, or none"),
    (|t| t.btimes[4].nsec = 1_000_000_000, "creation time 4: nanoseconds are below 1,000,000,000"),
];

#[rustfmt::skip]
const CONTENTS: &[Case] = &[
    (|t| t.packs[0].len = 0, "pack 0: its length is out of bounds"),
    (|t| t.packs[0].len = MAX_PACK_LEN + 1, "pack 0: its length is out of bounds"),
    (|t| t.chunks[1].len = 0, "chunk 1: its length is out of bounds"),
    (|t| t.chunks[1].len = MAX_CHUNK_LEN + 1, "chunk 1: its length is out of bounds"),
    (|t| t.chunks[1].stored_len = 0, "chunk 1: its stored length is out of bounds"),
    (|t| t.chunks[1].stored_len = 21, "chunk 1: its stored length is out of bounds"),
    (|t| t.chunks[1].pack = 1, "chunk 1: there is no such pack"),
    (|t| t.chunks[1].offset = 42, "chunk 1: it reaches beyond its pack"),
    (|t| t.chunks[1].offset = u64::MAX, "chunk 1: it reaches beyond its pack"),
    (|t| t.profiled = 3, "profile: it has no more chunks than there are"),
    (|t| t.xattr_sets.clear(), "xattr sets: the first is the empty one"),
    (|t| t.xattr_sets.swap(0, 1), "xattr sets: the first is the empty one"),
    (|t| t.xattr_sets.push(vec![]), "xattr set 2: only the first is empty"),
    (|t| t.xattr_sets[1] = vec![(b"a".to_vec(), vec![]); MAX_XATTRS + 1], "xattr set 1: it has too many attributes"),
    (|t| { let one = t.xattr_sets[1][0].clone(); t.xattr_sets[1].push(one) }, "xattr set 1: names ascend"),
    (|t| xattr(t, b"", 0), "xattr set 1: the length of a name is out of bounds"),
    (|t| xattr(t, &[b'a'; 256], 0), "xattr set 1: the length of a name is out of bounds"),
    (|t| xattr(t, b"a\0", 0), "xattr set 1: a name holds no zero byte"),
    (|t| xattr(t, b"a", MAX_XATTR_VALUE_LEN + 1), "xattr set 1: a value is too long"),
    (|t| t.xattr_sets[1] = (0..257).map(|n| (format!("{n:0255}").into_bytes(), vec![])).collect(), "xattr set 1: its names together are too long"),
    (|t| t.xattr_sets = std::iter::once(vec![]).chain((0..4097).map(|_| vec![(b"a".to_vec(), vec![0; 1 << 16])])).collect(), "xattr sets: together they are too long"),
    (|t| t.meta[0].0.clear(), "metadata 0: a key is not empty"),
    (|t| t.meta[0].0 = "k".repeat(MAX_META_LEN + 1), "metadata 0: key or value is too long"),
    (|t| t.meta[0].1 = "v".repeat(MAX_META_LEN + 1), "metadata 0: key or value is too long"),
];

#[rustfmt::skip]
const INODES: &[Case] = &[
    (|t| *t = Tables { xattr_sets: vec![vec![]], ..Tables::default() }, "inodes: the first is the root, a directory"),
    (|t| t.inodes[0] = t.inodes[5].clone(), "inodes: the first is the root, a directory"),
    (|t| t.inodes[2].mode = 0o120_644, "inode 3: mode has its type"),
    (|t| t.inodes[2].mode |= 0o200_000, "inode 3: mode has its type"),
    (|t| t.inodes[2].xattrs = 2, "inode 3: there is no such xattr set"),
    (|t| t.inodes[2].mtime.nsec = 1_000_000_000, "inode 3: nanoseconds are below 1,000,000,000"),
    (|t| t.inodes[1].kind = Kind::Directory { first: 4, count: 1 }, "inode 2: its entries follow the last directory's"),
    (|t| t.inodes[1].kind = Kind::Directory { first: 6, count: 0 }, "inode 2: its entries follow the last directory's"),
    (|t| *file(t).0 = MAX_FILE_SIZE + 1, "inode 3: the file is too long"),
    (|t| *file(t).1 = 1, "inode 3: its extents follow the last file's"),
    (|t| link(t, 1, 1), "inode 4: its target follows the last link's"),
    (|t| link(t, 0, 0), "inode 4: its target's length is out of bounds"),
    (|t| { t.targets.resize(4096, b'a'); link(t, 0, 4096) }, "inode 4: its target's length is out of bounds"),
    (|t| link(t, 0, 3), "inode 4: its target has no zero byte"),
    (|t| t.targets[1] = 0, "inode 4: its target has no zero byte"),
    (|t| t.inodes[4].kind = Kind::Char(Device { major: MAX_MAJOR + 1, minor: 0 }), "inode 5: its device number is out of bounds"),
    (|t| t.inodes[4] = inode(0o060_000, Kind::Block(Device { major: 0, minor: MAX_MINOR + 1 })), "inode 5: its device number is out of bounds"),
    (|t| t.dirents.push(t.dirents[5]), "dirents: each is in a directory"),
    (|t| t.inodes[1].kind = Kind::Directory { first: 5, count: 2 }, "dirents: each is in a directory"),
    (|t| t.extents.push(t.extents[1]), "extents: each is in a file"),
    (|t| *file(t).2 = u32::MAX, "extents: each is in a file"),
    (|t| t.targets.push(b'c'), "targets: each byte is in a link's target"),
];

#[rustfmt::skip]
const NAMES: &[Case] = &[
    (|t| t.dirents[3].name_start = 2, "dirent 3: its name follows the last one"),
    (|t| t.dirents[3].name_start = u32::MAX, "dirent 3: its name follows the last one"),
    (|t| t.dirents[5].name_len = 2, "dirent 5: its name reaches beyond the names"),
    (|t| { t.dirents[5].name_len = 0; t.names.pop(); }, "dirent 5: its name is no name"),
    (|t| t.names[5] = b'.', "dirent 5: its name is no name"),
    (|t| { t.dirents[5].name_len = 2; t.names.splice(5.., *b".."); }, "dirent 5: its name is no name"),
    (|t| t.names[5] = b'/', "dirent 5: its name holds a zero byte or a /"),
    (|t| t.names[5] = 0, "dirent 5: its name holds a zero byte or a /"),
    (|t| t.names.push(b'y'), "names: each byte is in a name"),
    (|t| t.extents[0].len = 0, "extent 0: it is not empty"),
    (|t| t.extents[1].file_offset = 9, "extent 1: it begins behind the one before"),
    (|t| t.extents[1].file_offset = 71, "extent 1: it lies within the file"),
    (|t| t.extents[1].file_offset = u64::MAX, "extent 1: it lies within the file"),
    (|t| t.extents[1].content_offset = 21, "extent 1: it lies within the content space"),
    (|t| t.extents[1].content_offset = u64::MAX, "extent 1: it lies within the content space"),
];

#[rustfmt::skip]
const TREE: &[Case] = &[
    (|t| *t = Tables { inodes: vec![directory(0, 0), directory(0, 0)], xattr_sets: vec![vec![]], ..Tables::default() }, "inode 2: no directory before it names it"),
    // Two directories out of reach that hold each other.
    (|t| *t = Tables {
        inodes: vec![directory(0, 0), directory(0, 1), directory(1, 1)],
        dirents: vec![Dirent { name_start: 0, ino: 3, name_len: 1 }, Dirent { name_start: 1, ino: 2, name_len: 1 }],
        names: b"ab".to_vec(),
        xattr_sets: vec![vec![]],
        ..Tables::default()
    }, "inode 2: no directory before it names it"),
    (|t| t.names[2] = b'f', "dirent 2: names ascend in a directory, none twice"),
    (|t| t.names[2] = b'e', "dirent 2: names ascend in a directory, none twice"),
    (|t| t.dirents[4].ino = 7, "dirent 4: there is no such inode"),
    (|t| t.dirents[4].ino = 0, "dirent 4: there is no such inode"),
    (|t| t.dirents[4].ino = 6, "dirent 4: inodes are numbered in the order of the walk"),
    (|t| t.dirents[5].ino = 2, "dirent 5: a directory has one name only"),
    (|t| t.dirents[5].ino = 1, "dirent 5: a directory has one name only"),
    (|t| nest(t, MAX_DEPTH + 1), "dirent 4096: the directory is too deep"),
    (|t| t.dirents[5].ino = 3, "inodes: each has a name"),
];

#[test]
fn each_rule_is_kept() {
    for (number, (change, want)) in cases().enumerate() {
        let mut tables = sound();
        change(&mut tables);
        let error = Image::new(tables).expect_err(want).to_string();
        assert_eq!(error, *want, "case {number}");
    }
}

fn cases() -> impl Iterator<Item = &'static Case> {
    [SIZES, CONTENTS, INODES, NAMES, TREE].into_iter().flatten()
}

/// The cases above leave out no rule that the source spells.
#[test]
fn each_rule_has_a_case() {
    let source = include_str!("../validate.rs");
    let code: Vec<&str> = source.lines().filter(|l| !l.trim_start().starts_with("//")).collect();
    let code = code.join("\n");
    let strings = code.split('"').skip(1).step_by(2);
    let rules: Vec<&str> = strings.filter(|s| s.contains(' ') && !s.contains('{')).collect();
    assert!(rules.len() > 40, "{rules:?}");
    for rule in rules.iter().filter(|rule| {
        !["creation times", "creation time", "xattr set", "xattr sets"].contains(rule)
    }) {
        assert!(cases().any(|(_, want)| want.ends_with(rule)), "no case for: {rule}");
    }
}

#[test]
fn bounds_themselves_are_within() {
    let mut tables = sound();
    nest(&mut tables, MAX_DEPTH);
    assert!(Image::new(tables).is_ok());
    let good: &[fn(&mut Tables)] = &[
        |t| *file(t).0 = MAX_FILE_SIZE,
        |t| *file(t).0 = 50,
        |t| t.packs[0].len = MAX_PACK_LEN,
        |t| t.chunks[1].offset = 41,
        |t| xattr(t, &[b'a'; 255], MAX_XATTR_VALUE_LEN),
        |t| t.inodes[4].kind = Kind::Char(Device { major: MAX_MAJOR, minor: MAX_MINOR }),
        |t| t.btimes.clear(),
        |t| t.meta.clear(),
        |t| t.extents[1].content_offset = 20,
        |t| t.inodes[2].mode = 0o107_777,
    ];
    for (number, change) in good.iter().enumerate() {
        let mut tables = sound();
        change(&mut tables);
        assert!(Image::new(tables).is_ok(), "case {number}");
    }
}
