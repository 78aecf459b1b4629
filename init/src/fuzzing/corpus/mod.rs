//! The seeds of `init/fuzz`, and what its targets do, on a stable toolchain and for a moment.
//! `BLESS=1 cargo test -p init corpus` writes the seeds anew. A crash that fuzzing finds is laid
//! beside them as `crash-` and its damage, and is run here from then on.

mod net;
mod text;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use super::{TARGETS, run};
use flist::mutate::Numbers;

/// Inputs by their names.
type Seeds = BTreeMap<&'static str, Vec<u8>>;

/// Rounds of mutation of each target.
const ROUNDS: u32 = 5_000;

fn seeds(target: &str) -> Seeds {
    match target {
        "arp" => net::arp(),
        "cmdline" => text::cmdline(),
        "dhcp" => net::dhcp(),
        "dhcp6" => net::dhcp6(),
        "modules" => text::modules(),
        "ndp" => net::ndp(),
        "netlink" => net::netlink(),
        "network" => text::network(),
        "ntp" => net::ntp(),
        "uevent" => text::uevent(),
        other => panic!("no seeds for {other}"),
    }
}

fn folder(target: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target)
}

#[test]
fn corpus_is_what_the_code_makes() {
    for (target, _) in TARGETS {
        for (name, seed) in seeds(target) {
            let path = folder(target).join(name);
            if std::env::var_os("BLESS").is_some() {
                fs::create_dir_all(folder(target)).unwrap();
                fs::write(&path, &seed).unwrap();
            }
            assert!(fs::read(&path).unwrap() == seed, "{}", path.display());
        }
    }
}

#[test]
fn corpus_and_crashes_of_old_do_no_harm() {
    for (target, _) in TARGETS {
        let files = fs::read_dir(folder(target)).unwrap();
        let ran = files.map(|file| run(target, &fs::read(file.unwrap().path()).unwrap()));
        assert!(ran.count() > 0, "{target}");
    }
}

#[test]
fn corpus_mutations_never_panic() {
    for (target, run) in TARGETS {
        let seeds: Vec<Vec<u8>> = seeds(target).into_values().collect();
        let mut numbers = Numbers::new();
        for _ in 0..ROUNDS {
            let mut data = seeds[numbers.below(seeds.len())].clone();
            numbers.mutate(&mut data);
            run(&data);
        }
    }
}
