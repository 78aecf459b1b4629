//! Boots that tell what they read, and boots that have it before they ask. Each machine is a shell as
//! PID 1 on an image of files of noise, of which some are read.

use std::fs;
use std::path::Path;

use flist::image::Image;
use flist::profile::Profile;
use tests::awkward::random;
use tests::digest::digest;
use tests::lab::{Lab, Server};
use tests::overlaid::shell;
use tests::root::run;
use tests::vm::{LIMIT, Vm};
use tests::{inbox, out};

/// How many files there are, and how long each is: none shares a chunk with its next but one.
const FILES: u64 = 24;
const LEN: usize = 1_200_000;

type Result = anyhow::Result<()>;

/// A root with a shell and [`FILES`] files.
fn root(dir: &Path) -> Result {
    for sub in ["bin", "dev", "proc", "sys", "run", "tmp", "etc", "data"] {
        fs::create_dir_all(dir.join(sub))?;
    }
    fs::copy("/bin/busybox", dir.join("bin/busybox"))?;
    for name in ["sh", "cat", "mount"] {
        std::os::unix::fs::symlink("busybox", dir.join("bin").join(name))?;
    }
    for number in 0..FILES {
        fs::write(dir.join(format!("data/{number:02}")), random(number, LEN))?;
    }
    Ok(())
}

fn build(dir: &Path, name: &str, profile: Option<&Path>) -> Result {
    let mut command = std::process::Command::new(out::built("zimg")?);
    command.arg("build").arg(dir.join("root")).arg(dir.join(name));
    run(command.args(profile.iter().flat_map(|path| [Path::new("--profile"), path])))?;
    Ok(())
}

fn image(flist: &Path) -> anyhow::Result<Image> {
    Ok(flist::format::decode(&fs::read(flist)?)?)
}

/// A folder with the root and the image `plain.flist` of it, and a lab to boot that in.
fn shop() -> anyhow::Result<(Lab, tempfile::TempDir)> {
    let lab = Lab::enter()?;
    let dir = tempfile::tempdir()?;
    root(&dir.path().join("root"))?;
    build(dir.path(), "plain.flist", None)?;
    Ok((lab, dir))
}

/// Waits until the kernel log says `text`.
fn wait_logged(vm: &mut Vm, text: &str) -> Result {
    vm.must(&format!("until busybox dmesg | busybox grep '{text}'; do :; done"), LIMIT).map(drop)
}

/// Reads files as a system would; prints a sum.
fn read(vm: &mut Vm, names: &str) -> anyhow::Result<String> {
    vm.must(&format!("cd /data && cat {names} | busybox sha256sum"), LIMIT)
}

fn sum(numbers: impl IntoIterator<Item = u64>) -> anyhow::Result<String> {
    let bytes: Vec<u8> = numbers.into_iter().flat_map(|n| random(n, LEN)).collect();
    digest("sha256sum", &bytes)
}

/// A boot's record tells of its stages and of what it fetched, and makes a picture.
fn is_drawn(dir: &Path, record: &str) -> Result {
    fs::write(dir.join("boot.json"), record)?;
    for wanted in ["\"DHCP\"", "\"flist\"", "\"mount\"", "\"system\"", "\"why\":\"read\""] {
        assert!(record.contains(wanted), "{wanted}: {record}");
    }
    let mut plot = std::process::Command::new(out::built("zimg")?);
    let picture = String::from_utf8(run(plot.arg("plot").arg(dir.join("boot.json")))?)?;
    let stalls = record.lines().skip_while(|line| !line.contains("\"stalls\"")).count() - 1;
    assert!(stalls > 0, "{record}");
    assert_eq!(picture.matches("fill-opacity=\"0.35\"").count(), stalls + answers(record));
    Ok(())
}

/// How many requests there were, each of which is waited for.
fn answers(record: &str) -> usize {
    record.matches("\"answered\"").count()
}

