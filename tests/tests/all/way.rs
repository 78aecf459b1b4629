//! The way from an address to the flist: TLS with a CA of one's own, proxies, clocks that are wrong,
//! and what an appended cpio says of all that.

use std::fs;
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use tests::dns::{self, Answer};
use tests::lab::Server;
use tests::relay::{Ca, Proxy, Validity};
use tests::vm::{Machine, Vm};
use tests::{cpio, images, ntp, out};

const LIMIT: Duration = Duration::from_secs(300);

type Result = anyhow::Result<()>;

/// A root hash: the bare image's.
fn hash() -> anyhow::Result<String> {
    let arguments = images::arguments("bare.flist", 8080)?;
    Ok(arguments.rsplit('=').next().unwrap_or_default().to_owned())
}

/// A certificate that will be valid in some days, for some days: by no clock that is right.
const SOON: Validity = Validity { from_day: 10, until_day: 30 };
/// When it is.
const THEN: i64 = 20;

/// Boots the bare image, with `files` appended to the initramfs.
fn boot(
    arguments: &str,
    scratch: &Path,
    files: &[(&str, &[u8])],
    qemu: &[&str],
) -> anyhow::Result<Vm> {
    let initramfs = cpio::append(&out::built("initramfs.img")?, scratch, files)?;
    let mut machine = Machine::new(&out::built("vmlinuz")?, &initramfs, arguments);
    machine.args = qemu.iter().map(|arg| (*arg).to_owned()).collect();
    machine.start()
}

/// All that an operator of a fleet behind a proxy may need, and one initramfs for all nodes: the
/// command line is empty, an appended cpio says it all, and each node asks for an image of its own.
#[test]
fn an_empty_command_line_a_proxy_a_ca_a_wrong_clock_and_variables() -> Result {
    let _lab = images::lab()?;
    let folder = tempfile::tempdir()?;
    let uuid = "4c4c4544-0044-3510-8052-b9c04f4e3732";
    let own = folder.path().join(format!("{uuid}/No 1/node-7"));
    fs::create_dir_all(&own)?;
    fs::copy(images::folder()?.join("bare.flist"), own.join("52-54-00-12-34-56.flist"))?;
    let _packs = Server::start(images::folder()?, "127.0.0.1:8081")?;
    let _server = Server::start(folder.path(), "127.0.0.1:8080")?;
    let ca = Ca::new()?;
    ca.front("127.0.0.1:8443", "images.test", SOON, "127.0.0.1:8080".parse()?)?;
    // That of ann with the password p@ss.
    let proxy = Proxy::start("127.0.0.1:3128", Some("Basic YW5uOnBAc3M="))?;
    ntp::serve("127.0.0.1:123", THEN)?;
    let conf = format!(
        "# What every node of this site has in common.\n\
         zimg.url=https://images.test:8443/${{uuid}}/${{serial}}/${{hostname}}/${{mac:hexhyp}}.flist\n\
         zimg.store=http://images.test:8081/\n\
         zimg.hash={}\nzimg.ca=/etc/site/ca.pem\n\
         zimg.proxy=http://ann:p%40ss@10.0.2.2:3128\nzimg.ntp=10.0.2.2\n\
         ip=::::node-7:eth0:dhcp\n",
        hash()?
    );
    let scratch = tempfile::tempdir()?;
    let pem = ca.pem();
    let files: [(&str, &[u8]); 2] =
        [("etc/zimg/50-site.conf", conf.as_bytes()), ("etc/site/ca.pem", pem.as_bytes())];
    // The clock of the machine is 25 years behind.
    let qemu = ["-rtc", "base=2001-01-01", "-uuid", uuid, "-smbios", "type=1,serial=No 1"];
    let mut vm = boot("", scratch.path(), &files, &qemu)?;
    let told = vm.wait_for("zimg: boot:", LIMIT)?;
    vm.wait_for("# ", LIMIT)?;
    assert!(told.contains("zimg: clock: set to") && told.contains("it was 2001-01-01"), "{told}");
    assert!(told.contains("NTP, by 10.0.2.2"), "{told}");
    let asked = proxy.asked();
    let first = asked.iter().find(|line| line.starts_with("CONNECT"));
    assert!(first.is_some_and(|line| line.contains(" images.test:8443 HTTP/1.1")), "{asked:?}");
    let packs = "GET http://images.test:8081/packs/";
    assert!(asked.iter().any(|line| line.starts_with(packs)), "{asked:?}");
    assert!(!vm.console().contains("p%40ss") && !vm.console().contains("p@ss"), "{told}");
    Ok(())
}

