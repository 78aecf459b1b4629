//! A network cable of one's own: a tap that a machine is plugged into, with a DHCP server that gives
//! short leases and a DNS server that knows any name below `zimg.test`.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, ensure};

use crate::lab::Lab;
use crate::root::run;

/// The host's end: server of everything.
pub const SERVER: &str = "10.77.0.1";

/// What qemu's `-netdev` says of the machine's end.
pub const NETDEV: &str = "tap,ifname=tap0,script=no,downscript=no";

/// A lab with such a cable.
pub struct Wire {
    dnsmasq: Child,
    log: Arc<Log>,
    // Dropped last: the server lives in it.
    _lab: Lab,
}

#[derive(Default)]
struct Log {
    text: Mutex<String>,
    more: Condvar,
}

impl Wire {
    /// Makes it, and moves the calling thread to its end.
    ///
    /// # Errors
    /// When the user is not root, or dnsmasq does not start.
    pub fn new() -> anyhow::Result<Self> {
        let lab = Lab::enter()?;
        for command in
            ["tuntap add tap0 mode tap", "address add 10.77.0.1/24 dev tap0", "link set tap0 up"]
        {
            run(Command::new("ip").args(command.split(' ')))?;
        }
        // No lease is shorter than two minutes here, but it may have to be renewed sooner.
        let mut dnsmasq = Command::new("dnsmasq")
            .args("--keep-in-foreground --conf-file=/dev/null --pid-file= --user=root".split(' '))
            .args("--log-facility=- --log-dhcp --no-ping --leasefile-ro --no-resolv".split(' '))
            .args("--interface=tap0 --bind-interfaces".split(' '))
            .args("--address=/zimg.test/10.77.0.1 --local=/zimg.test/".split(' '))
            .args("--dhcp-range=10.77.0.50,10.77.0.99,2m --domain=zimg.test".split(' '))
            .args("--dhcp-option=58,5 --dhcp-option=59,90".split(' '))
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("can't start dnsmasq: run scripts/setup")?;
        let stderr = dnsmasq.stderr.take().context("dnsmasq has no log")?;
        let log = Arc::new(Log::default());
        let wire = Self { dnsmasq, log: Arc::clone(&log), _lab: lab };
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let mut text = log.text.lock().unwrap_or_else(PoisonError::into_inner);
                text.push_str(&line);
                text.push('\n');
                log.more.notify_all();
            }
        });
        wire.wait_for("sockets bound exclusively", 1, Duration::from_secs(20))?;
        Ok(wire)
    }

    /// How often the servers have logged `text`.
    pub fn count(&self, text: &str) -> usize {
        self.log.text.lock().unwrap_or_else(PoisonError::into_inner).matches(text).count()
    }

    /// Waits until they have logged it `count` times.
    ///
    /// # Errors
    /// With all they logged, when `limit` passes before.
    pub fn wait_for(&self, text: &str, count: usize, limit: Duration) -> anyhow::Result<()> {
        let log = self.log.text.lock().unwrap_or_else(PoisonError::into_inner);
        let missing = |log: &mut String| log.matches(text).count() < count;
        let waited = self.log.more.wait_timeout_while(log, limit, missing);
        let (log, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        ensure!(!waited.timed_out(), "dnsmasq never said {text:?} {count} times:\n{log}");
        Ok(())
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        // Both fail only where it has ended already.
        let _ = self.dnsmasq.kill();
        let _ = self.dnsmasq.wait();
    }
}
