//! How long a lease takes, for `scripts/bench`: that is no matter of right or wrong.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use super::world::{RANGE, Server, config, rack};
use crate::net;

const PATIENCE: Duration = Duration::from_secs(20);

/// The time that this thread has spent on a processor, in itself or in the kernel.
fn own_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).expect("a time since the thread began")
}

/// From a link that is up, and others that are not yet, to a lease that is applied: how long it
/// took, and for how much of that there was something to do.
///
/// Of a cable between two namespaces, the far end drops what the server sends until its own kernel
/// has noticed the carrier: that is why it is waited for before.
fn lease(interfaces: u32) -> (Duration, Duration) {
    let (node, rack) = rack();
    for number in 1..interfaces {
        node.cable(&format!("eth{number}"), &rack, &format!("port{number}"));
    }
    let _server = Server::start(&rack, "port0", "192.0.2.1/24", RANGE);
    node.run("ip link set eth0 up");
    node.wait_until_up("eth0");
    rack.wait_until_up("port0");
    let config = config(&["ip=dhcp"]);
    node.enter(|| {
        let (began, own) = (Instant::now(), own_time());
        let up = net::up(&config, began + PATIENCE, &|_line| {}).expect("a network");
        assert_eq!(up.interface.to_string(), "eth0");
        (began.elapsed(), own_time() - own)
    })
}

#[test]
#[ignore = "measures: run by scripts/bench"]
fn from_a_link_to_a_lease() {
    let runs = std::env::var("ZIMG_RUNS").ok().and_then(|runs| runs.parse().ok());
    for _ in 0..runs.unwrap_or(1) {
        for interfaces in [1, 16] {
            let (whole, own) = lease(interfaces);
            println!("pace: {interfaces} {} {}", whole.as_micros(), own.as_micros());
        }
    }
}
