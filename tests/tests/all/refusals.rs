//! Boots that must fail: each shows what was wrong, what was tried and how to mend it, and then
//! does what `zimg.onfail=` says.

use std::net::SocketAddr;
use std::sync::mpsc::Receiver;

use tests::dns;
use tests::http_faults::{Fault, FaultyServer};
use tests::inbox::Posted;
use tests::lab::Server;
use tests::refusal::{LIMIT, machine, refused, refused_after, screen};
use tests::relay::{Ca, Proxy, Validity};
use tests::{cpio, images, inbox, out};

type Result = anyhow::Result<()>;

fn serve() -> anyhow::Result<Server> {
    Server::start(images::folder()?, "127.0.0.1:8080")
}

/// What boots Debian, if nothing is wrong: the control of all that follows is every boot that ends
/// well with the same arguments.
fn debian() -> anyhow::Result<String> {
    images::arguments("debian.flist", 8080)
}

#[test]
fn wrong_hash() -> Result {
    let _lab = images::lab()?;
    let _server = serve()?;
    let right = images::arguments("debian.flist", 8080)?;
    let (url, hash) = right.split_once(" zimg.hash=").unwrap();
    let wrong = "0123456789abcdef".repeat(4);
    let posted = inbox::listen("127.0.0.1:8090")?;
    let report = "zimg.report=http://10.0.2.2:8090/failed/${mac:hexhyp}";
    let machine = machine(&format!("{url} zimg.hash={wrong} {report}"))?;
    refused("wrong hash", &machine, &[&wrong, hash, "correct zimg.hash=", "10.0.2.2"])?;
    let report = reported(&posted)?;
    assert_eq!(report["stage"], "flist");
    let labels: Vec<_> = report["facts"].as_array().unwrap().iter().map(|f| &f["label"]).collect();
    assert!(labels.iter().any(|label| *label == "wanted"), "{report}");
    assert!(report["interfaces"][0].as_str().unwrap().starts_with("eth0"), "{report}");
    assert!(report["what"].as_str().unwrap().contains(hash), "{report}");
    assert!(report["next"].as_str().unwrap().starts_with("reboots in"), "{report}");
    Ok(())
}

/// What a node has posted by now.
fn reported(posted: &Receiver<Posted>) -> anyhow::Result<serde_json::Value> {
    let Posted { head, body } = posted.recv_timeout(LIMIT)?;
    assert!(head.starts_with("POST /failed/52-54-00-12-34-56 HTTP/1.1\r\n"), "{head}");
    assert!(head.to_lowercase().contains("content-type: application/json"), "{head}");
    let report: serde_json::Value = serde_json::from_str(&body)?;
    assert_eq!(report["format"], 1);
    Ok(report)
}

#[test]
fn dead_server() -> Result {
    let _lab = images::lab()?;
    let machine = machine(&format!("{} zimg.timeout=10", debian()?))?;
    refused("TCP refused", &machine, &["refused", "10.0.2.2:8080", "virtio_net"])
}

#[test]
fn no_such_flist() -> Result {
    let _lab = images::lab()?;
    let _server = serve()?;
    let machine = machine(&debian()?.replace("/debian", "/nothing"))?;
    refused("HTTP status", &machine, &["404", "/nothing.flist"])
}

#[test]
fn a_store_without_the_packs() -> Result {
    let _lab = images::lab()?;
    let folder = tempfile::tempdir()?;
    std::fs::copy(images::folder()?.join("debian.flist"), folder.path().join("debian.flist"))?;
    let _server = Server::start(folder.path(), "127.0.0.1:8080")?;
    let words = ["It failed at: store", "/packs/", "404", "published beside the flist"];
    refused("no pack", &machine(&debian()?)?, &words)
}

#[test]
fn unknown_host() -> Result {
    let _lab = images::lab()?;
    dns::serve("127.0.0.1:53", |_kind| dns::Answer::NoSuchName)?;
    let arguments = debian()?.replace("10.0.2.2:8080", "nowhere.test");
    let address = "ip=10.0.2.15::10.0.2.2:24::eth0:none:10.0.2.2";
    let machine = machine(&format!("{arguments} {address} zimg.timeout=10"))?;
    refused("DNS", &machine, &["nowhere.test", "name", "10.0.2.2"])
}

