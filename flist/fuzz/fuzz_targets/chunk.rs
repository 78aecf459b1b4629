//! Any chunk of an image that means harm is refused, or as long as that states.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| flist::fuzzing::run("chunk", input));
