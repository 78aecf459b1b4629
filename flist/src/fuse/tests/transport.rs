//! Which way requests come to a test's mounts.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::process::Command;

use rustix::fs::FlockOperation;

use super::super::{Transport, mount, ring};
use super::*;

/// Which transport the process of a test that another test starts shall take.
const VARIABLE: &str = "ZIMG_TEST_RINGS";

/// Runs `test` with mounts over `transport`.
pub(super) fn by(transport: Transport, test: fn()) {
    if transport == Transport::Rings && !Path::new(ring::OFFERED).exists() {
        return skipped();
    }
    TRANSPORT.set(transport);
    test();
}

/// Says so although the test passes.
fn skipped() {
    let name = thread::current().name().unwrap_or_default().to_owned();
    let why = "the kernel has no FUSE over io_uring (CONFIG_FUSE_IO_URING)";
    io::stderr().write_all(format!("SKIPPED {name}: {why}\n").as_bytes()).unwrap();
}

pub(super) fn tell(command: &mut Command) {
    if TRANSPORT.get() == Transport::Rings {
        command.env(VARIABLE, "yes");
    }
}

pub(super) fn of_environment() -> Transport {
    if std::env::var_os(VARIABLE).is_some() { Transport::Rings } else { Transport::Device }
}

/// Has the kernel offer what `transport` takes to who mounts while this is held: one at a time, so that
/// it is as before in the end. A process that a test started leaves that to the test.
pub(super) fn wanted(transport: Transport) -> Option<Offered> {
    let asked_for = transport == Transport::Rings && std::env::var_os(VARIABLE).is_none();
    asked_for.then(|| Offered::new(b"Y"))
}

pub(super) struct Offered {
    file: File,
    before: [u8; 1],
}

impl Offered {
    fn new(value: &[u8]) -> Self {
        let file = File::options().read(true).write(true).open(ring::OFFERED).unwrap();
        rustix::fs::flock(&file, FlockOperation::LockExclusive).unwrap();
        let mut before = [0];
        file.read_exact_at(&mut before, 0).unwrap();
        file.write_all_at(value, 0).unwrap();
        Self { file, before }
    }
}

impl Drop for Offered {
    fn drop(&mut self) {
        self.file.write_all_at(&self.before, 0).unwrap();
    }
}

/// The transport that a mount has if nothing is said of it.
fn chosen() -> (Transport, Mounted, TempDir) {
    let root = dir([("a", file(noise(1, 30_000)))]);
    let (image, stored) = image(&root, 1000);
    let fs = Arc::new(Fs::new(Arc::new(image), Fake::new(stored, |_| Fate::Held)));
    let dir = tempfile::tempdir().unwrap();
    let mounted = mount(fs, dir.path(), &MountOptions::default()).unwrap();
    assert_eq!(fs::read(dir.path().join("a")).unwrap(), noise(1, 30_000));
    (mounted.transport, mounted, dir)
}

#[test]
fn what_the_kernel_offers_is_taken() {
    if !Path::new(ring::OFFERED).exists() {
        return skipped();
    }
    for (value, want) in [(b"Y", Transport::Rings), (b"N", Transport::Device)] {
        let _offered = Offered::new(value);
        assert_eq!(chosen().0, want);
    }
}

#[test]
fn what_is_not_offered_after_all_leaves_no_mount_behind() {
    if !Path::new(ring::OFFERED).exists() {
        return skipped();
    }
    let (image, stored) = image(&dir::<&str>([]), 1000);
    let fs = Arc::new(Fs::new(Arc::new(image), Fake::new(stored, |_| Fate::Held)));
    let dir = tempfile::tempdir().unwrap();
    for (value, refused) in [(b"N", true), (b"Y", false)] {
        let _offered = Offered::new(value);
        let fs = Arc::clone(&fs);
        let mounted = mount_over(Transport::Rings, fs, dir.path(), &MountOptions::default());
        assert_eq!(matches!(mounted, Err(MountError::Handshake(_))), refused, "{mounted:?}");
        assert_eq!(mount_line(dir.path()).is_none(), refused);
    }
}

/// What [`without_memory_for_rings_it_is_mounted_all_the_same`] runs.
#[test]
#[ignore = "run by the test of the same, with little memory"]
fn with_little_memory() {
    println!("\nby {:?}", chosen().0);
}

#[test]
fn without_memory_for_rings_it_is_mounted_all_the_same() {
    if !Path::new(ring::OFFERED).exists() {
        return skipped();
    }
    let _offered = Offered::new(b"Y");
    // Rings take more addresses than this, of which few are used.
    for (limit, want) in [("600000", "by Device"), ("unlimited", "by Rings")] {
        let mut command = Command::new("sh");
        command.args(["-c", "ulimit -v $1; shift; exec \"$@\"", "sh", limit]);
        command.arg(std::env::current_exe().unwrap());
        command.args(["--ignored", "--exact", "--nocapture"]);
        command.arg("fuse::tests::transport::with_little_memory");
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains(want), "{limit}: {output:?}");
    }
}
