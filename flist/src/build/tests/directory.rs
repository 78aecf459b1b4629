//! Trees on the disk: everything awkward, random trees, and that the same bytes come out always.

use std::collections::BTreeMap;
use std::fs;
use std::num::NonZeroUsize;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;

use proptest::prelude::*;
use rustix::fs::{AtFlags, CWD, FileType, Mode, Timespec, Timestamps, XattrFlags};

use super::compare::assert_same;
use super::{Bench, noise};
use crate::build::{META_CHUNKER, META_COMPRESSOR, META_LEVEL, Options};
use crate::image::{Kind, Time};

pub(super) fn set_mtime(path: &Path, sec: i64, nsec: i64) {
    let time = Timespec { tv_sec: sec, tv_nsec: nsec };
    let times = Timestamps { last_access: time, last_modification: time };
    rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

fn set_xattr(path: &Path, name: &str, value: &[u8]) {
    rustix::fs::lsetxattr(path, name, value, XattrFlags::empty()).unwrap();
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A tree that holds one of everything an ordinary user can make, and as root the rest.
pub(super) fn awkward(top: &Path) {
    fs::create_dir_all(top.join("empty")).unwrap();
    fs::write(top.join("nothing"), b"").unwrap();
    fs::write(top.join("raw"), noise(1, 3 << 20)).unwrap();
    fs::write(top.join("text"), b"text ".repeat(100_000)).unwrap();
    fs::write(top.join("a text"), b"text ".repeat(100_000)).unwrap();
    fs::hard_link(top.join("text"), top.join("empty/another name")).unwrap();
    fs::write(top.join(std::ffi::OsStr::from_bytes(b"\xff\xfe not UTF-8\n")), b"x").unwrap();
    fs::write(top.join("n".repeat(255)), b"y").unwrap();
    symlink("nowhere/at all", top.join("link")).unwrap();
    symlink("t".repeat(4095), top.join("long link")).unwrap();
    UnixListener::bind(top.join("socket")).unwrap();
    rustix::fs::mknodat(CWD, top.join("fifo"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    sparse(&top.join("sparse"));
    let mut deep = top.to_path_buf();
    for level in 0..60 {
        deep.push(format!("level {level}"));
    }
    fs::create_dir_all(&deep).unwrap();
    fs::write(deep.join("bottom"), b"deep").unwrap();
    set_xattr(&top.join("raw"), "user.binary", b"a\0b\n=\xff");
    set_xattr(&top.join("raw"), "user.empty", b"");
    set_mtime(&top.join("raw"), -86_400 * 365 * 20, 123_456_789);
    set_mtime(&top.join("link"), 5_000_000_000, 999_999_999);
    fs::set_permissions(top.join("text"), fs::Permissions::from_mode(0o6755)).unwrap();
    fs::set_permissions(top.join("empty"), fs::Permissions::from_mode(0o1777)).unwrap();
    if is_root() {
        awkward_for_root(top);
    }
    set_mtime(top, 1, 1);
}

fn awkward_for_root(top: &Path) {
    let node = |name: &str, kind, major, minor| {
        let device = rustix::fs::makedev(major, minor);
        rustix::fs::mknodat(CWD, top.join(name), kind, Mode::RUSR, device).unwrap();
    };
    node("whiteout", FileType::CharacterDevice, 0, 0);
    node("char", FileType::CharacterDevice, 4095, (1 << 20) - 1);
    node("block", FileType::BlockDevice, 8, 1);
    std::os::unix::fs::chown(top.join("raw"), Some(4_000_000_000), Some(70_000)).unwrap();
    std::os::unix::fs::lchown(top.join("link"), Some(5), Some(6)).unwrap();
    set_xattr(&top.join("link"), "trusted.of a link", b"1");
    set_xattr(&top.join("whiteout"), "trusted.of a device", b"2");
    let capability = b"\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    set_xattr(&top.join("raw"), "security.capability", capability);
    let acl: Vec<u8> = [2_u32.to_le_bytes().to_vec()]
        .into_iter()
        .chain(
            [
                (1_u16, 6_u16, u32::MAX),
                (2, 4, 1000),
                (4, 4, u32::MAX),
                (16, 4, u32::MAX),
                (32, 0, u32::MAX),
            ]
            .map(|(tag, perm, id)| {
                [&tag.to_le_bytes()[..], &perm.to_le_bytes(), &id.to_le_bytes()].concat()
            }),
        )
        .flatten()
        .collect();
    set_xattr(&top.join("empty"), "system.posix_acl_access", &acl);
    set_xattr(&top.join("empty"), "system.posix_acl_default", &acl);
}

/// Holes at both ends and within, and zeros that the file system stores.
pub(super) fn sparse(path: &Path) {
    let file = fs::File::create(path).unwrap();
    file.set_len(40 << 20).unwrap();
    file.write_all_at(&noise(7, 100_000), 5 << 20).unwrap();
    file.write_all_at(&vec![0; 2 << 20], 6 << 20).unwrap();
    file.write_all_at(b"end of data", 30_000_001).unwrap();
}

#[test]
fn everything_awkward_survives() {
    let (bench, tree) = (Bench::new(), tempfile::tempdir().unwrap());
    awkward(tree.path());
    let (image, report) = bench.image(tree.path(), "x.flist", &Options::default());
    assert_same(&bench, "x.flist", tree.path());
    let sparse = image.resolve(b"sparse").unwrap();
    assert!(image.data_len(sparse) < 120_000, "{} bytes are data", image.data_len(sparse));
    let extents = |name: &[u8]| image.extents(image.resolve(name).unwrap()).unwrap();
    assert_eq!(extents(b"text"), extents(b"a text"), "equal contents are there once");
    assert_eq!(report.hard_links, 1);
    assert_eq!(report.chunks, image.chunks().len() as u64);
    assert!(image.chunks().iter().any(crate::chunk::Chunk::is_raw));
    assert!(image.chunks().iter().any(|c| !c.is_raw()));
    for key in [META_COMPRESSOR, META_LEVEL, META_CHUNKER] {
        assert!(image.meta_value(key).is_some(), "{key}");
    }
}

#[test]
fn the_bytes_do_not_depend_on_threads_or_allocation() {
    let (bench, tree) = (Bench::new(), tempfile::tempdir().unwrap());
    fs::write(tree.path().join("text"), noise(3, 9 << 20)).unwrap();
    sparse(&tree.path().join("sparse"));
    let built = |name: &str, threads: usize| {
        let options = Options { threads: NonZeroUsize::new(threads), ..Options::default() };
        bench.build(tree.path(), name, &options).unwrap();
        fs::read(bench.path(name)).unwrap()
    };
    let one = built("1.flist", 1);
    assert!(one == built("2.flist", 2));
    assert!(one == built("4.flist", 4));
    // The same bytes, all of them allocated.
    let path = tree.path().join("sparse");
    let times = fs::metadata(&path).unwrap();
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, bytes).unwrap();
    let mtime = std::os::unix::fs::MetadataExt::mtime;
    let nsec = std::os::unix::fs::MetadataExt::mtime_nsec;
    set_mtime(&path, mtime(&times), nsec(&times));
    assert!(one == built("allocated.flist", 2));
    assert_eq!(bench.packs().len(), 1, "all share a pack");
}

#[test]
fn times_are_clamped_and_creation_recorded_where_asked() {
    let (bench, tree) = (Bench::new(), tempfile::tempdir().unwrap());
    for (name, sec) in [("old", 10), ("new", 3_000_000_000)] {
        fs::write(tree.path().join(name), name).unwrap();
        set_mtime(&tree.path().join(name), sec, 5);
    }
    let options = Options { clamp: Some(1000), ..Options::default() };
    let (image, _) = bench.image(tree.path(), "clamped.flist", &options);
    let mtime = |name: &[u8]| image.inode(image.resolve(name).unwrap()).unwrap().mtime;
    assert_eq!(mtime(b"old"), Time { sec: 10, nsec: 5 });
    assert_eq!(mtime(b"new"), Time { sec: 1000, nsec: 0 });
    assert_eq!(image.btime(1), None);
    let options = Options { btime: true, ..Options::default() };
    let (image, _) = bench.image(tree.path(), "btime.flist", &options);
    assert!(image.btime(image.resolve(b"old").unwrap()).unwrap().sec > 1_600_000_000);
}

#[test]
fn a_base_saves_what_it_has() {
    let (bench, tree) = (Bench::new(), tempfile::tempdir().unwrap());
    for number in 0..20 {
        fs::write(tree.path().join(format!("file {number:02}")), noise(number, 700_000)).unwrap();
    }
    let (base, old) = bench.image(tree.path(), "old.flist", &Options::default());
    fs::write(tree.path().join("file 10"), noise(99, 700_000)).unwrap();
    let options = Options { base: Some(base.clone()), ..Options::default() };
    let (image, new) = bench.image(tree.path(), "new.flist", &options);
    assert_same(&bench, "new.flist", tree.path());
    assert!(new.packs.new_chunk_bytes < 3 << 20, "{:?}", new.packs);
    assert!(old.packs.new_chunk_bytes > 13 << 20);
    assert_eq!(image.packs().len(), 2);
    assert!(image.packs().contains(&base.packs()[0]));
    assert_eq!((new.packs.from_base, new.packs.written), (1, 1));
    assert_eq!(new.warnings, Vec::<String>::new());
    // Nothing new: no pack is written.
    let options = Options { base: Some(image), ..Options::default() };
    let (_, again) = bench.image(tree.path(), "again.flist", &options);
    assert_eq!((again.packs.written, again.packs.new_chunks), (0, 0));
}

#[test]
fn a_base_of_another_level_sets_the_level_and_is_told_of() {
    let (bench, tree) = (Bench::new(), tempfile::tempdir().unwrap());
    fs::write(tree.path().join("text"), b"text".repeat(10_000)).unwrap();
    let at = |level| Options { level: Some(level), ..Options::default() };
    let (base, _) = bench.image(tree.path(), "3.flist", &at(3));
    let follow = Options { base: Some(base.clone()), ..Options::default() };
    let (image, report) = bench.image(tree.path(), "follow.flist", &follow);
    assert_eq!(image.meta_value(META_LEVEL), Some("3"));
    assert_eq!((report.packs.base_chunks, report.warnings.len()), (1, 0));
    let other = Options { base: Some(base), ..at(15) };
    let (_, report) = bench.image(tree.path(), "15.flist", &other);
    assert_eq!(report.warnings.len(), 1, "{:?}", report.warnings);
}

#[test]
fn the_output_is_not_part_of_the_source() {
    let tree = Bench::new();
    fs::write(tree.path("file"), noise(1, 100_000)).unwrap();
    tree.build(tree.folder.path(), "x.flist", &Options::default()).unwrap();
    let first = tree.decode("x.flist");
    let report = tree.build(tree.folder.path(), "x.flist", &Options::default()).unwrap();
    assert_eq!(report.left_out.skipped.len(), 2);
    assert_eq!(tree.decode("x.flist").tables().dirents.len(), first.tables().dirents.len());
    assert_eq!(first.tables().dirents.len(), 1);
}

#[test]
fn twenty_thousand_entries_in_a_directory() {
    let (bench, tree) = (Bench::new(), tempfile::tempdir().unwrap());
    for number in 0..20_000 {
        fs::write(tree.path().join(format!("{number}")), b"same").unwrap();
    }
    let (image, report) = bench.image(tree.path(), "x.flist", &Options::default());
    assert_eq!(report.inodes.files, 20_000);
    assert_eq!(image.content_len(), 4);
}

/// What a random tree is made of: contents by path.
fn trees() -> impl Strategy<Value = BTreeMap<String, Vec<u8>>> {
    let bytes = prop_oneof![
        4 => prop::collection::vec(any::<u8>(), 0..2000),
        2 => (any::<u8>(), 0_usize..600_000).prop_map(|(byte, len)| vec![byte; len]),
        1 => (0_u64..4, 0_usize..2_500_000).prop_map(|(seed, len)| noise(seed, len)),
        1 => (0_usize..300_000, 1_usize..5000).prop_map(|(zeros, len)| {
            [vec![1; len], vec![0; zeros], vec![2; len]].concat()
        }),
    ];
    prop::collection::btree_map("[a-d]{1,2}(/[a-d]{1,2}){0,3}/f[a-z]", bytes, 0..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn random_trees_read_back(files in trees()) {
        let (bench, tree) = (Bench::new(), tempfile::tempdir().unwrap());
        for (path, bytes) in &files {
            let path = tree.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        let options = Options { level: Some(1), ..Options::default() };
        let (image, _) = bench.image(tree.path(), "x.flist", &options);
        assert_same(&bench, "x.flist", tree.path());
        for inode in &image.tables().inodes {
            if let Kind::File { size, .. } = inode.kind {
                prop_assert!(size < 3 << 20);
            }
        }
    }
}
