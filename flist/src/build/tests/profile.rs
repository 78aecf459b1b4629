//! Builds by a profile: what it names lies first, in its order, in packs of its own; and every file
//! still is what it was.

use std::fs;
use std::ops::Range;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use proptest::prelude::*;

use super::compare::assert_same;
use super::directory::awkward;
use super::{Bench, noise};
use crate::build::{First, Options};
use crate::image::{Image, Pack};
use crate::profile::{Need, Profile};

fn options(needs: &[(&str, Range<u64>)]) -> Options {
    let need = |(path, range): &(&str, Range<u64>)| Need {
        path: path.as_bytes().to_vec(),
        range: range.clone(),
    };
    Options { first: First::Profile(Profile::new(needs.iter().map(need))), ..Options::default() }
}

/// Where in the content space byte `at` of a file lies.
fn place(image: &Image, path: &str, at: u64) -> u64 {
    let ino = image.resolve(path.as_bytes()).unwrap();
    let extents = image.extents(ino).unwrap();
    let extent = extents.iter().find(|e| (e.file_offset..e.file_offset + e.len).contains(&at));
    let extent = extent.unwrap();
    extent.content_offset + at - extent.file_offset
}

fn tree(dir: &Path) {
    fs::create_dir_all(dir.join("d")).unwrap();
    for (name, seed, len) in [("a", 1, 500_000), ("d/b", 2, 3 << 20), ("d/c", 3, 10_000)] {
        fs::write(dir.join(name), noise(seed, len)).unwrap();
    }
    fs::write(dir.join("twin"), noise(3, 10_000)).unwrap();
}

#[test]
fn what_is_needed_lies_first_in_packs_of_its_own() {
    let bench = Bench::new();
    let source = bench.path("tree");
    tree(&source);
    let needs =
        [("/d/c", 0..10_000), ("/d/b", 1 << 20..2 << 20), ("/gone", 0..1), ("/a", 5000..9000)];
    let (image, report) = bench.image(&source, "x.flist", &options(&needs));
    assert_same(&bench, "x.flist", &source);
    // In the order of need, whole pages.
    let first = |path, at| place(&image, path, at);
    assert_eq!([first("/d/c", 0), first("/twin", 0)], [0, 0]);
    assert_eq!([first("/d/b", 1 << 20), first("/d/b", (2 << 20) - 1)], [10_000, 1_058_575]);
    assert_eq!([first("/a", 4096), first("/a", 12_287)], [1_058_576, 1_066_767]);
    // There the profile ends, and with it a chunk and its pack.
    let (of_profile, rest) = image.chunks().split_at(image.profiled().len());
    assert_eq!(of_profile.iter().map(|c| u64::from(c.len)).sum::<u64>(), 1_066_768);
    assert!(of_profile.iter().all(|c| c.pack == 0) && rest.iter().all(|c| c.pack == 1));
    let pack: &Pack = &image.packs()[0];
    assert_eq!(pack.len, of_profile.iter().map(|c| u64::from(c.stored_len)).sum::<u64>());
    assert_eq!(report.profile.stored_bytes, pack.len);
    assert_eq!((report.profile.chunks, report.profile.missing), (of_profile.len() as u64, 1));
    // The control: without a profile it is otherwise.
    let (image, _) = bench.image(&source, "y.flist", &Options::default());
    assert_eq!((place(&image, "/a", 0), image.profiled()), (0, 0..0));
}

#[test]
fn archives_are_read_in_ranges_too() {
    let bench = Bench::new();
    let source = bench.path("tree");
    tree(&source);
    fs::create_dir_all(source.join("sbin")).unwrap();
    let init = "#!/d/c\n";
    fs::write(source.join("sbin/init"), init).unwrap();
    fs::set_permissions(source.join("sbin/init"), fs::Permissions::from_mode(0o755)).unwrap();
    let needs = options(&[("/d/b", 4096..100_000), ("/a", 0..1 << 40), ("/d/b", 8192..1 << 21)]);
    let tar = bench.path("tree.tar");
    let status = Command::new("tar")
        .args(["--format=posix", "-cf"])
        .arg(&tar)
        .arg("-C")
        .arg(&source)
        .arg(".")
        .status();
    assert!(status.unwrap().success());
    let contents = |image: &Image| (image.tables().extents.clone(), image.chunks().to_vec());
    for options in [needs, Options::default()] {
        let (of_directory, _) = bench.image(&source, "x.flist", &options);
        let (of_tar, _) = bench.image(&tar, "y.flist", &options);
        assert_same(&bench, "y.flist", &source);
        assert_eq!(contents(&of_directory), contents(&of_tar));
        assert!(!of_tar.profiled().is_empty());
    }
    // What is expected is looked for in an archive as in a directory.
    let of_tar = bench.decode("y.flist");
    assert_eq!(
        [place(&of_tar, "/sbin/init", 0), place(&of_tar, "/d/c", 0)],
        [0, init.len() as u64]
    );
}

#[test]
fn a_build_on_a_base_stores_what_is_needed_once() {
    let bench = Bench::new();
    let source = bench.path("tree");
    tree(&source);
    let needs = options(&[("/d/c", 0..10_000), ("/a", 0..500_000)]);
    let (old, _) = bench.image(&source, "x.flist", &needs);
    fs::write(source.join("d/new"), noise(9, 400_000)).unwrap();
    let options = Options { base: Some(old.clone()), ..needs };
    let (new, report) = bench.image(&source, "y.flist", &options);
    assert_same(&bench, "y.flist", &source);
    assert_eq!(new.packs()[0], old.packs()[0], "the profile's pack is the base's");
    assert!(report.packs.bytes_written < 900_000, "{report:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn every_file_is_what_it_was(
        needs in prop::collection::vec((0_usize..5, 0_u64..4_000_000, 1_u64..2_000_000), 0..12),
    ) {
        let bench = Bench::new();
        let source = bench.path("tree");
        awkward(&source);
        let names = ["/raw", "/text", "/empty/another name", "/sparse", "/nothing"];
        let needs: Vec<_> =
            needs.into_iter().map(|(name, at, len)| (names[name], at..at + len)).collect();
        bench.build(&source, "x.flist", &options(&needs)).unwrap();
        assert_same(&bench, "x.flist", &source);
    }
}
