//! The seeds of `flist/fuzz`, and what the fuzz targets do, on a stable toolchain and for a moment.
//! `BLESS=1 cargo test -p flist corpus` writes the seeds anew.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::*;
use crate::mutate::Numbers;

/// Rounds of mutation of each target.
const ROUNDS: u32 = 20_000;

/// The seeds of the target `decode`: whole files.
fn files() -> BTreeMap<String, Vec<u8>> {
    let golden = golden::image();
    let mut seeds = BTreeMap::from([
        ("golden".to_owned(), encode(&golden).unwrap()),
        ("golden-raw".to_owned(), encode_raw(&golden)),
    ]);
    let random = fixed(3).into_iter().enumerate();
    seeds.extend(random.map(|(n, image)| (format!("random-{n}"), encode_raw(&image))));
    seeds
}

/// The seeds of the target `columns`: see [`file_of_columns`].
fn columns() -> BTreeMap<String, Vec<u8>> {
    let mut seeds = BTreeMap::from([("golden".to_owned(), columns_of(&golden::image()))]);
    let random = fixed(3).into_iter().enumerate();
    seeds.extend(random.map(|(n, image)| (format!("random-{n}"), columns_of(&image))));
    seeds
}

#[test]
fn corpus_is_what_the_code_makes() {
    let corpus = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    for (target, seeds) in [("decode", files()), ("columns", columns())] {
        for (name, seed) in seeds {
            let path = corpus.join(target).join(&name);
            if std::env::var_os("BLESS").is_some() {
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(&path, &seed).unwrap();
            }
            assert!(std::fs::read(&path).unwrap() == seed, "{}", path.display());
        }
    }
}

fn mutations(seeds: BTreeMap<String, Vec<u8>>, file: impl Fn(Vec<u8>) -> Vec<u8>) -> (u32, u32) {
    let seeds: Vec<Vec<u8>> = seeds.into_values().collect();
    seeds.iter().for_each(|seed| drop(exercise(&file(seed.clone())).unwrap()));
    let mut numbers = Numbers::new();
    let (mut accepted, mut refused) = (0, 0);
    for _ in 0..ROUNDS {
        let mut data = seeds[numbers.below(seeds.len())].clone();
        numbers.mutate(&mut data);
        *if exercise(&file(data)).is_ok() { &mut accepted } else { &mut refused } += 1;
    }
    (accepted, refused)
}

#[test]
fn corpus_mutations_of_files_never_panic() {
    let (accepted, refused) = mutations(files(), |mut file| {
        seal(&mut file);
        file
    });
    assert!(accepted > ROUNDS / 50 && refused > ROUNDS / 2, "{accepted} {refused}");
}

#[test]
fn corpus_mutations_of_columns_never_panic() {
    let (accepted, refused) = mutations(columns(), |bytes| file_of_columns(&bytes));
    assert!(accepted > ROUNDS / 50 && refused > ROUNDS / 2, "{accepted} {refused}");
}
