//! How large things are: flists, packs, init, initramfs.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tests::out::built;
use tests::root::run as must;

use crate::Bench;
use crate::report::{Report, megabytes};

/// zstd level of both zimg and squashfs.
pub(crate) const LEVEL: &str = "12";

pub(crate) fn inspect(flist: &Path) -> anyhow::Result<Value> {
    Ok(serde_json::from_slice(&must(
        Command::new(built("zimg")?).args(["inspect", "--json"]).arg(flist),
    )?)?)
}

/// Builds an flist at [`LEVEL`].
pub(crate) fn build(source: &Path, out: &Path) -> anyhow::Result<()> {
    must(Command::new(built("zimg")?).args(["build", "--level", LEVEL]).arg(source).arg(out))?;
    Ok(())
}

/// Makes a squashfs at [`LEVEL`].
pub(crate) fn squashfs(source: &Path, out: &Path) -> anyhow::Result<()> {
    must(&mut squashfs_command(source, out)).map(drop)
}

/// What does that.
pub(crate) fn squashfs_command(source: &Path, out: &Path) -> Command {
    let mut command = Command::new("mksquashfs");
    command.arg(source).arg(out).args(["-comp", "zstd", "-Xcompression-level", LEVEL]);
    command.args(["-noappend", "-quiet", "-no-progress"]);
    command
}

#[expect(clippy::cast_precision_loss, reason = "ratios for people")]
pub(crate) fn run(bench: &Bench, report: &mut Report) -> anyhow::Result<()> {
    report.section("Sizes");
    let dir = bench.scratch.path().join("sizes");
    fs::create_dir(&dir)?;
    let (flist, image) = (dir.join("debian.flist"), dir.join("debian.squashfs"));
    build(&bench.root, &flist)?;
    squashfs(&bench.root, &image)?;
    let facts = inspect(&flist)?;
    let number = |pointer: &str| facts.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
    let (data, metadata) = (number("/data_bytes"), number("/flist_bytes"));
    report.fact("Debian root", format!("{} in {} files", megabytes(data), number("/inodes/files")));
    report.promise(
        "its flist",
        format!("{}, 1/{} of the data", megabytes(metadata), data / metadata.max(1)),
        "at most 1/2000",
        metadata * 2000 <= data,
    );
    let packs: u64 = number("/stored_bytes");
    let peer = fs::metadata(&image)?.len();
    report.versus(
        "its packs, zstd 12 (peer: squashfs, zstd 12)",
        (packs as f64, megabytes(packs)),
        (peer as f64, megabytes(peer)),
        1.03,
    );
    let big = dir.join("big.flist");
    build(&bench.tree, &big)?;
    let facts = inspect(&big)?;
    let number = |pointer: &str| facts.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
    report.promise(
        &format!(
            "flist of a tree of {} in {} entries, of this machine's /usr",
            megabytes(number("/data_bytes")),
            number("/names"),
        ),
        megabytes(number("/flist_bytes")),
        "under 1 MB for 2.4 GB and 76,000 entries",
        number("/flist_bytes") < 1_000_000,
    );
    programs(&dir, report)?;
    fs::remove_dir_all(&dir)?;
    Ok(())
}

/// init and initramfs.
fn programs(dir: &Path, report: &mut Report) -> anyhow::Result<()> {
    let mut bound = |what: &str, path: &Path, most: u64| -> anyhow::Result<()> {
        let len = fs::metadata(path)?.len();
        report.promise(what, megabytes(len), &format!("at most {}", megabytes(most)), len <= most);
        Ok(())
    };
    bound("init, stripped", &built("init")?, 2_500_000)?;
    let bare = dir.join("bare.img");
    must(
        Command::new(built("initramfs")?)
            .args(["--modules", "none", "--init"])
            .arg(built("init")?)
            .arg("--output")
            .arg(&bare),
    )?;
    bound("initramfs without modules", &bare, 1_300_000)?;
    bound("initramfs with the modules of VMs", &built("initramfs.img")?, 2_000_000)
}
