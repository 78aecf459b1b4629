//! The program as its users run it, its images read by other people's tools: zstd(1), cpio(1),
//! and depmod(8) over Debian's own kernel.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a failure is how a test speaks")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// An empty static program, as far as anyone looks: an ELF header without program headers.
fn program() -> Vec<u8> {
    let mut header = vec![0; 64];
    header[..6].copy_from_slice(b"\x7fELF\x02\x01");
    header
}

struct Bench {
    dir: tempfile::TempDir,
}

impl Bench {
    fn new() -> Bench {
        let bench = Bench { dir: tempfile::tempdir().unwrap() };
        bench.put("init", &program());
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn put(&self, name: &str, data: &[u8]) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, data).unwrap();
        path
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_initramfs"));
        command.current_dir(self.dir.path()).args(["--init", "init", "--output", "out.img"]);
        command.args(arguments).output().unwrap()
    }

    fn make(&self, arguments: &[&str]) -> Vec<u8> {
        let output = self.run(arguments);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        fs::read(self.path("out.img")).unwrap()
    }

    /// Runs it to see it refuse; gives the exit status and what it said.
    fn refuse(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let output = self.run(arguments);
        assert!(!self.path("out.img").exists(), "nothing may be left behind");
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    }

    /// Decompresses out.img by zstd(1) and feeds it to cpio(1).
    fn cpio(&self, arguments: &[&str]) -> String {
        let mut zstd = Command::new("zstd")
            .args(["-dqc", "out.img"])
            .current_dir(self.dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .expect("zstd: run scripts/setup");
        let cpio = Command::new("cpio")
            .args(["--quiet"])
            .args(arguments)
            .current_dir(self.dir.path())
            .stdin(zstd.stdout.take().unwrap())
            .output()
            .expect("cpio: run scripts/setup");
        assert!(zstd.wait().unwrap().success());
        assert_eq!(String::from_utf8(cpio.stderr).unwrap(), "");
        assert!(cpio.status.success());
        String::from_utf8(cpio.stdout).unwrap()
    }
}

#[test]
fn cpio_lists_what_was_asked_for() {
    let bench = Bench::new();
    bench.put("node.conf", b"zimg.url=http://server/\n");
    bench.put("late.conf", b"");
    let script = bench.put("tool", b"#!/bin/sh\n");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o700)).unwrap();
    bench.make(&[
        "--modules=none",
        "--config=node.conf",
        "--config=late.conf",
        "--add=node.conf=/etc/zimg/ca.pem",
        "--add=tool=bin/tool",
    ]);
    let listing = bench.cpio(&["-itv", "--numeric-uid-gid"]);
    let columns = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(
        listing.lines().map(columns).collect::<Vec<_>>(),
        [
            "drwxr-xr-x 2 0 0 0 Jan 1 1970 bin",
            "-rwxr-xr-x 1 0 0 10 Jan 1 1970 bin/tool",
            "drwxr-xr-x 2 0 0 0 Jan 1 1970 dev",
            "crw------- 1 0 0 5, 1 Jan 1 1970 dev/console",
            "crw------- 1 0 0 1, 11 Jan 1 1970 dev/kmsg",
            "crw-rw-rw- 1 0 0 1, 3 Jan 1 1970 dev/null",
            "drwxr-xr-x 2 0 0 0 Jan 1 1970 etc",
            "drwxr-xr-x 2 0 0 0 Jan 1 1970 etc/zimg",
            "-rw-r--r-- 1 0 0 24 Jan 1 1970 etc/zimg/10-node.conf",
            "-rw-r--r-- 1 0 0 0 Jan 1 1970 etc/zimg/11-late.conf",
            "-rw-r--r-- 1 0 0 24 Jan 1 1970 etc/zimg/ca.pem",
            "-rwxr-xr-x 1 0 0 64 Jan 1 1970 init",
            "drwxr-xr-x 2 0 0 0 Jan 1 1970 proc",
            "drwxr-xr-x 2 0 0 0 Jan 1 1970 run",
            "drwxr-xr-x 2 0 0 0 Jan 1 1970 sys",
            "drwxr-xr-x 2 0 0 0 Jan 1 1970 sysroot",
            "drwxr-xr-x 2 0 0 0 Jan 1 1970 tmp",
        ]
    );
}

#[test]
fn the_same_inputs_give_the_same_bytes_wherever_they_lie() {
    let (one, other) = (Bench::new(), Bench::new());
    other.put("a.conf", b"later written, other times");
    one.put("a.conf", b"later written, other times");
    let arguments = ["--modules=none", "--config=a.conf"];
    let image = one.make(&arguments);
    assert_eq!(image, other.make(&arguments));
    other.put("a.conf", b"other contents");
    assert_ne!(image, other.make(&arguments), "and others give others");
}

