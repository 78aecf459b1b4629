//! Packs of which any byte is another: a reader gets the right bytes from another mirror, or an error,
//! and never wrong ones.

use std::fs;
use std::path::Path;

use super::*;
use crate::store::dir::Dir;

/// Some chunks, raw and compressed, in one small pack.
fn small() -> (Fixture, Vec<u8>) {
    let fixture = Fixture::new(1, 4, 100);
    let pack = fixture.packs.values().next().unwrap().clone();
    let raw = fixture.image.chunks().iter().filter(|chunk| chunk.is_raw()).count();
    assert!((1..4).contains(&raw), "both kinds are there");
    (fixture, pack)
}

/// What is there after one round, without end only what is corrupt.
fn impatient() -> FetchOptions {
    FetchOptions { patience: Patience::Rounds(1), connections: 1, ..options() }
}

/// Each chunk is right, but those that `is_hit` says are an error, and told to be corrupt or missing.
fn right_or_an_error(fixture: &Fixture, fetcher: &Fetcher, is_hit: impl Fn(&Chunk) -> bool) {
    for (number, chunk) in (0_u32..).zip(fixture.image.chunks()) {
        match (fetcher.wait(&[number]), is_hit(chunk)) {
            (Ok(stored), false) => fixture.check(&[number], &stored),
            (Err(FetchError::Corrupt { .. } | FetchError::Store(_)), true) => {}
            (other, hit) => panic!("chunk {number}, hit: {hit}: {:?}", other.map(|_| ())),
        }
        // Nor is anything wrong kept.
        if is_hit(chunk) {
            assert!(fetcher.held(number).is_none());
        }
    }
}

#[test]
fn each_byte_of_a_pack_and_another_mirror() {
    let (fixture, pack) = small();
    let (bad, good) = (fixture.store("bad"), fixture.store("good"));
    for at in 0..pack.len() {
        bad.always(Act::Flip(at));
        let fetcher = fetcher(&fixture, &[&bad, &good], impatient());
        // One by one: all come from the mirror that is asked first until it is found out.
        for number in 0..4 {
            fixture.check(&[number], &fetcher.wait(&[number]).unwrap());
        }
        assert_eq!(fetcher.stats().corrupt, 1, "byte {at} is read");
    }
}

#[test]
fn each_byte_of_a_pack_and_no_other_mirror() {
    let (fixture, pack) = small();
    let bad = fixture.store("bad");
    for at in 0..pack.len() {
        bad.always(Act::Flip(at));
        let fetcher = fetcher(&fixture, &[&bad], impatient());
        right_or_an_error(&fixture, &fetcher, |chunk| chunk.range().contains(&(at as u64)));
        // Once it is right, so is what is read.
        bad.always(Act::Serve);
        fixture.check(&[0, 1, 2, 3], &fetcher.wait(&[0, 1, 2, 3]).unwrap());
    }
}

fn on_disk(fixture: &Fixture, dir: &Path) -> Fetcher {
    let store = Arc::new(Dir::new(dir.to_path_buf())) as Arc<dyn Store>;
    let mirrors = Mirrors::new(vec![store]).unwrap();
    Fetcher::new(Arc::clone(&fixture.image), mirrors, impatient()).unwrap()
}

#[test]
fn each_byte_of_a_pack_on_a_disk() {
    let (fixture, pack) = small();
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("packs")).unwrap();
    let path = dir.path().join("packs").join(fixture.image.packs()[0].id.to_string());
    for at in 0..pack.len() {
        let mut changed = pack.clone();
        changed[at] ^= 1 << (at % 8);
        fs::write(&path, changed).unwrap();
        let hit = |chunk: &Chunk| chunk.range().contains(&(at as u64));
        right_or_an_error(&fixture, &on_disk(&fixture, dir.path()), hit);
        fs::write(&path, &pack[..at]).unwrap();
        let cut = |chunk: &Chunk| chunk.range().end > at as u64;
        right_or_an_error(&fixture, &on_disk(&fixture, dir.path()), cut);
    }
    fs::write(&path, [pack.as_slice(), b"more"].concat()).unwrap();
    right_or_an_error(&fixture, &on_disk(&fixture, dir.path()), |_chunk| false);
}

/// What is held in memory is what was verified, and nobody can change it: the file it came from may
/// become anything.
#[test]
fn what_is_held_stays_right() {
    let (fixture, pack) = small();
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("packs")).unwrap();
    let path = dir.path().join("packs").join(fixture.image.packs()[0].id.to_string());
    fs::write(&path, &pack).unwrap();
    let fetcher = on_disk(&fixture, dir.path());
    let all = [0, 1, 2, 3];
    fixture.check(&all, &fetcher.wait(&all).unwrap());
    fs::write(&path, vec![0; pack.len()]).unwrap();
    fixture.check(&all, &fetcher.wait(&all).unwrap());
    // The control: who holds nothing gets nothing.
    right_or_an_error(&fixture, &on_disk(&fixture, dir.path()), |_chunk| true);
}
