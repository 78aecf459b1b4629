//! Several servers of one image: whatever goes wrong with one, before the mount and after it, the
//! next one serves, and the booted system notices nothing.

use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, ensure};
use tests::guests::{self, Source};
use tests::http_faults::{Fault, FaultyServer};
use tests::lab::Lab;
use tests::out;
use tests::vm::{LIMIT, Machine, Vm};

/// The image's name.
const NAME: &str = "mirrors";

type Result = anyhow::Result<()>;

/// A machine, and two servers that it may read from.
struct Site {
    vm: Vm,
    servers: [FaultyServer; 2],
    fresh: usize,
}

/// Boots where nobody listens at the first mirror, the second has the flist and no pack, the third
/// has all.
fn boot() -> anyhow::Result<Site> {
    let folder = guests::folder(NAME, &Source::BusyBox)?;
    let hash = flist::id::RootHash::of(&fs::read(folder.join(format!("{NAME}.flist")))?);
    let serve =
        |port: u16| FaultyServer::start_on(&folder, SocketAddr::from(([127, 0, 0, 1], port)));
    let servers = [serve(8081)?, serve(8082)?];
    servers[0].fail("packs/", Fault::Status(404));
    let urls =
        [8080, 8081, 8082].map(|port| format!("zimg.url=http://10.0.2.2:{port}/{NAME}.flist"));
    let arguments = format!("{} zimg.hash={hash}", urls.join(" "));
    let machine = Machine::new(&out::built("vmlinuz")?, &out::built("initramfs.img")?, &arguments);
    let mut vm = machine.start()?;
    vm.log_in(LIMIT)?;
    Ok(Site { vm, servers, fresh: guests::FRESH })
}

impl Site {
    fn asked(&self) -> [usize; 2] {
        self.servers.each_ref().map(|server| server.requests().len())
    }

    /// Reads a file that was never read; gives which of the servers were asked for it.
    fn read(&mut self, after: &str) -> anyhow::Result<[bool; 2]> {
        // From the last to the first, as more is read ahead of need.
        self.fresh -= 1;
        let (number, before) = (self.fresh, self.asked());
        let sum = self.vm.must(&format!("sha256sum /srv/fresh/{number:02}"), LIMIT)?;
        ensure!(sum.contains(&guests::sum(number)?), "after {after}: {sum}");
        let now = self.asked();
        Ok([now[0] > before[0], now[1] > before[1]])
    }
}

#[test]
fn a_mirror_that_fails_is_left_before_the_mount_and_after_it() -> Result {
    let _lab = Lab::enter()?;
    let mut site = boot()?;
    let [second, third] = site.asked();
    ensure!(second > 0 && third > 0, "{second} {third}: they were not tried in turn");
    site.servers[0].heal();
    for fault in [
        Fault::Status(503),
        Fault::WebPage,
        Fault::Flip(12_345),
        Fault::HangUp,
        Fault::Delay(Duration::from_secs(60)),
        Fault::Hang,
    ] {
        let what = format!("{fault:?}");
        // The one that is read from now; nothing is wrong with it yet: the control.
        let used = site.read("nothing")?;
        let bad = used.iter().position(|used| *used).context("nobody was asked")?;
        ensure!(used != [true; 2], "before {what}: both were asked, with nothing wrong");
        site.servers[bad].fail("packs/", fault);
        ensure!(site.read(&what)? == [true; 2], "{what}: the next was to be asked too");
        site.servers[bad].heal();
    }
    // One that is gone for good.
    let used = site.read("nothing")?;
    let bad = used.iter().position(|used| *used).context("nobody was asked")?;
    site.servers[bad].stop();
    site.read("a server's end")?;
    ensure!(site.vm.run("dmesg | grep 'I/O error'", LIMIT)?.0.is_empty());
    site.vm.send("poweroff\n")?;
    ensure!(site.vm.wait_end(LIMIT)?.success());
    Ok(())
}
