//! The seeds of `init/fuzz`, and what its targets do, on a stable toolchain and for a moment.
//! `BLESS=1 cargo test -p init corpus` writes the seeds anew. A crash that fuzzing finds is laid
//! beside them as `crash-` and its damage, and is run here from then on.

mod net;
mod text;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use super::{TARGETS, run};

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

/// A generator of numbers that are the same each time (xorshift64).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 1).unwrap() % end.max(1)
    }

    /// Changes, moves, repeats and removes some bytes of `data`.
    fn mutate(&mut self, data: &mut Vec<u8>) {
        for _ in 0..=self.below(4) {
            let at = self.below(data.len());
            let end = at + self.below(data.len() - at).min(16);
            let kind = self.below(5);
            match (kind, data.get_mut(at)) {
                (0, Some(byte)) => *byte ^= 1 << (end % 8),
                (1, Some(byte)) => *byte = [0, 1, 0x7f, 0x80, 0xff][end % 5],
                (2, _) => drop(data.drain(at..end)),
                (3, _) => data.extend_from_within(at..end),
                _ => {
                    let piece = data[at..end].to_vec();
                    let to = self.below(data.len());
                    drop(data.splice(to..to, piece));
                }
            }
        }
    }
}

#[test]
fn corpus_mutations_never_panic() {
    for (target, run) in TARGETS {
        let seeds: Vec<Vec<u8>> = seeds(target).into_values().collect();
        let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
        for _ in 0..ROUNDS {
            let mut data = seeds[numbers.below(seeds.len())].clone();
            numbers.mutate(&mut data);
            run(&data);
        }
    }
}
