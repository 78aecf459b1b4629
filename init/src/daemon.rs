//! The root daemon: brings up the network, serves the image, and stays as long as the node runs.
//!
//! It lives in the initramfs and never opens a path on the root it serves: such a read would wait
//! for itself.

use crate::clock::Keeper;
use crate::config::{self, Config, Sources};
use crate::failure::{Failure, OrFail, Stage, chain};
use crate::kept::{Kept, RESOLV_CONF};
use crate::net::{self, NetConfig, NetError, Up};
use crate::watchdog::Heir;
use crate::wire::Message;
use crate::{handover, image, kmsg, node, overlay, sandbox, sys, timeline};
use flist::fuse::Mounted;
use flist::store::Client;
use rustix::mm::MlockAllFlags;
use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities, set_no_new_privs};
use std::ffi::CStr;
use std::fs::{self, File};
use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// The role: returns only once the root is gone, or to end a boot that failed.
pub(crate) fn run() -> ExitCode {
    let mut pid_1 = match prepare() {
        Ok(pipe) => pipe,
        Err(e) => {
            eprintln!("zimg: the root daemon can't start: {e}");
            return ExitCode::FAILURE;
        }
    };
    let (mounted, heir) = match serve(&mut pid_1) {
        Ok(served) => served,
        Err(failure) => {
            if let Err(e) = Message::Failed(failure).send(&mut pid_1) {
                log::error!("PID 1 does not listen: {e}");
            }
            return ExitCode::FAILURE;
        }
    };
    // PID 1 becomes another program and listens no more.
    match heir {
        Some(heir) => heir.begin(pid_1),
        None => drop(pid_1),
    }
    live(mounted)
}

/// Makes the process one that nothing on the booted system ends by chance. Returns the pipe to
/// PID 1, which was its standard output; the standard streams are the kernel log from now on.
fn prepare() -> io::Result<File> {
    sys::signals::ignore_ending_signals()?;
    let pipe = File::from(rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdout(), 3)?);
    if let Err(e) = kmsg::init() {
        eprintln!("zimg: the root daemon has no log: {e}");
    }
    if let Some(log) = kmsg::descriptor() {
        rustix::stdio::dup2_stdout(&log)?;
        rustix::stdio::dup2_stderr(&log)?;
    }
    rustix::process::setsid()?;
    spare(c"zimg");
    drop_rights(RIGHTS);
    // It starts a thread, which has the rights that were left by then.
    sys::signals::never_stay_stopped()?;
    Ok(pipe)
}

/// Names this process, and asks the kernel to spare it where memory is short. One that can't does
/// not fail the boot for that, but says so.
///
/// Not as a flusher of I/O (`PR_SET_IO_FLUSHER`): such a process never calls the OOM killer. Where
/// nothing is left but memory that programs hold, it would look for some for ever, and all others
/// wait for a page of the root. Nothing is written back through this process, so that it can't come
/// to wait for itself.
pub(crate) fn spare(name: &CStr) {
    if let Err(e) = rustix::thread::set_name(name) {
        log::warn!("{name:?} has no name of its own: {e}");
    }
    // Instead of the right to lock any amount of it.
    let any = Rlimit { current: None, maximum: None };
    if let Err(e) = setrlimit(Resource::Memlock, any) {
        log::warn!("{name:?} can't lock its memory: {e}");
    }
    if let Err(e) = fs::write("/proc/self/oom_score_adj", "-1000") {
        log::warn!("{name:?} may be killed where memory is short: {e}");
    }
}

/// What the daemon and all its threads may do beyond its files: mount the image and name the host,
/// set up and keep the network, set the clock. Once the root is mounted, [`sandbox`] leaves no use for
/// the first and the last.
const RIGHTS: CapabilitySet = CapabilitySet::SYS_ADMIN
    .union(CapabilitySet::NET_ADMIN)
    .union(CapabilitySet::NET_RAW)
    .union(CapabilitySet::NET_BIND_SERVICE)
    .union(CapabilitySet::SYS_TIME);

/// Gives up all rights but `kept`, before there is a thread and before a byte came from the network.
/// Memory can't be read or traced from now on but by who may trace everything.
pub(crate) fn drop_rights(kept: CapabilitySet) {
    let sets =
        CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() };
    let dropped = set_capabilities(None, sets)
        .and_then(|()| set_no_new_privs(true))
        .and_then(|()| set_dumpable_behavior(DumpableBehavior::NotDumpable));
    if let Err(e) = dropped {
        log::warn!("this process keeps rights that it does not need: {e}");
    }
}

