//! Any kernel command line and any file of `/etc/zimg`: what the latter demands is not loosened.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| init::fuzzing::run("cmdline", input));
