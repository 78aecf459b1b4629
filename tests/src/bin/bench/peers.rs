//! The Debian root made, kept and read by every system of the kind, side by side.

use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use tests::root::run as must;

use crate::Bench;
use crate::mounted::{ATTRIBUTES, Mount, find};
use crate::report::{Report, Times, megabytes};
use crate::sizes::{build, squashfs};

/// The systems, zimg first; the last is the directory itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum System {
    Zimg,
    Squashfs,
    Squashfuse,
    Erofs,
    Casync,
    Plain,
}

use System::{Casync, Erofs, Plain, Squashfs, Squashfuse, Zimg};

const SYSTEMS: [System; 6] = [Zimg, Squashfs, Squashfuse, Erofs, Casync, Plain];

const NAMES: [&str; 6] = [
    "zimg, zstd 12",
    "squashfs, zstd 12",
    "the same by squashfuse",
    "EROFS, lz4hc 12",
    "casync, zstd 3 (mounted once)",
    "the directory",
];

/// How many reads of 4 KiB, all over the files, and by how many readers.
const READS: usize = 4000;
const READERS: usize = 16;
const BLOCK: u64 = 4096;

pub(crate) fn run(bench: &Bench, report: &mut Report) -> anyhow::Result<()> {
    let dir = bench.scratch.path().join("peers");
    fs::create_dir(&dir)?;
    let mut times: [[Times; 6]; WORK.len() + 1] = Default::default();
    for _ in 0..bench.runs {
        for (at, system) in SYSTEMS.into_iter().enumerate() {
            // The one's image is another's, the other has none.
            if !matches!(system, Squashfuse | Plain) {
                times[0][at].push(make(system, &bench.root, &dir)?);
            }
        }
    }
    let sizes = SYSTEMS.map(|system| size(system, &bench.root, &dir));
    let files = files(&bench.root)?;
    for run in 0..bench.runs {
        for (at, system) in SYSTEMS.into_iter().enumerate() {
            // It takes minutes, and is never near.
            if system == Casync && run > 0 {
                continue;
            }
            let mounted = Mounted::new(system, &bench.root, &dir)?;
            for (work, (_, work_on)) in times[1..].iter_mut().zip(WORK) {
                work[at].push(work_on(&mounted.dir, &files)?);
            }
        }
    }
    report.section("Mounted, beside others");
    report.table("Debian root, made and read", &NAMES);
    let sizes = sizes.into_iter().collect::<anyhow::Result<Vec<_>>>()?;
    report.row("kept in all", sizes.into_iter().map(megabytes));
    let names = ["made in"].into_iter().chain(WORK.map(|(name, _)| name));
    for (name, times) in names.zip(&times) {
        report.row(name, times.iter().map(Times::text));
    }
    let [_, _, walk, _, cold, warm, ..] = &times;
    for (what, of, most) in [
        ("`find` with attributes, warm (peer: squashfs)", walk, 1.2),
        ("all contents, warm (peer: squashfs)", warm, 1.2),
        ("all contents, cold (peer: squashfs)", cold, 1.11),
    ] {
        report.in_turn(what, [&of[0], &of[1]], Times::text, most);
    }
    fs::remove_dir_all(&dir)?;
    Ok(())
}

/// Makes the image of `system` anew.
fn make(system: System, root: &Path, dir: &Path) -> anyhow::Result<Duration> {
    let out = image(system, dir);
    if out.exists() {
        fs::remove_dir_all(&out)?;
    }
    fs::create_dir(&out)?;
    let start = Instant::now();
    match system {
        Zimg => build(root, &out.join("debian.flist"))?,
        Squashfs => squashfs(root, &out.join("image"))?,
        Erofs => {
            let mut make = Command::new("mkfs.erofs");
            must(make.args(["-zlz4hc,12", "--quiet"]).arg(out.join("image")).arg(root))
                .map(drop)?;
        }
        Casync => {
            let store = format!("--store={}", out.join("store.castr").display());
            let mut make = Command::new("casync");
            make.args(["make", &store]).arg(out.join("image.caidx")).arg(root);
            must(&mut make).map(drop)?;
        }
        Squashfuse | Plain => anyhow::bail!("{system:?} has no image of its own"),
    }
    Ok(start.elapsed())
}

/// Where that lies.
fn image(system: System, dir: &Path) -> PathBuf {
    let shared = if system == Squashfuse { Squashfs } else { system };
    dir.join(format!("{shared:?}"))
}

/// How much disk it takes.
fn size(system: System, root: &Path, dir: &Path) -> anyhow::Result<u64> {
    let mut sum = 0;
    let mut folders = vec![if system == Plain { root.to_owned() } else { image(system, dir) }];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let meta = fs::symlink_metadata(entry.path())?;
            if meta.is_dir() { folders.push(entry.path()) } else { sum += meta.size() }
        }
    }
    Ok(sum)
}

