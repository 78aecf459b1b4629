//! A mount goes on being served once the filter is there, whichever way its requests come.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use flist::chunk::{Chunk, Stored};
use flist::fs::{Contents, Done, Fs};
use flist::fuse::{self, MountOptions};
use flist::id::{ChunkId, PackId};
use flist::image::{Dirent, Extent, Image, Inode, Kind, Pack, Tables, Time, XattrSet};
use rustix::fs::{FlockOperation, flock};

/// Whether the kernel offers io_uring to who mounts.
const OFFERED: &str = "/sys/module/fuse/parameters/enable_uring";
const TEXT: &[u8] = b"come from afar";

/// One chunk, which a thread brings that has just begun.
struct Afar(Arc<Stored>);

impl Contents for Afar {
    fn held(&self, _: u32) -> Option<Arc<Stored>> {
        None
    }

    fn request(&self, _: &[u32], done: Done) {
        let stored = Arc::clone(&self.0);
        thread::spawn(move || done(Ok(vec![stored])));
    }
}

/// A directory with one file.
fn one_file() -> Fs {
    let len = u32::try_from(TEXT.len()).unwrap();
    let (id, pack) = (ChunkId::of(TEXT), PackId::of(TEXT));
    let chunk = Chunk { id, pack: 0, stored_len: len, len, offset: 0 };
    let stored = Arc::new(chunk.verify(TEXT.to_vec()).unwrap());
    let inode = |mode, kind| {
        let mtime = Time { sec: 0, nsec: 0 };
        Inode { mode, uid: 0, gid: 0, xattrs: 0, mtime, kind }
    };
    let tables = Tables {
        inodes: vec![
            inode(0o40_755, Kind::Directory { first: 0, count: 1 }),
            inode(0o100_644, Kind::File { size: u64::from(len), first: 0, count: 1 }),
        ],
        dirents: vec![Dirent { name_start: 0, ino: 2, name_len: 1 }],
        names: b"a".to_vec(),
        extents: vec![Extent { file_offset: 0, content_offset: 0, len: u64::from(len) }],
        chunks: vec![chunk],
        xattr_sets: vec![XattrSet::new()],
        packs: vec![Pack { id: pack, len: u64::from(len) }],
        ..Tables::default()
    };
    Fs::new(Arc::new(Image::new(tables).unwrap()), Arc::new(Afar(stored)))
}

/// Run by the test below: serves a mount from inside, until its input ends.
#[test]
#[ignore = "run by the test below, in a process of its own"]
fn inside() {
    let dir = PathBuf::from(std::env::var_os("ZIMG_DIR").unwrap());
    let mounted = fuse::mount(Arc::new(one_file()), &dir, &MountOptions::default()).unwrap();
    let threads = fs::read_dir("/proc/self/task").unwrap();
    let name =
        |task: io::Result<fs::DirEntry>| fs::read(task.unwrap().path().join("comm")).unwrap();
    let rings = threads.map(name).any(|name| name == b"fuse-0\n");
    rustix::thread::set_no_new_privs(true).unwrap();
    super::enter().unwrap();
    assert!(mounted.unmounter().unmount().is_err());
    println!("\nserves, rings: {rings}");
    io::stdin().read_to_end(&mut Vec::new()).unwrap();
    std::process::exit(0);
}

/// What such a process says, what is in its file, and how many files it has.
fn served(enabled: &[u8]) -> (String, Vec<u8>, usize) {
    let parameter = File::options().read(true).write(true).open(OFFERED).unwrap();
    flock(&parameter, FlockOperation::LockExclusive).unwrap();
    let mut before = [0];
    parameter.read_exact_at(&mut before, 0).unwrap();
    parameter.write_all_at(enabled, 0).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--ignored", "--exact", "--nocapture", "sandbox::tests::served::inside"]);
    command.env("ZIMG_DIR", dir.path()).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut server = command.spawn().unwrap();
    let mut lines = BufReader::new(server.stdout.take().unwrap()).lines().map(Result::unwrap);
    let said = lines.find(|line| line.starts_with("serves"));
    parameter.write_all_at(&before, 0).unwrap();
    let path = dir.path().to_owned();
    let (send, result) = channel();
    thread::spawn(move || {
        let read = fs::read(path.join("a"));
        send.send((read, fs::read_dir(path).map_or(0, Iterator::count)))
    });
    let result = result.recv_timeout(Duration::from_secs(10));
    server.kill().unwrap();
    server.wait().unwrap();
    let _ = rustix::mount::unmount(dir.path(), rustix::mount::UnmountFlags::DETACH);
    let (read, count) = result.expect("an answer");
    (said.unwrap(), read.unwrap(), count)
}

#[test]
fn a_mount_is_served_from_inside_whichever_way_requests_come() {
    if !Path::new(OFFERED).exists() {
        let why = "the kernel has no FUSE over io_uring (CONFIG_FUSE_IO_URING)";
        return writeln!(io::stderr(), "SKIPPED {}: {why}", module_path!()).unwrap();
    }
    for (enabled, rings) in [(b"Y", true), (b"N", false)] {
        let answer = served(enabled);
        assert_eq!(answer, (format!("serves, rings: {rings}"), TEXT.to_vec(), 1));
    }
}
