//! A mount over HTTP while the server does everything wrong: readers wait, never see an error for
//! an outage, and never see a wrong byte. Needs root.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use rustix::process::Signal;
use tests::awkward::random;
use tests::http_faults::{Fault, FaultyServer};
use tests::mount::{Mount, zimg};
use tests::root::run;
use tests::scratch::Scratch;

type Result = anyhow::Result<()>;

/// Files of the image, each of `LEN` bytes that don't compress: several chunks of its own.
const FILES: u64 = 24;
const LEN: usize = 2 << 20;

/// An image of `FILES` files, its server, and its mount.
struct Bench {
    // Dropped in this order: the mount must end before its server and its directory do.
    mount: Mount,
    server: FaultyServer,
    scratch: Scratch,
}

impl Bench {
    fn new() -> anyhow::Result<Self> {
        let scratch = Scratch::new()?;
        let (tree, www) = (scratch.path("tree"), scratch.path("www"));
        fs::create_dir(&tree)?;
        fs::create_dir(&www)?;
        for number in 0..FILES {
            fs::write(tree.join(number.to_string()), random(number, LEN))?;
        }
        run(zimg("build")?.arg(&tree).arg(www.join("x.flist")))?;
        let server = FaultyServer::start(&www)?;
        let mount = Mount::new(server.url("x.flist"), &scratch.path("mount"), &["--insecure"])?;
        server.forget();
        Ok(Self { mount, server, scratch })
    }

    /// Starts to read file `number`; the thread ends with an error or `Ok` for the right bytes.
    fn reader(&self, number: u64) -> JoinHandle<Result> {
        let path: PathBuf = self.mount.dir().join(number.to_string());
        thread::spawn(move || {
            let bytes = fs::read(&path).with_context(|| path.display().to_string())?;
            ensure!(bytes == random(number, LEN), "{}: wrong bytes", path.display());
            Ok(())
        })
    }

    fn pack(&self) -> anyhow::Result<PathBuf> {
        let mut packs = fs::read_dir(self.scratch.path("www/packs"))?;
        Ok(packs.next().context("no pack")??.path())
    }
}

fn join(reader: JoinHandle<Result>) -> Result {
    reader.join().map_err(|_panic| anyhow::anyhow!("a reader panicked"))?
}

