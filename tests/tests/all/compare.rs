//! The comparison finds each kind of difference, and only that; two makings of the awkward tree
//! are equal. Needs root.
#![expect(clippy::unwrap_used, reason = "a test ends where anything fails")]

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{FileExt, PermissionsExt, chown, symlink};
use std::path::Path;
use std::process::Command;

use rustix::fs::{AtFlags, CWD, FileType, Timespec, Timestamps, XattrFlags};
use tests::awkward;
use tests::compare::{self, Aspect};
use tests::scratch::Scratch;

/// A small tree of one entry of each kind, all times set.
fn make(dir: &Path) {
    fs::create_dir(dir).unwrap();
    fs::create_dir(dir.join("dir")).unwrap();
    fs::write(dir.join("dir/file"), "contents").unwrap();
    fs::write(dir.join("other"), "contents").unwrap();
    fs::hard_link(dir.join("other"), dir.join("same")).unwrap();
    fs::write(dir.join("third"), "contents").unwrap();
    fs::hard_link(dir.join("third"), dir.join("third-too")).unwrap();
    symlink("target", dir.join("link")).unwrap();
    node(&dir.join("device"), FileType::CharacterDevice, 3);
    let sparse = File::create(dir.join("sparse")).unwrap();
    sparse.write_all_at(b"data", 3 << 20).unwrap();
    sparse.set_len(6 << 20).unwrap();
    xattr(&dir.join("dir/file"), "user.a", "b");
    settle(dir);
}

fn node(path: &Path, kind: FileType, minor: u32) {
    rustix::fs::mknodat(CWD, path, kind, 0o600.into(), rustix::fs::makedev(1, minor)).unwrap();
}

fn xattr(path: &Path, name: &str, value: &str) {
    rustix::fs::lsetxattr(path, name, value.as_bytes(), XattrFlags::empty()).unwrap();
}

/// The same time for everything: what a change does to times is not what is looked for.
fn settle(dir: &Path) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.is_symlink() {
            settle(&path);
        }
        set_time(&path, 5);
    }
    set_time(dir, 5);
}