#[test]
fn an_image_that_is_there_is_replaced_as_a_whole_and_readable_by_all() {
    let bench = Bench::new();
    bench.put("out.img", b"old");
    bench.make(&["--modules=none"]);
    let mode = fs::metadata(bench.path("out.img")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o644);
    let left: Vec<_> = fs::read_dir(bench.dir.path()).unwrap().collect();
    assert_eq!(left.len(), 2, "init and out.img alone: {left:?}");
}

#[test]
fn wrong_options_are_refused_with_status_2() {
    let bench = Bench::new();
    for arguments in [&["--add", "x"][..], &["--nosuch"], &["--modules"]] {
        let (status, message) = bench.refuse(arguments);
        assert_eq!(status, Some(2), "{message}");
        assert!(message.contains("--help"), "{message}");
    }
}

#[test]
fn bad_inputs_are_refused_by_name() {
    let bench = Bench::new();
    bench.put("text", b"hello");
    let long = format!("--add=text=/etc/{}", "x/".repeat(3000));
    for (arguments, words) in [
        (&["--modules=vm"][..], "--kernel-modules"),
        (&["--modules=vm", "--kernel-modules=nosuch"], "cannot read nosuch"),
        (&["--modules=vm", "--kernel-modules=."], "holds no kernel modules"),
        (&["--modules=none", "--config=gone.conf"], "cannot read gone.conf"),
        (&["--modules=none", "--add=text=/init"], "'/init'"),
        (&["--modules=none", "--add=text=../x"], "'..'"),
        (&["--modules=none", &long], "4095"),
        (&["--modules=none", "--add=.=/x"], "cannot read ."),
    ] {
        let (status, message) = bench.refuse(arguments);
        assert_eq!(status, Some(1), "{message}");
        assert!(message.contains(words), "{arguments:?}: {message}");
    }
}

#[test]
fn only_what_a_kernel_can_start_becomes_init() {
    let bench = Bench::new();
    let dynamic = fs::read(env!("CARGO_BIN_EXE_initramfs")).unwrap();
    for (init, words) in [
        (&b"text"[..], "not a 64-bit little-endian ELF"),
        (b"#!/bin/busybox sh\n", "'/bin/busybox'"),
        (&dynamic, "dynamic loader"),
    ] {
        if init == dynamic && cfg!(target_feature = "crt-static") {
            continue;
        }
        bench.put("init", init);
        let (status, message) = bench.refuse(&["--modules=none"]);
        assert_eq!(status, Some(1));
        assert!(message.contains(words), "{message}");
    }
    bench.put("init", b"#!/bin/busybox sh\n");
    bench.put("busybox", &program());
    bench.make(&["--modules=none", "--add=busybox=/bin/busybox"]);
}

#[test]
fn an_output_that_cannot_be_written_is_named() {
    let bench = Bench::new();
    let output = Command::new(env!("CARGO_BIN_EXE_initramfs"))
        .current_dir(bench.dir.path())
        .args(["--init", "init", "--modules", "none", "--output", "gone/out.img"])
        .output()
        .unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.contains("cannot write gone/out.img"), "{message}");
}

#[test]
#[ignore = "needs the kernel that scripts/kernel unpacks; scripts/check runs it"]
fn depmod_agrees_with_the_indexes_of_debians_kernel() {
    let modules = Path::new(env!("CARGO_MANIFEST_DIR")).join("../out/modules");
    let modules = fs::canonicalize(modules).expect("out/modules: run scripts/kernel");
    let release = modules.file_name().unwrap().to_str().unwrap();
    let bench = Bench::new();
    // Some with softdeps, long chains and many aliases.
    let list = "vm,nfsv4,cifs,mlx5_ib,dm-crypt,lrw,act_mpls,xt_LOG,qemu_fw_cfg,i6300esb";
    bench.make(&["--modules", list, "--kernel-modules", modules.to_str().unwrap()]);
    bench.cpio(&["-id", "--no-absolute-filenames", "lib*"]);
    let base = bench.path("lib/modules").join(release);
    for index in ["modules.order", "modules.builtin", "modules.builtin.modinfo"] {
        fs::copy(modules.join(index), base.join(index)).unwrap();
    }
    // Both orders of a line of modules.dep are right where neither module needs the other.
    let words = |line: &str| {
        let mut words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        words[1..].sort();
        words
    };
    let index = |name: &str| {
        let text = fs::read_to_string(base.join(name)).unwrap();
        let mut lines: Vec<_> =
            text.lines().filter(|line| !line.starts_with('#')).map(words).collect();
        lines.sort();
        lines
    };
    let names = ["modules.dep", "modules.alias", "modules.softdep"];
    let ours = names.map(index);
    assert!(ours.iter().zip([30, 60, 3]).all(|(lines, least)| lines.len() >= least), "{ours:?}");
    let status = Command::new("depmod")
        .arg("-b")
        .arg(bench.dir.path())
        .arg(release)
        .status()
        .expect("depmod: run scripts/setup");
    assert!(status.success());
    for ((name, ours), theirs) in names.iter().zip(&ours).zip(names.map(index)) {
        assert_eq!(ours, &theirs, "{name}");
    }
}

