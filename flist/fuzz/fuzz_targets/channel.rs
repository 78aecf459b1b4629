//! Any channel is refused, or leads nowhere else than it says.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| flist::fuzzing::run("channel", input));
