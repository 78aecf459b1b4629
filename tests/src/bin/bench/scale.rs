//! An image of very many files: how long it takes to be made and opened, and what memory either
//! takes; and whether a server that has answered a million requests holds more than before.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use tests::awkward::random;
use tests::out::built;
use tests::root::run as must;

use crate::Bench;
use crate::mounted::{Mount, find};
use crate::report::{Report, Times, megabytes};
use crate::sizes::{LEVEL, inspect, squashfs_command};

/// Files in each folder.
const FOLDER: usize = 1000;

pub(crate) fn run(bench: &Bench, report: &mut Report) -> anyhow::Result<()> {
    report.section("Scale");
    let dir = bench.scratch.path().join("scale");
    let source = dir.join("source");
    let files = plant(&source, bench.files)?;
    let flist = dir.join("many.flist");
    building(&source, &dir, &flist, report)?;
    opening(bench, &flist, files, report)?;
    reading(&dir, &flist, files, report)?;
    fs::remove_dir_all(&dir)?;
    Ok(())
}

/// Makes at least `files` files of up to a KiB each, all different; half of what they hold can't be
/// compressed. Returns how many.
fn plant(source: &Path, files: usize) -> anyhow::Result<usize> {
    let folders = files.div_ceil(FOLDER);
    for folder in 0..folders {
        let path = source.join(format!("{folder:04}"));
        fs::create_dir_all(&path)?;
        for file in 0..FOLDER {
            let number = folder * FOLDER + file;
            let mut contents = begins(number);
            let noise = random(u64::try_from(number)?, number * 7919 % 512);
            contents.extend_from_slice(&noise);
            contents.resize(contents.len() + noise.len(), b'.');
            fs::write(path.join(format!("{file:04}")), contents)?;
        }
    }
    Ok(folders * FOLDER)
}

/// What the file of this number begins with.
fn begins(number: usize) -> Vec<u8> {
    format!("{number}\n").into_bytes()
}

/// Runs a command that must succeed. Returns how long it took, and the most memory it had.
fn watched(command: &mut Command) -> anyhow::Result<(Duration, u64)> {
    let start = Instant::now();
    let mut child = command.stdout(Stdio::null()).spawn()?;
    let mut most = 0;
    loop {
        // The peak so far: what the last one misses is what came in its last moments.
        most = peak(&child).unwrap_or(0).max(most);
        if let Some(status) = child.try_wait()? {
            ensure!(status.success(), "{command:?}: {status}");
            return Ok((start.elapsed(), most));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The most memory that a program that runs has had so far; none once it has ended.
fn peak(child: &Child) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
}

fn building(source: &Path, dir: &Path, flist: &Path, report: &mut Report) -> anyhow::Result<()> {
    // What the source costs to be read is no part of this.
    find(source, &["-type", "f", "-exec", "cat", "{}", "+"])?;
    let image = dir.join("many.squashfs");
    let store = dir.join("many.castr");
    let mut build = Command::new(built("zimg")?);
    let ours = watched(build.args(["build", "--level", LEVEL]).arg(source).arg(flist))?;
    let squashfs = watched(&mut squashfs_command(source, &image))?;
    let mut casync = Command::new("casync");
    let store = format!("--store={}", store.display());
    let index = dir.join("many.caidx");
    let casync = watched(casync.args(["make", "--without=all", &store]).arg(index).arg(source))?;
    // It compresses at zstd's default level.
    let mut build = Command::new(built("zimg")?);
    let fast = dir.join("fast.flist");
    let fast = watched(build.args(["build", "--level", "3"]).arg(source).arg(fast))?;
    let time = |(time, _): (Duration, u64)| {
        let mut times = Times::new();
        times.push(time);
        times
    };
    let what = "`zimg build`, zstd 12 (peer: mksquashfs, zstd 12)";
    report.in_turn(what, [&time(ours), &time(squashfs)], Times::text, 1.0);
    let what = "the same, zstd 3 (peer: `casync make`, zstd 3)";
    report.in_turn(what, [&time(fast), &time(casync)], Times::text, 1.0);
    report.promise(
        &format!("its memory, at the most (mksquashfs: {})", megabytes(squashfs.1)),
        megabytes(ours.1),
        "under 1 GB",
        (1..1_000_000_000).contains(&ours.1),
    );
    let facts = inspect(flist)?;
    let number = |name: &str| facts[name].as_u64().unwrap_or(0);
    report.fact(
        &format!("flist of {} entries", number("names")),
        format!(
            "{} (squashfs, all: {})",
            megabytes(number("flist_bytes")),
            megabytes(fs::metadata(&image)?.len())
        ),
    );
    fs::remove_file(image)?;
    Ok(())
}

fn opening(bench: &Bench, flist: &Path, files: usize, report: &mut Report) -> anyhow::Result<()> {
    let (mut open, mut walk) = (Times::new(), Times::new());
    for _ in 0..bench.runs {
        let start = Instant::now();
        must(Command::new(built("zimg")?).args(["ls"]).arg(flist).arg("/0000/0000"))?;
        open.push(start.elapsed());
        let mount = Mount::new(flist, &flist.with_extension("mnt"))?;
        walk.push(find(&mount.dir, &[])?);
    }
    report.promise(
        &format!("`zimg ls` of one name of {files}: the image is opened and all of it checked"),
        open.text(),
        "under 0.5 s",
        open.median() < 0.5,
    );
    report.fact("`find` over a fresh mount", walk.text());
    Ok(())
}

/// Opens and reads a million files.
fn reading(dir: &Path, flist: &Path, files: usize, report: &mut Report) -> anyhow::Result<()> {
    const OPENS: usize = 1_000_000;
    let mount = Mount::new(flist, &dir.join("mnt"))?;
    let path = |number: usize| -> PathBuf {
        let (folder, file) = (number / FOLDER, number % FOLDER);
        mount.dir.join(format!("{folder:04}/{file:04}"))
    };
    let mut half = 0;
    let mut contents = Vec::new();
    let start = Instant::now();
    for count in 0..OPENS {
        // All folders, in an order that is none, each whole.
        let number = (count / FOLDER * 7919 * FOLDER + count % FOLDER) % files;
        contents.clear();
        fs::File::open(path(number))?.read_to_end(&mut contents)?;
        ensure!(contents.starts_with(&begins(number)), "{} holds others", path(number).display());
        if count % 10_000 == 0 {
            // The kernel forgets names, inodes and pages: all is asked for again.
            fs::write("/proc/sys/vm/drop_caches", "3").context("this needs root")?;
        }
        if count == OPENS / 2 {
            half = mount.resident()?;
        }
    }
    let took = start.elapsed();
    let last = mount.resident()?;
    report.fact(
        &format!(
            "{OPENS} files opened and read, all over it, the kernel's caches dropped 100 times"
        ),
        format!("{:.1} s", took.as_secs_f64()),
    );
    report.promise(
        "memory of `zimg mount` after that, beside after half of it",
        format!("{}, {}", megabytes(last), megabytes(half)),
        "at most 5 % more",
        half > 0 && last <= half + half / 20,
    );
    Ok(())
}
