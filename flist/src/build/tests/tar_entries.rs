//! Archives made by hand: what ordinary programs would not write, or not on this machine.

use std::fs;

use proptest::prelude::*;

use super::Bench;
use super::archive::{Archive, rich};
use crate::build::fuzzing::seal;
use crate::build::{BuildError, Options, Report};
use crate::image::{Device, Image, Kind, Time};

impl Archive {
    fn build(self) -> Result<(Image, Bench, Report), BuildError> {
        let bench = Bench::new();
        fs::write(bench.path("x.tar"), self.bytes()).unwrap();
        let report = bench.build(&bench.path("x.tar"), "x.flist", &Options::default())?;
        Ok((bench.decode("x.flist"), bench, report))
    }

    fn image(self) -> Image {
        self.build().unwrap().0
    }

    /// What the error says.
    fn refused(self) -> String {
        self.build().err().unwrap().to_string()
    }
}

fn contents(archive: Archive, path: &[u8]) -> Vec<u8> {
    let (image, bench, _) = archive.build().unwrap();
    bench.contents(&image, image.resolve(path).unwrap())
}

#[test]
fn paths_and_missing_directories() {
    let image = Archive::default()
        .file("./usr//lib/./a", b"1")
        .file("/etc/b", b"2")
        .entry(b'5', "etc/", "", b"")
        .image();
    for path in [&b"usr/lib/a"[..], b"etc/b"] {
        assert!(image.resolve(path).is_some());
    }
    let inode = |path: &[u8]| image.inode(image.resolve(path).unwrap()).unwrap().clone();
    for implied in [&b"/"[..], b"usr", b"usr/lib"] {
        let inode = inode(implied);
        assert_eq!((inode.mode, inode.uid, inode.gid), (0o40_755, 0, 0));
        assert_eq!(inode.mtime, Time::default());
    }
    let etc = inode(b"etc");
    assert_eq!((etc.mode, etc.uid, etc.gid, etc.mtime.sec), (0o40_640, 10, 20, 100));
    assert_eq!(inode(b"etc/b").mode, 0o100_640);
}

#[test]
fn an_archive_without_entries_is_an_empty_root() {
    let (image, _, report) = Archive::default().build().unwrap();
    assert_eq!(image.inode_count(), 1);
    assert_eq!((report.chunks, report.packs.written), (0, 0));
}

#[test]
fn a_later_entry_replaces_an_earlier_one() {
    let twice =
        || Archive::default().file("a", b"old").entry(b'1', "kept", "a", b"").file("a", b"new");
    assert_eq!(contents(twice(), b"a"), b"new");
    assert_eq!(contents(twice(), b"kept"), b"old");
    assert_eq!(twice().image().nlink(2), 1);
    let by_directory =
        Archive::default().file("a", b"").entry(b'5', "a", "", b"").file("a/b", b"x");
    assert_eq!(contents(by_directory, b"a/b"), b"x");
    let empty = Archive::default().entry(b'5', "a", "", b"").entry(b'2', "a", "t", b"").image();
    assert_eq!(empty.target(2), Some(&b"t"[..]));
    let again = Archive::default().file("d/f", b"x").entry(b'5', "d", "", b"");
    assert_eq!(contents(again, b"d/f"), b"x");
    let full = Archive::default().file("a/b", b"").file("a", b"").refused();
    assert!(full.contains("(entry a): it would replace a directory that is not empty"), "{full}");
}

#[test]
fn links_on_the_way_are_followed_within_the_tree() {
    let merged = || {
        Archive::default()
            .entry(b'5', "usr/lib", "", b"")
            .entry(b'2', "lib", "usr/lib", b"")
            .entry(b'2', "usr/up", "../../../lib", b"")
            .entry(b'2', "usr/abs", "/lib/.", b"")
    };
    for way in ["lib/x", "usr/up/x", "usr/abs/x"] {
        assert_eq!(contents(merged().file(way, b"1"), b"usr/lib/x"), b"1", "{way}");
    }
    let hard = merged().file("lib/x", b"2").entry(b'1', "y", "./usr/up/x", b"").image();
    assert_eq!(hard.resolve(b"y"), hard.resolve(b"usr/lib/x"));
    let endless = Archive::default().entry(b'2', "a", "b", b"").entry(b'2', "b", "a", b"");
    assert!(endless.file("a/x", b"").refused().contains("too many symbolic links"));
}

#[test]
fn kinds() {
    let image = Archive::default()
        .entry(b'3', "char", "", b"")
        .entry(b'4', "block", "", b"")
        .entry(b'6', "fifo", "", b"")
        .entry(b'7', "contiguous", "", b"c")
        .entry(0, "old", "", b"o")
        .entry(0, "old directory/", "", b"contents that count for nothing")
        .image();
    let kind = |path: &[u8]| image.inode(image.resolve(path).unwrap()).unwrap().kind.clone();
    let device = Device { major: 7, minor: 9 };
    assert_eq!(kind(b"char"), Kind::Char(device));
    assert_eq!(kind(b"block"), Kind::Block(device));
    assert_eq!(kind(b"fifo"), Kind::Fifo);
    assert!(matches!(kind(b"contiguous"), Kind::File { size: 1, .. }));
    assert!(matches!(kind(b"old"), Kind::File { size: 1, .. }));
    assert!(matches!(kind(b"old directory"), Kind::Directory { .. }));
}