fn set_time(path: &Path, nanos: i64) {
    let time = Timespec { tv_sec: 1_000_000_000, tv_nsec: nanos };
    let times = Timestamps { last_access: time, last_modification: time };
    rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

/// What is found after `change` was done to a copy.
fn found(scratch: &Scratch, change: impl FnOnce(&Path)) -> Vec<(String, Aspect)> {
    let (left, right) = (scratch.path("left"), scratch.path("right"));
    make(&left);
    make(&right);
    change(&right);
    let differences = compare::trees(&left, &right).unwrap();
    fs::remove_dir_all(left).unwrap();
    fs::remove_dir_all(right).unwrap();
    differences.into_iter().map(|d| (String::from_utf8(d.path).unwrap(), d.aspect)).collect()
}

#[test]
fn equal_trees_are_equal() {
    let scratch = Scratch::new().unwrap();
    assert_eq!(found(&scratch, |_| {}), []);
}

/// Does `change`, settles the times, and wants just these differences.
#[track_caller]
fn expect(scratch: &Scratch, change: impl FnOnce(&Path), expected: &[(&str, Aspect)]) {
    let settled = |dir: &Path| {
        change(dir);
        settle(dir);
    };
    let expected: Vec<_> = expected.iter().map(|(p, a)| ((*p).to_owned(), *a)).collect();
    assert_eq!(found(scratch, settled), expected);
}

#[test]
fn each_difference_is_found() {
    use Aspect::*;
    let scratch = Scratch::new().unwrap();
    let s = &scratch;
    let mode = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    expect(s, |d| fs::remove_file(d.join("dir/file")).unwrap(), &[("dir/file", Presence)]);
    expect(s, |d| fs::write(d.join("new"), "").unwrap(), &[("new", Presence)]);
    expect(s, |d| fs::write(d.join("dir/file"), "contentz").unwrap(), &[("dir/file", Contents)]);
    expect(s, |d| fs::write(d.join("dir/file"), "longer contents").unwrap(), &[("dir/file", Size)]);
    expect(s, |d| mode(&d.join("dir/file"), 0o4644), &[("dir/file", Mode)]);
    expect(s, |d| mode(d, 0o700), &[("", Mode)]);
    expect(s, |d| chown(d.join("dir"), Some(1), None).unwrap(), &[("dir", Owner)]);
    expect(s, |d| chown(d.join("dir"), None, Some(1)).unwrap(), &[("dir", Owner)]);
    let two = [("dir/file", Xattrs)];
    expect(s, |d| xattr(&d.join("dir/file"), "user.a", "c"), &two);
    expect(s, |d| xattr(&d.join("dir/file"), "user.z", ""), &two);
    expect(s, |d| rustix::fs::lremovexattr(d.join("dir/file"), "user.a").unwrap(), &two);
    expect(s, |d| xattr(d, "trusted.a", "b"), &[("", Xattrs)]);
    expect(s, |d| xattr(&d.join("link"), "trusted.a", "b"), &[("link", Xattrs)]);
    let again = |path: &Path, make: &dyn Fn(&Path)| {
        fs::remove_file(path).unwrap();
        make(path);
    };
    expect(s, |d| again(&d.join("link"), &|p| symlink("targez", p).unwrap()), &[("link", Target)]);
    let device = |minor| move |p: &Path| node(p, FileType::CharacterDevice, minor);
    expect(s, |d| again(&d.join("device"), &device(4)), &[("device", Device)]);
    let block = |p: &Path| node(p, FileType::BlockDevice, 3);
    expect(s, |d| again(&d.join("device"), &block), &[("device", Type)]);
}

#[test]
fn times_differ_by_a_nanosecond() {
    let scratch = Scratch::new().unwrap();
    for path in ["", "dir", "dir/file", "link", "device"] {
        let change = |dir: &Path| set_time(&dir.join(path), 6);
        assert_eq!(found(&scratch, change), [(path.to_owned(), Aspect::Time)]);
    }
}

#[test]
fn links_that_are_none() {
    use Aspect::{LinkCount, LinkGroup};
    let scratch = Scratch::new().unwrap();
    let split = |dir: &Path| {
        fs::remove_file(dir.join("same")).unwrap();
        fs::write(dir.join("same"), "contents").unwrap();
    };
    let expected = [("other", LinkCount), ("same", LinkCount), ("same", LinkGroup)];
    expect(&scratch, split, &expected);
    // The counts are right, but the names are of other files.
    let crossed = |dir: &Path| {
        fs::rename(dir.join("same"), dir.join("x")).unwrap();
        fs::rename(dir.join("third"), dir.join("same")).unwrap();
        fs::rename(dir.join("x"), dir.join("third")).unwrap();
    };
    let expected = [("same", LinkGroup), ("third", LinkGroup), ("third-too", LinkGroup)];
    expect(&scratch, crossed, &expected);
}

#[test]
fn holes_and_what_lies_between() {
    use Aspect::{Contents, Holes};
    let scratch = Scratch::new().unwrap();
    let write = |bytes: &'static [u8], at: u64| {
        move |dir: &Path| {
            let file = File::options().write(true).open(dir.join("sparse")).unwrap();
            file.write_all_at(bytes, at).unwrap();
        }
    };
    // Zeros in a hole change nothing; any other byte does, wherever it lies.
    expect(&scratch, write(b"\0", 1 << 20), &[]);
    for at in [0, (3 << 20) - 1, 3 << 20, (3 << 20) + 4, (6 << 20) - 1] {
        expect(&scratch, write(b"x", at), &[("sparse", Contents)]);
    }
    let filled = |dir: &Path| {
        let bytes = fs::read(dir.join("sparse")).unwrap();
        fs::write(dir.join("sparse"), bytes).unwrap();
    };
    expect(&scratch, filled, &[("sparse", Holes)]);
}

#[test]
fn two_makings_of_the_awkward_tree() {
    let scratch = Scratch::new().unwrap();
    let (left, right) = (scratch.path("left"), scratch.path("right"));
    awkward::make(&left).unwrap();
    awkward::make(&right).unwrap();
    // Files are as old as their making.
    compare::assert_equal(&left, &right, &[Aspect::Time]).unwrap();
    // The control: times were there to be compared.
    assert!(compare::assert_equal(&left, &right, &[]).is_err());
    let count = |path: &str| fs::read_dir(left.join(path)).unwrap().count();
    assert_eq!((count("many"), count("names")), (awkward::MANY, 253 + 21));
    let deepest = Command::new("find").arg(&left).args(["-name", "bottom"]).output().unwrap();
    assert!(deepest.stdout.len() > 60 * 256, "{}", deepest.stdout.len());
    assert_eq!(fs::metadata(left.join("sparse/big")).unwrap().len(), awkward::SPARSE_LEN);
}
