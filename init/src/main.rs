//! PID 1 of a zimg initramfs, and the root daemon that it starts: one binary, roles by `argv[0]`.
//!
//! PID 1 never returns: success is exec of the booted system's init, failure is one screen and
//! what `zimg.onfail=` asks for.

mod clock;
mod cmdline;
mod config;
mod console;
mod daemon;
mod early;
mod fail;
mod failure;
mod handover;
mod image;
mod kmsg;
mod marks;
mod modules;
mod net;
mod nics;
mod osinit;
mod overlay;
mod probe;
mod screen;
mod shutdown;
mod spawn;
mod switch;
mod sys;
mod wire;

use config::{Config, Sources};
use failure::{Failure, OrFail as _, Stage};
use marks::Marks;
use std::convert::Infallible;
use std::env;
use std::panic::PanicHookInfo;
use std::path::Path;
use std::process::ExitCode;
use wire::GivenFile;

fn main() -> ExitCode {
    let mut args = env::args_os();
    let name = args.next().unwrap_or_default();
    if name == spawn::DAEMON_NAME {
        return daemon::run();
    }
    if std::process::id() == 1 && Path::new(&name).ends_with("shutdown") {
        shutdown::run(args.next().as_deref());
    }
    if std::process::id() == 1 && switch::root_is_initramfs().unwrap_or(false) {
        std::panic::set_hook(Box::new(panicked));
        let mut sources = None;
        let Err(failure) = boot(&mut sources);
        fail::fail(failure, sources.as_ref());
    }
    eprintln!("This is the init of a zimg initramfs: the kernel starts it, nobody else.");
    ExitCode::from(2)
}

/// What becomes of a panic: a screen and an end as asked for, not a machine that hangs.
fn panicked(panic: &PanicHookInfo<'_>) {
    let fix = "report this with the kernel log (dmesg)";
    let failure = Failure::new(Stage::Defect, panic, fix);
    fail::fail(failure, Sources::of_this_boot().ok().as_ref())
}

/// The boot. Returns only to say why it failed; `asked` then tells what to do about that.
fn boot(asked: &mut Option<Sources>) -> Result<Infallible, Failure> {
    let mut marks = Marks::start();
    early::mounts()?;
    early::streams();
    overlay::directories()?;
    let sources = asked.insert(read_sources()?);
    let config = check(sources)?;
    let hotplug = modules::start(&sources.line).or_fail(
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
    let files = daemon.ready(config.timeout, &mut marks)?;
    let root = Path::new(overlay::ROOT);
    let init = lay_root(root, &config, &files, &mut marks).map_err(|e| daemon.blamed_for(e))?;
    if let Some(hotplug) = hotplug {
        hotplug.stop();
    }
    marks.mark("handover");

    log::info!("{}; {init} is next", marks.summary());
    switch::switch_root(root)?;
    osinit::become_init(&init)
}

/// Makes the booted system's root, of what the root daemon serves. Returns the system's init.
fn lay_root(
    root: &Path,
    config: &Config,
    files: &[GivenFile],
    marks: &mut Marks,
) -> Result<String, Failure> {
    overlay::assemble(&config.overlay)?;
    let init = osinit::find(root, config.init.as_deref())?;
    marks.mark("overlay");
    handover::write(files, root)?;
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
    let (config, warnings) =
        config::config(sources).map_err(|e| Failure::new(Stage::Configuration, &e, e.fix()))?;
    kmsg::set_debug(config.debug);
    for warning in warnings {
        log::warn!("{warning}");
    }
    if config.verify == config::Verify::Off {
        log::error!("NOTHING IS VERIFIED: zimg.verify=off takes any image for the right one");
    }
    Ok(config)
}
