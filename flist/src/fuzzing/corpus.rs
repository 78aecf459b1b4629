//! The seeds of `flist/fuzz`, but for those of the format itself, and what its targets do for a moment.
//! `BLESS=1 cargo test -p flist corpus` writes the seeds anew.

use std::path::Path;

use super::*;
use crate::build::tests::archive::{Archive, rich};
use crate::trust::examples::{FILE, KEY, LEGACY, PREHASHED, STATED};
use crate::trust::{Channel, PublicKey, Signatures};

const CHANNEL: &str = "zimg channel 1
name team/web
version 12.5
root 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff
flist sub/web-12.5.flist
expires 2027-11-24T17:39:02Z
";

const PROFILE: &str = "zimg profile 1
# What a shell needs.
0 4096 /etc/passwd
131072 262144 /usr/lib/x86_64-linux-gnu/libc.so.6
0 1 /a%20b
";

fn seeds(target: &str) -> Seeds {
    let text = |text: &str| text.as_bytes().to_vec();
    match target {
        "channel" => {
            let url = CHANNEL.replace("sub/", "https://cdn.example/x?y=");
            let url = url.replace("name", "colour blue\nname");
            Seeds::from([("relative", text(CHANNEL)), ("url", text(&url))])
        }
        "chunk" => {
            let contents = b"the same again, ".repeat(8);
            let len = u32::try_from(contents.len()).unwrap().to_le_bytes();
            let frame = zstd::bulk::compress(&contents, 3).unwrap();
            Seeds::from([
                ("raw", [&len[..], &contents].concat()),
                ("frame", [&len[..], &frame].concat()),
                ("longer", [&1_000_u32.to_le_bytes(), &frame[..]].concat()),
            ])
        }
        "profile" => Seeds::from([("shell", text(PROFILE))]),
        "range" => Seeds::from([
            ("known", text("bytes 100-199/1000")),
            ("unknown", text("Bytes 0-0/*")),
            ("refused", text("bytes */1000")),
        ]),
        "signature" => {
            let comment = "zimg name=web version=1.2 date=2026-11-24T17:39:02Z";
            Seeds::from([
                ("prehashed", text(PREHASHED)),
                ("legacy", text(LEGACY)),
                ("several", text(&format!("{PREHASHED}\n{LEGACY}").replace('\n', "\r\n"))),
                ("stated", text(&PREHASHED.replace(STATED[0], comment))),
            ])
        }
        "tar" => {
            let plain = Archive::default()
                .entry(b'5', "usr/", "", b"")
                .file("usr/file", b"contents")
                .entry(b'1', "usr/same", "usr/file", b"")
                .entry(b'2', "link", "usr/file", b"");
            Seeds::from([("plain", plain.bytes()), ("rich", rich())])
        }
        other => panic!("no seeds for {other}"),
    }
}

#[test]
fn corpus_of_each_target() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    for (target, run) in TARGETS {
        // An archive is read by way of the kernel.
        let rounds = if *target == "tar" { 1_000 } else { 20_000 };
        check(&corpus.join(target), &seeds(target), *run, rounds);
    }
}

#[test]
fn corpus_seeds_are_good() {
    let key: PublicKey = KEY.parse().unwrap();
    let good = |seed: &Vec<u8>| {
        let signatures = Signatures::parse(seed).unwrap();
        signatures.iter().filter(|signature| key.signed(FILE, signature)).count()
    };
    let good: BTreeMap<_, _> = seeds("signature").iter().map(|(n, s)| (*n, good(s))).collect();
    let wanted = [("legacy", 1), ("prehashed", 1), ("several", 2), ("stated", 0)];
    assert_eq!(good, BTreeMap::from(wanted));
    assert!(seeds("channel").values().all(|seed| Channel::parse(seed).is_ok()));
    assert!(seeds("profile").values().all(|seed| Profile::parse(seed).is_ok()));
}