/// minisign's own key.
const KEY: &str = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";

#[test]
fn public_keys_and_nothing_else() {
    let bench = Bench::new();
    let file = format!("untrusted comment: minisign public key E7620F1842B4E81F\n{KEY}\n");
    bench.put("fleet.pub", file.as_bytes());
    bench.put("bare", KEY.as_bytes());
    bench.make(&["--modules", "none", "--key", "fleet.pub", "--key", "bare"]);
    let list = bench.cpio(&["-t"]);
    let keys: Vec<&str> = list.lines().filter(|line| line.contains("keys/")).collect();
    assert_eq!(keys, ["etc/zimg/keys/bare.pub", "etc/zimg/keys/fleet.pub"]);
    assert_eq!(bench.cpio(&["-i", "--to-stdout", "etc/zimg/keys/fleet.pub"]), file);

    fs::remove_file(bench.path("out.img")).unwrap();
    let secret = format!("untrusted comment: secret\nRWRTY0Iy{}\n", "A".repeat(204));
    // A node would refuse it, at each boot.
    let two = format!("{KEY}\n{KEY}\n");
    for (name, text) in [
        ("fleet.key", secret.as_str()),
        ("page.pub", "<html>"),
        ("empty.pub", ""),
        ("two.pub", two.as_str()),
    ] {
        bench.put(name, text.as_bytes());
        let (status, said) = bench.refuse(&["--modules", "none", "--key", name]);
        assert_eq!(status, Some(1), "{said}");
        assert!(said.contains(name) && said.contains("no public key"), "{said}");
    }
    let (status, said) = bench.refuse(&["--modules", "none", "--key", "bare", "--key", "bare"]);
    assert_eq!(status, Some(1), "{said}");
}

#[test]
fn licences_and_sbom_beside_the_program_come_along() {
    let bench = Bench::new();
    bench.make(&["--modules=none", "--sbom=bare.json"]);
    let names = |listing: String| listing.lines().map(str::to_owned).collect::<Vec<_>>();
    assert!(!names(bench.cpio(&["-it"])).contains(&"LICENSES.txt".to_owned()), "the control");
    let read = |name: &str| -> serde_json::Value {
        serde_json::from_slice(&fs::read(bench.path(name)).unwrap()).unwrap()
    };
    let list = |bom: &serde_json::Value| -> Vec<String> {
        let parts = bom["components"].as_array().unwrap().iter();
        parts.map(|part| part["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(list(&read("bare.json")), ["/init"]);

    bench.put("init.licenses.txt", b"Copyright Ann\n");
    let program = br#"{"metadata": {"component": {"bom-ref": "p", "name": "prog"}},
        "components": [{"bom-ref": "a", "name": "a"}],
        "dependencies": [{"ref": "p", "dependsOn": ["a"]}]}"#;
    bench.put("init.cdx.json", program);
    bench.make(&["--modules=none", "--sbom=full.json"]);
    assert_eq!(bench.cpio(&["-i", "--to-stdout", "LICENSES.txt"]), "Copyright Ann\n");
    let full = read("full.json");
    assert_eq!(list(&full), ["/LICENSES.txt", "/init", "prog", "a"]);
    let sum = |name: &str| {
        let printed = Command::new("sha256sum").arg(bench.path(name)).output().unwrap().stdout;
        String::from_utf8(printed).unwrap().split(' ').next().unwrap().to_owned()
    };
    assert_eq!(full["components"][1]["hashes"][0]["content"], sum("init"));
    assert_eq!(full["metadata"]["component"]["hashes"][0]["content"], sum("out.img"));

    bench.put("init.cdx.json", b"{}");
    fs::remove_file(bench.path("out.img")).unwrap();
    let (status, message) = bench.refuse(&["--modules=none", "--sbom=bad.json"]);
    assert_eq!(status, Some(1));
    assert!(message.contains("init.cdx.json is no CycloneDX SBOM"), "{message}");
}
