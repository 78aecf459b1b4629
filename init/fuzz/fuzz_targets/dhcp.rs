//! Any DHCPv4 messages, as answers to a client that asks for a lease and keeps it.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| init::fuzzing::run("dhcp", input));
