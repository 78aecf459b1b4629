//! The Debian root as flists, with a profile of its boot and without, served to machines on a wire.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Context;
use flist::fuse::PROFILED_READAHEAD_KIB;
use flist::id::RootHash;
use tests::inbox;
use tests::lab::Server;
use tests::out::built;
use tests::root::run as must;
use tests::vm::Machine;
use tests::wire::{NETDEV, SERVER, Wire};

use crate::Bench;
use crate::boot::node;
use crate::sizes::{LEVEL, build};

/// The flist without a profile.
pub(crate) const PLAIN: &str = "plain.flist";
/// The one whose packs begin with what a boot reads.
pub(crate) const PROFILED: &str = "profiled.flist";

/// How long a boot may take until its profile comes.
const LIMIT: Duration = Duration::from_secs(600);

/// Such a server, and the wire.
pub(crate) struct Shop {
    dir: PathBuf,
    pub(crate) server: Server,
    _wire: Wire,
}

impl Shop {
    /// Makes both flists in `dir`, serves all that is in it, and moves the calling thread there.
    pub(crate) fn open(bench: &Bench, dir: &Path) -> anyhow::Result<Self> {
        build(&bench.root, &dir.join(PLAIN))?;
        let wire = Wire::new()?;
        let server = Server::start(dir, &format!("{SERVER}:8080"))?;
        let shop = Self { dir: dir.to_owned(), server, _wire: wire };
        let profile = dir.join("plain.profile");
        shop.record(&profile)?;
        let mut build = Command::new(built("zimg")?);
        build.args(["build", "--level", LEVEL, "--profile"]).arg(profile).arg(&bench.root);
        must(build.arg(dir.join(PROFILED)))?;
        Ok(shop)
    }

    /// A machine on the wire that boots `flist`, with `more` on its command line.
    pub(crate) fn machine(&self, flist: &str, more: &str) -> anyhow::Result<Machine> {
        let hash = RootHash::of(&fs::read(self.dir.join(flist))?);
        let line = format!("zimg.url=http://{SERVER}:8080/{flist} zimg.hash={hash} {more}");
        Ok(on_wire(node(&built("vmlinuz")?, &built("initramfs.img")?, &line)))
    }

    /// Leaves the profile of a boot at `path`.
    fn record(&self, path: &Path) -> anyhow::Result<()> {
        let posted = inbox::listen(&format!("{SERVER}:8090"))?;
        let post = format!("zimg.profile.post=http://{SERVER}:8090/");
        let more = format!("zimg.prefetch=off zimg.readahead={PROFILED_READAHEAD_KIB} {post}");
        let vm = self.machine(PLAIN, &more)?.start()?;
        let posted = posted.recv_timeout(LIMIT).with_context(|| vm.console())?;
        Ok(fs::write(path, posted.body)?)
    }
}

/// The same machine, plugged into the wire.
pub(crate) fn on_wire(mut machine: Machine) -> Machine {
    machine.netdev = NETDEV.to_owned();
    machine
}
