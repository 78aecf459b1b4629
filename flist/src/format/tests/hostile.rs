//! Flists that no builder makes, by the name of what is wrong with them.

use super::*;

/// Sections of an image with two files `a` and `ab` of 3 and 5 bytes, a link and a device.
fn sound() -> Vec<([u8; 4], Vec<u8>)> {
    let number = |n: u64| {
        let mut writer = column::Writer::default();
        writer.number(n);
        writer.0
    };
    let modes = [0o040_755, 0o100_644, 0o100_600, 0o120_777, 0o020_600].map(number).concat();
    vec![
        (*b"imod", modes),
        (*b"iuid", vec![0; 5]),
        (*b"igid", vec![0; 5]),
        (*b"ixat", vec![0, 1, 0, 0, 0]),
        (*b"isec", vec![0; 5]),
        (*b"insc", vec![0; 5]),
        (*b"vdev", vec![3]),
        (*b"fsiz", vec![3, 5]),
        (*b"fext", vec![0, 2]),
        (*b"ehol", vec![1]),
        (*b"elen", vec![4]),
        (*b"epos", vec![0, 0]),
        (*b"ltgt", b"ab\0".to_vec()),
        (*b"dpre", vec![0, 1, 0, 0]),
        (*b"dnam", b"a\0b\0l\0z\0\0".to_vec()),
        (*b"dino", vec![0, 0, 0, 0]),
        (*b"xset", b"\x01\x06user.x\x01y".to_vec()),
        (*b"clen", vec![7]),
        (*b"csto", vec![7]),
        (*b"cpak", vec![0]),
        (*b"coff", vec![0]),
        (*b"chid", vec![7; 32]),
        (*b"plen", vec![9]),
        (*b"pkid", vec![8; 32]),
        (*b"prof", vec![1]),
        (*b"meta", b"\x01k\x01v".to_vec()),
    ]
}

fn file(sections: &[([u8; 4], Vec<u8>)]) -> Vec<u8> {
    let rows: Vec<_> = sections.iter().map(|(tag, bytes)| (*tag, 0, &bytes[..])).collect();
    file_of(&rows)
}

#[test]
fn what_all_this_is_made_from_is_sound() {
    let image = exercise(&file(&sound())).unwrap();
    assert_eq!(image.lookup(1, b"ab"), Some(3));
    assert_eq!(image.data_len(3), 4);
    assert_eq!(image.xattrs(2), [(b"user.x".to_vec(), b"y".to_vec())]);
    let mut turned = sound();
    turned.reverse();
    assert_eq!(exercise(&file(&turned)).unwrap(), image, "sections come in any order");
}

/// A section's new contents, and the error.
type Case = (&'static str, &'static [u8; 4], &'static [u8], &'static str);