/// Without a time server the web server's own word counts, and the certificate stands on the
/// command line.
#[test]
fn the_servers_date_sets_a_wrong_clock_and_a_ca_stands_on_the_command_line() -> Result {
    let _lab = images::lab()?;
    let _server = Server::start(images::folder()?, "127.0.0.1:8080")?;
    let ca = Ca::new()?;
    // Valid now; the machine's clock says next month.
    let now = Validity { from_day: -10, until_day: 5 };
    ca.front("127.0.0.1:8443", "10.0.2.2", now, "127.0.0.1:8080".parse()?)?;
    let pem = ca.pem();
    let inline: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let next_month = flist::date::stamp(flist::date::now() + 30 * 86_400);
    let rtc = format!("base={}", next_month.trim_end_matches('Z'));
    let url = format!("zimg.url=https://10.0.2.2:8443/bare.flist zimg.hash={}", hash()?);
    let scratch = tempfile::tempdir()?;
    let nothing: [(&str, &[u8]); 1] = [("etc/readme", b"")];
    let line = format!("{url} zimg.ca={inline}");
    let mut vm = boot(&line, scratch.path(), &nothing, &["-rtc", &rtc])?;
    let told = vm.wait_for("zimg: boot:", LIMIT)?;
    vm.wait_for("# ", LIMIT)?;
    assert!(
        told.contains("zimg: clock: set to") && told.contains("the Date that https://10.0.2.2"),
        "{told}"
    );

    // The control: with a clock that is right nobody touches it, and without the CA nobody boots.
    let mut vm = boot(&line, scratch.path(), &nothing, &[])?;
    let told = vm.wait_for("zimg: boot:", LIMIT)?;
    assert!(!told.contains("zimg: clock:"), "{told}");
    let mut vm = boot(&url, scratch.path(), &nothing, &["-rtc", &rtc])?;
    let told = vm.wait_for("What happens now", LIMIT)?;
    assert!(told.contains("UnknownIssuer"), "{told}");
    Ok(())
}

/// Name servers that hold nothing of IPv6 may refuse to be asked of it; musl takes that for silence.
#[test]
fn a_name_server_that_refuses_questions_of_ipv6() -> Result {
    let _lab = images::lab()?;
    let _server = Server::start(images::folder()?, "127.0.0.1:8080")?;
    let (refused, told) = mpsc::channel();
    dns::serve("127.0.0.1:53", move |kind| match kind {
        dns::A => Answer::Ipv4([10, 0, 2, 2]),
        _ => {
            // Nobody listens once the test has ended.
            let _ = refused.send(());
            Answer::Refused
        }
    })?;
    let url = format!("zimg.url=http://images.test:8080/bare.flist zimg.hash={}", hash()?);
    let line = format!("{url} ip=10.0.2.15::10.0.2.2:24::eth0:none:10.0.2.2");
    let mut vm =
        Machine::new(&out::built("vmlinuz")?, &out::built("initramfs.img")?, &line).start()?;
    vm.wait_for("zimg: boot:", LIMIT)?;
    vm.wait_for("# ", LIMIT)?;
    // It did ask, and was refused.
    Ok(told.try_recv()?)
}