/// Network, image, mount. All that may fail fails here, where PID 1 can still tell.
fn serve(pid_1: &mut File) -> Result<(Mounted, Option<Heir>), Failure> {
    let sources = crate::read_sources()?;
    let (config, _told_by_pid_1) = config::config(&sources)?;
    kmsg::set_debug(config.debug);
    let keeper = Keeper::new(config.servers.epoch);
    let began = Instant::now();
    let deadline = began + config.timeout;
    let mut stages = Stages { pid_1, since: Instant::now(), over: timeline::Stages::new() };

    // The roots of trust take some milliseconds to read: done while the network comes up.
    let (servers, help) = (config.servers.clone(), keeper.help());
    let make = move || image::client(&servers, Some(help.clone()));
    let client = thread::Builder::new().name("client".to_owned()).spawn(make.clone());
    let up = network(&sources, began + config.network_timeout)?;
    if !up.how().fixed {
        stages.waited("DHCP", up.address_wait)?;
    }
    stages.done("network up")?;
    let kept = Kept::begin(up.clone());
    let with_address = |failure| with_address(failure, &kept.up(), &keeper);
    let mut config = config.for_node(&node::node(&up)).map_err(|e| with_address(e.into()))?;
    if let Some(url) = &config.report {
        stages.send(&Message::Report(url.clone()))?;
    }
    let client = client.ok().and_then(|made| made.join().ok()).unwrap_or_else(make);
    let client = client.map_err(with_address)?;
    tell_time_servers(&keeper, &config, &up, &client);
    let image = image::load(&client, &config, deadline).map_err(with_address)?;
    stages.done("flist")?;
    let root = image.root_hash;
    let given = handover::image(root, &image.signers);
    let dir = Path::new(overlay::LOWER);
    let (mounted, reads) =
        image::mount_what_is_there(image, dir, &mut config.ahead, &client, deadline)
            .map_err(with_address)?;
    stages.done("mount")?;
    let post = config.ahead.post.take();
    reads.tell(post, &client, root, stages.over.clone(), mounted.counts());

    keeper.retire();
    lock_memory();
    let mut files = handover::files(&kept.up(), std::process::id());
    files.extend(given);
    if let Err(e) = sandbox::enter() {
        log::warn!("the root daemon may ask the kernel for anything: {e}");
    }
    let heir = config.watchdog.timeout.and_then(|_| Heir::new().ok());
    stages.send(&Message::Ready(files))?;
    Ok((mounted, heir))
}

/// Those that the command line names, or else those of the lease.
fn tell_time_servers(keeper: &Arc<Keeper>, config: &Config, up: &Up, client: &Client) {
    let asked = &config.servers.ntp;
    let leased = || up.ntp.iter().map(ToString::to_string).collect();
    let servers = if asked.is_empty() { leased() } else { asked.clone() };
    let url = config.urls.first().map(String::as_str).unwrap_or_default();
    keeper.network_is_up(servers, !asked.is_empty(), client, url);
}

/// The rest of the node's life, until the root is gone.
fn live(mounted: Mounted) -> ExitCode {
    match mounted.wait() {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            log::error!("the root is gone: {e}");
            ExitCode::FAILURE
        }
    }
}

/// `failure` with what is known of the network before all that was tried on it.
fn with_address(mut failure: Failure, up: &Up, keeper: &Keeper) -> Failure {
    let tried = std::mem::take(&mut failure.facts);
    let mut failure = failure
        .fact("address", up)
        .fact("gateway", list(up.gateway.as_slice()))
        .fact("DNS", list(&up.dns));
    failure.facts.extend(tried);
    keeper.notes().iter().fold(failure, |failure, note| failure.fact("clock", note))
}

fn list(ips: &[IpAddr]) -> String {
    match ips {
        [] => "none".to_owned(),
        ips => ips.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
    }
}

/// Keeps this process in memory: what it needs to answer a page fault may not itself be a page
/// that has to be read. Pages are locked as they are first used, so that what is only reserved
/// (stacks) costs nothing.
pub(crate) fn lock_memory() {
    let flags = MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT;
    if let Err(e) = rustix::mm::mlockall(flags) {
        log::warn!("this process' memory is not locked: {e}");
    }
}

/// Tells PID 1 how long each stage took.
struct Stages<'a> {
    pid_1: &'a mut File,
    since: Instant,
    over: timeline::Stages,
}

impl Stages<'_> {
    fn done(&mut self, name: &str) -> Result<(), Failure> {
        let took = self.since.elapsed();
        self.since = Instant::now();
        self.over.over(name, took);
        self.send(&Message::Mark(name.to_owned(), took))
    }

    /// `waited` of the stage under way were spent on somebody else's answer.
    fn waited(&mut self, on: &str, waited: Duration) -> Result<(), Failure> {
        self.since += waited;
        self.over.over(on, waited);
        self.send(&Message::Mark(on.to_owned(), waited))
    }

    fn send(&mut self, message: &Message) -> Result<(), Failure> {
        message.send(self.pid_1).or_fail(Stage::Daemon, "speak to PID 1", "")
    }
}

/// An address, by the kernel's arguments or by DHCP; names can be resolved from then on.
fn network(sources: &Sources, deadline: Instant) -> Result<Up, Failure> {
    let config = NetConfig::parse(&sources.pairs()).map_err(|e| network_failure(&e.into()))?;
    let log = |line: &str| log::info!("{line}");
    let up = net::up(&config, deadline, &log).map_err(|e| network_failure(&e))?;
    fs::create_dir_all("/etc")
        .and_then(|()| fs::write(RESOLV_CONF, net::resolv_conf(&up)))
        .or_fail(Stage::Network, "write /etc/resolv.conf", "give the machine more memory")?;
    if let Some(name) = &up.hostname
        && let Err(e) = rustix::system::sethostname(name.as_bytes())
    {
        log::warn!("hostname {name}: {e}");
    }
    Ok(up)
}

fn network_failure(error: &NetError) -> Failure {
    let fix = match error {
        NetError::Spec(_) => "correct the argument on the kernel command line",
        NetError::Off => "leave ip=off out: the image comes over the network",
        NetError::NoInterface { .. } => {
            "see that the machine has a network card, and the initramfs its module: `initramfs --modules`"
        }
        NetError::NoCarrier { .. } => "plug in the cable; see that the switch port is enabled",
        NetError::NoAnswer { .. } => {
            "see that a DHCP server serves this network, or give a static ip= on the kernel command line"
        }
        NetError::Conflict { .. } => "give each machine an address of its own",
        NetError::Kernel { .. } => "see that the kernel has IPv4 or IPv6, and packet sockets",
    };
    let mut failure = Failure::new(Stage::Network, chain(error), fix);
    failure.nics = error.nics().iter().map(ToString::to_string).collect();
    failure
}
