//! Any file, its length and checksum put right, is refused or gives an image that answers everything.
#![no_main]

use flist::format::testing::{exercise, seal};

libfuzzer_sys::fuzz_target!(|file: &[u8]| {
    let mut file = file.to_vec();
    seal(&mut file);
    drop(exercise(&file));
});
