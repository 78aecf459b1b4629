//! Builds that fail: the error names the file, and nothing is left behind.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Bench, noise};
use crate::build::{BuildError, Options, Progress, Source, Stage, build};

/// Does something once so many bytes were compressed.
struct At<F: Fn() + Sync> {
    bytes: u64,
    seen: AtomicU64,
    act: F,
    cancel: bool,
}

impl<F: Fn() + Sync> Progress for At<F> {
    fn stage(&self, stage: Stage, _bytes: u64) {
        self.seen.store(if stage == Stage::Compress { 0 } else { u64::MAX / 2 }, Ordering::SeqCst);
    }

    fn advance(&self, bytes: u64) {
        let before = self.seen.fetch_add(bytes, Ordering::SeqCst);
        if before < self.bytes && before + bytes >= self.bytes {
            (self.act)();
        }
    }

    fn cancelled(&self) -> bool {
        self.cancel && (self.bytes..u64::MAX / 2).contains(&self.seen.load(Ordering::SeqCst))
    }
}

fn at<F: Fn() + Sync>(bytes: u64, act: F, cancel: bool) -> At<F> {
    At { bytes, seen: AtomicU64::new(u64::MAX / 2), act, cancel }
}

fn tree_of_noise() -> tempfile::TempDir {
    let tree = tempfile::tempdir().unwrap();
    for number in 0..100 {
        fs::write(tree.path().join(format!("{number:03}")), noise(number, 1_000_000 + 1)).unwrap();
    }
    tree
}

fn is_empty(dir: &Path) -> bool {
    fs::read_dir(dir).unwrap().next().is_none()
}

#[test]
fn a_file_that_changes_is_named() {
    let changes: [fn(&Path); 4] = [
        |path| fs::write(path, b"shorter").unwrap(),
        |path| fs::File::options().append(true).open(path).unwrap().set_len(2 << 20).unwrap(),
        |path| fs::remove_file(path).unwrap(),
        |path| {
            fs::remove_file(path).unwrap();
            std::os::unix::fs::symlink("/etc/passwd", path).unwrap();
        },
    ];
    for change in changes {
        let (bench, tree) = (Bench::new(), tree_of_noise());
        let victim = tree.path().join("090");
        let progress = at(20_000_000, || change(&victim), false);
        let source = Source::Directory(tree.path().to_path_buf());
        let out = bench.path("x.flist");
        let error = build(&source, &out, &Options::default(), &progress).unwrap_err();
        assert!(matches!(&error, BuildError::Changed(path) if *path == victim), "{error}");
        assert!(is_empty(bench.folder.path()));
    }
}

#[test]
fn a_cancelled_build_leaves_nothing() {
    let (bench, tree) = (Bench::new(), tree_of_noise());
    let source = Source::Directory(tree.path().to_path_buf());
    // Late enough for a finished pack.
    let progress = at(90_000_000, || (), true);
    let error = build(&source, &bench.path("x.flist"), &Options::default(), &progress);
    assert!(matches!(error, Err(BuildError::Cancelled)));
    assert!(is_empty(bench.folder.path()));
    // The control.
    let progress = at(90_000_000, || (), false);
    build(&source, &bench.path("x.flist"), &Options::default(), &progress).unwrap();
    assert_eq!(bench.packs().len(), 2);
}

#[test]
fn packs_of_others_stay_when_a_build_fails() {
    let (bench, tree) = (Bench::new(), tree_of_noise());
    bench.build(tree.path(), "x.flist", &Options::default()).unwrap();
    let before = bench.packs();
    fs::remove_file(tree.path().join("050")).unwrap();
    let source = Source::Directory(tree.path().to_path_buf());
    let progress = at(90_000_000, || (), true);
    let error = build(&source, &bench.path("y.flist"), &Options::default(), &progress);
    assert!(matches!(error, Err(BuildError::Cancelled)));
    assert_eq!(bench.packs(), before);
    assert!(bench.path("x.flist").exists());
}

#[test]
fn a_damaged_pack_is_replaced() {
    let (bench, tree) = (Bench::new(), tempfile::tempdir().unwrap());
    fs::write(tree.path().join("f"), noise(1, 300_000)).unwrap();
    bench.build(tree.path(), "x.flist", &Options::default()).unwrap();
    let pack = bench.path("packs").join(&bench.packs()[0]);
    let whole = fs::read(&pack).unwrap();
    let mut damaged = whole.clone();
    damaged[1000] ^= 1;
    for bad in [damaged, b"cut short".to_vec()] {
        fs::write(&pack, bad).unwrap();
        let report = bench.build(tree.path(), "x.flist", &Options::default()).unwrap();
        assert_eq!((report.packs.written, report.packs.present), (1, 0));
        assert!(fs::read(&pack).unwrap() == whole);
    }
    let report = bench.build(tree.path(), "x.flist", &Options::default()).unwrap();
    assert_eq!((report.packs.written, report.packs.present), (0, 1));
}

#[test]
fn what_is_not_there_or_not_right_is_named() {
    let (bench, tree) = (Bench::new(), tempfile::tempdir().unwrap());
    fs::write(tree.path().join("f"), b"x").unwrap();
    let says = |source: &Path, out: &str, options: &Options, part: &str| {
        let error = bench.build(source, out, options).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
        assert!(is_empty(bench.folder.path()));
    };
    let fine = Options::default();
    says(Path::new("/no/such"), "x", &fine, "cannot open /no/such: No such file");
    says(tree.path(), "no/such/x.flist", &fine, "no/such");
    says(tree.path(), "", &fine, "is a directory");
    let level = Options { level: Some(23), ..Options::default() };
    says(tree.path(), "x.flist", &level, "level 23");
    let meta = vec![("zimg.level".to_owned(), "1".to_owned())];
    says(tree.path(), "x.flist", &Options { meta, ..Options::default() }, "zimg.level");
    let store = Some(bench.path("no/such"));
    says(tree.path(), "x.flist", &Options { store, ..Options::default() }, "no/such");
}

