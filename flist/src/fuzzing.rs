//! What the fuzz targets of `flist/fuzz` run, but for those of the format itself: any bytes from outside
//! are read or refused, never a panic, and what was read keeps its promises. Their seeds run in
//! ordinary tests, too.
#![expect(clippy::unwrap_used, reason = "it is for tests")]

#[cfg(test)]
#[cfg(feature = "build")]
mod corpus;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

#[cfg(feature = "build")]
use crate::build::fuzzing as build;
use crate::chunk::{Chunk, Decompressor, MAX_CHUNK_LEN};
use crate::id::ChunkId;
use crate::mutate::Numbers;
use crate::profile::Profile;
use crate::store::http::fuzzing as http;
use crate::trust::fuzzing as trust;

/// What a target does with an input.
pub type Target = fn(&[u8]);

/// Each target and its name.
pub const TARGETS: &[(&str, Target)] = &[
    ("channel", trust::channel),
    ("chunk", chunk),
    ("profile", profile),
    ("range", http::range),
    ("signature", trust::signature),
    #[cfg(feature = "build")]
    ("tar", build::tar),
];

/// Inputs by their names.
pub type Seeds = BTreeMap<&'static str, Vec<u8>>;

/// Runs the target called `name`.
pub fn run(name: &str, input: &[u8]) {
    let target = TARGETS.iter().find(|(known, _)| *known == name);
    assert!(target.is_some(), "no target is called {name}");
    target.into_iter().for_each(|(_, run)| run(input));
}

/// For tests: what a target does, on a stable toolchain and for a moment. `folder` holds `seeds`, which
/// `BLESS=1` writes anew, and beside them what crashed once, as `crash-` and its damage.
pub fn check(folder: &Path, seeds: &Seeds, run: Target, rounds: u32) {
    for (name, seed) in seeds {
        let path = folder.join(name);
        if std::env::var_os("BLESS").is_some() {
            fs::create_dir_all(folder).unwrap();
            fs::write(&path, seed).unwrap();
        }
        assert!(fs::read(&path).is_ok_and(|kept| kept == *seed), "{}", path.display());
    }
    for file in fs::read_dir(folder).unwrap() {
        run(&fs::read(file.unwrap().path()).unwrap());
    }
    let seeds: Vec<&Vec<u8>> = seeds.values().collect();
    let mut numbers = Numbers::new();
    for _ in 0..rounds {
        let mut data = seeds.get(numbers.below(seeds.len())).unwrap().to_vec();
        numbers.mutate(&mut data);
        run(&data);
    }
}

/// Decompresses a chunk that was verified: who made the image means harm. The first four bytes are
/// the length that the image states.
fn chunk(bytes: &[u8]) {
    let Some((len, stored)) = bytes.split_first_chunk() else { return };
    let len = u32::from_le_bytes(*len) % (MAX_CHUNK_LEN + 1);
    let Ok(stored_len) = u32::try_from(stored.len()) else { return };
    let chunk = Chunk { id: ChunkId::of(stored), pack: 0, stored_len, len, offset: 0 };
    let Ok(stored) = chunk.verify(stored.to_vec()) else { return };
    let Ok(mut decompressor) = Decompressor::new() else { return };
    let mut plain = Vec::new();
    if decompressor.plain_into(&stored, &mut plain).is_ok() {
        assert_eq!(plain.len(), len as usize, "as long as the image states");
    }
}

/// Reads a profile.
fn profile(bytes: &[u8]) {
    let Ok(profile) = Profile::parse(bytes) else { return };
    let again = Profile::parse(profile.to_text().as_bytes());
    assert_eq!(again.as_ref(), Ok(&profile), "read as written");
}
