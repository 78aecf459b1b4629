//! `zimg` as a user meets it: what it says and returns, above all when something is wrong. Every
//! refusal is one sentence that names the thing, and leaves nothing behind.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;
use tests::http_faults::{Fault, FaultyServer};
use tests::{out, root};

type Result = anyhow::Result<()>;

/// A folder with a small tree, its flist and its packs.
struct Shop {
    dir: tempfile::TempDir,
}

impl Shop {
    fn new() -> anyhow::Result<Self> {
        let shop = Self { dir: tempfile::tempdir()? };
        let tree = shop.path("tree");
        fs::create_dir_all(tree.join("etc"))?;
        fs::write(tree.join("etc/motd"), "hello\n")?;
        // Does not compress, so that the pack is large enough to damage here and there.
        let noise: Vec<u8> = (0..40_000_u32)
            .flat_map(|i| blake3::hash(&i.to_le_bytes()).as_bytes()[..25].to_vec())
            .collect();
        fs::write(tree.join("noise"), noise)?;
        let built = shop.zimg(&["build", "tree", "a.flist"])?;
        assert!(built.status.success(), "{}", text(&built.stderr));
        Ok(shop)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn zimg(&self, args: &[&str]) -> anyhow::Result<Output> {
        Ok(Command::new(out::built("zimg")?)
            .current_dir(self.dir.path())
            .args(args)
            .stdin(Stdio::null())
            .output()?)
    }

    fn pack(&self) -> anyhow::Result<PathBuf> {
        let mut packs = fs::read_dir(self.path("packs"))?;
        Ok(packs.next().context("no pack")??.path())
    }

    /// Every file below the folder, to see whether something was left behind.
    fn files(&self) -> anyhow::Result<Vec<String>> {
        let found = root::run(Command::new("find").arg(self.dir.path()))?;
        let mut lines: Vec<String> = text(&found).lines().map(str::to_string).collect();
        lines.sort();
        Ok(lines)
    }

    /// The command fails with `status` and one line that has all of `words`; nothing appears.
    fn refuses(&self, args: &[&str], status: i32, words: &[&str]) -> Result {
        let before = self.files()?;
        let output = self.zimg(args)?;
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{args:?}: {said}");
        for word in words {
            assert!(said.contains(word), "{args:?}: no {word:?} in: {said}");
        }
        assert!(!said.contains("panicked"), "{args:?}: {said}");
        assert_eq!(self.files()?, before, "{args:?} left something behind");
        Ok(())
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn the_commands_do_what_they_say() -> Result {
    let shop = Shop::new()?;
    let output = |args: &[&str]| -> anyhow::Result<String> {
        let output = shop.zimg(args)?;
        assert!(output.status.success(), "{args:?}: {}", text(&output.stderr));
        Ok(text(&output.stdout))
    };
    assert_eq!(output(&["cat", "a.flist", "/etc/motd"])?, "hello\n");
    assert!(output(&["ls", "a.flist"])?.contains("motd"));
    let listing: serde_json::Value = serde_json::from_str(&output(&["ls", "--json", "a.flist"])?)?;
    let paths: Vec<_> =
        listing.as_array().unwrap().iter().map(|e| e["path"].as_str().unwrap()).collect();
    assert_eq!(paths, ["/", "/etc", "/noise", "/etc/motd"]);
    let facts: serde_json::Value =
        serde_json::from_str(&output(&["inspect", "--json", "a.flist"])?)?;
    let hash = flist::id::RootHash::of(&fs::read(shop.path("a.flist"))?).to_string();
    assert_eq!(facts["root_hash"].as_str(), Some(hash.as_str()));
    output(&["verify", "a.flist", "--all-chunks", "--hash", &hash])?;
    output(&["unpack", "a.flist", "b"])?;
    assert_eq!(fs::read(shop.path("b/noise"))?, fs::read(shop.path("tree/noise"))?);
    output(&["diff", "a.flist", "a.flist"])?;

    fs::write(shop.path("tree/etc/motd"), "hallo\n")?;
    fs::write(shop.path("tree/new"), "new")?;
    let built = output(&["build", "tree", "c.flist", "--base", "a.flist"])?;
    assert!(built.contains("of the base"), "{built}");
    let diff = shop.zimg(&["diff", "a.flist", "c.flist"])?;
    assert_eq!(diff.status.code(), Some(1));
    let said = text(&diff.stdout);
    assert!(said.contains("+ /new\n") && said.contains("! /etc/motd (mtime, contents)"), "{said}");
    assert!(!said.contains("noise"), "{said}");
    Ok(())
}

#[test]
fn wrong_command_lines() -> Result {
    let shop = Shop::new()?;
    shop.refuses(&["build"], 2, &["source"])?;
    shop.refuses(&["frobnicate"], 2, &["frobnicate"])?;
    shop.refuses(&["build", "tree", "b.flist", "--lever", "3"], 2, &["--lever"])?;
    shop.refuses(&["build", "tree", "b.flist", "--level", "99"], 2, &["99", "22"])?;
    shop.refuses(&["build", "tree", "b.flist", "--label", "x"], 2, &["KEY=VALUE"])?;
    shop.refuses(&["inspect", "a.flist", "--hash", "12"], 2, &["64 hexadecimal digits"])?;
    shop.refuses(&["mount", "http://127.0.0.1:1/a.flist", "tree"], 2, &["--hash", "--key"])?;
    shop.refuses(&["inspect", "ftp://host/a.flist"], 2, &["ftp", "http"])?;
    shop.refuses(&["build", "tree", "b.flist", "--threads", "100000"], 2, &["100000", "512"])?;
    shop.refuses(&["build", "tree", ""], 2, &["empty"])?;
    let both = ["build", "tree", "b.flist", "--profile", "x", "--no-profile"];
    shop.refuses(&both, 2, &["--profile", "exclude"])?;
    shop.refuses(&["verify", "a.flist", "--store", "tree"], 2, &["--all-chunks"])?;
    shop.refuses(&["serve", ".", "--listen", "127.0.0.1:99999"], 2, &["ADDRESS:PORT"])?;
    shop.refuses(&["cat", "a.flist"], 2, &["path"])
}

/// An flist takes the place of what has its name, as long as that is a file.
#[test]
fn devices_and_links_are_not_replaced() -> Result {
    let shop = Shop::new()?;
    root::run(Command::new("mknod").arg(shop.path("null")).args(["c", "1", "3"]))?;
    root::run(Command::new("mkfifo").arg(shop.path("fifo")))?;
    std::os::unix::fs::symlink("a.flist", shop.path("link"))?;
    for out in ["null", "fifo", "link"] {
        shop.refuses(&["build", "tree", out], 1, &[out, "no regular file"])?;
        assert!(!fs::symlink_metadata(shop.path(out))?.is_file(), "{out} was replaced");
    }
    shop.refuses(&["build", "tree", "-"], 2, &["standard output"])?;
    assert!(shop.zimg(&["build", "tree", "a.flist"])?.status.success(), "the control");
    Ok(())
}

#[test]
fn what_is_wrong_is_said_once() -> Result {
    let shop = Shop::new()?;
    let once = |args: &[&str], words: &str| -> Result {
        let said = text(&shop.zimg(args)?.stderr);
        assert_eq!(said.matches(words).count(), 1, "{args:?}: {said}");
        assert_eq!(said.lines().count(), 1, "{args:?}: {said}");
        Ok(())
    };
    once(&["build", "tree", "none/b.flist"], "No such file")?;
    once(&["build", "nothing", "b.flist"], "No such file")?;
    once(&[], "subcommands")?;
    once(&["build", "a.flist", "b.flist"], "it looks like an flist")
}

/// Standard output that can't be written is an error with a name; one that nobody reads is none.
#[test]
fn standard_output_that_is_full_or_gone() -> Result {
    let shop = Shop::new()?;
    fs::write(shop.path("tree/new"), "new")?;
    let built = shop.zimg(&["build", "tree", "c.flist"])?;
    assert!(built.status.success(), "{}", text(&built.stderr));
    let run = |args: &[&str], stdout: Stdio| -> anyhow::Result<(Option<i32>, String)> {
        let mut command = Command::new(out::built("zimg")?);
        let command = command.current_dir(shop.dir.path()).args(args).stdin(Stdio::null());
        let output = command.stdout(stdout).stderr(Stdio::piped()).spawn()?.wait_with_output()?;
        Ok((output.status.code(), text(&output.stderr)))
    };
    let good: [&[&str]; 8] = [
        &["--help"],
        &["--version"],
        &["build", "tree", "d.flist"],
        &["ls", "a.flist"],
        &["ls", "--json", "a.flist"],
        &["cat", "a.flist", "/noise"],
        &["inspect", "a.flist"],
        &["verify", "a.flist", "--all-chunks"],
    ];
    let bad: &[&str] = &["diff", "a.flist", "c.flist"];
    let full = || fs::OpenOptions::new().write(true).open("/dev/full");
    for args in good.into_iter().chain([bad]) {
        let (status, said) = run(args, full()?.into())?;
        assert_eq!(status, Some(1), "{args:?}: {said}");
        assert!(said.contains("standard output") && said.lines().count() == 1, "{args:?}: {said}");
        let (reader, writer) = std::io::pipe()?;
        drop(reader);
        let (status, said) = run(args, writer.into())?;
        assert_eq!((status, said), (Some(i32::from(args == bad)), String::new()), "{args:?}");
    }
    Ok(())
}

#[test]
fn a_missing_pack_is_named_once() -> Result {
    let shop = Shop::new()?;
    let pack = shop.pack()?;
    fs::remove_file(&pack)?;
    let output = shop.zimg(&["verify", "a.flist", "--all-chunks"])?;
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert_eq!(said.matches(&*pack.file_name().context("a name")?.to_string_lossy()).count(), 1);
    assert!(said.contains("needed by /noise"), "{said}");
    Ok(())
}

#[test]
fn names_in_a_diff_as_json() -> Result {
    let shop = Shop::new()?;
    fs::write(shop.path("tree/back\\slash"), "")?;
    fs::write(shop.path("tree").join(OsStr::from_bytes(b"\xff")), "")?;
    assert!(shop.zimg(&["build", "tree", "b.flist"])?.status.success());
    let output = shop.zimg(&["diff", "--json", "a.flist", "b.flist"])?;
    let diff: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let added = serde_json::json!([{ "path": "/back\\slash" }, { "path_hex": "2fff" }]);
    assert_eq!(diff["added"], added);
    Ok(())
}

/// Also while it waits for an archive that does not come, or never ends.
#[test]
fn a_build_can_be_interrupted() -> Result {
    let shop = Shop::new()?;
    let before = shop.files()?;
    for source in ["-", "/dev/zero"] {
        let mut build = Command::new(out::built("zimg")?)
            .current_dir(shop.dir.path())
            .args(["build", source, "b.flist"])
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        std::thread::sleep(Duration::from_millis(500));
        assert_eq!(build.try_wait()?, None, "{source}: it waits");
        root::run(Command::new("kill").arg(build.id().to_string()))?;
        let end = Instant::now() + Duration::from_secs(20);
        while build.try_wait()?.is_none() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(50));
        }
        let ended = build.try_wait()?;
        build.kill()?;
        let said = text(&build.wait_with_output()?.stderr);
        assert_eq!(ended.and_then(|status| status.code()), Some(1), "{source}: {said}");
        assert_eq!(said, "zimg: interrupted\n", "{source}");
        assert_eq!(shop.files()?, before, "{source}: something was left behind");
    }
    Ok(())
}

/// What a boot is expected to read lies first, or nothing does.
#[test]
fn a_system_to_boot() -> Result {
    let shop = Shop::new()?;
    fs::create_dir(shop.path("tree/sbin"))?;
    fs::write(shop.path("tree/sbin/init"), "#!/bin/sh\n")?;
    fs::set_permissions(shop.path("tree/sbin/init"), fs::Permissions::from_mode(0o755))?;
    for (options, said, chunks) in [
        (&[][..], "a boot is expected to read 16 B in 1 chunks", 1),
        (&["--no-profile"], "root hash", 0),
    ] {
        let built = shop.zimg(&[&["build", "tree", "b.flist"], options].concat())?;
        assert!(text(&built.stdout).contains(said), "{built:?}");
        let inspected = shop.zimg(&["inspect", "b.flist", "--json"])?;
        let said = format!("\"profile_chunks\": {chunks}");
        assert!(text(&inspected.stdout).contains(&said), "{inspected:?}");
    }
    Ok(())
}

/// What is read of a mount is its profile, and what can't be one is told.
#[test]
fn profiles() -> Result {
    let shop = Shop::new()?;
    fs::create_dir(shop.path("mnt"))?;
    let mounted = shop.zimg(&["mount", "a.flist", "mnt", "--profile-out", "out.profile"])?;
    assert!(mounted.status.success(), "{}", text(&mounted.stderr));
    assert_eq!(fs::read(shop.path("mnt/etc/motd"))?, b"hello\n");
    root::run(Command::new("umount").arg(shop.path("mnt")))?;
    let deadline = Instant::now() + Duration::from_secs(20);
    while !shop.path("out.profile").exists() {
        assert!(Instant::now() < deadline, "no profile came");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(fs::read_to_string(shop.path("out.profile"))?, "zimg profile 1\n0 6 /etc/motd\n");
    let built = shop.zimg(&["build", "tree", "b.flist", "--profile", "out.profile"])?;
    assert!(text(&built.stdout).contains("in 1 chunks lie first; 0 of its ranges"), "{built:?}");
    let inspected = shop.zimg(&["inspect", "--json", "b.flist"])?;
    assert!(text(&inspected.stdout).contains("\"profile_chunks\": 1"), "{inspected:?}");

    fs::write(shop.path("bad.profile"), "zimg profile 1\n0 6 etc/motd\n")?;
    let path = "its path does not begin with /";
    let bad = ["--profile bad.profile", "line 2", path];
    shop.refuses(&["build", "tree", "c.flist", "--profile", "bad.profile"], 1, &bad)?;
    shop.refuses(&["mount", "a.flist", "mnt", "--profile", "bad.profile"], 1, &bad)?;
    let none = ["--profile none.profile", "No such file"];
    shop.refuses(&["build", "tree", "c.flist", "--profile", "none.profile"], 1, &none)?;
    let none = ["none.profile"];
    shop.refuses(&["mount", "a.flist", "mnt", "--profile", "none.profile"], 3, &none)?;
    let word = ["off, profile or all"];
    shop.refuses(&["mount", "a.flist", "mnt", "--prefetch", "some"], 2, &word)?;
    let room = ["--cache 2 or more"];
    shop.refuses(&["mount", "a.flist", "mnt", "--prefetch", "all", "--cache", "0"], 2, &room)
}

#[test]
fn a_dead_mount_is_told() -> Result {
    let shop = Shop::new()?;
    let dir = shop.path("dir");
    fs::create_dir(&dir)?;
    let mut server = Command::new(out::built("zimg")?)
        .args(["mount", "--foreground"])
        .args([shop.path("a.flist"), dir.clone()])
        .stdout(Stdio::piped())
        .spawn()?;
    let mut line = String::new();
    BufReader::new(server.stdout.take().context("no output")?).read_line(&mut line)?;
    server.kill()?;
    server.wait()?;
    let output = shop.zimg(&["mount", "a.flist", "dir"]);
    root::run(Command::new("umount").arg(&dir))?;
    let output = output?;
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("dead mount") && said.contains("umount"), "{said}");
    Ok(())
}

#[test]
fn what_is_not_there_or_no_flist() -> Result {
    let shop = Shop::new()?;
    shop.refuses(&["inspect", "nothing.flist"], 3, &["nothing.flist"])?;
    shop.refuses(&["build", "nothing", "b.flist"], 1, &["nothing"])?;
    shop.refuses(&["build", "/dev/null", "b.flist"], 1, &["/dev/null"])?;
    shop.refuses(&["build", "tree", "tree/etc/motd"], 1, &["tree/etc/motd", "no flist"])?;
    shop.refuses(&["cat", "a.flist", "/etc/shadow"], 1, &["/etc/shadow"])?;
    shop.refuses(&["cat", "a.flist", "/etc"], 1, &["directory"])?;
    shop.refuses(&["inspect", "tree/etc/motd"], 1, &["tree/etc/motd", "no flist"])?;
    shop.refuses(&["inspect", "tree"], 1, &["tree"])?;
    shop.refuses(&["unpack", "a.flist", "tree"], 1, &["tree", "not empty"])?;
    shop.refuses(&["mount", "a.flist", "nowhere"], 1, &["nowhere"])?;
    shop.refuses(
        &["inspect", "a.flist", "--hash", &"0".repeat(64)],
        1,
        &["a.flist", &"0".repeat(64)],
    )
}

#[test]
fn damaged_flists() -> Result {
    let shop = Shop::new()?;
    let good = fs::read(shop.path("a.flist"))?;
    let write = |name: &str, bytes: &[u8]| fs::write(shop.path(name), bytes);
    write("short.flist", &good[..good.len() - 1])?;
    shop.refuses(&["ls", "short.flist"], 1, &["short.flist", "cut short"])?;
    write("long.flist", &[good.as_slice(), b"x"].concat())?;
    shop.refuses(&["ls", "long.flist"], 1, &["long.flist"])?;
    let mut later = good.clone();
    later[8] = 9;
    // A later version is whole, not damaged: its checksum is right.
    let checksum = blake3::Hasher::new().update(&later[..32]).update(&later[64..]).finalize();
    later[32..64].copy_from_slice(checksum.as_bytes());
    write("later.flist", &later)?;
    shop.refuses(&["ls", "later.flist"], 1, &["later.flist", "version 9", "version 1"])?;
    write("page.flist", b"<!DOCTYPE html><html><body>404</body></html>")?;
    shop.refuses(&["ls", "page.flist"], 1, &["page.flist", "HTML page"])?;
    write("empty.flist", b"")?;
    shop.refuses(&["ls", "empty.flist"], 1, &["empty.flist", "empty"])?;
    // A byte in each region: header, section table, every section.
    for at in (0..good.len()).step_by(good.len() / 97) {
        let mut bad = good.clone();
        bad[at] ^= 0x20;
        write("bad.flist", &bad)?;
        shop.refuses(&["ls", "bad.flist"], 1, &["bad.flist"])?;
    }
    Ok(())
}

#[test]
fn damaged_and_missing_packs() -> Result {
    let shop = Shop::new()?;
    let pack = shop.pack()?;
    let good = fs::read(&pack)?;
    for at in [0, good.len() / 2, good.len() - 1] {
        let mut bad = good.clone();
        bad[at] ^= 1;
        fs::write(&pack, &bad)?;
        let verify = shop.zimg(&["verify", "a.flist", "--all-chunks"])?;
        assert_eq!(verify.status.code(), Some(1));
        assert!(text(&verify.stdout).contains("chunk number"), "{}", text(&verify.stdout));
        assert!(shop.zimg(&["verify", "a.flist"])?.status.success(), "the flist itself is good");
    }
    shop.refuses(&["unpack", "a.flist", "b"], 1, &["chunk"])?;
    fs::write(&pack, &good[..good.len() / 2])?;
    shop.refuses(&["unpack", "a.flist", "b"], 1, &["pack"])?;
    fs::remove_file(&pack)?;
    shop.refuses(&["unpack", "a.flist", "b"], 3, &["packs"])?;
    shop.refuses(&["cat", "a.flist", "/noise"], 3, &["packs"])?;
    shop.refuses(&["cat", "a.flist", "/noise", "--store", "tree"], 3, &["tree"])?;
    let verify = shop.zimg(&["verify", "a.flist", "--all-chunks"])?;
    assert_eq!(verify.status.code(), Some(1));
    // The control: with the pack back all is well.
    fs::write(&pack, &good)?;
    assert!(shop.zimg(&["verify", "a.flist", "--all-chunks"])?.status.success());
    Ok(())
}

#[test]
fn servers_that_fail() -> Result {
    let shop = Shop::new()?;
    let server = FaultyServer::start(shop.dir.path())?;
    let url = server.url("a.flist");
    assert!(shop.zimg(&["inspect", &url])?.status.success(), "the control");
    server.fail("", Fault::WebPage);
    shop.refuses(&["inspect", &url], 1, &["a.flist", "HTML page"])?;
    server.heal();
    server.fail("", Fault::Status(503));
    shop.refuses(&["inspect", &url], 3, &["a.flist", "503"])?;
    server.heal();
    server.fail("", Fault::Status(404));
    shop.refuses(&["inspect", &url], 3, &["a.flist", "404"])?;
    server.stop();
    shop.refuses(&["inspect", &url], 3, &["a.flist", "refused"])?;
    let away = shop.zimg(&["cat", "a.flist", "/noise", "--store", &server.url("")])?;
    let said = text(&away.stderr);
    assert_eq!(away.status.code(), Some(3), "{said}");
    assert!(!said.contains("back after"), "{said}");
    Ok(())
}

#[test]
fn unreadable_source_as_an_ordinary_user() -> Result {
    let shop = Shop::new()?;
    let secret = shop.path("tree/secret");
    fs::write(&secret, "x")?;
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o000))?;
    fs::set_permissions(shop.dir.path(), fs::Permissions::from_mode(0o777))?;
    let zimg = out::built("zimg")?.canonicalize()?;
    let copy = shop.path("zimg");
    fs::copy(zimg, &copy)?;
    let output = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(&copy)
        .current_dir(shop.dir.path())
        .args(["build", "tree", "b.flist"])
        .output()?;
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("tree/secret"), "{}", text(&output.stderr));
    assert!(!shop.path("b.flist").exists());
    Ok(())
}

