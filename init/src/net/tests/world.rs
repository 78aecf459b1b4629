//! Namespaces, cables and DHCP servers for the tests.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::net::{self, NetConfig, NetError, Up};
use crate::sys;

/// What most servers of the tests give from.
pub(crate) const RANGE: &str = "--dhcp-range=192.0.2.100,192.0.2.150,255.255.255.0,1h";

/// A node whose `eth0` has a cable to `port0` in a rack; both ends are down.
pub(crate) fn rack() -> (Namespace, Namespace) {
    let (node, rack) = (Namespace::new(), Namespace::new());
    node.cable("eth0", &rack, "port0");
    (node, rack)
}

/// Gives the rack's `port0` an address and raises it.
pub(crate) fn serve_address(rack: &Namespace, address: &str) {
    rack.run(&format!("ip address add {address} dev port0"));
    rack.run("ip link set port0 up");
}

/// Gives the rack's `port0` the addresses of a router of IPv6, fe80::1 and 2001:db8::1, and raises
/// it; packets to other places end there.
pub(crate) fn router_address(rack: &Namespace) {
    rack.run("ip link set port0 addrgenmode none");
    rack.run("ip link set port0 up");
    rack.run("ip address add fe80::1/64 dev port0 nodad");
    rack.run("ip address add 2001:db8::1/64 dev port0 nodad");
    rack.run("ip link set lo up");
    rack.run("ip address add 2001:db8:ffff::1/128 dev lo nodad");
    rack.run("sysctl -q -w net.ipv6.conf.all.forwarding=1");
}

/// The same on the rack's bridge `br0`.
pub(crate) fn at_bridge(rack: &Namespace) {
    rack.run("ip link set br0 addrgenmode none");
    rack.run("ip link set br0 up");
    rack.run("ip address add fe80::1/64 dev br0 nodad");
    rack.run("ip address add 2001:db8::1/64 dev br0 nodad");
}

/// A network namespace, which is gone when this is.
pub(crate) struct Namespace(File);

impl Namespace {
    /// A new one with the loopback down.
    pub(crate) fn new() -> Self {
        let make = || {
            sys::net::unshare_network()
                .expect("these tests make network namespaces: run them as root");
            File::open("/proc/thread-self/ns/net").expect("own network namespace")
        };
        Self(thread::spawn(make).join().expect("namespace"))
    }

