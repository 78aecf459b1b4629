//! Trees by way of archives, as GNU tar writes them, must become what the directory becomes.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::directory::awkward;
use super::{Bench, noise};
use crate::build::Options;

/// All that a directory has, for root; an ordinary user's tar can't take more than he may see.
const FULL: &[&str] =
    &["--format=pax", "--xattrs", "--xattrs-include=*", "--acls", "--sparse", "--numeric-owner"];

/// Runs GNU tar over all of `tree`.
fn tar(tree: &Path, out: &Path, options: &[&str]) {
    let mut tar = Command::new("tar");
    tar.args(options).arg("-cf").arg(out).arg("-C").arg(tree).arg(".");
    let output = tar.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn awkward_without_sockets() -> tempfile::TempDir {
    let tree = tempfile::tempdir().unwrap();
    awkward(tree.path());
    fs::remove_file(tree.path().join("socket")).unwrap();
    tree
}

/// Packs `bytes` with a program, as `.gz` and the like are packed.
fn packed(program: &str, bytes: &[u8], bench: &Bench) -> Vec<u8> {
    let plain = bench.path("plain");
    fs::write(&plain, bytes).unwrap();
    let output = Command::new(program).arg("-c").arg(&plain).output().unwrap();
    assert!(output.status.success());
    fs::remove_file(plain).unwrap();
    output.stdout
}

/// A pipe that gives `bytes` to whoever opens it.
fn pipe(bench: &Bench, bytes: Vec<u8>) -> (PathBuf, std::thread::JoinHandle<()>) {
    let path = bench.path("pipe");
    let kind = rustix::fs::FileType::Fifo;
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, &path, kind, mode, 0).unwrap();
    let target = path.clone();
    let feed = move || fs::File::options().write(true).open(target).unwrap().write_all(&bytes);
    (path, std::thread::spawn(move || feed().unwrap()))
}

#[test]
fn an_archive_and_its_directory_make_the_same_flist() {
    let (bench, tree) = (Bench::new(), awkward_without_sockets());
    let archive = bench.path("x.tar");
    tar(tree.path(), &archive, FULL);
    bench.build(tree.path(), "directory.flist", &Options::default()).unwrap();
    bench.build(&archive, "tar.flist", &Options::default()).unwrap();
    let wanted = fs::read(bench.path("directory.flist")).unwrap();
    assert_eq!(bench.decode("tar.flist").tables(), bench.decode("directory.flist").tables());
    assert!(fs::read(bench.path("tar.flist")).unwrap() == wanted);
    let bytes = fs::read(&archive).unwrap();
    for program in ["gzip", "xz", "zstd"] {
        let path = bench.path("packed");
        fs::write(&path, packed(program, &bytes, &bench)).unwrap();
        bench.build(&path, "packed.flist", &Options::default()).unwrap();
        assert!(fs::read(bench.path("packed.flist")).unwrap() == wanted, "{program}");
    }
    let (path, feeder) = pipe(&bench, bytes);
    bench.build(&path, "pipe.flist", &Options::default()).unwrap();
    feeder.join().unwrap();
    assert!(fs::read(bench.path("pipe.flist")).unwrap() == wanted);
}

#[test]
fn sparse_files_in_all_forms() {
    let (bench, tree) = (Bench::new(), tempfile::tempdir().unwrap());
    super::directory::sparse(&tree.path().join("sparse"));
    // More runs than fit into one header, or one extension of it.
    let many = fs::File::create(tree.path().join("many")).unwrap();
    for run in 0..60 {
        std::os::unix::fs::FileExt::write_all_at(&many, &noise(run, 5000), run * 200_000).unwrap();
    }
    many.set_len(20 << 20).unwrap();
    super::directory::set_mtime(&tree.path().join("many"), 7, 0);
    super::directory::set_mtime(&tree.path().join("sparse"), 7, 0);
    super::directory::set_mtime(tree.path(), 7, 0);
    bench.build(tree.path(), "directory.flist", &Options::default()).unwrap();
    for form in [
        &["--format=pax", "--sparse-version=0.0"][..],
        &["--format=pax", "--sparse-version=0.1"],
        &["--format=pax", "--sparse-version=1.0"],
        &["--format=gnu"],
    ] {
        let archive = bench.path("x.tar");
        tar(tree.path(), &archive, &[&["--sparse"], form].concat());
        assert!(fs::metadata(&archive).unwrap().len() < 8 << 20, "{form:?} is sparse");
        bench.build(&archive, "tar.flist", &Options::default()).unwrap();
        assert_eq!(
            bench.decode("tar.flist").tables(),
            bench.decode("directory.flist").tables(),
            "{form:?}"
        );
    }
}

