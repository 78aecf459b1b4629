//! A kernel as new as they are, which can ask for what a root holds over io_uring.

use std::process::Command;

use tests::digest::digest;
use tests::lab::Server;
use tests::root::run;
use tests::vm::{LIMIT, Vm};
use tests::{images, newest, out, overlaid};

type Result = anyhow::Result<()>;

/// Boots `flist` with these kernel arguments.
fn boot(flist: &str, more: &str) -> anyhow::Result<Vm> {
    let arguments = images::arguments(flist, 8080)?;
    newest::machine(&format!("{arguments} zimg.log=debug {more}"))?.start()
}

/// Whether the kernel log says that the kernel asks for what is in the root over `transport`.
fn comes_over(vm: &mut Vm, busybox: &str, transport: &str) -> Result {
    let said = format!("/zimg/lower: requests come over {transport}");
    vm.must(&format!("{busybox}dmesg | {busybox}grep '{said}'"), LIMIT).map(drop)
}

/// Debian to multi-user with a root that is asked for over io_uring: no unit fails, what is read is what was
/// built, though the server was away, and it ends well.
#[test]
fn debian_is_served_over_io_uring() -> Result {
    newest::machine("")?;
    let _lab = images::lab()?;
    let server = Server::start(images::folder()?, "127.0.0.1:8080")?;
    // The control: a kernel that was not told to asks over /dev/fuse.
    let mut vm = overlaid::shell_of(boot("bare.flist", "")?)?;
    comes_over(&mut vm, "busybox ", "/dev/fuse")?;
    drop(vm);

    let mut vm = boot("debian.flist", "fuse.enable_uring=1")?;
    vm.log_in(LIMIT)?;
    comes_over(&mut vm, "", "io_uring")?;
    let state = vm.run("systemctl is-system-running --wait", LIMIT)?.0;
    assert_eq!(state.trim(), "running", "{}", vm.must("systemctl --failed", LIMIT)?);
    // Threads that were all there before the filter of system calls was: nothing of theirs was refused.
    vm.must("! dmesg | grep type=1326", LIMIT)?;

    // What nothing has read yet is waited for while there is no server, and is what was built.
    drop(server);
    vm.must("sha256sum </usr/bin/perl >/tmp/sum & sleep 3; [ ! -s /tmp/sum ]", LIMIT)?;
    let _server = Server::start(images::folder()?, "127.0.0.1:8080")?;
    let read = vm.must("wait; cat /tmp/sum", LIMIT)?;
    let mut cat = Command::new(out::built("zimg")?);
    cat.arg("cat").arg(images::folder()?.join("debian.flist")).arg("/usr/bin/perl");
    let built = digest("sha256sum", &run(&mut cat)?)?;
    assert!(read.ends_with(&format!("{built}  -\n")), "{read}");
    vm.goes_down("poweroff", "Power down")
}