#[test]
fn full_disk() -> Result {
    let shop = Shop::new()?;
    let small = shop.path("small");
    fs::create_dir(&small)?;
    let mount = |args: &[&str]| root::run(Command::new(args[0]).args(&args[1..]));
    mount(&["mount", "-t", "tmpfs", "-o", "size=300k", "small", small.to_str().unwrap()])?;
    let result = shop.zimg(&["build", "tree", "small/b.flist"]);
    let left: Vec<_> = walk(&small);
    mount(&["umount", small.to_str().unwrap()])?;
    let output = result?;
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("No space left") && said.contains("small"), "{said}");
    assert!(left.iter().all(|p| p.is_dir()), "left behind: {left:?}");
    Ok(())
}

fn walk(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    entries
        .flatten()
        .flat_map(|e| {
            let path = e.path();
            let below = walk(&path);
            std::iter::once(path).chain(below)
        })
        .collect()
}

#[test]
fn licences_of_all_that_is_linked_are_shown() -> Result {
    let shown = Command::new(out::built("zimg")?).arg("--licenses").output()?;
    assert!(shown.status.success());
    let shown = text(&shown.stdout);
    for part in ["\n  blake3 ", "\n  musl: MIT", "==== musl\n", "==== Apache-2.0\n"] {
        assert!(shown.contains(part), "{part}");
    }
    Ok(())
}
