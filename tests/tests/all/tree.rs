//! The awkward tree through `zimg build` and back, mounted and unpacked, from a directory and from
//! a tar: entry by entry what it was. Needs root.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::ensure;
use rustix::fs::FileType;
use tests::awkward;
use tests::compare::{self, Aspect, Difference};
use tests::mount::{Mount, zimg};
use tests::root::run;
use tests::scratch::Scratch;

type Result = anyhow::Result<()>;

/// The awkward tree, and room for what is made of it.
struct Bench {
    scratch: Scratch,
}

impl Bench {
    fn new() -> anyhow::Result<Self> {
        let bench = Self { scratch: Scratch::new()? };
        awkward::make(&bench.tree())?;
        Ok(bench)
    }

    /// Of the awkward tree just these directories.
    fn with(parts: &[&str]) -> anyhow::Result<Self> {
        let bench = Self::new()?;
        for entry in fs::read_dir(bench.tree())? {
            let entry = entry?;
            if parts.iter().all(|part| entry.file_name() != *part) {
                fs::remove_dir_all(entry.path())?;
            }
        }
        Ok(bench)
    }

    fn tree(&self) -> PathBuf {
        self.path("tree")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.scratch.path(name)
    }

    /// Builds `name` of `source`, with packs of its own.
    fn build(&self, source: &Path, name: &str, more: &[&str]) -> anyhow::Result<PathBuf> {
        let flist = self.path(name).join("x.flist");
        fs::create_dir(self.path(name))?;
        run(zimg("build")?.arg(source).arg(&flist).args(more))?;
        Ok(flist)
    }

    fn unpack(&self, flist: &Path, name: &str) -> anyhow::Result<PathBuf> {
        run(zimg("unpack")?.arg(flist).arg(self.path(name)))?;
        Ok(self.path(name))
    }

    /// In what `other` differs from the tree, but for what a build means to change.
    fn differences(&self, other: &Path) -> anyhow::Result<Vec<Difference>> {
        let mut differences = compare::trees(&self.tree(), other)?;
        // Zeros are holes however they were stored, so that a build depends on contents alone.
        let zeros = |d: &Difference| d.aspect == Aspect::Holes && d.path == b"sizes/zeros";
        ensure!(differences.iter().any(zeros), "a file of zeros is stored in full");
        differences.retain(|d| !zeros(d));
        Ok(differences)
    }

    fn same(&self, other: &Path) -> Result {
        none(&self.differences(other)?)
    }

    /// What a path of the tree is.
    fn kind(&self, path: &[u8]) -> anyhow::Result<FileType> {
        let metadata = fs::symlink_metadata(self.tree().join(OsStr::from_bytes(path)))?;
        Ok(FileType::from_raw_mode(metadata.mode()))
    }

    /// The tree as GNU tar's pax archive holds it.
    fn tar(&self) -> anyhow::Result<PathBuf> {
        let tar = self.path("x.tar");
        let flags = ["--format=pax", "--sparse", "--acls", "--xattrs", "--xattrs-include=*"];
        run(Command::new("tar")
            .args(flags)
            .arg("-C")
            .arg(self.tree())
            .arg("-cf")
            .arg(&tar)
            .arg("."))?;
        Ok(tar)
    }
}

#[test]
fn mounted_it_is_the_same() -> Result {
    let bench = Bench::new()?;
    let flist = bench.build(&bench.tree(), "built", &[])?;
    let mount = Mount::new(&flist, &bench.path("mount"), &[])?;
    bench.same(mount.dir())?;
    // Once more, from what the kernel now holds.
    bench.same(mount.dir())?;
    mount.end()
}

#[test]
fn unpacked_it_is_the_same() -> Result {
    let bench = Bench::new()?;
    let flist = bench.build(&bench.tree(), "built", &[])?;
    let unpacked = bench.unpack(&flist, "unpacked")?;
    bench.same(&unpacked)?;
    // What was unpacked builds to the same bytes, with any number of threads.
    let again = bench.build(&unpacked, "again", &["--threads", "1"])?;
    ensure!(fs::read(flist)? == fs::read(again)?, "the flist of the unpacked tree differs");
    Ok(())
}

