//! Any channel is refused, or leads where it may.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| flist::trust::fuzzing::channel(input));
