//! The file system against a model: what a test reads byte by byte out of the tables.

use std::sync::Arc;

use proptest::prelude::*;
use proptest::sample::Index;

use super::sample::{Fake, Fate, dir, file, image, noise};
use super::*;
use crate::chunk::Stored;
use crate::image::arbitrary::{Sample, samples};
use crate::image::{Kind, Tables, Time};

fn stored(sample: &Sample) -> Vec<Arc<Stored>> {
    let one = |c: &crate::chunk::Chunk| {
        let range =
            usize::try_from(c.range().start).unwrap()..usize::try_from(c.range().end).unwrap();
        Arc::new(c.verify(sample.packs[c.pack as usize][range].to_vec()).unwrap())
    };
    sample.image.chunks().iter().map(one).collect()
}

fn fs_of(sample: &Sample, fate: impl Fn(u32) -> Fate + Send + Sync + 'static) -> Fs {
    Fs::new(Arc::new(sample.image.clone()), Fake::new(stored(sample), fate))
}

/// The byte of file `ino` at `at`, and whether it is data.
fn model_byte(sample: &Sample, ino: Ino, at: u64) -> Option<u8> {
    let extents = sample.image.extents(ino).unwrap();
    let extent = extents.iter().find(|e| e.file_offset <= at && at - e.file_offset < e.len)?;
    let at = at - extent.file_offset + extent.content_offset;
    Some(sample.content[usize::try_from(at).unwrap()])
}

/// Files, and offsets in them near where something begins or ends.
fn offsets(sample: &Sample) -> Vec<(Ino, u64)> {
    let mut all = Vec::new();
    for ino in 1..=sample.image.inode_count() {
        let Some(extents) = sample.image.extents(ino) else { continue };
        let edges = extents.iter().flat_map(|e| [e.file_offset, e.file_offset + e.len]);
        let middles = extents.iter().map(|e| e.file_offset + e.len / 2);
        for at in edges.chain(middles).chain([0, sample.image.size(ino)]) {
            all.extend([(ino, at.saturating_sub(1)), (ino, at), (ino, at.saturating_add(1))]);
        }
    }
    all
}

proptest! {
    #[test]
    fn reads_are_what_the_tables_say(
        sample in samples(),
        reads in proptest::collection::vec((any::<Index>(), 0..9000_usize), 1..60),
        seed in any::<u64>(),
    ) {
        let fs = fs_of(&sample, move |chunk| {
            if (seed >> (chunk % 64)) & 1 == 0 { Fate::Held } else { Fate::Comes }
        });
        let offsets = offsets(&sample);
        for (which, len) in reads {
            if offsets.is_empty() { break; }
            let (ino, offset) = *which.get(&offsets);
            let got = fs.read_wait(ino, offset, len).unwrap();
            let left = sample.image.size(ino).saturating_sub(offset);
            let want = (offset..offset + left.min(len as u64))
                .map(|at| model_byte(&sample, ino, at).unwrap_or(0));
            prop_assert_eq!(got, want.collect::<Vec<u8>>());
        }
    }

    #[test]
    fn seeks_find_data_and_holes(sample in samples()) {
        let fs = fs_of(&sample, |_| Fate::Held);
        for (ino, offset) in offsets(&sample) {
            let size = sample.image.size(ino);
            let data = fs.seek(ino, offset, Whence::Data);
            let hole = fs.seek(ino, offset, Whence::Hole);
            if offset >= size {
                prop_assert!(matches!(data, Err(FsError::NoOffset(_))));
                prop_assert!(matches!(hole, Err(FsError::NoOffset(_))));
                continue;
            }
            let is_data = |at| model_byte(&sample, ino, at).is_some();
            match data {
                Ok(at) => {
                    prop_assert!(at >= offset && is_data(at));
                    prop_assert!(at == offset || !is_data(at - 1) && !is_data(offset));
                }
                Err(_) => prop_assert!(!is_data(offset) && !is_data(size - 1)),
            }
            let hole = hole.unwrap();
            prop_assert!(hole >= offset && hole <= size);
            prop_assert!(hole == size || !is_data(hole));
            prop_assert!((offset..hole).all(is_data));
        }
    }

    #[test]
    fn listings_continue_from_any_entry(sample in samples()) {
        let fs = fs_of(&sample, |_| Fate::Held);
        let image = &sample.image;
        for ino in 1..=image.inode_count() {
            let Some(entries) = image.entries(ino) else {
                prop_assert!(matches!(fs.entries(ino, 0).err(), Some(FsError::NotDirectory(_))));
                prop_assert!(matches!(fs.lookup(ino, b"a"), Err(FsError::NotDirectory(_))));
                continue;
            };
            let mut want = vec![(ino, b".".to_vec()), (image.parent(ino).unwrap(), b"..".to_vec())];
            want.extend(entries.iter().map(|e| (e.ino, image.name(e).to_vec())));
            let mut offset = 0;
            for (i, (child, name)) in want.iter().enumerate() {
                let rest: Vec<_> =
                    fs.entries(ino, offset).unwrap().map(|e| (e.ino, e.name.to_vec())).collect();
                prop_assert_eq!(&rest, &want[i..]);
                prop_assert_eq!(fs.lookup(ino, name).unwrap(), Some(*child));
                offset = fs.entries(ino, offset).unwrap().next().unwrap().next;
            }
            prop_assert_eq!(fs.entries(ino, offset).unwrap().count(), 0);
            prop_assert_eq!(fs.entries(ino, u64::MAX - 9).unwrap().count(), 0);
            prop_assert_eq!(fs.lookup(ino, b"no such name").unwrap(), None);
        }
    }

    #[test]
    fn attributes_are_the_inodes(sample in samples()) {
        let fs = fs_of(&sample, |_| Fate::Held);
        for ino in 1..=sample.image.inode_count() {
            let (attr, inode) = (fs.attr(ino).unwrap(), sample.image.inode(ino).unwrap());
            prop_assert_eq!((attr.mode, attr.uid, attr.gid), (inode.mode, inode.uid, inode.gid));
            prop_assert_eq!((attr.ino, attr.mtime), (ino, inode.mtime));
            prop_assert_eq!(attr.nlink, sample.image.nlink(ino));
            let set = &sample.image.tables().xattr_sets[inode.xattrs as usize];
            prop_assert_eq!(fs.xattrs(ino).unwrap(), set.as_slice());
            for (name, value) in set {
                prop_assert_eq!(fs.xattr(ino, name).unwrap(), value.as_slice());
            }
            prop_assert!(matches!(fs.xattr(ino, b"user.no such"), Err(FsError::NoXattr(_))));
            match sample.image.target(ino) {
                Some(target) => prop_assert_eq!(fs.readlink(ino).unwrap(), target),
                None => prop_assert!(matches!(fs.readlink(ino), Err(FsError::NotSymlink(_)))),
            }
        }
        let next = u64::from(sample.image.inode_count()) + 1;
        for no in [0, next, u64::from(u32::MAX), 1 << 32, (1 << 32) + 1] {
            prop_assert!(matches!(fs.ino(no), Err(FsError::NoSuchInode(n)) if n == no));
        }
    }
}

