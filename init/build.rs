//! Makes the static program smaller: it lies in the memory of every node.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=no-unwind.ld");
    let is = |key: &str, value: &str| env::var(key).is_ok_and(|found| found == value);
    // A panic of the release profile aborts, so the standard library's tables for unwinding, a
    // tenth of the program, are of no use.
    if is("CARGO_CFG_TARGET_ENV", "musl") && is("PROFILE", "release") {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/no-unwind.ld");
        println!("cargo::rustc-link-arg-bins=-Wl,-T,{script}");
    }
}