/// Waits for `what`, for so long that only a fault is longer.
fn until(what: &str, mut holds: impl FnMut() -> bool) -> Result {
    let started = Instant::now();
    while !holds() {
        ensure!(started.elapsed() < Duration::from_secs(60), "in vain: {what}");
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

#[test]
fn the_server_is_away_and_comes_back() -> Result {
    let bench = Bench::new()?;
    join(bench.reader(0))?;
    // Backwards, as what lies ahead of a read may be fetched with it.
    let mut numbers = (1..FILES).rev();
    for _ in 0..3 {
        // The first of these are under way when the server ends.
        let mut readers: Vec<_> = numbers.by_ref().take(3).map(|n| bench.reader(n)).collect();
        thread::sleep(Duration::from_millis(30));
        bench.server.stop();
        readers.extend(numbers.by_ref().take(4).map(|n| bench.reader(n)));
        thread::sleep(Duration::from_millis(1500));
        let waiting = readers.iter().filter(|reader| !reader.is_finished()).count();
        ensure!(waiting >= 4, "only {waiting} readers wait for a server that is away");
        // What was read before, and all that is no contents, is there all the while.
        join(bench.reader(0))?;
        ensure!(fs::read_dir(bench.mount.dir())?.count() == usize::try_from(FILES)?);
        bench.server.restart()?;
        for reader in readers {
            join(reader)?;
        }
    }
    bench.mount.end()
}

#[test]
fn whatever_goes_wrong_is_waited_out() -> Result {
    let bench = Bench::new()?;
    let faults = [
        Fault::WebPage,
        Fault::HangUp,
        Fault::CutAfter(1000),
        Fault::CutAfter(0),
        Fault::Status(404),
        Fault::Status(429),
        Fault::Status(500),
        Fault::Status(503),
        Fault::RedirectLoop,
        Fault::WrongRange,
        Fault::Short(1),
        Fault::Short(u64::MAX),
        Fault::Long(1),
        Fault::WebPage,
    ];
    // Backwards, as what lies ahead of a read may be fetched with it.
    for (number, fault) in (0..FILES).rev().zip(faults) {
        bench.server.heal();
        bench.server.forget();
        bench.server.fail("packs/", fault.clone());
        let reader = bench.reader(number);
        until(&format!("{fault:?} is tried again"), || bench.server.count("packs/") >= 2)?;
        ensure!(!reader.is_finished(), "{fault:?}: a reader is done without its bytes");
        bench.server.heal();
        join(reader).with_context(|| format!("{fault:?}"))?;
    }
    bench.mount.end()
}

#[test]
fn what_is_only_odd_is_coped_with() -> Result {
    let bench = Bench::new()?;
    let elsewhere = FaultyServer::start(bench.scratch.path("www"))?;
    let pack = bench.pack()?;
    let name = pack.file_name().and_then(|name| name.to_str()).context("a pack's name")?;
    let faults = [
        Fault::Delay(Duration::from_millis(700)),
        Fault::Redirect(elsewhere.url(&format!("packs/{name}"))),
        // The last, as all of the pack is held afterwards.
        Fault::IgnoreRange,
    ];
    for (number, fault) in (0..FILES).rev().zip(faults) {
        bench.server.heal();
        bench.server.fail("packs/", fault.clone());
        join(bench.reader(number)).with_context(|| format!("{fault:?}"))?;
    }
    ensure!(elsewhere.count("packs/") > 0, "nobody followed the redirect");
    bench.mount.end()
}

#[test]
fn what_is_held_is_read_while_fetches_hang() -> Result {
    let bench = Bench::new()?;
    join(bench.reader(0))?;
    bench.server.fail("packs/", Fault::Hang);
    let readers: Vec<_> = (1..FILES).map(|number| bench.reader(number)).collect();
    until("a request hangs", || bench.server.count("packs/") > 0)?;
    thread::sleep(Duration::from_millis(300));
    // The kernel's own cache must not answer: it is the server of the mount that is asked.
    let held = File::open(bench.mount.dir().join("0"))?;
    rustix::fs::fadvise(&held, 0, None, rustix::fs::Advice::DontNeed)?;
    let mut byte = [0];
    let started = Instant::now();
    held.read_exact_at(&mut byte, 1_000_000)?;
    ensure!(byte[0] == random(0, LEN)[1_000_000]);
    for number in 0..FILES {
        ensure!(fs::metadata(bench.mount.dir().join(number.to_string()))?.len() == LEN as u64);
    }
    ensure!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    ensure!(readers.iter().all(|reader| !reader.is_finished()));
    bench.server.heal();
    readers.into_iter().try_for_each(join)?;
    drop(held);
    bench.mount.end()
}

#[test]
fn no_flipped_byte_is_shown() -> Result {
    let bench = Bench::new()?;
    // Once only: it is fetched again, and right.
    bench.server.fail_next(1, "packs/", Fault::Flip(12_345));
    join(bench.reader(0))?;
    ensure!(bench.server.count("packs/") > 1);
    // For good: an error in the end, and nothing but right bytes up to it.
    bench.server.fail("packs/", Fault::Flip(0));
    let error = join(bench.reader(1)).err().context("wrong bytes were taken for right")?;
    let io = error.downcast_ref::<std::io::Error>().context("an error of the file system")?;
    ensure!(io.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error()), "{error:#}");
    bench.server.heal();
    join(bench.reader(2))?;
    // And what was refused is there once the server is right again.
    join(bench.reader(1))?;
    bench.mount.end()
}

#[test]
fn a_second_signal_ends_a_mount_that_is_waited_for() -> Result {
    let mut bench = Bench::new()?;
    bench.server.fail("packs/", Fault::Hang);
    let reader = bench.reader(0);
    until("a request hangs", || bench.server.count("packs/") > 0)?;
    bench.mount.signal(Signal::TERM)?;
    // The first takes it away from its directory; the reader still waits.
    let dir = bench.mount.dir().to_path_buf();
    until("an empty directory", || fs::read_dir(&dir).is_ok_and(|mut dir| dir.next().is_none()))?;
    ensure!(!reader.is_finished());
    bench.mount.signal(Signal::TERM)?;
    until("the mount's end", || bench.mount.has_ended())?;
    ensure!(join(reader).is_err(), "the reader got bytes from nowhere");
    Ok(())
}
