//! A mounted image beside the plain directory: walking, reading, memory.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;
use tests::out::built;
use tests::root::run as must;

use crate::Bench;
use crate::report::{Report, Times, megabytes};
use crate::sizes::{build, inspect};
use crate::transports;

/// A `zimg mount --foreground`; unmounted when dropped.
pub(crate) struct Mount {
    child: Child,
    pub(crate) dir: PathBuf,
}

impl Mount {
    pub(crate) fn new(flist: &Path, dir: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(dir)?;
        let mut child = Command::new(built("zimg")?)
            .args(["mount", "--foreground"])
            .arg(flist)
            .arg(dir)
            .stdout(Stdio::piped())
            .spawn()?;
        let mut ready = String::new();
        let stdout = child.stdout.take().context("zimg mount has no output")?;
        BufReader::new(stdout).read_line(&mut ready)?;
        Ok(Self { child, dir: dir.into() })
    }

    /// Resident memory that is not shared with files, in bytes, as the kernel counts it.
    pub(crate) fn resident(&self) -> anyhow::Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|l| l.strip_prefix("RssAnon:"));
        let kib: u64 = line.and_then(|l| l.trim().strip_suffix(" kB")?.parse().ok()).unwrap_or(0);
        Ok(kib * 1024)
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // What fails here shows as a mount left behind, and the scratch folder's removal says so.
        let _ = must(Command::new("umount").arg(&self.dir));
        let _ = self.child.wait();
    }
}

/// What makes `find` look at each inode.
pub(crate) const ATTRIBUTES: [&str; 2] = ["-printf", "%s %m %n\\n"];

pub(crate) fn find(dir: &Path, what: &[&str]) -> anyhow::Result<Duration> {
    let start = Instant::now();
    must(Command::new("find").arg(dir).args(what))?;
    Ok(start.elapsed())
}

pub(crate) fn run(bench: &Bench, report: &mut Report) -> anyhow::Result<()> {
    report.section("Mounted");
    let dir = bench.scratch.path().join("mounted");
    fs::create_dir(&dir)?;
    walking(bench, report, &dir)?;
    reading(bench, report, &dir)?;
    transports::run(bench, report, &dir)?;
    fs::remove_dir_all(&dir)?;
    Ok(())
}

/// `find`, by itself and with attributes, over the big tree.
fn walking(bench: &Bench, report: &mut Report, dir: &Path) -> anyhow::Result<()> {
    let flist = dir.join("big.flist");
    build(&bench.tree, &flist)?;
    let names = inspect(&flist)?["names"].as_u64().unwrap_or(0);
    let (mut fresh, mut fresh_attributes) = (Times::new(), Times::new());
    let (mut warm, mut plain) = (Times::new(), Times::new());
    find(&bench.tree, &ATTRIBUTES)?;
    let mut resident = 0;
    for _ in 0..bench.runs {
        let mount = Mount::new(&flist, &dir.join("mnt"))?;
        fresh.push(find(&mount.dir, &[])?);
        drop(mount);
        let mount = Mount::new(&flist, &dir.join("mnt"))?;
        fresh_attributes.push(find(&mount.dir, &ATTRIBUTES)?);
        warm.push(find(&mount.dir, &ATTRIBUTES)?);
        plain.push(find(&bench.tree, &ATTRIBUTES)?);
        resident = resident.max(mount.resident()?);
    }
    report.promise(
        &format!("`find` over a fresh mount of {names} entries"),
        fresh.text(),
        "under 1 s",
        fresh.median() < 1.0,
    );
    report.fact("the same with attributes, on another fresh mount", fresh_attributes.text());
    let what = "that again, warm (peer: the plain directory)";
    report.in_turn(what, [&warm, &plain], Times::text, 1.3);
    report.fact("memory of `zimg mount` after it, no contents read", megabytes(resident));
    fs::remove_file(&flist)?;
    fs::remove_dir_all(dir.join("packs"))?;
    Ok(())
}

/// Sequential reading of a large file whose chunks the server holds, and the memory that takes.
fn reading(bench: &Bench, report: &mut Report, dir: &Path) -> anyhow::Result<()> {
    let source = dir.join("source");
    fs::create_dir(&source)?;
    let big = source.join("big");
    // Real contents that fit the server's cache: the Debian root's largest programs.
    let tar = Command::new("tar")
        .arg("-C")
        .arg(&bench.root)
        .args(["-cf", "-", "usr/lib", "usr/bin"])
        .stdout(File::create(&big)?)
        .status()?;
    anyhow::ensure!(tar.success(), "tar: {tar}");
    let flist = dir.join("big.flist");
    build(&source, &flist)?;
    let mount = Mount::new(&flist, &dir.join("mnt"))?;
    let file = mount.dir.join("big");
    let len = fs::metadata(&file)?.len();
    let mut times = Times::new();
    for round in 0..=bench.runs {
        // The kernel's pages go, the server's chunks stay: this measures the server.
        must(Command::new("sh").args(["-c", "echo 1 > /proc/sys/vm/drop_caches"]))?;
        let start = Instant::now();
        let mut file = File::open(&file)?;
        let mut buffer = vec![0; 1 << 20];
        while file.read(&mut buffer)? > 0 {}
        if round > 0 {
            times.push(start.elapsed());
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "a speed for people")]
    let speed = len as f64 / times.median() / 1e9;
    report.promise(
        &format!("sequential reading of {} of cached chunks", megabytes(len)),
        format!("{speed:.2} GB/s, {}", times.text()),
        "over 1 GB/s",
        speed > 1.0,
    );
    report.fact("memory of the server after it, its cache included", megabytes(mount.resident()?));
    Ok(())
}
