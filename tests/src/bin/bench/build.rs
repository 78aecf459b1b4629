//! How long building takes, beside mksquashfs.

use std::fs;
use std::time::Instant;

use crate::Bench;
use crate::report::{Report, Times};
use crate::sizes::{build, squashfs};

pub(crate) fn run(bench: &Bench, report: &mut Report) -> anyhow::Result<()> {
    report.section("Building");
    let (mut ours, mut peer) = (Times::new(), Times::new());
    // One more than counted: the first only warms the page cache.
    for round in 0..=bench.runs {
        let dir = bench.scratch.path().join("build");
        fs::create_dir(&dir)?;
        let start = Instant::now();
        build(&bench.root, &dir.join("debian.flist"))?;
        let built = start.elapsed();
        let start = Instant::now();
        squashfs(&bench.root, &dir.join("debian.squashfs"))?;
        if round > 0 {
            ours.push(built);
            peer.push(start.elapsed());
        }
        fs::remove_dir_all(&dir)?;
    }
    report.in_turn(
        "`zimg build` of the Debian root (peer: mksquashfs), both zstd 12",
        [&ours, &peer],
        Times::text,
        1.0,
    );
    Ok(())
}
