//! The seeds of the fuzz targets, and what the targets do, on a stable toolchain and for a moment.
//! `BLESS=1 cargo test -p flist corpus` writes the seeds anew. A crash that fuzzing finds is laid beside
//! them as `crash-` and its damage, and is run here from then on.

use std::fs;
use std::path::PathBuf;

use super::*;
use crate::mutate::Numbers;
use crate::trust::examples::{LEGACY, PREHASHED};

/// Rounds of mutation of each target.
const ROUNDS: u32 = 20_000;

const CHANNEL: &str = "zimg channel 1
name team/web
version 12.5
root 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff
flist sub/web-12.5.flist
expires 2027-11-24T17:39:02Z
";

type Target = (&'static str, fn(&[u8]), Vec<(&'static str, String)>);

fn targets() -> [Target; 2] {
    let stated =
        PREHASHED.replace(STATED[0], "zimg name=web version=1.2 date=2026-11-24T17:39:02Z");
    let url =
        CHANNEL.replace("sub/", "https://cdn.example/x?y=").replace("name", "colour blue\nname");
    [
        (
            "signature",
            signature,
            vec![
                ("prehashed", PREHASHED.to_owned()),
                ("legacy", LEGACY.to_owned()),
                ("several", format!("{PREHASHED}\n{LEGACY}").replace('\n', "\r\n")),
                ("stated", stated),
            ],
        ),
        ("channel", channel, vec![("relative", CHANNEL.to_owned()), ("url", url)]),
    ]
}

fn folder(target: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target)
}

#[test]
fn corpus_is_what_the_code_makes() {
    for (target, _, seeds) in targets() {
        for (name, seed) in seeds {
            let path = folder(target).join(name);
            if std::env::var_os("BLESS").is_some() {
                fs::create_dir_all(folder(target)).unwrap();
                fs::write(&path, &seed).unwrap();
            }
            assert!(fs::read(&path).unwrap() == seed.as_bytes(), "{}", path.display());
        }
    }
}

#[test]
fn corpus_and_crashes_of_old_do_no_harm() {
    for (target, run, _) in targets() {
        let files = fs::read_dir(folder(target)).unwrap();
        let ran = files.map(|file| run(&fs::read(file.unwrap().path()).unwrap()));
        assert!(ran.count() > 0, "{target}");
    }
}

#[test]
fn corpus_seeds_are_good() {
    let key: PublicKey = KEY.parse().unwrap();
    for (_, _, seeds) in &targets()[..1] {
        let good = seeds.iter().map(|(_, seed)| Signatures::parse(seed.as_bytes()).unwrap());
        let good = good.map(|s| s.iter().filter(|s| key.signed(FILE, s)).count());
        assert_eq!(good.collect::<Vec<_>>(), [1, 1, 2, 0]);
    }
    let [_, (_, _, channels)] = &targets();
    assert!(channels.iter().all(|(_, seed)| Channel::parse(seed.as_bytes()).is_ok()));
}

#[test]
fn corpus_mutations_never_panic() {
    for (_, run, seeds) in targets() {
        let mut numbers = Numbers::new();
        for _ in 0..ROUNDS {
            let mut data = seeds[numbers.below(seeds.len())].1.clone().into_bytes();
            numbers.mutate(&mut data);
            run(&data);
        }
    }
}
