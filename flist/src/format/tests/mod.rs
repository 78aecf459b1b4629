//! The format as a whole.

mod corpus;
mod damage;
mod golden;
mod hostile;
mod second_reader;
mod soon;
mod spec;

use std::sync::LazyLock;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::testing::*;
use super::*;
use crate::image::Image;
use crate::image::arbitrary::images;

proptest! {
    #[test]
    fn every_image_comes_back(image in images()) {
        let file = encode(&image).unwrap();
        prop_assert_eq!(&exercise(&file).unwrap(), &image);
        prop_assert_eq!(encode(&image).unwrap(), file);
    }

    #[test]
    fn an_image_reads_the_same_at_any_level(image in images(), level in 1..=22_i32) {
        let frame = |bytes: &[u8]| zstd::bulk::compress(bytes, level).map(Some);
        prop_assert_eq!(decode(&encode::encode_with(&image, frame).unwrap()).unwrap(), image);
    }
}

/// Images that differ from run to run neither here nor on another machine.
fn fixed(count: usize) -> Vec<Image> {
    let mut runner = TestRunner::deterministic();
    (0..count).map(|_| images().new_tree(&mut runner).unwrap().current()).collect()
}

/// An image with something in every section, some of them worth compressing.
static FULL: LazyLock<Image> = LazyLock::new(|| {
    let full = |image: &Image| {
        let sections = Layout::read(&encode(image).unwrap()).unwrap().sections;
        sections.len() == sections::KNOWN.len() && sections.iter().any(Section::is_compressed)
    };
    let smallest = fixed(500).into_iter().filter(full).min_by_key(|i| encode_raw(i).len());
    smallest.expect("one of them has everything")
});

#[test]
fn random_images_hold_everything() {
    let images = fixed(500);
    let any = |has: fn(&Image) -> bool| images.iter().any(has);
    assert!(any(|i| i.tables().inodes.len() == 1));
    assert!(any(|i| i.tables().inodes.len() > 20));
    assert!(any(|i| i.tables().dirents.len() >= i.tables().inodes.len()), "hard links");
    assert!(any(|i| i
        .tables()
        .extents
        .windows(2)
        .any(|e| e[0].content_offset > e[1].content_offset)));
    assert!(any(|i| i.chunks().iter().any(|c| c.pack > 0 && !c.is_raw())));
    assert!(any(|i| i.tables().inodes.iter().any(|i| i.mtime.sec < 0)));
}

#[test]
fn the_layout_names_every_section() {
    let file = encode(&FULL).unwrap();
    let layout = Layout::read(&file).unwrap();
    assert_eq!((layout.version, layout.compat, layout.incompat), (VERSION, 0, 0));
    assert_eq!(layout.sections.len(), sections::KNOWN.len());
    assert!(layout.sections.iter().all(|s| s.meaning().is_some()));
    assert!(layout.sections.iter().any(Section::is_compressed));
    let stored: u64 = layout.sections.iter().map(|s| s.stored_len).sum();
    assert_eq!((HEADER_LEN + ROW_LEN * layout.sections.len()) as u64 + stored, file.len() as u64);
}
