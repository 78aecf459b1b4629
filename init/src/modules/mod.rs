//! Loads the modules that this machine's devices need, as they appear, until the boot is over.

mod glob;
mod index;
mod uevent;

use crate::cmdline::Word;
use crate::config::Sources;
use crate::{aside, kmsg};
pub(crate) use index::Index;
use index::Step;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use index::name_of;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{Mode, OFlags, open};
use std::collections::HashSet;
use std::ffi::{CString, c_int};
use std::fs;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};
use uevent::Event;
pub(crate) use uevent::Uevents;

/// What the root daemon needs from its first step on; mostly built in.
const FIRST: [&str; 3] = ["fuse", "af_packet", "ipv6"];

/// What is needed where the command line asks for such a link: no device asks for it.
const LINKS: [(&str, &str); 2] = [("bond", "bonding"), ("vlan", "8021q")];

/// What is needed only once the image is mounted.
const LATER: [&str; 1] = ["overlay"];

/// How many modules are loaded at once.
const AT_ONCE: usize = 8;

/// `MODULE_INIT_COMPRESSED_FILE` of finit_module(2): the kernel unpacks the file.
const COMPRESSED: c_int = 4;

/// How long the boot waits for modules that are just being loaded.
const PATIENCE: Duration = Duration::from_secs(10);

/// The thread that loads modules, for the devices that are there and then for those that appear.
/// Ends, and closes its socket, when [`Hotplug::stop`] is called.
pub(crate) struct Hotplug {
    stop: UnixStream,
    progress: Receiver<Progress>,
}

/// What the thread tells, in this order.
#[derive(Debug, PartialEq, Eq)]
enum Progress {
    /// Every device that was there at the start has its modules.
    Settled,
    /// The thread ends.
    Ended,
}

/// Loads what the root daemon needs at once, and goes on with the devices on a thread of its own:
/// the daemon may start meanwhile. `None` where the initramfs holds no modules for this kernel;
/// `sources` may hold parameters for them, and ask for links that need some.
pub(crate) fn start(sources: &Sources) -> io::Result<Option<Hotplug>> {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let dir = Path::new("/lib/modules").join(&release);
    if !dir.join("modules.dep").exists() {
        log::info!("no modules for kernel {release} in this initramfs");
        return Ok(None);
    }
    let mut loader = Loader::new(Index::read(&dir)?, &sources.line);
    let links = LINKS.iter().filter(|(key, _)| sources.has(key)).map(|(_, module)| *module);
    let first: Vec<&str> = FIRST.into_iter().chain(links).collect();
    loader.load(&loader.those_here(&first));
    // Listening first: no device may fall between the look around and the listening.
    let events = Uevents::open()?;
    let (stop, stopped) = UnixStream::pair()?;
    let (tell, progress) = mpsc::channel();
    aside::start("hotplug", move || {
        let start = Instant::now();
        let count = loader.look_around();
        loader.load(&loader.those_here(&LATER));
        let took = start.elapsed().as_millis();
        kmsg::keep(&format!("modules {took} ms, for {count} devices"));
        // PID 1 may have given up waiting; then nobody needs to know.
        let _ = tell.send(Progress::Settled);
        if let Err(e) = loader.follow(&events, &stopped) {
            log::warn!("devices that appear from now on get no driver: {e}");
        }
        drop(events);
        let _ = tell.send(Progress::Ended);
    })?;
    Ok(Some(Hotplug { stop, progress }))
}

/// Sees to it that the kernel knows the file system `kind`: by a module of the initramfs, if it is
/// not built in; `line` may hold parameters for it.
pub(crate) fn load_file_system(kind: &str, line: &[Word]) -> io::Result<()> {
    if knows(kind)? {
        return Ok(());
    }
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let dir = Path::new("/lib/modules").join(release);
    if dir.join("modules.dep").exists() {
        let loader = Loader::new(Index::read(&dir)?, line);
        loader.load(&loader.those_here(&[kind]));
    }
    if knows(kind)? {
        return Ok(());
    }
    Err(io::Error::other(format!("this kernel has no {kind}, and the initramfs no module of it")))
}

