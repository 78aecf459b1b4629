//! A machine that runs a guest, and what must hold of it whatever is done.

use std::path::PathBuf;

use anyhow::{Context, ensure};
use tests::guests;
use tests::lab::Server;
use tests::out;
use tests::vm::{LIMIT, Machine, Vm};
use tests::wire::{NETDEV, SERVER, Wire};

use super::{Guest, Result};

/// Makes a shell that has just begun know `$i`, the interface, `$a`, its address, and udhcpc.
const PREPARE: &str = "i=$(ls /sys/class/net | grep -v lo); \
    a=$(ip -4 -o address show dev $i | sed 's/.*inet \\([0-9.]*\\).*/\\1/'); \
    command -v udhcpc >/dev/null && udhcpc=udhcpc; export PAGER=; echo $a";

/// Such a machine.
pub(crate) struct Running<'a> {
    pub(crate) guest: &'a Guest,
    pub(crate) machine: Machine,
    pub(crate) vm: Vm,
    pub(crate) wire: Wire,
    /// Where the image comes from; nowhere while there is an outage.
    pub(crate) server: Option<Server>,
    folder: PathBuf,
    address: String,
    fresh: usize,
}

impl<'a> Running<'a> {
    /// Boots `guest`, and logs in.
    pub(crate) fn boot(guest: &'a Guest) -> anyhow::Result<Self> {
        let folder = guests::folder(guest.name, &guest.source)?;
        let wire = Wire::new()?;
        let server = Server::start(&folder, &format!("{SERVER}:8080"))?;
        let arguments = format!("{} {}", server.arguments, guest.arguments);
        let mut machine =
            Machine::new(&out::built("vmlinuz")?, &out::built("initramfs.img")?, &arguments);
        machine.netdev = NETDEV.to_owned();
        machine.memory = 512;
        let mut vm = machine.start()?;
        vm.log_in(LIMIT)?;
        let address = vm.must(PREPARE, LIMIT)?.trim().to_owned();
        vm.must("echo here >>/srv/written", LIMIT)?;
        let fresh = guests::FRESH;
        let server = Some(server);
        let mut running = Self { guest, machine, vm, wire, server, folder, address, fresh };
        running.holds("the boot")?;
        running.renews("the boot")?;
        Ok(running)
    }

    /// Address, route, names, contents that nobody has read, and contents that were written are there.
    pub(crate) fn holds(&mut self, after: &str) -> Result {
        eprintln!("{} after {:.0?}: {after}", self.guest.name, self.vm.age());
        let before = self.served()?;
        let (resolve, number) = (self.guest.resolve, self.next());
        let seen = self.vm.must(
            &format!(
                "until ip -4 -o address show dev $i | grep \"inet $a/\" && ip route | grep default; \
                 do sleep 1; done; {resolve} n{number}.zimg.test; \
                 cat /srv/written; sha256sum /srv/fresh/{number:02}"
            ),
            LIMIT,
        )?;
        let sum = guests::sum(number)?;
        for wanted in [
            &format!("inet {}/24 ", self.address),
            &format!("default via {SERVER} "),
            SERVER,
            "of the image\nhere\n",
            &sum,
        ] {
            ensure!(seen.contains(wanted), "after {after}: no {wanted:?} in\n{seen}");
        }
        let resolved = self.vm.run(&format!("{resolve} x{number}.zimg.test"), LIMIT)?.0;
        ensure!(resolved.contains(SERVER), "after {after}: {resolved}");
        ensure!(self.served()? > before, "after {after}: the server was not asked");
        Ok(())
    }

    /// The lease is still being renewed.
    pub(crate) fn renews(&self, after: &str) -> Result {
        let renewed = format!("DHCPACK(tap0) {}", self.address);
        let granted = self.wire.count(&renewed);
        self.wire.wait_for(&renewed, granted + 1, LIMIT).with_context(|| after.to_owned())
    }

    /// All the same of a machine that has booted anew.
    pub(crate) fn holds_again(&mut self, after: &str) -> Result {
        // The emulator is slow with a kernel that lies where another was translated.
        self.vm.log_in(2 * LIMIT)?;
        self.fresh = guests::FRESH;
        let address = self.know()?;
        ensure!(address == self.address, "after {after}: {address} instead of {}", self.address);
        let written = self.vm.must("cat /srv/written; echo here >>/srv/written", LIMIT)?;
        ensure!(written == "of the image\n", "after {after}, another root: {written}");
        self.holds(after)?;
        self.renews(after)
    }

    /// Tells a new shell what commands need to know. Returns the address.
    pub(crate) fn know(&mut self) -> anyhow::Result<String> {
        Ok(self.vm.must(PREPARE, LIMIT)?.trim().to_owned())
    }

    /// A file that was never read. From the last to the first, as more is read ahead of need.
    pub(crate) fn next(&mut self) -> usize {
        self.fresh -= 1;
        self.fresh
    }

    /// Brings the server back, or another that knows nothing of the first.
    pub(crate) fn serve(&mut self) -> Result {
        self.server = None;
        self.server = Some(Server::start(&self.folder, &format!("{SERVER}:8080"))?);
        Ok(())
    }

    /// How many bytes the server has sent.
    fn served(&self) -> anyhow::Result<u64> {
        Ok(self.server.as_ref().context("there is no server")?.served()?.1)
    }
}
