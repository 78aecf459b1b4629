//! The seeds of `init/fuzz`, and what its targets do, on a stable toolchain and for a moment.
//! `BLESS=1 cargo test -p init corpus` writes the seeds anew.

mod net;
mod text;

use std::path::Path;

use flist::fuzzing::{Seeds, check};

use super::TARGETS;

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
        "tpm" => text::tpm(),
        "uevent" => text::uevent(),
        other => panic!("no seeds for {other}"),
    }
}

#[test]
fn corpus_of_each_target() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    for (target, run) in TARGETS {
        check(&corpus.join(target), &seeds(target), run, 5_000);
    }
}