/// A boot's profile is what was read, in that order; built by it, the next one finds that fetched, in
/// few requests, and needs no server for it.
#[test]
fn what_one_boot_read_the_next_has_before_it_asks() -> Result {
    let (_lab, dir) = shop()?;
    let dir = dir.path();
    let posted = inbox::listen("127.0.0.1:8090")?;
    let server = Server::start(dir, "127.0.0.1:8080")?;
    let arguments = server.arguments_of(&dir.join("plain.flist"))?;
    let recorded = "zimg.profile.post=http://10.0.2.2:8090/ zimg.readahead=128";
    let mut vm = shell(&arguments, recorded, &[])?;
    read(&mut vm, "17 03 20")?;
    let posted = posted.recv_timeout(LIMIT)?;
    let there = vm.must("cat /run/zimg/profile", LIMIT)?;
    assert_eq!(there, posted.body);
    is_drawn(dir, &vm.must("cat /run/zimg/boot.json", LIMIT)?)?;
    // Nothing that the root daemon did was refused by its filter of system calls.
    vm.must("! busybox dmesg | busybox grep type=1326", LIMIT)?;
    drop(vm);
    let profile = Profile::parse(posted.body.as_bytes())?;
    let mut read_files: Vec<String> = Vec::new();
    for need in profile.needs().iter().filter(|need| need.path.starts_with(b"/data")) {
        let path = String::from_utf8(need.path.clone())?;
        if read_files.last() != Some(&path) {
            read_files.push(path);
        }
    }
    assert_eq!(read_files, ["/data/17", "/data/03", "/data/20"], "{there}");
    // The control: the boot without a profile was served file by file, and more than was read.
    let (plain_requests, _) = server.served()?;

    fs::write(dir.join("x.profile"), &posted.body)?;
    build(dir, "x.flist", Some(&dir.join("x.profile")))?;
    let built = image(&dir.join("x.flist"))?;
    let needed = profile.chunks(&built);
    assert_eq!(needed.len(), built.profiled().len(), "the profile's chunks are the first");
    let before = server.served()?;
    let arguments = server.arguments_of(&dir.join("x.flist"))?;
    let mut vm = shell(&arguments, "zimg.log=debug", &[])?;
    wait_logged(&mut vm, "were fetched ahead")?;
    let after = server.served()?;
    assert!(after.0 - before.0 < plain_requests, "{} and {plain_requests}", after.0 - before.0);
    drop(server);
    assert!(read(&mut vm, "17 03 20")?.contains(&sum([17, 3, 20])?));
    // The control: without a server there is nothing else.
    vm.must("cd /data; cat 10 >/tmp/ten & busybox sleep 3; [ ! -s /tmp/ten ]", LIMIT)?;
    let _server = Server::start(dir, "127.0.0.1:8080")?;
    vm.must("wait; busybox cmp /tmp/ten /data/10", LIMIT)?;
    Ok(())
}

/// A profile beside an image that was built without one does the same.
#[test]
fn a_profile_helps_an_image_that_was_built_without() -> Result {
    let (_lab, dir) = shop()?;
    let dir = dir.path();
    fs::write(dir.join("of-another.profile"), "zimg profile 1\n0 1200000 /data/05\n0 9 /gone\n")?;
    let server = Server::start(dir, "127.0.0.1:8080")?;
    let arguments = server.arguments_of(&dir.join("plain.flist"))?;
    let profile = "zimg.profile=http://10.0.2.2:8080/of-another.profile";
    let mut vm = shell(&arguments, &format!("{profile} zimg.log=debug"), &[])?;
    wait_logged(&mut vm, "were fetched ahead")?;
    drop(server);
    assert!(read(&mut vm, "05")?.contains(&sum([5])?));
    Ok(())
}

/// Once all is held the node needs no server, whatever it reads and however short memory is.
#[test]
fn a_node_that_holds_all_needs_no_server() -> Result {
    let (_lab, dir) = shop()?;
    let dir = dir.path();
    let server = Server::start(dir, "127.0.0.1:8080")?;
    let arguments = server.arguments_of(&dir.join("plain.flist"))?;
    let mut vm = shell(&arguments, "zimg.prefetch=all", &[])?;
    wait_logged(&mut vm, "no server is needed any more")?;
    drop(server);
    for _ in 0..2 {
        vm.must("echo 3 >/proc/sys/vm/drop_caches", LIMIT)?;
        assert!(read(&mut vm, "*")?.contains(&sum(0..FILES)?));
    }
    Ok(())
}
