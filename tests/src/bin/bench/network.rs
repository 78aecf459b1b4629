//! What a lease costs, with a real DHCP server in namespaces, and what interfaces without a cable
//! add to that.

use std::process::Command;
use std::time::Duration;

use anyhow::Context;
use tests::root::run as must;

use crate::Bench;
use crate::report::{Report, Times};

/// The test of init that measures.
const PACE: &str = "net::tests::pace::from_a_link_to_a_lease";

/// What was measured with some number of interfaces.
struct Pace {
    whole: Times,
    own: Times,
}

pub(crate) fn run(bench: &Bench, report: &mut Report) -> anyhow::Result<()> {
    report.section("Network");
    let mut test = Command::new("cargo");
    test.env("ZIMG_RUNS", bench.runs.to_string());
    test.args(["test", "--quiet", "--locked", "--package", "init", "--lib", "--"]);
    let printed = must(test.args(["--ignored", "--exact", "--nocapture", PACE]))?;
    let printed = String::from_utf8_lossy(&printed);
    let (one, sixteen) = (pace(&printed, 1)?, pace(&printed, 16)?);
    report.fact(
        "from a link that is up to a lease that is applied, 25 ms of it the look for holders of the address",
        one.whole.millis(),
    );
    report.promise(
        "of that, time in which there was something to do, by an unoptimised build",
        one.own.millis(),
        "under 100 ms",
        one.own.median() < 0.1,
    );
    report.fact("15 more interfaces, without a cable: the whole", sixteen.whole.millis());
    report.promise(
        "of that, time in which there was something to do: at most 5 ms more",
        sixteen.own.millis(),
        "no more than one interface costs",
        sixteen.own.median() - one.own.median() < 0.005,
    );
    Ok(())
}

/// The lines `pace: INTERFACES WHOLE OWN`, in microseconds.
fn pace(printed: &str, interfaces: u32) -> anyhow::Result<Pace> {
    let mut pace = Pace { whole: Times::new(), own: Times::new() };
    let lines = printed.lines().filter_map(|line| line.split_once("pace: "));
    for (_, line) in lines {
        let numbers: Vec<u64> = line.split(' ').map(str::parse).collect::<Result<_, _>>()?;
        let [count, whole, own] = numbers.try_into().ok().context("three numbers")?;
        if count == u64::from(interfaces) {
            pace.whole.push(Duration::from_micros(whole));
            pace.own.push(Duration::from_micros(own));
        }
    }
    anyhow::ensure!(pace.own.median() > 0.0, "nothing was measured:\n{printed}");
    Ok(pace)
}
