//! Any advertisements of routers, one after the other, and any word of a neighbour.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| init::fuzzing::run("ndp", input));
