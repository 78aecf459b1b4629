//! Makes the static program smaller, as it lies in the memory of every node, and tells it when it was
//! built: no clock is right that shows an earlier time.

use std::env;
use std::process::Command;

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
    println!("cargo::rerun-if-env-changed=SOURCE_DATE_EPOCH");
    let built = env::var("SOURCE_DATE_EPOCH").ok().filter(|text| text.parse::<u64>().is_ok());
    println!("cargo::rustc-env=ZIMG_BUILT={}", built.or_else(committed).unwrap_or("0".to_owned()));
}

/// When the source was committed: the same for whoever builds it, unlike the time now.
fn committed() -> Option<String> {
    let head = git(&["rev-parse", "--git-path", "logs/HEAD"])?;
    println!("cargo::rerun-if-changed={head}");
    git(&["log", "-1", "--format=%ct"]).filter(|text| text.parse::<u64>().is_ok())
}

fn git(args: &[&str]) -> Option<String> {
    let output = Command::new("git").args(args).output().ok().filter(|o| o.status.success())?;
    String::from_utf8(output.stdout).ok().map(|text| text.trim().to_owned())
}