#[test]
fn what_may_not_be_read_is_named() {
    let (bench, tree) = (Bench::new(), tempfile::tempdir().unwrap());
    for dir in [bench.folder.path(), tree.path()] {
        fs::set_permissions(dir, fs::Permissions::from_mode(0o777)).unwrap();
    }
    let secret = tree.path().join("secret");
    fs::write(&secret, b"x").unwrap();
    let as_nobody = || {
        std::thread::scope(|scope| {
            let build = || {
                if rustix::process::geteuid().is_root() {
                    rustix::thread::set_thread_uid(rustix::fs::Uid::from_raw(65534)).unwrap();
                }
                bench.build(tree.path(), "x.flist", &Options::default())
            };
            scope.spawn(build).join().unwrap()
        })
    };
    as_nobody().unwrap(); // The control.
    for file in ["x.flist", "packs"] {
        let path = bench.path(file);
        if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }.unwrap();
    }
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o000)).unwrap();
    let error = as_nobody().unwrap_err().to_string();
    assert!(error.contains("secret: Permission denied"), "{error}");
    assert!(is_empty(bench.folder.path()));
}

/// Runs the test of that name again, by itself, in a mount namespace where `mount` has mounted
/// something on `$1`, which is `folder`.
fn with_mounted(mount: &str, test: &str, folder: &Path) {
    let test = format!("build::tests::faults::{test}");
    let script = format!("{mount} \"$1\" && shift && exec \"$@\"");
    let output = std::process::Command::new("unshare")
        .args(["--map-root-user", "--mount", "sh", "-c", &script, "sh"])
        .args([folder, &std::env::current_exe().unwrap()])
        .args(["--exact", &test, "--nocapture"])
        .env(MOUNTED, folder)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"), "{output:?}");
}

/// Tells the test where.
const MOUNTED: &str = "FLIST_TEST_MOUNTED";

#[test]
fn a_full_disk_is_named_and_left_empty() {
    let Some(disk) = std::env::var_os(MOUNTED) else {
        let folder = tempfile::tempdir().unwrap();
        let test = "a_full_disk_is_named_and_left_empty";
        return with_mounted("mount -t tmpfs -o size=4m tmpfs", test, folder.path());
    };
    let (disk, tree) = (Path::new(&disk), tempfile::tempdir().unwrap());
    let (full, fits) = (tree.path().join("full"), tree.path().join("fits"));
    fs::create_dir_all(&full).unwrap();
    fs::create_dir_all(&fits).unwrap();
    fs::write(full.join("f"), noise(1, 9 << 20)).unwrap();
    fs::write(fits.join("f"), noise(1, 1 << 20)).unwrap();
    let build = |source: &Path| {
        build(&Source::look(source)?, &disk.join("x.flist"), &Options::default(), &())
    };
    let refused = |source: &Path, place: &str| {
        let error = build(source).unwrap_err().to_string();
        assert!(error.contains(place) && error.contains("No space left"), "{error}");
        assert!(is_empty(disk), "{error}");
    };
    refused(&full, "cannot write a pack in");
    let archive = tree.path().join("x.tar.zst");
    let status = std::process::Command::new("tar")
        .args(["--zstd", "-cf"])
        .arg(&archive)
        .arg("-C")
        .arg(&full)
        .arg(".")
        .status();
    assert!(status.unwrap().success());
    refused(&archive, "cannot keep the archive's contents in");
    build(&fits).unwrap(); // The control.
}

#[test]
fn a_pseudo_file_system_is_an_empty_directory_and_others_are_there() {
    let Some(top) = std::env::var_os(MOUNTED) else {
        let folder = tempfile::tempdir().unwrap();
        let test = "a_pseudo_file_system_is_an_empty_directory_and_others_are_there";
        let mount = "mkdir \"$1/proc\" \"$1/tmp\" && mount --rbind /proc \"$1/proc\" &&
            mount -t tmpfs tmpfs \"$1/tmp\" && touch \"$1/tmp/file\" && test -d";
        return with_mounted(mount, test, folder.path());
    };
    let bench = Bench::new();
    let (image, report) = bench.image(Path::new(&top), "x.flist", &Options::default());
    assert_eq!(report.left_out.emptied, [Path::new("proc")]);
    assert_eq!(image.entries(image.resolve(b"proc").unwrap()), Some(&[][..]));
    assert!(image.resolve(b"tmp/file").is_some());
}

#[test]
fn an_archive_that_changes_is_named() {
    let (bench, tree) = (Bench::new(), tree_of_noise());
    let archive = bench.path("x.tar");
    let tar = std::process::Command::new("tar")
        .arg("-cf")
        .arg(&archive)
        .arg("-C")
        .arg(tree.path())
        .arg(".")
        .status();
    assert!(tar.unwrap().success());
    let change = || {
        use std::os::unix::fs::FileExt;
        fs::File::options().write(true).open(&archive).unwrap().write_all_at(b"x", 5000).unwrap();
    };
    let source = Source::Tar(archive.clone());
    let progress = at(20_000_000, change, false);
    let error = build(&source, &bench.path("x.flist"), &Options::default(), &progress);
    assert!(matches!(&error, Err(BuildError::Changed(path)) if *path == archive), "{error:?}");
    assert!(!bench.path("packs").exists());
}
