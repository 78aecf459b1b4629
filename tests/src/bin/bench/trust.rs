//! What it costs to believe nothing: hash and signatures of an flist, fingerprints of chunks.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, ensure};
use flist::id::RootHash;
use flist::trust::{PublicKey, Signatures};
use tests::out::built;
use tests::root::run as must;

use crate::Bench;
use crate::report::{Report, Times, megabytes};
use crate::sizes::{build, inspect};

#[expect(clippy::cast_precision_loss, reason = "rates for people")]
pub(crate) fn run(bench: &Bench, report: &mut Report) -> anyhow::Result<()> {
    report.section("Trust");
    let dir = bench.scratch.path().join("trust");
    fs::create_dir(&dir)?;
    flist_of_a_megabyte(bench, &dir, report)?;
    let flist = dir.join("debian.flist");
    build(&bench.root, &flist)?;
    let facts = inspect(&flist)?;
    let bytes =
        facts.pointer("/data_bytes").and_then(serde_json::Value::as_u64).context("bytes")?;
    let mut times = Times::new();
    for _ in 0..bench.runs {
        let start = Instant::now();
        let mut verify = Command::new("taskset");
        must(
            verify
                .args(["--cpu-list", "0"])
                .arg(built("zimg")?)
                .args(["verify", "--all-chunks"])
                .arg(&flist),
        )?;
        times.push(start.elapsed());
    }
    let rate = bytes as f64 / times.median();
    report.promise(
        &format!(
            "every chunk of a Debian root read, its fingerprint checked, and decompressed to {}, on one core",
            megabytes(bytes)
        ),
        format!("{:.2} GB/s, {}", rate / 1e9, times.text()),
        "over 1 GB/s",
        rate > 1e9,
    );
    fs::remove_dir_all(&dir)?;
    Ok(())
}

/// An flist's hash and signature.
fn flist_of_a_megabyte(bench: &Bench, dir: &Path, report: &mut Report) -> anyhow::Result<()> {
    let flist = dir.join("big.flist");
    build(&bench.tree, &flist)?;
    let zimg = || anyhow::Ok(Command::new(built("zimg")?));
    let key = dir.join("fleet");
    must(zimg()?.args(["keygen", "--no-password"]).arg(&key))?;
    must(zimg()?.arg("sign").arg(&flist).arg(key.with_extension("key")))?;
    let key = PublicKey::parse(&fs::read(key.with_extension("pub"))?)?;
    let (bytes, signatures) = (fs::read(&flist)?, fs::read(dir.join("big.flist.minisig"))?);
    let mut times = Times::new();
    for _ in 0..bench.runs {
        let start = Instant::now();
        let hash = RootHash::of(&bytes);
        let signatures = Signatures::parse(&signatures)?;
        let signed = signatures.iter().any(|signature| key.signed(&bytes, signature));
        times.push(start.elapsed());
        ensure!(signed, "{hash} is not signed");
    }
    report.promise(
        &format!("root hash and signature of an flist of {}", megabytes(bytes.len() as u64)),
        times.millis(),
        "under 10 ms for 1 MB",
        times.median() < 0.01,
    );
    Ok(())
}
