//! What an flist says at its beginning of what is needed soon.

use super::header::{COMPRESSED, Part, assemble};
use super::*;
use crate::chunk::Chunk;
use crate::id::{ChunkId, PackId};
use crate::image::{Inode, Kind, Pack, Tables, Time};

/// An image of chunks: the pack, the offset there, and the stored length of each.
fn image(profiled: u32, chunks: &[(u32, u64, u32)]) -> Image {
    let root = Kind::Directory { first: 0, count: 0 };
    let (mtime, mode) = (Time::default(), 0o040_755);
    let root = Inode { mode, uid: 0, gid: 0, xattrs: 0, mtime, kind: root };
    let chunk = |&(pack, offset, stored_len): &(u32, u64, u32)| Chunk {
        id: ChunkId::of(&(u64::from(pack) << 40 | offset).to_le_bytes()),
        pack,
        stored_len,
        len: stored_len,
        offset,
    };
    let pack = |n: u8| Pack { id: PackId::of(&[n]), len: 4 << 20 };
    Image::new(Tables {
        inodes: vec![root],
        xattr_sets: vec![Vec::new()],
        chunks: chunks.iter().map(chunk).collect(),
        profiled,
        packs: vec![pack(0), pack(1)],
        ..Tables::default()
    })
    .unwrap()
}

const KIB: u32 = 1 << 10;

#[test]
fn it_is_as_much_of_the_profile_as_one_request_gets() {
    let kib = |n: u64| n << 10;
    let chunks = [
        (1, kib(8), 200 * KIB),
        (1, kib(208), 200 * KIB),
        (1, kib(408), 112 * KIB),
        (1, kib(520), 1),
    ];
    let of = |profiled, chunks: &[_]| Soon::of(&image(profiled, chunks)).map(|soon| soon.range);
    assert_eq!(of(1, &chunks), Some(kib(8)..kib(208)), "no more than the profile");
    assert_eq!(of(4, &chunks), Some(kib(8)..kib(520)), "no more than a request");
    assert_eq!(of(0, &chunks), None);
    let apart = [(1, 0, KIB), (1, kib(2), KIB), (0, 0, KIB)];
    assert_eq!(of(3, &apart), Some(0..kib(1)), "no more than is adjacent");
    let elsewhere = [(1, 0, KIB), (0, kib(1), KIB)];
    assert_eq!(of(2, &elsewhere), Some(0..kib(1)), "no other pack");
    assert_eq!(of(1, &[(0, 0, 512 * KIB + 1)]), None, "a chunk that is longer");
}

#[test]
fn the_beginning_of_a_file_says_it() {
    let image = image(1, &[(1, 77, KIB), (0, 0, KIB)]);
    let (file, soon) = (encode(&image).unwrap(), Soon::of(&image));
    assert!(soon.is_some());
    let enough = (0..=file.len()).find(|&len| Soon::peek(&file[..len]).is_some()).unwrap();
    assert!(enough < BEGINNING_LEN && enough < file.len(), "{enough} of {}", file.len());
    for len in enough..=file.len() {
        assert_eq!(Soon::peek(&file[..len]), soon);
    }
    // Also with as many sections as there may be.
    let table = HEADER_LEN + ROW_LEN * MAX_SECTIONS as usize;
    assert!(BEGINNING_LEN >= table + 32 + 3 * 10);
}

/// A file whose first section is this column.
fn file(flags: u32, pack: u64, start: u64, len: u64, more: &[u8]) -> Vec<u8> {
    let mut column = column::Writer(PackId::of(b"a pack").as_bytes().to_vec());
    [pack, start, len].into_iter().for_each(|number| column.number(number));
    column.0.extend_from_slice(more);
    let len = column.0.len() as u64;
    assemble(&[Part { tag: sections::SOON, flags, len, stored: column.0 }])
}

#[test]
fn what_can_not_be_is_not_asked_for() {
    const MOST: u64 = MAX_SOON_LEN;
    let peek = |pack, start, len| Soon::peek(&file(0, pack, start, len, b"")).map(|s| s.range);
    assert_eq!(peek(100, 0, 100), Some(0..100));
    assert_eq!(peek(100, 99, 1), Some(99..100));
    assert_eq!(peek(9 * MOST, MOST, MOST), Some(MOST..2 * MOST));
    assert_eq!(peek(100, 0, 0), None, "nothing");
    assert_eq!(peek(100, 99, 2), None, "beyond the pack");
    assert_eq!(peek(9 * MOST, 0, MOST + 1), None, "more than a request");
    assert_eq!(peek(u64::MAX, u64::MAX, 1), None, "beyond all numbers");
    assert_eq!(Soon::peek(&file(0, 100, 0, 100, b"x")), None, "and something else");
    assert_eq!(Soon::peek(&file(COMPRESSED, 100, 0, 100, b"")), None, "compressed");
    let mut later = file(0, 100, 0, 100, b"");
    later[8] += 1;
    assert_eq!(Soon::peek(&later), None, "a later version");
    assert_eq!(Soon::peek(b"<!doctype html>"), None);
}
