//! Any profile is refused, or read as written.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| flist::fuzzing::run("profile", input));