/// Whether the kernel has the file system `kind` now.
fn knows(kind: &str) -> io::Result<bool> {
    let known = fs::read_to_string("/proc/filesystems")?;
    Ok(known.lines().any(|line| line.split_ascii_whitespace().next_back() == Some(kind)))
}

/// The kernels that the initramfs holds modules for, but this one: a likely mistake, for the screen.
pub(crate) fn foreign_releases() -> Vec<String> {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let entries = fs::read_dir("/lib/modules").into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let names: Vec<String> = names.collect();
    if names.contains(&release) { Vec::new() } else { names }
}

impl Hotplug {
    /// Waits until the modules for all that was there at the start are loaded.
    pub(crate) fn settle(&self) {
        wait_for(&self.progress, &Progress::Settled);
    }

    /// No more modules; the socket is closed when this returns.
    pub(crate) fn stop(self) {
        drop(self.stop);
        wait_for(&self.progress, &Progress::Ended);
    }
}

fn wait_for(progress: &Receiver<Progress>, wanted: &Progress) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match progress.recv_timeout(left) {
            Ok(told) if told == *wanted || told == Progress::Ended => return,
            Ok(_) => {}
            Err(_) => return log::warn!("a module is still being loaded; the boot goes on"),
        }
    }
}

/// Knows what was seen, so that no module is tried twice.
struct Loader {
    index: Index,
    line: Vec<Word>,
    seen: HashSet<String>,
}

impl Loader {
    fn new(index: Index, line: &[Word]) -> Self {
        Self { index, line: line.to_vec(), seen: HashSet::new() }
    }

    /// Those of `names` that the initramfs has as modules.
    fn those_here(&self, names: &[&str]) -> Vec<String> {
        names.iter().filter(|name| self.index.holds(name)).map(|name| (*name).to_owned()).collect()
    }

    /// Loads what the devices that are there need, and, as loading makes devices, again. Returns
    /// how many devices there are.
    fn look_around(&mut self) -> usize {
        loop {
            let devices = modaliases(Path::new("/sys/bus"));
            let wanted = self.drivers(&devices);
            if wanted.is_empty() {
                return devices.len();
            }
            // The boot waits for its network; all else has time.
            let (network, others): (Vec<_>, Vec<_>) =
                wanted.into_iter().partition(|name| self.index.is_network(name));
            self.load(&network);
            self.load(&others);
        }
    }

    /// The modules for those of `modaliases` that were not seen before.
    fn drivers(&mut self, modaliases: &[String]) -> Vec<String> {
        let mut found = Vec::new();
        for modalias in modaliases {
            if self.seen.insert(modalias.clone()) {
                found.extend(self.index.drivers(modalias).map(str::to_owned));
            }
        }
        found
    }

    fn load(&self, wanted: &[String]) {
        let skip = |name: &str| is_loaded(name) || is_blocked(&self.line, name);
        for wave in self.index.plan(wanted, &skip) {
            let next = AtomicUsize::new(0);
            let work = || {
                while let Some(step) = wave.get(next.fetch_add(1, Ordering::Relaxed)) {
                    self.load_one(step);
                }
            };
            thread::scope(|scope| {
                for _ in 1..wave.len().min(AT_ONCE) {
                    if let Err(e) = thread::Builder::new().spawn_scoped(scope, work) {
                        log::debug!("fewer modules are loaded at once: {e}");
                    }
                }
                work();
            });
        }
    }

    fn load_one(&self, step: &Step) {
        match insert(&step.path, &parameters(&self.line, &step.name)) {
            Ok(()) => log::debug!("module {} loaded", step.name),
            Err(e) if e.raw_os_error() == Some(rustix::io::Errno::EXIST.raw_os_error()) => {}
            Err(e) => log::warn!("module {}: {e}", step.name),
        }
    }

    /// Serves devices that appear until `stopped` is closed at its other end.
    fn follow(&mut self, events: &Uevents, stopped: &UnixStream) -> io::Result<()> {
        loop {
            let mut ready =
                [PollFd::new(events, PollFlags::IN), PollFd::new(stopped, PollFlags::IN)];
            match poll(&mut ready, None) {
                Err(rustix::io::Errno::INTR) => continue,
                other => other?,
            };
            if !ready[1].revents().is_empty() {
                return Ok(());
            }
            match events.next()? {
                Event::Device(modalias) => {
                    let wanted = self.drivers(&[modalias]);
                    self.load(&wanted);
                }
                Event::Lost => {
                    self.look_around();
                }
                Event::Other | Event::Nothing => {}
            }
        }
    }
}