fn small() -> (Fs, Arc<Fake>) {
    let root = dir([("a", file(noise(1, 100_000))), ("b", file(noise(2, 50_000)))]);
    let (image, stored) = image(&root, 30_000);
    // File a lies in chunks 0..=3, b in 3..=4.
    let fate = |chunk| match chunk {
        0 => Fate::Held,
        1 => Fate::Comes,
        2 => Fate::Fails,
        _ => Fate::Hangs,
    };
    let fake = Fake::new(stored, fate);
    (Fs::new(Arc::new(image), Arc::clone(&fake) as Arc<dyn Contents>), fake)
}

#[test]
fn what_is_held_is_answered_at_once() {
    let (fs, _) = small();
    let here = std::thread::current().id();
    let (sender, receiver) = std::sync::mpsc::channel();
    fs.read(2, 100, 900, move |result| {
        assert_eq!(std::thread::current().id(), here);
        sender.send(result.unwrap().to_vec()).unwrap();
    });
    assert_eq!(receiver.try_recv().unwrap(), noise(1, 100_000)[100..1000]);
    assert_eq!(fs.read_wait(2, 20_000, 20_000).unwrap(), noise(1, 100_000)[20_000..40_000]);
}

#[test]
fn what_fails_says_why_and_what_hangs_goes_on_later() {
    let (fs, fake) = small();
    let error = fs.read_wait(2, 59_999, 2).unwrap_err();
    assert_eq!(error.to_string(), "inode 2 can't be read: the store is gone");
    assert_eq!(fs.read_wait(2, 59_999, 1).unwrap().len(), 1);

    let (sender, receiver) = std::sync::mpsc::channel();
    fs.read(3, 0, 1 << 20, move |result| sender.send(result.unwrap().to_vec()).unwrap());
    assert!(receiver.try_recv().is_err());
    // The read holds what it needs, not the file system.
    drop(fs);
    fake.release();
    assert_eq!(receiver.recv().unwrap(), noise(2, 50_000));
}

#[test]
fn a_chunk_that_does_not_decompress_is_an_error_each_time() {
    let sound = noise(3, 5000);
    let stored = zstd::bulk::compress(&sound, 1).unwrap();
    let (image, _) = image(&dir([("a", file(sound))]), 1 << 20);
    let mut tables: Tables = image.tables().clone();
    // Claims one byte more than the frame holds.
    tables.chunks[0].len += 1;
    let Kind::File { size, .. } = &mut tables.inodes[1].kind else { panic!("no file") };
    *size += 1;
    tables.extents[0].len += 1;
    let all = vec![Arc::new(tables.chunks[0].verify(stored).unwrap())];
    let fs = Fs::new(Arc::new(Image::new(tables).unwrap()), Fake::new(all, |_| Fate::Held));
    for len in [10, 10, 1 << 20] {
        assert!(matches!(fs.read_wait(2, 0, len), Err(FsError::Corrupt { .. })));
    }
}

