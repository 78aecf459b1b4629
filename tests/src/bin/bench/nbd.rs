//! A squashfs over NBD: nbdkit serves it, and nbd-client in an initramfs of busybox gets it, both as
//! Debian packages them.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::Context;
use tests::root::run as must;
use tests::wire::SERVER;

use crate::Bench;
use crate::boot::{More, scripted};
use crate::far::LEASE;
use crate::program::{unpacked, until_it_listens};

const PORT: u16 = 10809;

/// Where the packages' libraries are: below what they were unpacked to, and in a guest.
const LIBRARIES: [&str; 2] = ["lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu"];

/// Both programs.
pub(crate) struct Nbd(PathBuf);

impl Nbd {
    pub(crate) fn unpack() -> anyhow::Result<Self> {
        unpacked("nbd", &["nbd-client", "nbdkit"]).map(Self)
    }

    /// An initramfs that boots what is [served](Self::serve).
    pub(crate) fn initramfs(&self, bench: &Bench) -> anyhow::Result<PathBuf> {
        let client = self.0.join("sbin/nbd-client");
        let path = LIBRARIES.map(|dir| self.0.join(dir).display().to_string()).join(":");
        let printed = must(Command::new("ldd").arg(&client).env("LD_LIBRARY_PATH", path))?;
        let mut files = vec![(client, "/bin/nbd-client".to_owned())];
        // Each `NAME => PATH (ADDRESS)`, but for the linker: `PATH (ADDRESS)`.
        for line in String::from_utf8(printed)?.lines() {
            let Some(file) = line.split_whitespace().find(|word| word.starts_with('/')) else {
                continue;
            };
            let name = Path::new(file).file_name().context("a library")?.to_string_lossy();
            let place = if name.starts_with("ld-linux") { "lib64" } else { LIBRARIES[0] };
            files.push((file.into(), format!("/{place}/{name}")));
        }
        let mount = format!(
            "{LEASE}; nbd-client -N '' {SERVER} {PORT} /dev/nbd0 && \
             mount -t squashfs -o ro /dev/nbd0 /lower"
        );
        scripted(bench, "nbd", &mount, Some(&More { module: "nbd", files }))
    }

    /// Serves `image` at the wire's end.
    pub(crate) fn serve(&self, image: &Path) -> anyhow::Result<Export> {
        let plugin = self.0.join(LIBRARIES[1]).join("nbdkit/plugins/nbdkit-file-plugin.so");
        let mut nbdkit = Command::new(self.0.join("usr/bin/nbdkit"));
        nbdkit.args(["-f", "-r", "-i", SERVER, "-p", &PORT.to_string()]).arg(plugin).arg(image);
        let mut export = Export(nbdkit.stdin(Stdio::null()).spawn()?);
        until_it_listens(&mut export.0, "nbdkit", (SERVER, PORT))?;
        Ok(export)
    }
}

/// A running server; ended when dropped.
pub(crate) struct Export(Child);

impl Drop for Export {
    fn drop(&mut self) {
        // Told to end it would wait for clients that were never unplugged.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