#[test]
fn no_hash_and_no_key() -> Result {
    let _lab = images::lab()?;
    let arguments = debian()?;
    let url = arguments.split(' ').next().unwrap();
    refused("configuration", &machine(url)?, &["zimg.hash= is missing", "zimg.verify=off"])
}

#[test]
fn no_driver_for_the_network_card() -> Result {
    // Debian's kernel for virtual machines has none for this one.
    let mut machine = machine(&format!("{} zimg.timeout=5", debian()?))?;
    machine.network = false;
    machine.args = words("-device e1000,netdev=net0,romfile=");
    refused("no interface", &machine, &["no network interface", "8086:100e", "0000:00:0"])
}

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

#[test]
fn an_unplugged_cable() -> Result {
    let mut machine = machine(&format!("{} zimg.timeout=5", debian()?))?;
    machine.network = false;
    // Not started before the cable is out.
    machine.args = words("-S -device virtio-net-pci,netdev=net0,id=card,romfile=");
    let unplugged = |vm: &mut tests::vm::Vm| {
        vm.monitor("set_link card off")?;
        vm.monitor("cont")
    };
    refused_after("no carrier", &machine, unplugged, &["no interface has a link", "cable"])
}

#[test]
fn nobody_answers_dhcp() -> Result {
    let mut machine = machine(&format!("{} zimg.timeout=10", debian()?))?;
    machine.network = false;
    // A switch with nothing else on it.
    machine.args =
        words("-netdev hubport,id=hub,hubid=0 -device virtio-net-pci,netdev=hub,romfile=");
    refused("no DHCP answer", &machine, &["no server gave an address", "eth0", "requests sent"])
}

#[test]
fn an_address_that_somebody_has() -> Result {
    let _lab = images::lab()?;
    // The gateway's own.
    let address = "ip=10.0.2.2::10.0.2.3:24::eth0:none";
    let machine = machine(&format!("{} {address}", debian()?))?;
    refused("address conflict", &machine, &["10.0.2.2 on eth0 is in use by 52:55:0a:00:02:02"])
}

#[test]
fn a_ca_that_nobody_knows() -> Result {
    let _lab = images::lab()?;
    let _server = serve()?;
    let valid = Validity { from_day: -1, until_day: 1 };
    Ca::new()?.front("127.0.0.1:8443", "10.0.2.2", valid, "127.0.0.1:8080".parse()?)?;
    let machine = machine(&debian()?.replace("http://10.0.2.2:8080", "https://10.0.2.2:8443"))?;
    refused("TLS", &machine, &["TLS", "UnknownIssuer", "CA"])
}

#[test]
fn a_certificate_out_of_its_time() -> Result {
    let _lab = images::lab()?;
    let _server = serve()?;
    let ca = Ca::new()?;
    let soon = Validity { from_day: 10, until_day: 20 };
    ca.front("127.0.0.1:8443", "10.0.2.2", soon, "127.0.0.1:8080".parse()?)?;
    let scratch = tempfile::tempdir()?;
    let pem = ca.pem();
    let mut machine = machine(&debian()?.replace("http://10.0.2.2:8080", "https://10.0.2.2:8443"))?;
    let files: [(&str, &[u8]); 1] = [("etc/zimg/ca.pem", pem.as_bytes())];
    machine.initramfs = cpio::append(&machine.initramfs, scratch.path(), &files)?;
    refused(
        "TLS, by the clock",
        &machine,
        &["is not valid before 20", "this machine's clock says 20"],
    )
}

#[test]
fn proxies_that_refuse() -> Result {
    let _lab = images::lab()?;
    let _server = serve()?;
    let _proxy = Proxy::start("127.0.0.1:3128", Some("Basic of somebody else"))?;
    let line = format!("{} zimg.timeout=10 zimg.proxy=http://ann:secret@10.0.2.2", debian()?);
    let wants = ["the proxy http://10.0.2.2:3128", "407", "USER:PASSWORD"];
    refused("proxy, which wants a password", &machine(&format!("{line}:3128"))?, &wants)?;
    let away = ["the proxy http://10.0.2.2:3129", "refused", "that it runs"];
    refused("proxy", &machine(&format!("{line}:3129"))?, &away)
}

#[test]
fn a_server_that_is_not_well() -> Result {
    let _lab = images::lab()?;
    let address: SocketAddr = "127.0.0.1:8080".parse()?;
    let server = FaultyServer::start_on(images::folder()?, address)?;
    server.fail("debian.flist", Fault::Status(503));
    let machine = machine(&format!("{} zimg.timeout=10", debian()?))?;
    refused("HTTP status of a server that is not well", &machine, &["503", "server's log"])
}