#[test]
fn a_chunk_of_another_length_is_an_error_and_shows_nothing_else() {
    let (image, mut stored) = image(&dir([("a", file(noise(4, 9000)))]), 3000);
    let (_, other) = super::sample::image(&dir([("a", file(noise(4, 100)))]), 3000);
    stored[1] = Arc::clone(&other[0]);
    for fate in [Fate::Held, Fate::Comes] {
        let fs = Fs::new(Arc::new(image.clone()), Fake::new(stored.clone(), move |_| fate));
        for (at, len) in [(0, 9000), (3050, 100), (3100, 100), (3100, 5000), (3099, 2)] {
            assert!(matches!(fs.read_wait(2, at, len), Err(FsError::ShortChunk(2))));
        }
        assert_eq!(fs.read_wait(2, 6000, 5000).unwrap(), noise(4, 9000)[6000..]);
    }
}

#[test]
fn decompressed_chunks_take_a_part_of_the_memory() {
    for (memory, wanted) in [(0, 8), (192, 8), (768, 12), (1024, 16), (1 << 30, 16)] {
        assert_eq!(read::plain_cache_len(memory << 20), wanted << 20, "{memory} MiB");
    }
}

#[test]
fn only_files_are_read() {
    let (fs, _) = small();
    assert!(matches!(fs.read_wait(1, 0, 1), Err(FsError::IsDirectory(1))));
    assert!(matches!(fs.read_wait(9, 0, 1), Err(FsError::NoSuchInode(9))));
    assert_eq!(fs.read_wait(2, u64::MAX, usize::MAX).unwrap(), b"");
}

#[test]
fn figures_of_the_whole() {
    let (fs, _) = small();
    let statfs = fs.statfs();
    assert_eq!((statfs.blocks, statfs.files, statfs.name_len), (37, 3, 255));
    assert_eq!(fs.attr(2).unwrap().blocks, 196);
    assert_eq!(fs.attr(2).unwrap().mtime, Time { sec: -12_345, nsec: 678_901_234 });
}

#[test]
fn many_threads_read_many_chunks_through_a_small_cache() {
    // 40 MiB in chunks of 1 MiB: more than is kept.
    let len = 40 << 20;
    let bytes: Vec<u8> = noise(5, 1 << 16).into_iter().cycle().take(len).collect();
    let (image, stored) = image(&dir([("a", file(bytes.clone()))]), 1 << 20);
    let fs = Fs::new(Arc::new(image), Fake::new(stored, |_| Fate::Held));
    std::thread::scope(|scope| {
        for thread in 0..8_u64 {
            let (fs, bytes) = (&fs, &bytes);
            scope.spawn(move || {
                for step in 0..200_u64 {
                    let at = (step * 7_919_993 + thread * 3_333_333) % (len as u64);
                    let at_here = usize::try_from(at).unwrap();
                    let end = (at_here + 5000).min(len);
                    assert_eq!(fs.read_wait(2, at, 5000).unwrap(), bytes[at_here..end]);
                }
            });
        }
    });
}

#[test]
fn for_a_reader_in_order_the_next_chunk_is_decompressed_meanwhile() {
    let (image, stored) = image(&dir([("a", file(noise(1, 5_000)))]), 1_000);
    let image = Arc::new(image);
    for (offsets, want) in [(&[0, 900, 1_000, 2_000][..], true), (&[1_000, 2_000], false)] {
        let mut fs = Fs::new(Arc::clone(&image), Fake::new(stored.clone(), |_| Fate::Held));
        fs.ahead = Some(Ahead::start(&fs.assembler).unwrap());
        for &offset in offsets {
            fs.read_wait(2, offset, 100).unwrap();
        }
        // It ends when it has done what it was to do.
        fs.ahead = None;
        let ready = |chunk| fs.assembler.plain.ready(chunk).is_some();
        assert_eq!((ready(2), ready(3), ready(4)), (true, want, false));
    }
}

#[test]
fn nothing_follows_the_last_chunk() {
    let (image, stored) = image(&dir([("a", file(noise(1, 3_000)))]), 1_000);
    let mut fs = Fs::new(Arc::new(image), Fake::new(stored, |_| Fate::Held));
    fs.ahead = Some(Ahead::start(&fs.assembler).unwrap());
    for offset in [0, 1_000, 2_000, 2_500] {
        assert_eq!(fs.read_wait(2, offset, 100).unwrap().len(), 100);
    }
}
