//! Programs of the image, run before it is the root: the initramfs holds none that makes or mends
//! a file system, and the image mostly does.

use super::{FEATURES, LOWER, ROOT, WRITABLE};
use crate::{osinit, watchdog};
use rustix::io::Errno;
use rustix::mount::{UnmountFlags, mount_bind, unmount};
use std::convert::Infallible;
use std::env;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

/// This binary's `argv[0]` in the role that becomes a program of the image.
pub(crate) const ROLE: &str = "zimg-tool";

/// How much a program may write beside the device it works on.
const ROOM: &str = "16M";

/// The longest that one may work: a large disk takes its time.
const LONG: Duration = Duration::from_secs(3600);

/// Where images have such programs.
const DIRS: [&str; 4] = ["/sbin", "/usr/sbin", "/bin", "/usr/bin"];

/// Runs the image's `program`: its exit status and what it said. `None` if the image has none.
pub(super) fn run(program: &str, args: &[&str]) -> io::Result<Option<(Option<i32>, String)>> {
    let paths = DIRS.map(|dir| format!("{dir}/{program}"));
    let Some(path) = paths.iter().find(|path| osinit::program(Path::new(LOWER), path).is_ok())
    else {
        return Ok(None);
    };
    let root = TemporaryRoot::new()?;
    let mut command = Command::new("/proc/self/exe");
    command.arg0(ROLE).arg(ROOT).arg(path).args(args);
    watchdog::expect(LONG);
    let done = command.env_clear().stdin(Stdio::null()).output()?;
    drop(root);
    watchdog::expect(Duration::ZERO);
    let said = [done.stdout, done.stderr].concat();
    Ok(Some((done.status.code(), String::from_utf8_lossy(&said).trim().to_owned())))
}

/// The image as a root that programs can run in: with /dev, and room for a few files. Gone when
/// dropped.
struct TemporaryRoot;

impl TemporaryRoot {
    fn new() -> io::Result<Self> {
        super::writable(ROOM)?;
        let root = Self;
        super::mount_over(Path::new(WRITABLE), FEATURES)
            .map_err(|failure| io::Error::other(failure.what))?;
        let dev = Path::new(ROOT).join("dev");
        fs::create_dir_all(&dev)?;
        mount_bind("/dev", &dev)?;
        Ok(root)
    }
}

impl Drop for TemporaryRoot {
    fn drop(&mut self) {
        for dir in [&format!("{ROOT}/dev"), ROOT, WRITABLE] {
            // What was not mounted is not there to be unmounted.
            match unmount(dir, UnmountFlags::DETACH) {
                Ok(()) | Err(Errno::INVAL | Errno::NOENT) => {}
                Err(e) => log::warn!("{dir} stays mounted: {e}"),
            }
        }
    }
}

/// The role: enters the root it is given and becomes the program named, with the arguments that
/// follow.
pub(crate) fn become_tool(args: &mut dyn Iterator<Item = OsString>) -> ExitCode {
    let Err(e) = exec(args);
    eprintln!("{e}");
    ExitCode::FAILURE
}

fn exec(args: &mut dyn Iterator<Item = OsString>) -> io::Result<Infallible> {
    let mut next = || args.next().ok_or(io::ErrorKind::InvalidInput);
    let (root, program) = (next()?, next()?);
    env::set_current_dir(root)?;
    rustix::process::chroot(".")?;
    Err(Command::new(program).args(args).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").exec())
}
