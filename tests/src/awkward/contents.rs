//! Contents: sizes at every boundary, duplicates, sparse files, more than a pack.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
/// The length of the big sparse file.
pub const SPARSE_LEN: u64 = 5 * GIB;

/// `len` bytes that don't compress, the same for a `seed` at each call (xorshift64*).
pub fn random(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        bytes.extend(state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

/// Files as long as chunks, pages and readahead windows are, and a byte less and more.
pub(super) fn sizes(dir: &Path) -> anyhow::Result<()> {
    let boundaries = [4 * KIB, 64 * KIB, 128 * KIB, 256 * KIB, 512 * KIB, MIB, 2 * MIB];
    for (seed, len) in (0..).zip(boundaries.iter().flat_map(|b| [b - 1, *b, b + 1])) {
        fs::write(dir.join(format!("random-{len}")), random(seed, usize::try_from(len)?))?;
    }
    for len in [0, 1, 2, 511, 512, 513] {
        fs::write(dir.join(format!("small-{len}")), random(len, usize::try_from(len)?))?;
    }
    // Written, not holes: they compress to nearly nothing, to the longest chunks.
    fs::write(dir.join("zeros"), vec![0; usize::try_from(3 * MIB)?])?;
    fs::write(dir.join("letters"), vec![b'a'; usize::try_from(3 * MIB + 1)?])?;
    let text: String = (0..100_000).map(|n| format!("line {n}\n")).collect();
    fs::write(dir.join("text"), text)?;

    let part = random(77, usize::try_from(MIB)?);
    for name in ["duplicate-1", "duplicate-2", "duplicate-3"] {
        fs::write(dir.join(name), &part)?;
    }
    // The same bytes shifted by an insertion, and twice in a row.
    fs::write(dir.join("shifted"), [b"inserted", part.as_slice()].concat())?;
    fs::write(dir.join("twice"), [part.as_slice(), &part].concat())?;
    // More than a pack holds.
    fs::write(dir.join("beyond-a-pack"), random(88, usize::try_from(70 * MIB)?))?;
    Ok(())
}

/// Holes of every kind.
pub(super) fn sparse(dir: &Path) -> anyhow::Result<()> {
    let make = |name: &str, len: u64, data: &[(u64, usize)]| -> anyhow::Result<()> {
        let file = File::create(dir.join(name))?;
        for (at, count) in data {
            file.write_all_at(&random(*at + 1, *count), *at)?;
        }
        Ok(file.set_len(len)?)
    };
    let big = [(0, 100), (GIB, 70_000), (3 * GIB + 12_345, 3), (SPARSE_LEN - 4096, 4096)];
    make("big", SPARSE_LEN, &big)?;
    make("big-again", SPARSE_LEN, &big)?;
    make("only-a-hole", SPARSE_LEN, &[])?;
    make("small-hole", 4096, &[])?;
    make("one-byte-hole", 1, &[])?;
    make("hole-first", MIB + 10, &[(MIB, 10)])?;
    make("hole-last", 2 * MIB + 1, &[(0, 10)])?;
    make("hole-amid", 3 * MIB, &[(0, 5000), (2 * MIB, 1_048_576)])?;
    let comb: Vec<(u64, usize)> = (0..100).map(|tooth| (tooth * 128 * KIB, 4096)).collect();
    make("comb", 100 * 128 * KIB, &comb)?;
    // Ends amid a page, after a hole that does.
    make("odd", 1_000_001, &[(500_000, 3)])
}
