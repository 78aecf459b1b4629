//! Any Content-Range is refused, or a range within its file.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| flist::fuzzing::run("range", input));
