//! Any answers of a TPM: the event log grows by whole events.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| init::fuzzing::run("tpm", input));
