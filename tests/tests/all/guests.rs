//! Systems of every kind keep their root and their address through what is done to networks. One
//! row a system, one line a disturbance; each shows that it happened, or the test fails. Needs root.

use std::time::Duration;

use anyhow::{Context, ensure};
use tests::guests::{self, Source};
use tests::lab::Server;
use tests::vm::{Machine, Vm};
use tests::wire::{NETDEV, SERVER, Wire};
use tests::{out, root};

/// How long anything may take under software emulation on a busy machine.
const LIMIT: Duration = Duration::from_secs(240);
/// How long a shutdown may take: less than systemd waits for a unit that hangs.
const END: Duration = Duration::from_secs(80);

type Result = anyhow::Result<()>;

/// A system, and what is particular about it.
struct Guest {
    name: &'static str,
    source: Source,
    arguments: &'static str,
    /// What looks up a name, and fails for one that nobody knows.
    resolve: &'static str,
    /// What is done to its network, by commands that succeed only if it was done.
    done: &'static [&'static str],
    /// What of [`EVERYWHERE`] it can't do.
    not: &'static [&'static str],
}

/// What is done everywhere: `$i` is the interface, `$a` its address.
const EVERYWHERE: [&str; 3] = [
    // Tools of the system ask for an address themselves, and get the root's.
    "${udhcpc-busybox udhcpc} -i $i -n -q -s /srv/udhcpc 2>&1 | grep \"lease of $a obtained\"",
    "dhclient -v $i 2>&1 | grep \"DHCPACK of $a from\" && dhclient -v -r $i 2>&1 | grep DHCPRELEASE",
    // An ordinary user ends all that he may: his own.
    "[ \"$(su -s /bin/sh nobody -c 'sleep 999 & kill -9 -1; wait $!; echo $?')\" = 137 ]",
];

/// A machine that runs a guest, and what it is checked by.
struct Running<'a> {
    guest: &'a Guest,
    vm: Vm,
    wire: Wire,
    server: Server,
    address: String,
    fresh: usize,
}

fn keeps_its_root(guest: &Guest) -> Result {
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
    vm.must(
        "i=$(ls /sys/class/net | grep -v lo); \
         a=$(ip -4 -o address show dev $i | sed 's/.*inet \\([0-9.]*\\).*/\\1/'); \
         command -v udhcpc >/dev/null && udhcpc=udhcpc; echo here >>/srv/written",
        LIMIT,
    )?;
    let address = vm.must("echo $a", LIMIT)?.trim().to_owned();
    let mut running = Running { guest, vm, wire, server, address, fresh: guests::FRESH };
    running.holds("the boot")?;
    for command in guest.done.iter().chain(&EVERYWHERE) {
        if !guest.not.iter().any(|word| command.starts_with(word)) {
            running.vm.must(command, LIMIT)?;
            running.holds(command)?;
        }
    }
    running.flap()?;
    running.holds("the cable was out")?;
    running.ends()
}

impl Running<'_> {
    /// Address, route, names, contents that nobody has read, contents that were written, and the
    /// lease's renewals are there.
    fn holds(&mut self, after: &str) -> Result {
        let granted = self.wire.count("DHCPACK(");
        let (_, before) = self.server.served()?;
        let (resolve, number) = (self.guest.resolve, self.next());
        let seen = self.vm.must(
            &format!(
                "until ip -4 -o address show dev $i | grep \"inet $a/\" && ip route | grep default; \
                 do sleep 1; done; {resolve} n{number}.zimg.test; \
                 echo 3 >/proc/sys/vm/drop_caches; ls -l /srv >/dev/null; cat /srv/written; \
                 sha256sum /srv/fresh/{number:02}"
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
        let (_, now) = self.server.served()?;
        ensure!(now > before, "after {after}: the server was not asked");
        let renewed = format!("DHCPACK(tap0) {}", self.address);
        self.wire.wait_for(&renewed, granted + 1, LIMIT).with_context(|| after.to_owned())
    }

    /// A file that was never read. From the last to the first, as more is read ahead of need.
    fn next(&mut self) -> usize {
        self.fresh -= 1;
        self.fresh
    }

    /// The cable is out for longer than NetworkManager, the most patient, waits before it believes
    /// that (five seconds); meanwhile a reader waits for contents, and gets them in the end.
    fn flap(&mut self) -> Result {
        let number = self.next();
        self.vm.monitor("set_link net0 off")?;
        let carrier = "read c </sys/class/net/$i/carrier && [ $c =";
        self.vm.must(&format!("until {carrier} 0 ]; do :; done"), LIMIT)?;
        self.vm.must(&format!("sha256sum /srv/fresh/{number:02} >/run/sum & :"), LIMIT)?;
        std::thread::sleep(Duration::from_secs(7));
        self.vm.must("[ ! -s /run/sum ]", LIMIT).context("it was read without a cable")?;
        self.vm.monitor("set_link net0 on")?;
        let sum = self.vm.must("wait; cat /run/sum", LIMIT)?;
        ensure!(sum.contains(&guests::sum(number)?), "{sum}");
        self.vm.must(&format!("until {carrier} 1 ]; do :; done"), LIMIT).map(drop)
    }

    fn ends(mut self) -> Result {
        // Nothing that the root daemon did was refused by its filter of system calls.
        self.vm.must("! dmesg | grep type=1326", LIMIT)?;
        self.vm.send("dmesg -n 8; poweroff\n")?;
        let said = self.vm.wait_for("Power down", END)?;
        ensure!(self.vm.wait_end(LIMIT)?.success());
        for bad in ["ailed to unmount", "blocked for more than", "Kernel panic"] {
            ensure!(!said.contains(bad), "{bad}:\n{said}");
        }
        Ok(())
    }
}

#[test]
fn networkd() -> Result {
    keeps_its_root(&Guest {
        name: "networkd",
        source: Source::Debian(&root::NETWORKS),
        arguments: "systemd.mask=NetworkManager.service systemd.wants=systemd-networkd.service",
        resolve: "getent hosts",
        done: &[
            "p=$(systemctl show -P MainPID systemd-networkd); systemctl restart systemd-networkd; \
             [ $p != $(systemctl show -P MainPID systemd-networkd) ]",
            "networkctl reload && networkctl reconfigure $i",
            // The control: the address does go, and the root daemon puts it back.
            "networkctl down $i; until dmesg | grep -q 'it is back'; do sleep 1; done",
            "systemctl daemon-reexec",
        ],
        not: &[],
    })
}

const IFUPDOWN: &[&str] = &[
    "ifdown $i 2>&1 | grep 'stays up'",
    "ifup $i && grep zimg-$i /run/network/ifstate && ! ls /run/dhclient.$i.pid 2>/dev/null",
    "/etc/init.d/networking restart 2>&1 | grep done",
    // The control: by force the address does go, and the root daemon puts it back.
    "! dmesg | grep 'taken away' && ifdown --force $i; \
     until dmesg | grep -q 'it is back'; do sleep 1; done; ifup $i",
];

#[test]
fn sysvinit() -> Result {
    keeps_its_root(&Guest {
        name: "sysvinit",
        source: Source::Debian(&root::SYSVINIT),
        arguments: "",
        resolve: "getent hosts",
        done: IFUPDOWN,
        not: &[],
    })
}

#[test]
fn busybox() -> Result {
    keeps_its_root(&Guest {
        name: "busybox",
        source: Source::BusyBox,
        arguments: "",
        resolve: "nslookup",
        done: &[],
        not: &["dhclient"],
    })
}
