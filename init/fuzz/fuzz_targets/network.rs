//! Any `ip=`, `bond=` and so on: what can't be read is named by its place.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| init::fuzzing::run("network", input));