    /// Runs `work` on a thread inside.
    pub(crate) fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        thread::scope(|scope| {
            let inside = scope.spawn(|| {
                move_into_link_name_space(self.0.as_fd(), Some(LinkNameSpaceType::Network))
                    .expect("entering a network namespace");
                work()
            });
            inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// What moves the thread that calls it inside, for good.
    pub(crate) fn entry(&self) -> impl FnOnce() + Send + 'static {
        let file = self.0.try_clone().expect("another descriptor");
        move || {
            move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
                .expect("entering a network namespace");
        }
    }

    /// Runs a command inside and gives what it prints; it must succeed.
    pub(crate) fn run(&self, line: &str) -> String {
        let mut words = line.split_whitespace();
        let program = words.next().expect("a command");
        let output = self.enter(|| Command::new(program).args(words).output().expect(program));
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{line}: {errors}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Waits until the kernel surely sends and receives over `interface`.
    pub(crate) fn wait_until_up(&self, interface: &str) {
        self.wait_until(interface, "state UP");
    }

    /// Waits until `ip link` shows `state` of `interface`.
    pub(crate) fn wait_until(&self, interface: &str, state: &str) {
        let until = Instant::now() + Duration::from_secs(10);
        while !self.run(&format!("ip link show {interface}")).contains(state) {
            assert!(Instant::now() < until, "{interface} never came to {state}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Lays a cable between `name` here and `peer` in `other`; both ends are down.
    pub(crate) fn cable(&self, name: &str, other: &Self, peer: &str) {
        let path = format!("/proc/{}/fd/{}", std::process::id(), other.0.as_raw_fd());
        self.run(&format!("ip link add {name} type veth peer name {peer} netns {path}"));
    }

    /// Brings the network up inside, within `patience`.
    pub(crate) fn up(&self, args: &[&str], patience: Duration) -> Result<Up, NetError> {
        self.up_by(&config(args), patience)
    }

    /// The same, by a configuration.
    pub(crate) fn up_by(&self, config: &NetConfig, patience: Duration) -> Result<Up, NetError> {
        let log = |line: &str| eprintln!("net: {line}");
        self.enter(|| net::up(config, Instant::now() + patience, &log))
    }
}

/// The network's configuration by these kernel arguments.
pub(crate) fn config(args: &[&str]) -> NetConfig {
    let split = |arg: &&str| match arg.split_once('=') {
        Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
        None => ((*arg).to_owned(), None),
    };
    NetConfig::parse(&args.iter().map(split).collect::<Vec<_>>()).expect("kernel arguments")
}

/// A DHCP server, stopped when this is dropped.
pub(crate) struct Server {
    child: Child,
    log: Arc<(Mutex<String>, Condvar)>,
}

impl Server {
    /// Starts dnsmasq in `namespace` on `interface`, which gets `address` (with its prefix
    /// length), with further options, one a word.
    pub(crate) fn start(namespace: &Namespace, interface: &str, address: &str, more: &str) -> Self {
        namespace.run(&format!("ip address replace {address} dev {interface}"));
        namespace.run(&format!("ip link set {interface} up"));
        Self::restart(namespace, interface, more)
    }

    /// Starts dnsmasq as a router of IPv6 on `port0` of the rack, which is fe80::1 and 2001:db8::1.
    pub(crate) fn router(rack: &Namespace, more: &str) -> Self {
        router_address(rack);
        Self::restart(rack, "port0", &format!("--enable-ra {more}"))
    }

    /// Starts dnsmasq as a DHCPv6 server on `port0` of the rack, without a router.
    pub(crate) fn silent(rack: &Namespace, more: &str) -> Self {
        let server = Self::spawn(rack, "port0", more);
        server.wait_for("DHCPv6, IP range");
        server
    }

    /// Starts dnsmasq on an interface that has its address already.
    pub(crate) fn restart(namespace: &Namespace, interface: &str, more: &str) -> Self {
        let server = Self::spawn(namespace, interface, more);
        let is_router = more.contains("--enable-ra");
        server.wait_for(if is_router {
            "router advertisement enabled"
        } else {
            "bound exclusively"
        });
        server
    }

    /// Starts dnsmasq as a relay on `interface`, which has the first address of `between`, for the
    /// server at the second.
    pub(crate) fn relay(namespace: &Namespace, interface: &str, between: &str) -> Self {
        let server = Self::spawn(namespace, interface, &format!("--dhcp-relay={between}"));
        server.wait_for("DHCP relay from");
        server
    }

    fn spawn(namespace: &Namespace, interface: &str, more: &str) -> Self {
        let child = namespace.enter(|| {
            Command::new("dnsmasq")
                .args(
                    "--keep-in-foreground --conf-file=/dev/null --port=0 --no-ping --log-dhcp"
                        .split(' '),
                )
                .args(
                    "--log-facility=- --user=root --bind-interfaces --leasefile-ro --pid-file="
                        .split(' '),
                )
                .arg(format!("--interface={interface}"))
                .args(more.split_whitespace())
                .stderr(Stdio::piped())
                .spawn()
                .expect("dnsmasq (package dnsmasq-base)")
        });
        let mut server = Self { child, log: Arc::default() };
        let stderr = BufReader::new(server.child.stderr.take().expect("dnsmasq's log"));
        let log = Arc::clone(&server.log);
        thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                eprintln!("{line}");
                let mut text = log.0.lock().unwrap_or_else(PoisonError::into_inner);
                text.push_str(&line);
                text.push('\n');
                log.1.notify_all();
            }
        });
        server
    }

    /// All it has logged.
    pub(crate) fn log(&self) -> String {
        self.log.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until it has logged `text`.
    pub(crate) fn wait_for(&self, text: &str) {
        self.wait_for_count(text, 1);
    }

    /// Waits until it has logged `text` so many times.
    pub(crate) fn wait_for_count(&self, text: &str, count: usize) {
        let log = self.log.0.lock().unwrap_or_else(PoisonError::into_inner);
        let missing = |log: &mut String| log.matches(text).count() < count;
        let (log, waited) = self
            .log
            .1
            .wait_timeout_while(log, Duration::from_secs(20), missing)
            .unwrap_or_else(PoisonError::into_inner);
        assert!(!waited.timed_out(), "dnsmasq never said {text:?} {count} times:\n{log}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _already_gone = self.child.kill();
        let _status = self.child.wait();
    }
}
