//! Any index of modules and any devices: each module is loaded once.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| init::fuzzing::run("modules", input));