#[test]
fn web_page_instead_of_an_flist() -> Result {
    let _lab = images::lab()?;
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("page.flist"), "<!DOCTYPE html><title>Log in</title>")?;
    let _server = Server::start(folder.path(), "127.0.0.1:8080")?;
    let hash = flist::id::RootHash::of(b"another");
    let arguments = format!("zimg.url=http://10.0.2.2:8080/page.flist zimg.hash={hash}");
    refused("not an flist", &machine(&arguments)?, &["HTML page", "page.flist"])
}

/// What the initramfs says of its modules can't be read.
#[test]
fn modules_without_an_index() -> Result {
    let machine = machine(&debian()?)?;
    let release = std::fs::read_link(out::built("modules")?)?;
    let release = release.file_name().unwrap().to_str().unwrap();
    let index = format!("lib/modules/{release}/modules.alias");
    let scratch = tempfile::tempdir()?;
    let initramfs =
        cpio::append(&machine.initramfs, scratch.path(), &[(&index, b"\xff\xfe not text")])?;
    let words = ["It failed at: modules", "UTF-8", "build the initramfs anew"];
    refused("modules", &tests::vm::Machine { initramfs, ..machine }, &words)
}

#[test]
fn no_overlay_in_the_kernel() -> Result {
    let _lab = images::lab()?;
    let _server = serve()?;
    let arguments = format!("{} modprobe.blacklist=overlay", debian()?);
    refused("overlay", &machine(&arguments)?, &["It failed at: overlay", "CONFIG_OVERLAY_FS"])
}

/// The network still stands: the report is sent, though it is PID 1 that failed.
#[test]
fn an_init_that_is_not_there() -> Result {
    let _lab = images::lab()?;
    let _server = serve()?;
    let posted = inbox::listen("127.0.0.1:8090")?;
    let report = "zimg.report=http://10.0.2.2:8090/failed/${mac:hexhyp}";
    let machine = machine(&format!("{} init=/sbin/nonesuch {report}", debian()?))?;
    refused("no init", &machine, &["/sbin/nonesuch", "init="])?;
    assert_eq!(reported(&posted)?["stage"], "init");
    Ok(())
}

#[test]
fn poweroff_and_halt() -> Result {
    for (asked, last_words) in
        [("poweroff", "reboot: Power down"), ("halt", "reboot: System halted")]
    {
        // Nothing says what to boot.
        let mut vm = machine(&format!("zimg.onfail={asked}"))?.start()?;
        let screen = screen(&mut vm)?;
        assert!(screen.contains("zimg.url= is missing"), "{screen}");
        vm.wait_for(last_words, LIMIT)?;
    }
    Ok(())
}

#[test]
fn a_shell_where_the_initramfs_allows_one() -> Result {
    let machine = machine("zimg.onfail=shell")?;
    let scratch = tempfile::tempdir()?;
    let busybox = std::fs::read("/bin/busybox")?;
    let files: [(&str, &[u8]); 2] =
        [("bin/sh", &busybox), ("etc/zimg/90-shell.conf", b"zimg.shell=yes\n")];
    let initramfs = cpio::append(&machine.initramfs, scratch.path(), &files)?;
    let mut vm = tests::vm::Machine { initramfs, ..machine.clone() }.start()?;
    assert!(screen(&mut vm)?.contains("a shell on the console"));
    vm.wait_for("# ", LIMIT)?;
    vm.send("echo $((6*7))\n")?;
    vm.wait_for("42", LIMIT)?;
    vm.send("exit\n")?;
    vm.wait_for("reboot: Restarting system", LIMIT)?;

    // Not where only the command line does.
    let files: [(&str, &[u8]); 1] = [("bin/sh", &busybox)];
    let scratch = tempfile::tempdir()?;
    let initramfs = cpio::append(&machine.initramfs, scratch.path(), &files)?;
    let cmdline = format!("{} zimg.shell=yes", machine.cmdline);
    let mut vm = tests::vm::Machine { initramfs, cmdline, ..machine }.start()?;
    let screen = screen(&mut vm)?;
    let words: Vec<_> = screen.split_whitespace().collect();
    let why = "no shell: it takes /bin/sh and zimg.shell=yes in /etc/zimg/*.conf";
    assert!(words.join(" ").contains(why), "{screen}");
    Ok(())
}
