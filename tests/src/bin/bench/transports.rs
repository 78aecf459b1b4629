//! The two ways that requests come from the kernel, over the same image: `/dev/fuse`, and io_uring.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;

use crate::Bench;
use crate::mounted::Mount;
use crate::report::{Report, Times};
use crate::sizes::build;

/// Says, to be changed at any time, whether the kernel offers io_uring to who mounts.
const OFFERED: &str = "/sys/module/fuse/parameters/enable_uring";
/// A file that the server keeps decompressed, and what is read of it at a time.
const FILE_LEN: usize = 6 << 20;
const PAGE: usize = 4096;

/// What was to be offered, for as long as this is held.
struct Offered {
    before: Vec<u8>,
}

impl Offered {
    fn new() -> io::Result<Self> {
        fs::read(OFFERED).map(|before| Self { before })
    }

    fn set(&self, rings: bool) -> io::Result<()> {
        fs::write(OFFERED, if rings { "Y" } else { "N" })
    }
}

impl Drop for Offered {
    fn drop(&mut self) {
        // It was written before.
        let _ = fs::write(OFFERED, &self.before);
    }
}

/// Compares them in turn, where the kernel has both.
pub(crate) fn run(bench: &Bench, report: &mut Report, dir: &Path) -> anyhow::Result<()> {
    let Ok(offered) = Offered::new() else {
        report.fact("requests over io_uring", "not measured: this kernel does not offer it");
        return Ok(());
    };
    let source = dir.join("transports");
    fs::create_dir(&source)?;
    let file = noise(FILE_LEN);
    fs::write(source.join("file"), &file)?;
    let names: Vec<PathBuf> = (0..100).map(|i| format!("{i:02}").into()).collect();
    for name in &names {
        fs::create_dir(source.join(name))?;
        for below in &names {
            fs::write(source.join(name).join(below), b"")?;
        }
    }
    let flist = dir.join("transports.flist");
    build(&source, &flist)?;
    let mut times: [[Times; 2]; 2] = Default::default();
    for _ in 0..bench.runs {
        for (rings, [stats, reads]) in [true, false].into_iter().zip(&mut times) {
            offered.set(rings)?;
            let mount = Mount::new(&flist, &dir.join("mnt"))?;
            stats.push(stat(&mount.dir, &names)?);
            reads.push(read(&mount.dir.join("file"), &file)?);
        }
    }
    let [rings, device] = &times;
    let what =
        ["stat of 10,000 files, one after another", "1,536 reads of 4 KiB anywhere in a file"];
    for (what, (ours, peer)) in what.into_iter().zip(rings.iter().zip(device)) {
        let what = format!("{what}, over io_uring (peer: over `/dev/fuse`)");
        report.in_turn(&what, [ours, peer], Times::millis, 1.0);
    }
    fs::remove_dir_all(&source)?;
    fs::remove_file(&flist)?;
    fs::remove_dir_all(dir.join("packs"))?;
    Ok(())
}

/// Each file is looked up by itself: nothing is listed.
fn stat(dir: &Path, names: &[PathBuf]) -> anyhow::Result<Duration> {
    let start = Instant::now();
    for name in names {
        let parent = dir.join(name);
        for below in names {
            fs::symlink_metadata(parent.join(below))?;
        }
    }
    Ok(start.elapsed())
}

/// Each page once, without readahead.
fn read(path: &Path, want: &[u8]) -> anyhow::Result<Duration> {
    let file = File::open(path)?;
    rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::Random)?;
    let pages = want.len() / PAGE;
    let mut buffer = [0; PAGE];
    // Decompressed by the first.
    for at in (0..want.len() as u64).step_by(64 << 10) {
        file.read_exact_at(&mut buffer[..1], at)?;
    }
    let start = Instant::now();
    for page in 0..pages {
        // A step that shares no factor with the number of pages comes by each.
        let at = page * 641 % pages * PAGE;
        file.read_exact_at(&mut buffer, at as u64)?;
        let right = want.get(at..at + PAGE).context("a page")?;
        anyhow::ensure!(buffer == right, "wrong bytes at {at}");
    }
    Ok(start.elapsed())
}

/// Bytes that compress little.
fn noise(len: usize) -> Vec<u8> {
    let mut hash = blake3::Hasher::new().finalize_xof();
    let mut bytes = vec![0; len];
    hash.fill(&mut bytes);
    bytes
}
