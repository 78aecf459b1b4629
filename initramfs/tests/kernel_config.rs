//! Debian's kernel has every option that `kernel-config/required.config` asks for.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

#[test]
#[ignore = "needs the kernel that scripts/kernel unpacks; scripts/check runs it"]
fn debians_kernel_has_what_zimg_requires() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let read = |name: &str| {
        fs::read_to_string(root.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    };
    let debian = read("out/kernel.config");
    let debian: HashMap<&str, &str> = options(&debian).collect();
    let required = read("kernel-config/required.config");
    let mut wrong = Vec::new();
    let mut count = 0;
    for (option, wanted) in options(&required) {
        count += 1;
        let there = debian.get(option).copied().unwrap_or("n");
        let enough = match wanted {
            "y" => there == "y",
            "m" => matches!(there, "y" | "m"),
            other => panic!("{option}={other}: say y or m"),
        };
        if !enough {
            wrong.push(format!("{option} is {there}, not {wanted}"));
        }
    }
    assert!(count > 20, "only {count} options read");
    assert_eq!(wrong, [""; 0]);
}

/// The options set in a kernel's configuration.
fn options(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.lines().filter(|line| line.starts_with("CONFIG_")).filter_map(|line| line.split_once('='))
}
