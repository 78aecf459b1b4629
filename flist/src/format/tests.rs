//! The format as a whole.

use proptest::prelude::*;

use super::*;
use crate::image::arbitrary::images;
use crate::image::{Image, Inode, Kind, Tables, Time};

fn empty() -> Image {
    let root = Inode {
        mode: 0o40755,
        uid: 0,
        gid: 0,
        xattrs: 0,
        mtime: Time::default(),
        kind: Kind::Directory { first: 0, count: 0 },
    };
    Image::new(Tables { inodes: vec![root], xattr_sets: vec![Vec::new()], ..Tables::default() })
        .unwrap()
}

#[test]
fn the_smallest_image_comes_back() {
    let file = encode(&empty()).unwrap();
    assert_eq!(decode(&file).unwrap(), empty());
}

proptest! {
    #[test]
    fn every_image_comes_back(image in images()) {
        let file = encode(&image).unwrap();
        prop_assert_eq!(decode(&file).unwrap(), image);
    }
}