#[cfg(any(test, feature = "fuzzing"))]
/// Reads what the kernel tells of a device.
pub(crate) fn parse_uevent(message: &[u8]) {
    let _event = uevent::parse(message);
}

/// The modalias of every device on every bus below `bus` (`/sys/bus`).
fn modaliases(bus: &Path) -> Vec<String> {
    let list = |dir: PathBuf| fs::read_dir(dir).into_iter().flatten().flatten();
    let devices = list(bus.to_owned()).flat_map(|bus| list(bus.path().join("devices")));
    let texts = devices.filter_map(|dev| fs::read_to_string(dev.path().join("modalias")).ok());
    texts.map(|text| text.trim_end().to_owned()).filter(|text| !text.is_empty()).collect()
}

fn is_loaded(name: &str) -> bool {
    Path::new("/sys/module").join(name).join("initstate").exists()
}

/// Whether `modprobe.blacklist=` names it. (`module_blacklist=` is the kernel's own.)
fn is_blocked(line: &[Word], name: &str) -> bool {
    let lists = line.iter().filter(|word| word.key == "modprobe.blacklist");
    let mut names = lists.flat_map(|word| word.value.as_deref().unwrap_or_default().split(','));
    names.any(|blocked| blocked.replace('-', "_") == name)
}

/// The parameters that the command line has for the module: `virtio_net.csum=0` gives `csum=0`.
fn parameters(line: &[Word], name: &str) -> String {
    let of_module = line.iter().filter_map(|word| {
        let (module, parameter) = word.key.split_once('.')?;
        (module.replace('-', "_") == name).then(|| match &word.value {
            Some(value) if value.contains(' ') => format!("{parameter}=\"{value}\""),
            Some(value) => format!("{parameter}={value}"),
            None => parameter.to_owned(),
        })
    });
    let mut all: Vec<String> = of_module.collect();
    // Left to itself it makes a bond that nobody asked for.
    if name == "bonding" && !all.iter().any(|parameter| parameter.starts_with("max_bonds=")) {
        all.push("max_bonds=0".to_owned());
    }
    all.join(" ")
}

fn insert(path: &Path, parameters: &str) -> io::Result<()> {
    let file = open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let flags = if path.extension().is_some_and(|ext| ext == "ko") { 0 } else { COMPRESSED };
    let parameters = CString::new(parameters)?;
    Ok(rustix::system::finit_module(file, &parameters, flags)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cmdline;

    #[test]
    fn parameters_come_from_the_command_line() {
        let line = cmdline::words(
            br#"virtio_net.csum=0 virtio-net.gso=1 other.x=1 virtio_net.flag virtio_net.s="a b""#,
        );
        assert_eq!(parameters(&line, "virtio_net"), "csum=0 gso=1 flag s=\"a b\"");
        assert_eq!(parameters(&line, "net"), "");
        assert_eq!(parameters(&line, "bonding"), "max_bonds=0");
        let line = cmdline::words(b"bonding.max_bonds=2 bonding.debug=1");
        assert_eq!(parameters(&line, "bonding"), "max_bonds=2 debug=1");
    }

    #[test]
    fn blocked_modules() {
        let line = cmdline::words(b"modprobe.blacklist=a-b,c quiet");
        assert!(is_blocked(&line, "a_b") && is_blocked(&line, "c"));
        assert!(!is_blocked(&line, "quiet"));
    }

    #[test]
    fn every_bus_is_looked_at() {
        let bus = tempfile::tempdir().unwrap();
        for (path, text) in [
            ("pci/devices/0", "pci:x\n"),
            ("virtio/devices/1", "virtio:y\n"),
            ("usb/devices/2", "\n"),
        ] {
            let dir = bus.path().join(path);
            fs::create_dir_all(&dir).unwrap();
            fs::write(dir.join("modalias"), text).unwrap();
        }
        fs::create_dir_all(bus.path().join("cpu/devices/cpu0")).unwrap();
        let mut found = modaliases(bus.path());
        found.sort();
        assert_eq!(found, ["pci:x", "virtio:y"]);
    }
}
