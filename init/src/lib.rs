//! PID 1 of a zimg initramfs, and the root daemon that it starts: one binary, roles by `argv[0]`.
//!
//! PID 1 never returns: success is exec of the booted system's init, failure is one screen and
//! what `zimg.onfail=` asks for.

mod aside;
mod backoff;
mod clock;
mod cmdline;
mod config;
mod console;
mod daemon;
mod early;
mod evidence;
mod fail;
mod failure;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod handover;
mod image;
mod kept;
mod kmsg;
mod marks;
mod modules;
mod mountinfo;
mod net;
mod nics;
mod node;
mod osinit;
mod overlay;
mod probe;
mod reads;
mod report;
mod sandbox;
mod screen;
mod shutdown;
mod spawn;
mod switch;
mod sys;
mod timeline;
mod tpm;
mod watchdog;
mod wire;

use config::{Config, Sources};
use failure::{Failure, OrFail as _, Stage};
use marks::Marks;
use std::convert::Infallible;
use std::env;
use std::panic::PanicHookInfo;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;
use wire::GivenFile;

/// The program; what it is, its name tells.
pub fn main() -> ExitCode {
    let mut args = env::args_os();
    let name = args.next().unwrap_or_default();
    if name == spawn::DAEMON_NAME {
        return daemon::run();
    }
    if name == report::NAME {
        return report::run(args.next().and_then(|url| url.into_string().ok()));
    }
    if name == overlay::keeper::NAME {
        return overlay::keeper::run();
    }
    if name == overlay::tool::ROLE {
        return overlay::tool::become_tool(&mut args);
    }
    if std::process::id() == 1 && Path::new(&name).ends_with("shutdown") {
        shutdown::run(args.next().as_deref());
    }
    if std::process::id() == 1 && switch::root_is_initramfs().unwrap_or(false) {
        std::panic::set_hook(Box::new(panicked));
        let mut asked = Asked::default();
        let Err(failure) = boot(&mut asked);
        fail::fail(failure, &asked);
    }
    eprintln!("This is the init of a zimg initramfs: the kernel starts it, nobody else.");
    ExitCode::from(2)
}

/// What becomes of a panic: a screen and an end as asked for, not a machine that hangs.
fn panicked(panic: &PanicHookInfo<'_>) {
    let fix = "report this with the kernel log (dmesg)";
    let failure = Failure::new(Stage::Defect, panic, fix);
    fail::fail(failure, &Asked { sources: Sources::of_this_boot().ok(), report: None })
}

/// What to do about a boot that failed, as far as it is known by then.
#[derive(Default)]
struct Asked {
    sources: Option<Sources>,
    /// Where to tell of it, once the network is up.
    report: Option<String>,
}

/// The boot. Returns only to say why it failed; `asked` then tells what to do about that.
fn boot(asked: &mut Asked) -> Result<Infallible, Failure> {
    let mut marks = Marks::start();
    early::mounts()?;
    early::streams();
    overlay::directories()?;
    let sources = asked.sources.insert(read_sources()?);
    // Before anything can hang. What can't be read of it is a failure further down.
    if let Some(timeout) = config::watchdog(sources).unwrap_or_default().timeout {
        watchdog::start(timeout);
    }
    let config = check(sources)?;
    let deadline = Instant::now() + config.timeout;
    let hotplug = modules::start(sources).or_fail(
        Stage::Modules,
        "load the modules for this machine",
        "build the initramfs anew, from the kernel that is booted",
    )?;
    marks.mark("start");

    let mut daemon = spawn::RootDaemon::start()?;
    // What the daemon does until then waits for the modules. Nor, without them, would all
    // interfaces be there that the screen of a failure shows.
    if let Some(hotplug) = &hotplug {
        hotplug.settle();
    }
    // Now, as an address has to be waited for anyway.
    shutdown::install().or_fail(
        Stage::Handover,
        "copy the shutdown program to /run",
        "give the machine more memory",
    )?;
    let measured = tpm::Measured::begin();
    let ready = daemon.ready(config.timeout, &mut marks);
    asked.report = daemon.report();
    let files = ready?;
    let root = Path::new(overlay::ROOT);
    let image = handover::root_hash(&files);
    // Before a disk is mended, which the image's own programs do.
    measured.image(image, &handover::signers(&files));
    let around = overlay::Around { image, line: &sources.line, deadline };
    watchdog::expect(deadline.saturating_duration_since(Instant::now()));
    let init =
        lay_root(root, &config, &files, around, &mut marks).map_err(|e| daemon.blamed_for(e))?;
    if let Some(hotplug) = hotplug {
        hotplug.stop();
    }
    marks.mark("handover");

    log::info!("{}; {init} is next", marks.summary());
    switch::switch_root(root)?;
    watchdog::hand_over();
    osinit::become_init(&init)
}

/// Makes the booted system's root, of what the root daemon serves. Returns the system's init.
fn lay_root(
    root: &Path,
    config: &Config,
    files: &[GivenFile],
    around: overlay::Around<'_>,
    marks: &mut Marks,
) -> Result<String, Failure> {
    let disk = overlay::assemble(&config.overlay, around)?;
    let init = osinit::find(root, config.init.as_deref())?;
    marks.mark("overlay");
    handover::write(files, root)?;
    if let Some(disk) = disk {
        let keeper = overlay::keeper::start(disk)?;
        handover::write(&[handover::spared("zimg-disk", keeper)], root)?;
    }
    Ok(init)
}

fn read_sources() -> Result<Sources, Failure> {
    Sources::of_this_boot().or_fail(
        Stage::Configuration,
        "read what is asked for",
        "correct the files in /etc/zimg of the initramfs",
    )
}

/// Checks what is asked for, and says what of it is ignored.
fn check(sources: &Sources) -> Result<Config, Failure> {
    let (config, warnings) = config::config(sources)?;
    kmsg::set_debug(config.debug);
    for warning in warnings {
        log::warn!("{warning}");
    }
    if config.verify == config::Verify::Off {
        log::error!("NOTHING IS VERIFIED: zimg.verify=off takes any image for the right one");
    }
    Ok(config)
}
