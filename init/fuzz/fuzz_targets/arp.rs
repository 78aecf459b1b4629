//! Any ARP packet: who claims an address is another station.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| init::fuzzing::run("arp", input));