#[test]
fn older_formats() {
    let (bench, tree) = (Bench::new(), tempfile::tempdir().unwrap());
    let long = tree.path().join("d".repeat(90)).join("e".repeat(90));
    fs::create_dir_all(&long).unwrap();
    fs::write(long.join("file"), noise(1, 5000)).unwrap();
    std::os::unix::fs::symlink("target", long.join("link")).unwrap();
    fs::hard_link(long.join("file"), tree.path().join("hard")).unwrap();
    let entries =
        [long.join("file"), long.join("link"), long.clone(), tree.path().join("d".repeat(90))];
    entries.iter().for_each(|path| super::directory::set_mtime(path, 1_000_000, 0));
    super::directory::set_mtime(tree.path(), 1_000_000, 0);
    bench.build(tree.path(), "directory.flist", &Options::default()).unwrap();
    for format in ["gnu", "oldgnu", "ustar", "pax"] {
        let archive = bench.path("x.tar");
        tar(tree.path(), &archive, &[&format!("--format={format}"), "--numeric-owner"]);
        bench.build(&archive, "tar.flist", &Options::default()).unwrap();
        assert_eq!(
            bench.decode("tar.flist").tables(),
            bench.decode("directory.flist").tables(),
            "{format}"
        );
    }
}

#[test]
fn an_archive_cut_short_is_refused_wherever() {
    let (bench, tree) = (Bench::new(), tempfile::tempdir().unwrap());
    fs::write(tree.path().join("file"), noise(1, 3000)).unwrap();
    fs::write(tree.path().join("n".repeat(150)), noise(2, 700)).unwrap();
    let archive = bench.path("x.tar");
    tar(tree.path(), &archive, &["--format=pax", "--blocking-factor=1"]);
    let whole = fs::read(&archive).unwrap();
    let fails = |bytes: &[u8]| {
        let path = bench.path("cut");
        fs::write(&path, bytes).unwrap();
        let error = bench.build(&path, "x.flist", &Options::default()).unwrap_err();
        assert!(!bench.path("x.flist").exists() && bench.packs().is_empty());
        error.to_string()
    };
    // One block of the end mark is enough.
    for len in (1..whole.len() - 1024).step_by(256) {
        let error = fails(&whole[..len]);
        let said = if len < 512 { "is neither" } else { "cut short" };
        assert!(error.contains(said), "{len}: {error}");
    }
    for program in ["gzip", "xz", "zstd"] {
        let packed = packed(program, &whole, &bench);
        let error = fails(&packed[..packed.len() - 5]);
        assert!(error.contains("cut short") || error.contains("damaged"), "{program}: {error}");
        let mut damaged = packed.clone();
        let middle = packed.len() / 2;
        damaged[middle] ^= 0x55;
        fails(&damaged);
        // The control.
        fs::write(bench.path("good"), packed).unwrap();
        bench.build(&bench.path("good"), "good.flist", &Options::default()).unwrap();
        fs::remove_dir_all(bench.path("packs")).unwrap();
    }
}

#[test]
fn what_is_no_archive_is_named() {
    let bench = Bench::new();
    for (bytes, says) in [
        (&b""[..], "it is empty"),
        (b"hsqs and so on", "squashfs"),
        (b"#!/bin/sh", "a script"),
        (&[0x1f, 0x8b, 8, 0, 0, 0][..], "cut short"),
    ] {
        fs::write(bench.path("source"), bytes).unwrap();
        let error = bench.build(&bench.path("source"), "x.flist", &Options::default());
        let error = error.unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
        assert!(!bench.path("packs").exists());
    }
}
