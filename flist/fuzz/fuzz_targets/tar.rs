//! Any archive, its sums put right, is read or refused.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| flist::fuzzing::run("tar", input));
