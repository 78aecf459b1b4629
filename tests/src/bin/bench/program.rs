//! Servers of others: unpacked, started, and waited for.

use std::net::{TcpStream, ToSocketAddrs};
use std::path::PathBuf;
use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::ensure;
use tests::out;
use tests::root::run as must;

/// Where what Debian's `packages` hold was unpacked to, and is kept as `name`.
pub(crate) fn unpacked(name: &str, packages: &[&str]) -> anyhow::Result<PathBuf> {
    let mut unpack = Command::new(out::workspace().join("scripts/unpacked"));
    Ok(String::from_utf8(must(unpack.arg(name).args(packages))?)?.trim().into())
}

/// Waits until `server`, which was started as `name`, listens at `address`.
pub(crate) fn until_it_listens(
    server: &mut Child,
    name: &str,
    address: impl ToSocketAddrs,
) -> anyhow::Result<()> {
    let until = Instant::now() + Duration::from_secs(10);
    while TcpStream::connect(&address).is_err() {
        let runs = server.try_wait()?.is_none();
        ensure!(runs && Instant::now() < until, "{name} does not start");
        thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}
