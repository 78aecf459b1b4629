//! Boots that must fail: each shows what was wrong, what was tried and how to mend it, and then
//! does what `zimg.onfail=` says.

use std::net::UdpSocket;
use std::time::Duration;

use tests::lab::Server;
use tests::vm::{Machine, Vm};
use tests::{images, out};

const LIMIT: Duration = Duration::from_secs(120);

type Result = anyhow::Result<()>;

/// Boots with `arguments` up to the failure screen; returns the machine and what it shows.
fn failure(arguments: &str) -> anyhow::Result<(Vm, String)> {
    let (kernel, initramfs) = (out::built("vmlinuz")?, out::built("initramfs.img")?);
    let mut vm = Machine::new(&kernel, &initramfs, arguments).start()?;
    vm.wait_for("zimg: boot failed", LIMIT)?;
    let screen = vm.wait_for("in 2 s", LIMIT)?;
    Ok((vm, screen))
}

/// The failure screen says all of `words`, and the machine then reboots.
fn refused(arguments: &str, words: &[&str]) -> Result {
    let (mut vm, screen) = failure(&format!("{arguments} zimg.onfail=reboot:2"))?;
    for word in words {
        assert!(screen.contains(word), "no {word:?} on the screen:\n{screen}");
    }
    vm.wait_end(LIMIT)?;
    assert!(vm.console().contains("reboot: Restarting system"), "{}", vm.console());
    Ok(())
}

fn serve() -> anyhow::Result<Server> {
    Server::start(images::folder()?, "127.0.0.1:8080")
}

#[test]
fn wrong_hash() -> Result {
    let _lab = images::lab()?;
    let _server = serve()?;
    let right = images::arguments("debian.flist", 8080)?;
    let (url, hash) = right.split_once(" zimg.hash=").unwrap();
    let wrong = "0123456789abcdef".repeat(4);
    refused(&format!("{url} zimg.hash={wrong}"), &[&wrong, hash, "correct zimg.hash=", "10.0.2.2"])
}

#[test]
fn dead_server() -> Result {
    let _lab = images::lab()?;
    // The control of this and the next ones is every boot that ends well with the same arguments.
    let arguments = images::arguments("debian.flist", 8080)?;
    refused(&format!("{arguments} zimg.timeout=10"), &["refuse", "10.0.2.2:8080", "virtio_net"])
}

#[test]
fn no_such_flist() -> Result {
    let _lab = images::lab()?;
    let _server = serve()?;
    let arguments = images::arguments("debian.flist", 8080)?.replace("/debian", "/nothing");
    refused(&format!("{arguments} zimg.timeout=10"), &["404", "/nothing.flist"])
}

#[test]
fn a_store_without_the_packs() -> Result {
    let _lab = images::lab()?;
    let folder = tempfile::tempdir()?;
    std::fs::copy(images::folder()?.join("debian.flist"), folder.path().join("debian.flist"))?;
    let _server = Server::start(folder.path(), "127.0.0.1:8080")?;
    let arguments = images::arguments("debian.flist", 8080)?;
    refused(&arguments, &["It failed at: store", "/packs/", "404", "published beside the flist"])
}

#[test]
fn unknown_host() -> Result {
    let _lab = images::lab()?;
    let dns = UdpSocket::bind("127.0.0.1:53")?;
    std::thread::spawn(move || no_such_name(&dns));
    let arguments =
        images::arguments("debian.flist", 8080)?.replace("10.0.2.2:8080", "nowhere.test");
    let address = "ip=10.0.2.15::10.0.2.2:24::eth0:none:10.0.2.2";
    refused(
        &format!("{arguments} {address} zimg.timeout=10"),
        &["nowhere.test", "name", "10.0.2.2"],
    )
}

/// Answers every question of the Domain Name System with "no such name" (RFC 1035, RCODE 3).
fn no_such_name(socket: &UdpSocket) {
    let mut packet = [0; 512];
    while let Ok((len, from)) = socket.recv_from(&mut packet) {
        // Answer, recursion desired and available, no such name; the question stays as it is.
        packet[2] = 0x81;
        packet[3] = 0x83;
        if socket.send_to(&packet[..len], from).is_err() {
            return;
        }
    }
}

#[test]
fn no_hash_and_no_key() -> Result {
    let _lab = images::lab()?;
    let _server = serve()?;
    let arguments = images::arguments("debian.flist", 8080)?;
    let url = arguments.split(' ').next().unwrap();
    refused(url, &["zimg.hash= is missing", "zimg.verify=off"])
}

#[test]
fn no_network_card() -> Result {
    let arguments = images::arguments("debian.flist", 8080)?;
    let (kernel, initramfs) = (out::built("vmlinuz")?, out::built("initramfs.img")?);
    let arguments = format!("{arguments} zimg.timeout=5 zimg.onfail=poweroff");
    let mut machine = Machine::new(&kernel, &initramfs, &arguments);
    machine.network = false;
    let mut vm = machine.start()?;
    vm.wait_for("zimg: boot failed", LIMIT)?;
    vm.wait_end(LIMIT)?;
    let console = vm.console();
    assert!(console.contains("no network interface"), "{console}");
    assert!(console.contains("reboot: Power down"), "{console}");
    Ok(())
}

#[test]
fn web_page_instead_of_an_flist() -> Result {
    let _lab = images::lab()?;
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("page.flist"), "<!DOCTYPE html><title>Log in</title>")?;
    let _server = Server::start(folder.path(), "127.0.0.1:8080")?;
    let hash = flist::id::RootHash::of(b"another");
    let arguments = format!("zimg.url=http://10.0.2.2:8080/page.flist zimg.hash={hash}");
    refused(&format!("{arguments} zimg.timeout=10"), &["HTML page", "page.flist"])
}