/// Every regular file of the root, from there, and its length.
fn files(root: &Path) -> anyhow::Result<Vec<(PathBuf, u64)>> {
    let mut find = Command::new("find");
    let printed = must(find.current_dir(root).args([".", "-type", "f", "-printf", "%s %P\\n"]))?;
    let printed = String::from_utf8(printed)?;
    let mut files = printed
        .lines()
        .map(|line| {
            let (size, path) = line.split_once(' ').context("a size and a path")?;
            Ok((PathBuf::from(path), size.parse()?))
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    files.sort();
    Ok(files)
}

/// An image, mounted; unmounted when dropped.
enum Kind {
    Ours(#[expect(dead_code, reason = "kept until it is to be unmounted")] Mount),
    Kernel,
    Program(Child),
    Nothing,
}

struct Mounted {
    dir: PathBuf,
    kind: Kind,
}

impl Mounted {
    fn new(system: System, root: &Path, scratch: &Path) -> anyhow::Result<Self> {
        let (image, dir) = (image(system, scratch), scratch.join("mnt"));
        fs::create_dir_all(&dir)?;
        let kernel = |kind: &str| {
            let mut mount = Command::new("mount");
            mount.args(["-o", "loop,ro", "-t", kind]).arg(image.join("image")).arg(&dir);
            must(&mut mount).map(|_| Kind::Kernel)
        };
        let program = |command: &mut Command| -> anyhow::Result<Kind> {
            let above = fs::metadata(scratch)?.dev();
            let mut child =
                command.arg(&dir).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
            let until = Instant::now() + Duration::from_secs(30);
            while fs::metadata(&dir)?.dev() == above {
                ensure!(child.try_wait()?.is_none(), "{command:?} has ended");
                ensure!(Instant::now() < until, "{command:?} mounts nothing");
                thread::sleep(Duration::from_millis(1));
            }
            Ok(Kind::Program(child))
        };
        let kind = match system {
            Zimg => Kind::Ours(Mount::new(&image.join("debian.flist"), &dir)?),
            Squashfs => kernel("squashfs")?,
            Erofs => kernel("erofs")?,
            Squashfuse => program(Command::new("squashfuse").arg("-f").arg(image.join("image")))?,
            Casync => {
                let store = format!("--store={}", image.join("store.castr").display());
                let index = image.join("image.caidx");
                program(Command::new("casync").args(["mount", &store]).arg(index))?
            }
            Plain => return Ok(Self { dir: root.to_owned(), kind: Kind::Nothing }),
        };
        Ok(Self { dir, kind })
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // What fails here shows as a mount left behind, and the scratch folder's removal says so.
        if let Kind::Kernel | Kind::Program(_) = &self.kind {
            let _ = must(Command::new("umount").arg(&self.dir));
        }
        if let Kind::Program(child) = &mut self.kind {
            let _ = child.wait();
        }
    }
}

/// What is done with a mounted image; takes the root's files too.
type Work = fn(&Path, &[(PathBuf, u64)]) -> anyhow::Result<Duration>;

/// In this order, on a fresh mount.
const WORK: [(&str, Work); 7] = [
    ("`find`, fresh", |dir, _| find(dir, &[])),
    ("`find` with attributes, warm", |dir, _| {
        find(dir, &ATTRIBUTES)?;
        find(dir, &ATTRIBUTES)
    }),
    ("`find` with attributes, cold", |dir, _| {
        forget()?;
        find(dir, &ATTRIBUTES)
    }),
    ("all contents, cold", |dir, files| {
        forget()?;
        read_all(dir, files)
    }),
    ("all contents, warm", read_all),
    ("4,000 reads of 4 KiB all over it, cold", |dir, files| {
        forget()?;
        scattered(dir, files, 1)
    }),
    ("the same by 16 readers, cold", |dir, files| {
        forget()?;
        scattered(dir, files, READERS)
    }),
];

/// Has the kernel forget names, inodes and pages.
fn forget() -> anyhow::Result<()> {
    must(Command::new("sync").arg("-f").arg("/"))?;
    fs::write("/proc/sys/vm/drop_caches", "3").context("this needs root")
}

fn read_all(dir: &Path, files: &[(PathBuf, u64)]) -> anyhow::Result<Duration> {
    let mut piece = vec![0; 1 << 20];
    let start = Instant::now();
    for (path, size) in files {
        let mut file = File::open(dir.join(path))?;
        let mut sum = 0;
        loop {
            let got = file.read(&mut piece)?;
            if got == 0 {
                break;
            }
            sum += got as u64;
        }
        ensure!(sum == *size, "{}: {sum} bytes instead of {size}", path.display());
    }
    Ok(start.elapsed())
}

/// Reads all over the files, by so many readers at once.
fn scattered(dir: &Path, files: &[(PathBuf, u64)], readers: usize) -> anyhow::Result<Duration> {
    let blocks: Vec<(&Path, u64)> = files
        .iter()
        .flat_map(|(path, size)| {
            (0..size / BLOCK).map(move |block| (path.as_path(), block * BLOCK))
        })
        .collect();
    let read = |reader: usize| -> anyhow::Result<()> {
        let mut block = vec![0; usize::try_from(BLOCK)?];
        for count in (reader..READS).step_by(readers) {
            // A step that has no factor in common with most counts leads all over them.
            let (path, offset) =
                blocks.get(count * 7_368_787 % blocks.len()).context("no blocks")?;
            File::open(dir.join(path))?.read_exact_at(&mut block, *offset)?;
        }
        Ok(())
    };
    let start = Instant::now();
    thread::scope(|scope| {
        let readers: Vec<_> =
            (0..readers).map(|reader| scope.spawn(move || read(reader))).collect();
        readers
            .into_iter()
            .try_for_each(|reader| reader.join().ok().context("a reader panicked")?)
    })?;
    Ok(start.elapsed())
}
