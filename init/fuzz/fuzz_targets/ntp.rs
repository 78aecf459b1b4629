//! Any answer of a time server.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| init::fuzzing::run("ntp", input));
