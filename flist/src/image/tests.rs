//! What an image answers, against the tables it was made from.

use proptest::prelude::*;
use proptest::sample::Index;

use super::arbitrary::{Sample, samples};
use super::*;
use crate::chunk::Decompressor;

/// A file's bytes in `range` by its extents, straight from the content space.
fn model(sample: &Sample, ino: Ino, range: std::ops::Range<u64>) -> Vec<u8> {
    let end = range.end.min(sample.image.size(ino));
    let extents = sample.image.extents(ino).unwrap();
    (range.start..end)
        .map(|at| {
            let extent =
                extents.iter().find(|e| (e.file_offset..e.file_offset + e.len).contains(&at));
            extent.map_or(0, |e| {
                sample.content[usize::try_from(at - e.file_offset + e.content_offset).unwrap()]
            })
        })
        .collect()
}

/// The same by pieces, out of the packs, verified and decompressed.
fn read(sample: &Sample, ino: Ino, range: std::ops::Range<u64>) -> Vec<u8> {
    let end = range.end.min(sample.image.size(ino));
    let mut out = vec![0; usize::try_from(end.saturating_sub(range.start)).unwrap()];
    let mut decompressor = Decompressor::new().unwrap();
    for piece in sample.image.pieces(ino, range.clone()) {
        let chunk = sample.image.chunks()[piece.chunk as usize];
        let place = usize::try_from(chunk.range().start).unwrap()
            ..usize::try_from(chunk.range().end).unwrap();
        let stored = chunk.verify(sample.packs[chunk.pack as usize][place].to_vec()).unwrap();
        let mut plain = Vec::new();
        decompressor.plain_into(&stored, &mut plain).unwrap();
        let at = usize::try_from(piece.file_offset - range.start).unwrap();
        let (from, len) = (piece.chunk_offset as usize, piece.len as usize);
        out[at..at + len].copy_from_slice(&plain[from..from + len]);
    }
    out
}

proptest! {
    #[test]
    fn pieces_are_the_files_bytes(sample in samples(), start: Index, len in 0..3000_u64) {
        for ino in 1..=sample.image.inode_count() {
            let Some(extents) = sample.image.extents(ino) else { continue };
            // Near what the file holds: the holes may be exabytes.
            let near = extents.iter().map(|e| e.file_offset).chain([0]).collect::<Vec<_>>();
            let start = start.get(&near).saturating_sub(len / 3);
            let range = start..start + len;
            prop_assert_eq!(read(&sample, ino, range.clone()), model(&sample, ino, range));
        }
    }

    #[test]
    fn every_inode_is_found_by_each_of_its_names(sample in samples()) {
        let image = &sample.image;
        let mut names = vec![0; image.inode_count() as usize];
        let mut todo = vec![(ROOT, Vec::new())];
        while let Some((dir, path)) = todo.pop() {
            prop_assert_eq!(image.resolve(&path), Some(dir));
            for entry in image.entries(dir).unwrap() {
                let path = [&path[..], b"/", image.name(entry)].concat();
                prop_assert_eq!(image.resolve(&path), Some(entry.ino));
                let first = image.path(entry.ino).unwrap();
                prop_assert_eq!(image.resolve(&first), Some(entry.ino));
                names[entry.ino as usize - 1] += 1;
                if image.entries(entry.ino).is_some() {
                    todo.push((entry.ino, path));
                }
            }
        }
        for (ino, &names) in (ROOT..).zip(&names) {
            let subdirectories = |entries: &[Dirent]| {
                entries.iter().filter(|e| image.entries(e.ino).is_some()).count()
            };
            let want = image.entries(ino).map_or(names, |entries| 2 + subdirectories(entries));
            prop_assert_eq!(image.nlink(ino) as usize, want);
        }
    }
}
