//! Real mounts, each on a directory of its own, and by each way that requests come. They need root and
//! `/dev/fuse`.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fs;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{CWD, Mode, OFlags, XattrFlags};
use rustix::mount::{MountFlags, UnmountFlags};
use tempfile::TempDir;

use super::*;
use crate::fs::sample::{Fake, Fate, Node, TIME, dir, file, image, noise};
use crate::image::{Device, Kind};

mod transport;

thread_local! {
    /// How requests come to what the test mounts.
    static TRANSPORT: Cell<Transport> = const { Cell::new(Transport::Device) };
}

/// Has each test done by each way that requests come.
macro_rules! by_each_transport {
    ($($name:ident)*) => {
        mod by_device {
            $(#[test] fn $name() { super::transport::by(super::Transport::Device, super::$name); })*
        }
        mod by_rings {
            $(#[test] fn $name() { super::transport::by(super::Transport::Rings, super::$name); })*
        }
    };
}

by_each_transport! {
    attributes_are_shown_as_they_are
    twenty_thousand_entries_are_listed_once_each
    extended_attributes
    figures_and_options_of_the_mount
    holes_are_found_and_read_as_zeros
    sixteen_readers_get_what_is_theirs
    what_has_been_read_is_not_asked_for_again
    writing_is_refused
    what_is_in_memory_is_answered_while_a_hundred_reads_hang
    a_lost_chunk_is_an_error_and_no_hang
    unmounting_says_busy_and_waits_for_nobody
    unmounted_by_others
    dropping_it_while_reads_hang_ends_them
    detached_it_serves_who_has_it_open
    a_reader_that_waits_can_be_killed
    programs_run_from_it_setuid_where_asked
    an_overlay_holds_it_when_it_is_detached
    what_was_written_to_on_an_overlay_is_found_again
    an_ordinary_user_mounts_through_fusermount3
    any_byte_in_a_name
    a_server_that_is_killed_leaves_nobody_waiting
    what_others_abort_is_over
}

/// A mount that is gone when the test ends, however it ends.
struct Mount {
    mounted: Option<Mounted>,
    fake: Arc<Fake>,
    dir: TempDir,
}

impl Mount {
    fn new(
        root: &Node,
        chunk_len: usize,
        fate: impl Fn(u32) -> Fate + Send + Sync + 'static,
    ) -> Self {
        let options =
            MountOptions { allow_other: true, suid: true, dev: true, ..MountOptions::default() };
        Self::with(root, chunk_len, fate, &options)
    }

    fn with(
        root: &Node,
        chunk_len: usize,
        fate: impl Fn(u32) -> Fate + Send + Sync + 'static,
        options: &MountOptions,
    ) -> Self {
        let (image, stored) = image(root, chunk_len);
        let fake = Fake::new(stored, fate);
        let fs = Arc::new(Fs::new(Arc::new(image), Arc::clone(&fake) as _));
        let dir = tempfile::tempdir().unwrap();
        let transport = TRANSPORT.get();
        let _offered = transport::wanted(transport);
        let mounted = mount_over(transport, fs, dir.path(), options).unwrap();
        assert_eq!(mounted.transport, transport);
        Self { mounted: Some(mounted), fake, dir }
    }

    fn held(root: &Node) -> Self {
        Self::new(root, 10_000, |_| Fate::Held)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn mounted(&mut self) -> Mounted {
        self.mounted.take().unwrap()
    }
}

/// Does something when a test ends, however it ends.
struct Finally<F: FnMut()>(F);

impl<F: FnMut()> Drop for Finally<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// The line of /proc/self/mountinfo of what is mounted at `dir`.
fn mount_line(dir: &Path) -> Option<String> {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let dir = dir.to_str().unwrap();
    table.lines().find(|l| l.split(' ').nth(4) == Some(dir)).map(ToOwned::to_owned)
}

/// Runs `work` on another thread, so that a hang fails the test instead of the run.
fn within<T: Send + 'static>(seconds: u64, work: impl FnOnce() -> T + Send + 'static) -> T {
    wait(&begin(work), seconds)
}

fn begin<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Receiver<T> {
    let (sender, receiver) = channel();
    thread::spawn(move || sender.send(work()));
    receiver
}

fn wait<T>(receiver: &Receiver<T>, seconds: u64) -> T {
    receiver.recv_timeout(Duration::from_secs(seconds)).expect("the work ends in time")
}

fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(10), "in vain: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

fn attributes_are_shown_as_they_are() {
    let null = Kind::Char(Device { major: 1, minor: 3 });
    let far = Kind::Block(Device { major: 0xabc, minor: 0x12345 });
    let whiteout = Kind::Char(Device { major: 0, minor: 0 });
    let mount = Mount::held(&dir([
        ("file", file(noise(1, 1000))),
        ("link", Node::Link("to/nowhere")),
        ("null", Node::Other(0o020_666, null)),
        ("far", Node::Other(0o064_644, far)),
        ("whiteout", Node::Other(0o020_000, whiteout)),
        ("pipe", Node::Other(0o010_600, Kind::Fifo)),
        ("socket", Node::Other(0o140_755, Kind::Socket)),
        ("sub", dir([("x", dir::<&str>([]))])),
    ]));
    let stat = |name: &str| fs::symlink_metadata(mount.path(name)).unwrap();
    for name in ["file", "link", "null", "far", "whiteout", "pipe", "socket", "sub", "."] {
        let s = stat(name);
        assert_eq!((s.uid(), s.gid()), (70_000, 80_000), "{name}");
        for time in [(s.atime(), s.atime_nsec()), (s.ctime(), s.ctime_nsec())] {
            assert_eq!(time, (TIME.sec, i64::from(TIME.nsec)), "{name}");
        }
        assert_eq!((s.mtime(), s.mtime_nsec()), (TIME.sec, i64::from(TIME.nsec)), "{name}");
    }
    assert_eq!((stat("file").mode(), stat("file").nlink()), (0o100_644, 1));
    assert_eq!((stat("file").size(), stat("file").blocks()), (1000, 2));
    assert_eq!(stat("far").mode(), 0o064_644);
    assert_eq!(stat("null").rdev(), rustix::fs::makedev(1, 3));
    assert_eq!(stat("far").rdev(), rustix::fs::makedev(0xabc, 0x12345));
    assert_eq!(stat("whiteout").rdev(), 0);
    assert!(stat("pipe").file_type().is_fifo() && stat("socket").file_type().is_socket());
    assert_eq!((stat(".").nlink(), stat("sub").nlink(), stat("sub/x").nlink()), (3, 3, 2));
    assert_eq!(fs::read_link(mount.path("link")).unwrap().as_os_str(), "to/nowhere");
    assert_eq!(stat("link").size(), 10);
    assert_eq!(stat("sub").ino(), stat("sub/x/..").ino());
    // The device works: the mount is not nodev.
    assert_eq!(fs::read(mount.path("null")).unwrap(), b"");
    for _ in 0..2 {
        let error = fs::symlink_metadata(mount.path("nothing")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
    }
}

fn twenty_thousand_entries_are_listed_once_each() {
    let name = |i: u32| format!("{i:05}-{}", "n".repeat(i as usize % 240));
    let mount = Mount::held(&dir((0..20_000).map(|i| (name(i), file(b"")))));
    let want: BTreeSet<String> = (0..20_000).map(name).collect();
    for _ in 0..2 {
        let mut got = BTreeSet::new();
        for entry in fs::read_dir(mount.dir.path()).unwrap() {
            let entry = entry.unwrap();
            assert!(entry.file_type().unwrap().is_file());
            assert!(got.insert(entry.file_name().into_string().unwrap()), "twice");
        }
        assert_eq!(got, want);
    }
    assert!(fs::symlink_metadata(mount.path(&name(12_345))).unwrap().is_file());
}

fn extended_attributes() {
    let mount = Mount::held(&dir([("with", file(*b"eleven char")), ("without", file(b"x"))]));
    let get =
        |name: &str, attr: &str, buf: &mut [u8]| rustix::fs::lgetxattr(mount.path(name), attr, buf);
    let mut buf = [0; 100];
    assert_eq!(get("with", "user.zimg", &mut buf).unwrap(), 9);
    assert_eq!(buf[..9], *b"a value\0\xff");
    assert_eq!(rustix::fs::lgetxattr_query(mount.path("with"), "user.zimg").unwrap(), 9);
    assert_eq!(get("with", "user.empty", &mut buf).unwrap(), 0);
    assert_eq!(get("with", "trusted.secret", &mut buf).unwrap(), 1);
    assert_eq!(get("with", "system.posix_acl_access", &mut buf).unwrap(), 28);
    assert_eq!(get("with", "user.zimg", &mut buf[..5]).unwrap_err().raw_os_error(), 34);
    for (name, attr) in [("with", "user.none"), ("without", "user.zimg")] {
        assert_eq!(get(name, attr, &mut buf).unwrap_err().raw_os_error(), 61);
    }
    let mut list = [0; 100];
    let len = rustix::fs::llistxattr(mount.path("with"), &mut list[..]).unwrap();
    let want = b"system.posix_acl_access\0trusted.secret\0user.empty\0user.zimg\0";
    assert_eq!(list[..len], *want);
    assert_eq!(rustix::fs::llistxattr(mount.path("without"), &mut list[..]).unwrap(), 0);
}

fn figures_and_options_of_the_mount() {
    let mount = Mount::held(&dir([("a", file(noise(1, 100_000)))]));
    let statfs = rustix::fs::statvfs(mount.dir.path()).unwrap();
    assert_eq!((statfs.f_blocks, statfs.f_bfree, statfs.f_bavail), (25, 0, 0));
    assert_eq!((statfs.f_files, statfs.f_ffree, statfs.f_namemax), (2, 0, 255));
    let line = mount_line(mount.dir.path()).unwrap();
    assert!(line.contains(" - fuse.zimg zimg ro,"), "{line}");
    assert!(line.contains("default_permissions,allow_other"), "{line}");
    assert!(!line.contains("nosuid") && !line.contains("nodev"), "{line}");
    let device = mount.mounted.as_ref().unwrap().target.device().unwrap();
    assert_eq!(fs::read_to_string(readahead::path(device)).unwrap(), "1024\n");
}

fn holes_are_found_and_read_as_zeros() {
    let size = 5 << 30;
    let data = vec![(1 << 20, noise(1, 300_000)), (3 << 30, noise(2, 5000))];
    let mount = Mount::held(&dir([("sparse", Node::File(size, data))]));
    let mut file = fs::File::open(mount.path("sparse")).unwrap();
    assert_eq!(file.metadata().unwrap().blocks(), 305_000_u64.div_ceil(512));
    let seek = |at| rustix::fs::seek(&file, at).map_err(rustix::io::Errno::raw_os_error);
    use rustix::fs::SeekFrom::{Data, Hole};
    assert_eq!(seek(Data(0)), Ok(1 << 20));
    assert_eq!(seek(Hole(0)), Ok(0));
    assert_eq!(seek(Hole((1 << 20) + 1)), Ok((1 << 20) + 300_000));
    assert_eq!(seek(Data((1 << 20) + 300_000)), Ok(3 << 30));
    assert_eq!(seek(Data((3 << 30) + 5000)), Err(6));
    assert_eq!(seek(Hole((3 << 30) + 5000)), Ok((3 << 30) + 5000));
    let mut buf = vec![1; 400_000];
    file.seek(SeekFrom::Start((1 << 20) - 1000)).unwrap();
    file.read_exact(&mut buf).unwrap();
    assert!(buf[..1000].iter().chain(&buf[301_000..]).all(|&b| b == 0));
    assert_eq!(buf[1000..301_000], noise(1, 300_000));
    assert_eq!(file.read_at(&mut buf, size - 7).unwrap(), 7);
    assert_eq!(file.read_at(&mut buf, size).unwrap(), 0);
}

fn sixteen_readers_get_what_is_theirs() {
    let name = |i: u64| format!("file{i}");
    let root = dir((0..16).map(|i| (name(i), file(noise(i, 700_000)))));
    // Chunks cross files; every third has to be fetched.
    let mount = Mount::new(&root, 90_000, |c| if c % 3 == 0 { Fate::Comes } else { Fate::Held });
    thread::scope(|scope| {
        for i in 0..16 {
            let path = mount.path(&name(i));
            scope.spawn(move || assert!(fs::read(path).unwrap() == noise(i, 700_000)));
        }
    });
}

fn what_has_been_read_is_not_asked_for_again() {
    // More than the server itself keeps decompressed.
    let bytes: Vec<u8> = noise(1, 1 << 16).into_iter().cycle().take(20 << 20).collect();
    let mount = Mount::new(&dir([("a", file(bytes.clone()))]), 1 << 20, |_| Fate::Comes);
    assert!(fs::read(mount.path("a")).unwrap() == bytes);
    let asked = mount.fake.asked();
    assert!(asked >= 20);
    assert!(fs::read(mount.path("a")).unwrap() == bytes);
    assert_eq!(mount.fake.asked(), asked);
}

fn writing_is_refused() {
    let mount = Mount::held(&dir([("a", file(b"abc"))]));
    let a = mount.path("a");
    let refused = |result: io::Result<()>| {
        assert_eq!(result.unwrap_err().kind(), ErrorKind::ReadOnlyFilesystem);
    };
    let all_refused = || {
        refused(fs::write(mount.path("new"), "x"));
        let opened = fs::OpenOptions::new().append(true).open(&a);
        refused(opened.and_then(|mut file| file.write_all(b"more")));
        refused(fs::remove_file(&a));
        refused(fs::rename(&a, mount.path("b")));
        refused(fs::create_dir(mount.path("b")));
        refused(std::os::unix::fs::symlink("b", mount.path("b")));
        refused(fs::hard_link(&a, mount.path("b")));
        refused(std::os::unix::fs::chown(&a, Some(1), None));
        let set = rustix::fs::setxattr(&a, "user.a", b"b", XattrFlags::empty());
        refused(set.map_err(io::Error::from));
        let truncated = rustix::fs::open(&a, OFlags::WRONLY | OFlags::TRUNC, Mode::empty());
        refused(truncated.map(drop).map_err(io::Error::from));
        let node = (rustix::fs::FileType::Fifo, Mode::empty());
        let made = rustix::fs::mknodat(CWD, mount.path("b"), node.0, node.1, 0);
        refused(made.map_err(io::Error::from));
    };
    all_refused();
    // The kernel refuses the above. What it lets through once root has made the mount writable,
    // the server does.
    let remount = MountFlags::empty();
    rustix::mount::mount_remount(mount.dir.path(), remount, c"").unwrap();
    assert!(mount_line(mount.dir.path()).unwrap().contains(" rw,"));
    all_refused();
    assert_eq!(fs::read(&a).unwrap(), b"abc");
}

fn what_is_in_memory_is_answered_while_a_hundred_reads_hang() {
    let hang = |i: u32| (format!("hang{i}"), file(noise(i.into(), 20_000)));
    let fine = (0..50).map(|i| (format!("fine{i}"), file(noise(1000 + i, 20_000))));
    let root = dir(fine.chain((0..100).map(hang)));
    // "fine" sorts before "hang", so its files have the first chunks.
    let mount = Mount::new(&root, 20_000, |c| if c < 50 { Fate::Held } else { Fate::Hangs });
    let readers: Vec<_> = (0..100)
        .map(|i| {
            let path = mount.path(&format!("hang{i}"));
            begin(move || fs::read(path).unwrap())
        })
        .collect();
    until("a hundred reads hang", || mount.fake.hanging() >= 100);
    for i in 0..50 {
        let path = mount.path(&format!("fine{i}"));
        let got = within(5, move || fs::read(path).unwrap());
        assert_eq!(got.len(), 20_000);
    }
    let listed = mount.dir.path().to_owned();
    assert_eq!(within(5, move || fs::read_dir(listed).unwrap().count()), 150);
    assert!(readers.iter().all(|r| r.try_recv().is_err()));
    mount.fake.release();
    for (i, reader) in readers.iter().enumerate() {
        assert_eq!(wait(reader, 5), noise(i as u64, 20_000));
    }
}

fn a_lost_chunk_is_an_error_and_no_hang() {
    let mount = Mount::new(&dir([("a", file(noise(1, 5000)))]), 1000, |_| Fate::Fails);
    let path = mount.path("a");
    let error = within(5, move || fs::read(path).unwrap_err());
    assert_eq!(error.raw_os_error(), Some(5));
}

fn unmounting_says_busy_and_waits_for_nobody() {
    let mut mount = Mount::held(&dir([("a", file(b"abc"))]));
    let mounted = mount.mounted();
    let unmounter = mounted.unmounter();
    let open = fs::File::open(mount.path("a")).unwrap();
    assert!(matches!(unmounter.unmount(), Err(UnmountError::Busy(_))));
    assert_eq!(fs::read(mount.path("a")).unwrap(), b"abc");
    drop(open);
    let waiter = begin(move || mounted.wait());
    unmounter.unmount().unwrap();
    wait(&waiter, 5).unwrap();
    assert!(mount_line(mount.dir.path()).is_none());
    // Again, when there is nothing: no error, and nothing else is unmounted.
    unmounter.unmount().unwrap();
}

fn unmounted_by_others() {
    let mut mount = Mount::held(&dir([("a", file(b"abc"))]));
    let mounted = mount.mounted();
    let waiter = begin(move || mounted.wait());
    let status = Command::new("umount").arg(mount.dir.path()).status().unwrap();
    assert!(status.success());
    wait(&waiter, 5).unwrap();
}

fn dropping_it_while_reads_hang_ends_them() {
    let mut mount = Mount::new(&dir([("a", file(noise(1, 5000)))]), 1000, |_| Fate::Hangs);
    let path = mount.path("a");
    let reader = begin(move || fs::read(path).unwrap_err());
    until("the read hangs", || mount.fake.hanging() > 0);
    let mounted = mount.mounted();
    within(5, move || drop(mounted));
    wait(&reader, 5);
    assert!(mount_line(mount.dir.path()).is_none());
    // Replies that come too late harm nobody.
    mount.fake.release();
}

fn detached_it_serves_who_has_it_open() {
    let mut mount = Mount::held(&dir([("a", file(noise(1, 30_000)))]));
    let mounted = mount.mounted();
    let open = fs::File::open(mount.path("a")).unwrap();
    mounted.unmounter().detach().unwrap();
    assert!(mount_line(mount.dir.path()).is_none());
    let mut buf = vec![0; 30_000];
    open.read_exact_at(&mut buf, 0).unwrap();
    assert_eq!(buf, noise(1, 30_000));
    within(5, move || drop(mounted));
    rustix::fs::fadvise(&open, 0, None, rustix::fs::Advice::DontNeed).unwrap();
    open.read_exact_at(&mut buf, 0).unwrap();
    assert_eq!(buf, noise(1, 30_000));
}

#[test]
fn places_where_nothing_can_be_mounted() {
    let (image, stored) = image(&dir::<&str>([]), 1000);
    let fs = Arc::new(Fs::new(Arc::new(image), Fake::new(stored, |_| Fate::Held)));
    let dir = tempfile::tempdir().unwrap();
    let options = MountOptions::default();
    let missing = mount(Arc::clone(&fs), &dir.path().join("none"), &options).unwrap_err();
    assert!(missing.to_string().ends_with("/none: No such file or directory (os error 2)"));
    fs::write(dir.path().join("file"), "x").unwrap();
    let file = mount(fs, &dir.path().join("file"), &options).unwrap_err();
    assert!(file.to_string().ends_with("/file: not a directory"), "{file}");
}

fn a_reader_that_waits_can_be_killed() {
    let mount = Mount::new(&dir([("a", file(noise(1, 5000)))]), 1000, |_| Fate::Hangs);
    let mut cat = Command::new("cat").arg(mount.path("a")).spawn().unwrap();
    until("the read hangs", || mount.fake.hanging() > 0);
    cat.kill().unwrap();
    assert!(!within(5, move || cat.wait().unwrap()).success());
}

fn programs_run_from_it_setuid_where_asked() {
    // Executed, so mapped. `id -u` says who it runs as: the image's files belong to 70000.
    let program = fs::read("/usr/bin/id").unwrap();
    let chunk = |_| Fate::Comes;
    let Node::File(size, data) = file(program) else { panic!("a file") };
    let root = dir([("id", Node::Setuid(size, data))]);
    let mount = Mount::new(&root, 10_000, chunk);
    let run = |mount: &Mount| {
        let output = Command::new(mount.path("id")).arg("-u").output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(run(&mount), "70000\n");
    let careful = Mount::with(&root, 10_000, chunk, &MountOptions::default());
    assert_eq!(run(&careful), "0\n");
    assert!(mount_line(careful.dir.path()).unwrap().contains(" ro,nosuid,nodev,"));
}

/// Directories for an overlay's upper layer, and where it is mounted.
fn overlay_top() -> TempDir {
    let top = tempfile::tempdir_in("/dev/shm").unwrap();
    for name in ["upper", "work", "merged"] {
        fs::create_dir(top.path().join(name)).unwrap();
    }
    top
}

/// Mounts an overlay of `lower` and what was written to `top` before; gone when dropped.
fn overlay(lower: &Path, top: &Path, more: &str) -> Finally<impl FnMut() + use<>> {
    let at = |name: &str| top.join(name).to_str().unwrap().to_owned();
    let (lower, merged) = (lower.display(), top.join("merged"));
    let options = format!("lowerdir={lower},upperdir={},workdir={}{more}", at("upper"), at("work"));
    let options = std::ffi::CString::new(options).unwrap();
    let flags = MountFlags::empty();
    rustix::mount::mount("overlay", &merged, "overlay", flags, options.as_c_str()).unwrap();
    Finally(move || rustix::mount::unmount(&merged, UnmountFlags::DETACH).unwrap())
}

fn an_overlay_holds_it_when_it_is_detached() {
    let root = dir([("a", file(noise(1, 30_000))), ("b", file(*b"eleven char"))]);
    let mut mount = Mount::new(&root, 10_000, |_| Fate::Comes);
    let mounted = mount.mounted();
    let top = overlay_top();
    let merged = top.path().join("merged");
    let overlaid = overlay(mount.dir.path(), top.path(), "");
    mounted.unmounter().detach().unwrap();
    assert!(mount_line(mount.dir.path()).is_none());
    assert_eq!(fs::read(merged.join("a")).unwrap(), noise(1, 30_000));
    fs::OpenOptions::new().append(true).open(merged.join("b")).unwrap().write_all(b"!").unwrap();
    assert_eq!(fs::read(merged.join("b")).unwrap(), b"eleven char!");
    let mut value = [0; 20];
    let len = rustix::fs::lgetxattr(merged.join("b"), "user.zimg", &mut value).unwrap();
    assert_eq!(value[..len], *b"a value\0\xff");
    let waiter = begin(move || mounted.wait());
    assert!(waiter.try_recv().is_err());
    drop(overlaid);
    wait(&waiter, 5).unwrap();
}

/// Overlayfs would look for such a file's origin by its handle, in a kernel that may know nothing
/// of it: at first after a mount, and again whenever memory was short.
fn what_was_written_to_on_an_overlay_is_found_again() {
    let root = dir([("sub", dir([("a", file(*b"eleven char"))]))]);
    let top = overlay_top();
    let path = top.path().join("merged/sub/a");
    for time in 1..4 {
        let mount = Mount::held(&root);
        let overlaid = overlay(mount.dir.path(), top.path(), ",xino=on");
        if time == 1 {
            fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"!").unwrap();
        }
        // The first would find it by its handle, those that follow ask whether it is still there.
        for _ in 0..3 {
            assert_eq!(fs::metadata(&path).unwrap().len(), 12);
            assert_eq!(fs::read(&path).unwrap(), b"eleven char!");
        }
        drop(overlaid);
    }
}

/// What [`an_ordinary_user_mounts_through_fusermount3`] runs as such a user.
#[test]
#[ignore = "run by the test of the same mount, as an ordinary user"]
fn as_an_ordinary_user() {
    assert_ne!(rustix::process::geteuid().as_raw(), 0);
    TRANSPORT.set(transport::of_environment());
    let options = MountOptions::default();
    let root = dir([("a", file(noise(1, 30_000)))]);
    let mut mount = Mount::with(&root, 10_000, |_| Fate::Comes, &options);
    let line = mount_line(mount.dir.path()).unwrap();
    assert!(line.contains(" - fuse.zimg zimg ro,") && line.contains(" ro,nosuid,nodev,"), "{line}");
    // Owned by others, but readable by all.
    assert_eq!(fs::read(mount.path("a")).unwrap(), noise(1, 30_000));
    let mounted = mount.mounted();
    let unmounter = mounted.unmounter();
    let open = fs::File::open(mount.path("a")).unwrap();
    assert!(matches!(unmounter.unmount(), Err(UnmountError::Busy(_))));
    drop(open);
    unmounter.unmount().unwrap();
    within(5, move || mounted.wait()).unwrap();
    assert!(mount_line(mount.dir.path()).is_none());

    let mut dropped = Mount::with(&root, 10_000, |_| Fate::Comes, &options);
    drop(dropped.mounted());
    assert!(mount_line(dropped.dir.path()).is_none());

    let all = MountOptions { allow_other: true, ..options };
    let (image, stored) = image(&root, 1000);
    let fs = Arc::new(Fs::new(Arc::new(image), Fake::new(stored, |_| Fate::Held)));
    let refused = super::mount(fs, dropped.dir.path(), &all).unwrap_err().to_string();
    assert!(refused.starts_with("fusermount3: option allow_other only allowed if"), "{refused}");
}

fn an_ordinary_user_mounts_through_fusermount3() {
    let place = tempfile::tempdir().unwrap();
    let open_to_all = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    fs::set_permissions(place.path(), open_to_all).unwrap();
    let program = place.path().join("tests");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    // A /dev/fuse and an fuse.conf as most machines have them, seen by nobody else.
    let script = "set -e; mount -t tmpfs tmpfs /mnt; cd /mnt; mknod fuse c 10 229; chmod 666 fuse; \
                  mount --bind fuse /dev/fuse; \
                  if [ -e /etc/fuse.conf ]; then touch conf; mount --bind conf /etc/fuse.conf; fi; \
                  export TMPDIR=\"$1\"; exec setpriv --reuid=65534 --regid=65534 --clear-groups \
                  \"$1/tests\" --ignored --exact fuse::tests::as_an_ordinary_user";
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", script, "sh"]).arg(place.path());
    let _offered = transport::wanted(TRANSPORT.get());
    transport::tell(&mut command);
    let output = within(60, move || command.output().unwrap());
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{output:?}");
}

fn any_byte_in_a_name() {
    let mount = Mount::held(&dir([("a b\n\"\u{1}é", file(b"1")), (&"x".repeat(255), file(b"2"))]));
    let names: Vec<_> =
        fs::read_dir(mount.dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names.len(), 2);
    for name in names {
        assert_eq!(fs::read(mount.dir.path().join(&name)).unwrap().len(), 1);
        assert!(name.as_bytes().len() == 255 || name.as_bytes().contains(&b'\n'));
    }
    let long = fs::symlink_metadata(mount.path(&"y".repeat(256))).unwrap_err();
    assert_eq!(long.raw_os_error(), Some(36));
}

/// What [`a_server_that_is_killed_leaves_nobody_waiting`] kills.
#[test]
#[ignore = "run by the test that kills it"]
fn as_a_server_that_is_killed() {
    TRANSPORT.set(transport::of_environment());
    let mount = Mount::new(&dir([("a", file(noise(1, 5000)))]), 1000, |_| Fate::Hangs);
    println!("\nmounted on {}", mount.dir.path().display());
    until("its end", || false);
}

fn a_server_that_is_killed_leaves_nobody_waiting() {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--ignored", "--exact", "--nocapture"]);
    command.arg("fuse::tests::as_a_server_that_is_killed").stdout(Stdio::piped());
    let offered = transport::wanted(TRANSPORT.get());
    transport::tell(&mut command);
    let mut server = command.spawn().unwrap();
    let lines = BufReader::new(server.stdout.take().unwrap()).lines();
    let said =
        lines.map(Result::unwrap).find_map(|l| Some(l.strip_prefix("mounted on ")?.to_owned()));
    drop(offered);
    let dir = PathBuf::from(said.expect("the server mounts"));
    let _gone = Finally(|| {
        let _ = rustix::mount::unmount(&dir, UnmountFlags::DETACH);
        let _ = fs::remove_dir(&dir);
    });
    let path = dir.join("a");
    let reader = begin(move || fs::read(path).unwrap_err());
    let waiting = format!("/sys/fs/fuse/connections/{}/waiting", mount_minor(&dir));
    // Without fusectl it is killed a little sooner.
    if Path::new(&waiting).exists() {
        until("the read is under way", || fs::read_to_string(&waiting).unwrap() != "0\n");
    }
    assert!(reader.try_recv().is_err());
    server.kill().unwrap();
    server.wait().unwrap();
    wait(&reader, 10);
    // For a moment it is one that was aborted.
    let dead = || fs::metadata(dir.join("a")).unwrap_err().raw_os_error() == Some(107);
    until("the mount is dead", dead);
}

/// The number by which the kernel knows the connection of what is mounted at `dir`.
fn mount_minor(dir: &Path) -> String {
    let line = mount_line(dir).unwrap();
    line.split(' ').nth(2).unwrap().split(':').nth(1).unwrap().to_owned()
}

fn what_others_abort_is_over() {
    let mut mount = Mount::new(&dir([("a", file(noise(1, 5000)))]), 1000, |_| Fate::Hangs);
    let path = mount.path("a");
    let reader = begin(move || fs::read(path).unwrap_err());
    until("the read hangs", || mount.fake.hanging() > 0);
    let control = tempfile::tempdir().unwrap();
    rustix::mount::mount("none", control.path(), "fusectl", MountFlags::empty(), None).unwrap();
    let abort = control.path().join(mount_minor(mount.dir.path())).join("abort");
    let aborted = fs::write(abort, "1");
    rustix::mount::unmount(control.path(), UnmountFlags::DETACH).unwrap();
    aborted.unwrap();
    wait(&reader, 10);
    let mounted = mount.mounted();
    within(10, move || mounted.wait()).unwrap();
    assert!(mount_line(mount.dir.path()).is_none());
    mount.fake.release();
}
