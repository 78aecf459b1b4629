//! What every node downloads stays small: the sizes that the README promises.

use std::fs;
use std::path::Path;
use std::process::Command;

#[test]
#[ignore = "needs the programs of scripts/build; scripts/check runs it"]
fn init_and_initramfs_are_as_small_as_promised() {
    let out = Path::new(env!("CARGO_MANIFEST_DIR")).join("../out");
    let size = |path: &Path| match fs::metadata(path) {
        Ok(metadata) => metadata.len(),
        Err(error) => panic!("{}: {error}: run scripts/build", path.display()),
    };
    let dir = tempfile::tempdir().unwrap();
    let bare = dir.path().join("bare.img");
    let status = Command::new(env!("CARGO_BIN_EXE_initramfs"))
        .args(["--modules", "none", "--init"])
        .arg(out.join("init"))
        .arg("--output")
        .arg(&bare)
        .status()
        .unwrap();
    assert!(status.success());
    for (what, size, most) in [
        ("init", size(&out.join("init")), 2_500_000),
        ("initramfs without modules", size(&bare), 1_300_000),
        (
            "initramfs with the modules of virtual machines",
            size(&out.join("initramfs.img")),
            2_000_000,
        ),
    ] {
        println!("{what}: {size} bytes");
        assert!(size <= most, "{what} has {size} bytes, more than {most}");
    }
}