#[test]
fn extended_headers() {
    let image = Archive::default()
        .pax(b'g', &[("gid", b"77"), ("comment", b"of all")])
        .pax(
            b'x',
            &[
                ("path", b"a\xff\nb"),
                ("uid", b"4000000000"),
                ("mtime", b"-1.25"),
                ("SCHILY.xattr.user.x", b"\n\0="),
            ],
        )
        .file("short", b"1")
        .file("next", b"2")
        .image();
    let inode = image.inode(image.resolve(b"a\xff\nb").unwrap()).unwrap();
    assert_eq!((inode.uid, inode.gid), (4_000_000_000, 77));
    assert_eq!(inode.mtime, Time { sec: -2, nsec: 750_000_000 });
    assert_eq!(image.xattrs(2), [(b"user.x".to_vec(), b"\n\0=".to_vec())]);
    let next = image.resolve(b"next").unwrap();
    assert_eq!((image.inode(next).unwrap().uid, image.inode(next).unwrap().gid), (10, 77));
    assert!(image.xattrs(next).is_empty());
}

#[test]
fn what_can_not_be_taken_is_refused_by_name() {
    let fine = || Archive::default().file("f", b"1");
    for (archive, says) in [
        (
            fine().file("a/../../etc/passwd", b""),
            "(entry a/../../etc/passwd): its path has a \"..\"",
        ),
        (fine().entry(b'1', "l", "g", b""), "(entry l): it is a hard link to g, which does not"),
        (fine().entry(b'1', "l", "../f", b""), "\"..\""),
        (fine().entry(b'1', "l", "", b""), "directory"),
        (fine().file("f/x", b""), "(entry f/x): f on the way to it is no directory"),
        (fine().file(".", b""), "only a directory can be the root"),
        (fine().entry(b'M', "m", "", b""), "another volume"),
        (fine().entry(b'Q', "q", "", b""), "(entry q): an entry of this type is not known"),
        (fine().entry(b'2', "s", "", b""), "s: the target of the link is empty"),
        (fine().pax(b'x', &[("mtime", b"soon")]).file("t", b""), "(entry t): a time"),
        (
            fine().pax(b'x', &[("SCHILY.devmajor", b"5000")]).entry(b'3', "c", "", b""),
            "device number",
        ),
        (fine().entry(b'x', "bad", "", b"nonsense"), "extended header is malformed"),
        (
            fine().pax(b'x', &[("path", "n".repeat(256).as_bytes())]).file("n", b""),
            "longer than 255",
        ),
        (fine().pax(b'x', &[("size", b"99999999999999999999")]).file("n", b""), "a number"),
        (fine().pax(b'x', &[("size", b"18446744073709551615")]).file("n", b""), "out of bounds"),
        (
            fine()
                .pax(b'x', &[("GNU.sparse.size", b"9"), ("GNU.sparse.map", b"0,5,3,5")])
                .file("s", b"0123456789"),
            "the map of this sparse file is malformed",
        ),
    ] {
        let error = archive.refused();
        assert!(error.contains(says), "{says}: {error}");
    }
}

#[test]
fn a_damaged_header_is_refused() {
    let mut archive = Archive::default().file("a", b"1").file("b", b"2");
    archive.0[1024 + 3] ^= 1;
    let error = archive.refused();
    assert!(error.contains("at byte 1024: no tar header is where one should be"), "{error}");
}

#[test]
fn the_rich_archive_is_fine() {
    let bench = Bench::new();
    fs::write(bench.path("x.tar"), rich()).unwrap();
    let (image, _) = bench.image(&bench.path("x.tar"), "x.flist", &Options::default());
    for path in [&b"sparse"[..], b"newer"] {
        let ino = image.resolve(path).unwrap();
        assert_eq!((image.size(ino), image.data_len(ino) < 70_000), (900_000, true));
    }
}

proptest! {
    /// Whatever is in an archive, an image or an error comes out.
    #[test]
    fn no_archive_is_a_defect(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        right_sums: bool,
        len in any::<prop::sample::Index>(),
        cut in prop::bool::weighted(0.1),
    ) {
        let mut bytes = rich();
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if right_sums {
            seal(&mut bytes);
        }
        if cut {
            bytes.truncate(len.index(bytes.len()));
        }
        let bench = Bench::new();
        fs::write(bench.path("x.tar"), bytes).unwrap();
        let built = bench.build(&bench.path("x.tar"), "x.flist", &Options::default());
        prop_assert_eq!(built.is_ok(), bench.path("x.flist").exists());
    }
}
