//! Any file of signatures is refused, or says what minisign signed and nothing else.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| flist::fuzzing::run("signature", input));
