//! Boots from a server that is far away, beside the same root on a local disk, and beside what is
//! usual: the whole image downloaded first, or over NBD.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::ensure;
use tests::distance::{self, Distance};
use tests::lab::Server;
use tests::out::built;
use tests::vm::Machine;
use tests::wire::SERVER;

use crate::Bench;
use crate::boot::{Boot, boot, boot_from, local_machine, node, scripted};
use crate::broken::unless_it_broke;
use crate::nbd::Nbd;
use crate::picture::{self, SERIES};
use crate::report::{Report, Times, megabytes};
use crate::shop::{PLAIN, PROFILED, Shop, on_wire};
use crate::sizes::squashfs;

/// A way to the server, and how much longer than from a disk a boot by its profile may take.
struct Way {
    name: &'static str,
    path: Option<distance::Path>,
    most: f64,
    /// Whether instructions are counted; see [`COUNTED`].
    counted: bool,
}

const fn way(name: &'static str, round_trip: u64, mbit: u64, most: f64) -> Way {
    let round_trip = Duration::from_millis(round_trip);
    let path = Some(distance::Path { round_trip, rate: mbit * 1_000_000 });
    Way { name, path, most, counted: false }
}

/// What that measures, and why only where the way takes no time: that would go on in real time, of
/// which a guest gets less done.
const COUNTED: &str = "\
By `-icount` guest time is what the guest executes, a nanosecond an instruction, and what it waits: neither
how fast the machine is nor what else it does has a part in it, nor what the emulator does between two
instructions, to which a switch from one address space to another is dear.";

/// What the image without a profile is.
const EXPECTED: &str = "\
Without a profile, what lies first in the image, and is fetched ahead of need, is what the build expected.";

const WAYS: [Way; 5] = [
    Way { name: "host, -icount", path: None, most: 1.05, counted: true },
    Way { name: "host", path: None, most: 1.05, counted: false },
    way("10 ms, 1 Gbit/s", 10, 1000, 1.15),
    way("50 ms, 100 Mbit/s", 50, 100, 1.15),
    way("150 ms, 20 Mbit/s", 150, 20, 1.6),
];

/// How a shell script of an initramfs has its card get an address.
pub(crate) const LEASE: &str = "printf '#!/bin/sh\\n[ $1 = bound ] && ifconfig $interface $ip netmask $subnet\\n:\\n' >/up/dhcp; \
     chmod 755 /up/dhcp; ifconfig eth0 up; udhcpc -i eth0 -q -n -t 20 -T 1 -s /up/dhcp";

pub(crate) fn run(bench: &Bench, report: &mut Report) -> anyhow::Result<()> {
    let wanted = |way: &&Way| bench.way.as_deref().is_none_or(|name| name == way.name);
    let ways: Vec<&Way> = WAYS.iter().filter(wanted).collect();
    let names = WAYS.map(|way| way.name).join("; ");
    ensure!(!ways.is_empty(), "--way: there is none of that name; the ways are {names}");
    let dir = bench.scratch.path().join("far");
    fs::create_dir(&dir)?;
    let image = dir.join("debian.squashfs");
    squashfs(&bench.root, &image)?;
    let kernel = built("vmlinuz")?;
    let mount = format!(
        "{LEASE}; wget -q -O /up/image http://{SERVER}:8080/debian.squashfs; \
         mount -t squashfs -o loop,ro /up/image /lower"
    );
    let download = scripted(bench, "download", &mount, None)?;
    let nbd = Nbd::unpack()?;
    let over_nbd = nbd.initramfs(bench)?;
    let shop = Shop::open(bench, &dir)?;
    let far = Far {
        served: [
            shop.machine(PROFILED, "")?,
            shop.machine(PLAIN, "")?,
            on_wire(node(&kernel, &download, "")),
        ],
        over_nbd: on_wire(node(&kernel, &over_nbd, "")),
        local: local_machine(bench, &kernel, &image)?,
        server: &shop.server,
        nbd,
        image,
    };
    picture::section(report);
    for way in &ways {
        let taken = far.measure(bench, way)?;
        report.section(&picture::of_way(way.name));
        report.note(if way.counted { COUNTED } else { EXPECTED });
        tell(report, way, &taken);
    }
    Ok(())
}

/// What boots over one way took, all in turn.
#[derive(Default)]
struct Taken {
    times: [Times; 5],
    requests: [u64; 3],
    bytes: [u64; 3],
    /// Reads over NBD, and how many bytes that was.
    nbd: (u64, u64),
}

/// The machines, and what they boot from.
struct Far<'a> {
    /// Those that ask `server`.
    served: [Machine; 3],
    over_nbd: Machine,
    local: Machine,
    server: &'a Server,
    nbd: Nbd,
    image: PathBuf,
}

impl Far<'_> {
    fn measure(&self, bench: &Bench, way: &Way) -> anyhow::Result<Taken> {
        let cable = way.path.map(Distance::start).transpose()?;
        let timed = |machine: &Machine| {
            let mut machine = machine.clone();
            if way.counted {
                machine.args.extend(["-icount", "shift=0"].map(str::to_owned));
            }
            machine
        };
        let plugged = |machine: &Machine| {
            let mut machine = timed(machine);
            if let Some(cable) = &cable {
                cable.plug(&mut machine);
            }
            machine
        };
        let mut taken = Taken::default();
        let mut took = |at: usize, boot: &Boot| {
            eprintln!("{}: {}: {:.2} s", way.name, SERIES[at], boot.multi_user.as_secs_f64());
            taken.times[at].push(boot.multi_user);
        };
        for _ in 0..bench.runs {
            for (at, machine) in self.served.iter().enumerate() {
                let (boot, (requests, bytes)) =
                    unless_it_broke(|| boot_from(&plugged(machine), self.server))?;
                took(at, &boot);
                taken.requests[at] = taken.requests[at].max(requests);
                taken.bytes[at] = taken.bytes[at].max(bytes);
            }
            let over_nbd = unless_it_broke(|| {
                let _export = self.nbd.serve(&self.image)?;
                boot(plugged(&self.over_nbd).start()?)
            })?;
            took(3, &over_nbd);
            taken.nbd = taken.nbd.max(over_nbd.nbd);
            took(4, &unless_it_broke(|| boot(timed(&self.local).start()?))?);
        }
        Ok(taken)
    }
}

fn tell(report: &mut Report, way: &Way, taken: &Taken) {
    let Taken { times: [profiled, plain, download, over_nbd, local], requests, bytes, nbd } = taken;
    report.in_turn(picture::TO_LOCAL, [profiled, local], Times::text, way.most);
    report.in_turn(picture::TO_DOWNLOAD, [plain, download], Times::text, 1.0);
    report.promise(
        "requests of the one by its profile, and bytes",
        format!("{}, {}", requests[0], megabytes(bytes[0])),
        "at most 60, 14 MB",
        requests[0] <= 60 && bytes[0] <= 14_000_000,
    );
    report.fact(
        "of the one without (peer: of the download)",
        format!(
            "{}, {} ({}, {})",
            requests[1],
            megabytes(bytes[1]),
            requests[2],
            megabytes(bytes[2])
        ),
    );
    report.in_turn(picture::TO_NBD, [profiled, over_nbd], Times::text, 1.0);
    report.fact(
        "reads over NBD until a log-in, and bytes",
        format!("{}, {}", nbd.0, megabytes(nbd.1)),
    );
}