#[rustfmt::skip]
const COLUMNS: &[Case] = &[
    ("mode-of-no-type", b"imod", b"\x00", "section 'imod', row 0: the mode is of no known type"),
    ("mode-over-32-bits", b"imod", b"\xff\xff\xff\xff\x1f", "section 'imod', row 0: the number exceeds 32 bits"),
    ("mode-cut-short", b"imod", b"\xed\x83", "section 'imod', row 0: the section ends"),
    ("no-inodes", b"imod", b"", "section 'iuid', row 0: this row and what follows belong to nothing"),
    ("too-few-uids", b"iuid", b"\0\0\0\0", "section 'iuid', row 4: the section ends"),
    ("too-many-uids", b"iuid", b"\0\0\0\0\0\0", "section 'iuid', row 5: this row"),
    ("overlong-gid", b"igid", b"\0\0\0\0\x80\0", "section 'igid', row 4: the number is longer than it need be"),
    ("no-such-xattr-set", b"ixat", b"\0\x02\0\0\0", "inode 2: there is no such xattr set"),
    ("too-few-seconds", b"isec", b"\0\0\0\0", "section 'isec', row 4: the section ends"),
    ("too-many-nanoseconds", b"insc", b"\x80\x94\xeb\xdc\x03\0\0\0\0", "inode 1: nanoseconds are below"),
    ("device-missing", b"vdev", b"", "section 'vdev', row 0: the section ends"),
    ("device-over-32-bits", b"vdev", b"\x80\x80\x80\x80\x10", "section 'vdev', row 0: the number exceeds 32 bits"),
    ("size-missing", b"fsiz", b"\x03", "section 'fsiz', row 1: the section ends"),
    ("size-beyond-content", b"fsiz", b"\x08\x05", "extent 0: it lies within the content space"),
    ("size-over-63-bits", b"fsiz", b"\x03\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", "inode 3: the file is too long"),
    ("two-to-the-64-extents", b"fext", b"\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "section 'ehol', row 1: the section ends"),
    ("extents-left-over", b"fext", b"\0\0", "section 'ehol', row 0: this row"),
    ("hole-beyond-the-file", b"ehol", b"\x02", "extent 1: it lies within the file"),
    ("extent-ends-beyond-64-bits", b"ehol", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "section 'elen', row 0: the extent ends beyond 2^64"),
    ("empty-extent", b"elen", b"\0", "extent 1: it is not empty"),
    ("position-beyond-content", b"epos", b"\0\x02", "extent 1: it lies within the content space"),
    ("position-below-zero", b"epos", b"\x01\0", "extent 0: it lies within the content space"),
    ("target-without-end", b"ltgt", b"ab", "section 'ltgt', row 0: the section ends"),
    ("empty-target", b"ltgt", b"\0", "inode 4: its target's length is out of bounds"),
    ("target-left-over", b"ltgt", b"ab\0c\0", "section 'ltgt', row 1: this row"),
    ("prefix-longer-than-the-name-before", b"dpre", b"\0\x02\0\0", "section 'dpre', row 1: it is longer than the name before"),
    ("prefix-of-no-name", b"dpre", b"\x01\0\0\0", "section 'dpre', row 0: it is longer than the name before"),
    ("prefixes-missing", b"dpre", b"\0\x01\0", "section 'dpre', row 3: the section ends"),
    ("names-out-of-order", b"dnam", b"b\0b\0a\0z\0\0", "dirent 2: names ascend"),
    ("name-twice", b"dnam", b"ab\0b\0l\0z\0\0", "dirent 1: names ascend"),
    ("name-with-slash", b"dnam", b"/\0b\0l\0z\0\0", "dirent 0: its name holds a zero byte or a /"),
    ("name-dot", b"dnam", b".\0b\0l\0z\0\0", "dirent 0: its name is no name"),
    ("name-dot-dot", b"dnam", b".\0.\0l\0z\0\0", "dirent 0: its name is no name"),
    ("directory-without-end", b"dnam", b"a\0b\0l\0z\0", "section 'dnam', row 4: the section ends"),
    ("names-left-over", b"dnam", b"a\0b\0l\0z\0\0x\0", "section 'dnam', row 5: this row"),
    ("inode-without-name", b"dino", b"\0\0\0\x02", "inodes: each has a name"),
    ("inode-beyond-all", b"dino", b"\0\0\0\x09", "dirent 3: there is no such inode"),
    ("inode-too-early", b"dino", b"\x03\0\0\0", "dirent 0: inodes are numbered in the order of the walk"),
    ("root-in-itself", b"dino", b"\x01\0\0\0", "dirent 0: a directory has one name only"),
    ("xattr-name-cut-short", b"xset", b"\x01\x07user.x", "section 'xset', row 0: the section ends"),
    ("xattr-name-too-long", b"xset", b"\x01\x80\x02", "section 'xset', row 0: a string is too long"),
    ("too-many-xattrs", b"xset", b"\x81\x20", "section 'xset', row 0: it has too many attributes"),
    ("empty-xattr-set", b"xset", b"\0", "xattr set 1: only the first is empty"),
    ("chunk-over-32-bits", b"clen", b"\xff\xff\xff\xff\x1f", "section 'clen', row 0: it is too long"),
    ("chunk-too-long", b"clen", b"\x81\x80\x40", "chunk 0: its length is out of bounds"),
    ("chunk-of-nothing", b"clen", b"\0", "chunk 0: its length is out of bounds"),
    ("chunk-stored-longer", b"csto", b"\x08", "chunk 0: its stored length is out of bounds"),
    ("chunk-in-no-pack", b"cpak", b"\x02", "chunk 0: there is no such pack"),
    ("chunk-in-pack-below-zero", b"cpak", b"\x01", "section 'cpak', row 0: there is no such pack"),
    ("chunk-beyond-its-pack", b"coff", b"\x06", "chunk 0: it reaches beyond its pack"),
    ("chunk-ends-beyond-64-bits", b"coff", b"\x01", "chunk 0: it reaches beyond its pack"),
    ("chunk-id-cut-short", b"chid", &[7; 31], "section 'chid': its length is not 32 bytes a row"),
    ("chunk-ids-left-over", b"chid", &[7; 64], "section 'chid': its length is not 32 bytes a row"),
    ("pack-too-long", b"plen", b"\x81\x80\x80\x80\x40", "pack 0: its length is out of bounds"),
    ("pack-ids-missing", b"pkid", b"", "section 'pkid': its length is not 32 bytes a row"),
    ("profile-beyond-the-chunks", b"prof", b"\x02", "profile: it has no more chunks than there are"),
    ("profile-twice", b"prof", b"\x01\x01", "section 'prof', row 1: this row and what follows belong to nothing"),
    ("metadata-not-text", b"meta", b"\x01\xff\x01v", "section 'meta', row 0: it is not UTF-8"),
    ("metadata-without-value", b"meta", b"\x01k", "section 'meta', row 0: the section ends"),
    ("metadata-too-long", b"meta", b"\x81\x80\x04", "section 'meta', row 0: a string is too long"),
    ("metadata-without-key", b"meta", b"\0\x01v", "metadata 0: a key is not empty"),
    ("creation-nanoseconds-alone", b"bnsc", b"\0\0\0\0\0", "section 'bsec', row 0: the section ends"),
    ("too-few-creation-times", b"bsec", b"\0\0\0\0", "section 'bnsc', row 0: the section ends"),
];

#[test]
fn bad_columns_are_refused_by_name() {
    for &(name, tag, bytes, want) in COLUMNS {
        let mut sections = sound();
        sections.retain(|(other, _)| other != tag);
        sections.push((*tag, bytes.to_vec()));
        let error = exercise(&file(&sections)).expect_err(name);
        assert!(error.to_string().contains(want), "{name}: {error}");
    }
}

/// Every section but the optional ones is missed.
#[test]
fn missing_sections_are_noticed() {
    for (left_out, (tag, _)) in sound().iter().enumerate() {
        let mut sections = sound();
        sections.remove(left_out);
        assert_eq!(
            exercise(&file(&sections)).is_ok(),
            matches!(tag, b"meta" | b"prof"),
            "{}",
            Tag(*tag)
        );
    }
}

/// A change to the bytes of a sound file, and the error.
type Change = (&'static str, fn(&mut Vec<u8>), &'static str);

fn put(file: &mut [u8], at: usize, bytes: &[u8]) {
    file[at..at + bytes.len()].copy_from_slice(bytes);
}

/// Where row `n` of the section table begins.
const fn row(n: usize) -> usize {
    HEADER_LEN + n * ROW_LEN
}

#[rustfmt::skip]
const FRAMES: &[Change] = &[
    ("version-0", |f| put(f, 8, &[0]), "header: there is no version 0"),
    ("version-2", |f| put(f, 8, &[2]), "the flist is of version 2; this zimg reads version 1: update it"),
    ("version-2-with-features", |f| { put(f, 8, &[2]); put(f, 20, &[1]) }, "version 2"),
    ("incompat-bit-5", |f| put(f, 20, &[0x20]), "feature that this zimg does not know: incompat flag bit 5"),
    ("too-many-sections", |f| put(f, 12, &[65]), "header: there are too many sections"),
    ("table-beyond-the-file", |f| { f.truncate(row(3)); put(f, 12, &[4]) }, "header: the section table reaches beyond the file"),
    ("section-fewer", |f| put(f, 12, &[25]), "section 'imod': it does not begin where the one before ends"),
    ("tag-not-ascii", |f| put(f, row(0), b"\0"), "section '\\x00mod': its name is not four visible ASCII"),
    ("tag-twice", |f| put(f, row(1), b"imod"), "section 'imod': there are two of that name"),
    ("gap", |f| put(f, row(1) + 8, &[0xff]), "section 'iuid': it does not begin where the one before ends"),
    ("overlap", |f| put(f, row(0) + 8, &[0]), "section 'imod': it does not begin where the one before ends"),
    ("section-beyond-the-file", |f| { put(f, row(25) + 16, &[0xff]); put(f, row(25) + 24, &[0xff]) }, "section 'meta': it reaches beyond the file"),
    ("stored-length-over-64-bits", |f| put(f, row(25) + 16, &[0xff; 16]), "section 'meta': it is too long"),
    ("offset-and-length-wrap", |f| { put(f, row(25), b"new1"); put(f, row(25) + 16, &[0xff; 8]) }, "section 'new1': it reaches beyond the file"),
    ("bytes-behind-the-last-section", |f| f.push(0), "header: bytes follow the last section"),
    ("lengths-differ", |f| put(f, row(0) + 24, &[1]), "section 'imod': it is not compressed, yet its two lengths differ"),
    ("section-too-long", |f| { put(f, row(0) + 4, &[1]); put(f, row(0) + 24, &[0xff; 4]) }, "section 'imod': it is too long"),
    ("sections-together-too-long", |f| for n in 0..26 {
        // Each as long as may be.
        let tag: [u8; 4] = f[row(n)..row(n) + 4].try_into().unwrap();
        put(f, row(n) + 4, &[1]);
        put(f, row(n) + 24, &sections::find(Tag(tag)).unwrap().max_len.to_le_bytes());
    }, "header: the sections together are too long"),
    ("no-zstd-frame", |f| put(f, row(0) + 4, &[1]), "section 'imod': it is no sound zstd frame"),
    ("section-flag-bit-2", |f| put(f, row(0) + 4, &[4]), "does not know: flag bit 2 of section 'imod'"),
    ("section-flag-bit-31", |f| put(f, row(0) + 4, &[0, 0, 0, 0x80]), "flag bit 31 of section 'imod'"),
    ("unknown-section-that-matters", |f| { put(f, row(25), b"new1"); put(f, row(25) + 4, &[2]) }, "does not know: section 'new1'"),
];

#[test]
fn bad_frames_are_refused_by_name() {
    for &(name, change, want) in FRAMES {
        let mut file = file(&sound());
        change(&mut file);
        seal(&mut file);
        let error = exercise(&file).expect_err(name);
        assert!(error.to_string().contains(want), "{name}: {error}");
    }
}

#[test]
fn what_may_be_ignored_is_ignored() {
    let image = exercise(&file(&sound())).unwrap();
    let mut sections = sound();
    sections.insert(3, (*b"new1", b"of a later zimg".to_vec()));
    let mut file = file(&sections);
    put(&mut file, row(3) + 4, &[0xf1, 0xff, 0xff, 0xff]);
    put(&mut file, 16, &[0xff; 4]);
    seal(&mut file);
    assert_eq!(exercise(&file).unwrap(), image);
    let layout = Layout::read(&file).unwrap();
    assert_eq!((layout.compat, layout.sections[3].meaning()), (u32::MAX, None));
    assert_eq!(layout.sections[3].tag.to_string(), "new1");
}

/// A frame that would fill the memory stops where the section table says that it ends.
#[test]
fn a_bomb_is_refused() {
    let bomb = zstd::bulk::compress(&vec![0; 1 << 28], 19).unwrap();
    let mut sections = sound();
    sections[1].1 = bomb.clone();
    for (len, want) in [(5, "its length is not the recorded one"), (1 << 28, "it is too long")] {
        let mut file = file(&sections);
        put(&mut file, row(1) + 4, &[1]);
        put(&mut file, row(1) + 24, &u64::to_le_bytes(len));
        seal(&mut file);
        let error = exercise(&file).unwrap_err().to_string();
        assert!(error.contains(want), "{error}");
    }
}

/// Names front-coded against each other give many long ones for few bytes, to a limit.
#[test]
fn names_do_not_explode() {
    let long = |n: usize| [vec![b'x'; n], vec![0]].concat();
    let mut sections = sound();
    sections[14].1 = [long(250), long(5), b"y\0".to_vec(), b"z\0\0".to_vec()].concat();
    sections[13].1 = vec![0, 0xfa, 1, 0, 0];
    assert!(exercise(&file(&sections)).is_ok());
    sections[14].1 = [long(250), long(6), b"y\0".to_vec(), b"z\0\0".to_vec()].concat();
    let error = exercise(&file(&sections)).unwrap_err().to_string();
    assert!(error.contains("section 'dnam', row 1: the name, or all together, is too long"));
}