#[test]
fn through_a_tar_it_is_the_same() -> Result {
    let bench = Bench::new()?;
    let flist = bench.build(&bench.tar()?, "built", &[])?;
    let mount = Mount::new(&flist, &bench.path("mount"), &[])?;
    // GNU tar leaves out sockets, and takes the names of one fifo or device for several.
    let by_tar = |d: &Difference| match d.aspect {
        Aspect::Presence => d.path.ends_with(b"/socket"),
        Aspect::LinkCount | Aspect::LinkGroup => {
            matches!(bench.kind(&d.path), Ok(FileType::Fifo | FileType::CharacterDevice))
        }
        _ => false,
    };
    let same = |dir: &Path| {
        let mut differences = bench.differences(dir)?;
        ensure!(differences.iter().filter(|d| by_tar(d)).count() == 2 + 6, "another GNU tar");
        differences.retain(|d| !by_tar(d));
        none(&differences)
    };
    same(mount.dir())?;
    mount.end()?;
    same(&bench.unpack(&flist, "unpacked")?)
}

#[test]
fn however_a_tar_is_written_and_given() -> Result {
    let bench = Bench::with(&["links", "sparse", "symlinks"])?;
    let write = |name: &str, flags: &[&str]| -> anyhow::Result<PathBuf> {
        let tar = bench.path(name);
        // GNU's own format has whole seconds: let all have the same.
        let mut command = Command::new("tar");
        command.args(["--mtime=@1700000000", "--sparse", "-C"]).arg(bench.tree());
        run(command.args(flags).arg("-cf").arg(&tar).arg("."))?;
        Ok(tar)
    };
    let plain = write("pax.tar", &["--format=pax"])?;
    let first = fs::read(bench.build(&plain, "pax", &[])?)?;
    for (name, flags) in [
        ("gnu.tar", &["--format=gnu"][..]),
        ("sparse-0.0.tar", &["--format=pax", "--sparse-version=0.0"]),
        ("sparse-0.1.tar", &["--format=pax", "--sparse-version=0.1"]),
        ("x.tar.gz", &["--format=pax", "--gzip"]),
        ("x.tar.xz", &["--format=pax", "--xz"]),
        ("x.tar.zst", &["--format=pax", "--zstd"]),
        // Found out by looking, not by the name.
        ("no-suffix", &["--format=pax", "--zstd"]),
    ] {
        let flist = bench.build(&write(name, flags)?, &format!("of-{name}"), &[])?;
        ensure!(fs::read(flist)? == first, "{name} builds something else");
    }
    let stdin = bench.path("of-stdin");
    fs::create_dir(&stdin)?;
    let mut command = zimg("build")?;
    run(command.arg("-").arg(stdin.join("x.flist")).stdin(fs::File::open(&plain)?))?;
    ensure!(fs::read(stdin.join("x.flist"))? == first, "stdin builds something else");
    Ok(())
}

#[test]
fn an_ordinary_user_unpacks_what_it_may() -> Result {
    const NOBODY: u32 = 65_534;
    let bench = Bench::new()?;
    let flist = bench.build(&bench.tree(), "built", &[])?;
    let home = bench.path("home");
    fs::create_dir(&home)?;
    std::os::unix::fs::chown(&home, Some(NOBODY), Some(NOBODY))?;
    let unpacked = home.join("unpacked");
    run(zimg("unpack")?.arg(&flist).arg(&unpacked).uid(NOBODY).gid(NOBODY))?;
    let theirs = fs::metadata(unpacked.join("names/a"))?;
    ensure!((theirs.uid(), theirs.gid()) == (NOBODY, NOBODY));
    let mut differences = bench.differences(&unpacked)?;
    differences.retain(|d| match d.aspect {
        Aspect::Owner | Aspect::Xattrs => false,
        // Devices are root's to make.
        Aspect::Presence => {
            !matches!(bench.kind(&d.path), Ok(FileType::CharacterDevice | FileType::BlockDevice))
        }
        // A program of another user must not become setuid of this one.
        Aspect::Mode => u32::from_str_radix(&d.left, 8)
            .map(|m| format!("{:04o}", m & !0o6000))
            .is_ok_and(|without| without != d.right),
        _ => true,
    });
    none(&differences)
}

fn none(differences: &[Difference]) -> Result {
    let list: Vec<String> = differences.iter().take(30).map(|d| format!("\n  {d}")).collect();
    ensure!(list.is_empty(), "{} differences{}", differences.len(), list.concat());
    Ok(())
}
