//! The end of a boot that failed: the screen, then what `zimg.onfail=` asks for.

use crate::config::{self, OnFail, Sources};
use crate::failure::Failure;
use crate::{
    Asked, backoff, clock, console, evidence, kmsg, modules, nics, report, screen, shutdown,
    watchdog,
};
use rustix::rand::{GetRandomFlags, getrandom};
use rustix::system::RebootCommand;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

/// How long a serial line gets to send the screen before the machine goes down.
const FLUSH: Duration = Duration::from_secs(1);

const SHELL: &str = "/bin/sh";

/// Shows `failure` everywhere, reports it, and obeys.
pub(crate) fn fail(failure: Failure, asked: &Asked) -> ! {
    let began = Instant::now();
    let (sources, report) = (asked.sources.as_ref(), asked.report.as_deref());
    let asked = sources.map(config::on_fail).unwrap_or_default();
    let may_shell = sources.is_some_and(Sources::shell_allowed) && Path::new(SHELL).exists();
    let (then, next) = decide(asked, may_shell, &|| failures(sources));
    let ignored = sources.map(config::ignored).unwrap_or_default();
    let failure = with_hints(failure);
    let failure = ignored.iter().fold(failure, |failure, what| failure.fact("ignored", what));
    let nics = nics_of(&failure);
    let text = screen::render(&failure, &nics, &clock::text(), &next);
    log::error!("boot failed at {}: {}", failure.stage, failure.what);
    text.lines().filter(|line| !line.is_empty()).for_each(kmsg::keep);
    console::show(&text);
    if let Some(url) = report {
        report::send(url, &report::json(&failure, &nics, &next));
    }
    obey(then, began)
}

/// The interfaces as the root daemon saw them, or as they are now; none before there are drivers.
fn nics_of(failure: &Failure) -> Vec<String> {
    match failure.nics.as_slice() {
        [] if failure.stage.has_drivers() => nics::lines(Path::new("/sys/class/net")),
        known => known.to_vec(),
    }
}

/// Adds what explains many failures and is seen only from here.
fn with_hints(failure: Failure) -> Failure {
    // Nor is /lib/modules the initramfs' once the root is switched.
    if !failure.stage.needs_modules() {
        return failure;
    }
    let mut failure = failure;
    failure.facts.extend(evidence::facts());
    match modules::foreign_releases().as_slice() {
        [] => failure,
        others => {
            let release = rustix::system::uname();
            let (others, release) = (others.join(", "), release.release().to_string_lossy());
            failure.fact(
                "modules",
                format!("the initramfs holds those of {others}, not of this kernel, {release}"),
            )
        }
    }
}

/// How many boots in a row have failed by now.
fn failures(sources: Option<&Sources>) -> u8 {
    let line = sources.map(|sources| sources.line.as_slice()).unwrap_or_default();
    backoff::count(line, clock::now().as_secs())
}

/// `after`, and up to half of it more: a fleet whose server comes back must not come back in step.
fn spread(after: Duration) -> Duration {
    let mut random = [0];
    match getrandom(&mut random, GetRandomFlags::INSECURE) {
        Ok(_) => after + after * u32::from(random[0]) / 512,
        // Without a random number it is what was asked for.
        Err(_) => after,
    }
}

/// What is done in the end, and how the screen puts it. `failures` are counted where they matter.
fn decide(asked: OnFail, may_shell: bool, failures: &dyn Fn() -> u8) -> (OnFail, String) {
    match asked {
        OnFail::Reboot(after) => {
            let failures = failures();
            let after = spread(backoff::wait(after, failures));
            let next = format!("reboots in {} s", after.as_secs());
            let why = format!(", longer with each of {failures} failures in a row");
            (OnFail::Reboot(after), if failures > 1 { next + &why } else { next })
        }
        OnFail::PowerOff => (asked, "switches the machine off".to_owned()),
        OnFail::Halt => (asked, "halts".to_owned()),
        OnFail::Shell if may_shell => {
            (asked, "a shell on the console; reboots when it ends".to_owned())
        }
        OnFail::Shell => {
            let (then, next) = decide(OnFail::default(), false, failures);
            let why = "no shell: it takes /bin/sh and zimg.shell=yes in /etc/zimg/*.conf of the initramfs";
            (then, format!("{next} ({why})"))
        }
    }
}

fn obey(then: OnFail, began: Instant) -> ! {
    thread::sleep(FLUSH);
    match then {
        OnFail::Reboot(after) => {
            watchdog::expect(after);
            thread::sleep(after.saturating_sub(began.elapsed()));
            shutdown::finish(RebootCommand::Restart)
        }
        OnFail::PowerOff => shutdown::finish(RebootCommand::PowerOff),
        OnFail::Halt => {
            watchdog::stop();
            shutdown::finish(RebootCommand::Halt)
        }
        OnFail::Shell => {
            watchdog::stop();
            match Command::new(SHELL).status() {
                Ok(status) => log::info!("the shell ended: {status}"),
                Err(e) => log::error!("{SHELL}: {e}"),
            }
            shutdown::finish(RebootCommand::Restart)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Stage;

    #[test]
    fn a_shell_needs_the_initramfs_consent() {
        assert_eq!(decide(OnFail::Shell, true, &|| 1).0, OnFail::Shell);
        let (then, next) = decide(OnFail::Shell, false, &|| 1);
        assert!(matches!(then, OnFail::Reboot(_)));
        assert!(next.starts_with("reboots in ") && next.contains(" s (no shell"), "{next}");
    }

    #[test]
    fn reboots_are_spread() {
        let waits: Vec<Duration> = (0..64).map(|_| spread(Duration::from_secs(100))).collect();
        assert!(waits.iter().all(|wait| (100..150).contains(&wait.as_secs())), "{waits:?}");
        assert!(waits.iter().any(|wait| *wait != waits[0]), "{waits:?}");
        assert_eq!(spread(Duration::ZERO), Duration::ZERO);
    }

    #[test]
    fn interfaces_are_shown_once_there_are_drivers() {
        let of = |stage| nics_of(&Failure::new(stage, "x", "y"));
        assert!(of(Stage::Configuration).is_empty() && of(Stage::Modules).is_empty());
        assert!(!of(Stage::Network).is_empty());
        let mut failure = Failure::new(Stage::Network, "x", "y");
        failure.nics = vec!["eth0 no link".to_owned()];
        assert_eq!(nics_of(&failure), ["eth0 no link"]);
    }

    #[test]
    fn the_screen_tells_what_happens() {
        let now = OnFail::Reboot(Duration::ZERO);
        assert_eq!(decide(now, false, &|| 1).1, "reboots in 0 s");
        let longer = "reboots in 0 s, longer with each of 3 failures in a row";
        assert_eq!(decide(now, false, &|| 3).1, longer);
        // What does not wait asks nobody.
        assert_eq!(decide(OnFail::Halt, true, &|| panic!("it counts")).1, "halts");
    }
}
