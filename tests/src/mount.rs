//! `zimg mount` as a test has it: mounted when made, unmounted at the latest when dropped.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, ensure};
use rustix::process::{Pid, Signal};

use crate::out;

/// The built program, with a command.
///
/// # Errors
/// When it was not built.
pub fn zimg(command: &str) -> anyhow::Result<Command> {
    let mut zimg = Command::new(out::built("zimg")?);
    zimg.arg(command);
    Ok(zimg)
}

/// A mounted flist. Mount in a namespace of one's own ([`crate::scratch`]).
pub struct Mount {
    child: Child,
    dir: PathBuf,
}

impl Mount {
    /// Mounts `flist`, a path or URL, on `dir`, which is made.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn new(flist: impl AsRef<OsStr>, dir: &Path, more: &[&str]) -> anyhow::Result<Self> {
        fs::create_dir(dir)?;
        let mut command = zimg("mount")?;
        command.arg(flist).arg(dir).args(["--foreground", "--suid", "--dev"]).args(more);
        let child = command.stdout(Stdio::piped()).spawn()?;
        let mut mount = Self { child, dir: dir.to_path_buf() };
        let stdout = mount.child.stdout.as_mut().context("zimg mount has no output")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        ensure!(line.starts_with("mounted on "), "zimg mount said {line:?}");
        Ok(mount)
    }

    /// Where it is mounted.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// When it has been waited for.
    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let pid = Pid::from_raw(i32::try_from(self.child.id())?).context("a pid")?;
        Ok(rustix::process::kill_process(pid, signal)?)
    }

    /// Whether the process is no more.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|status| status.is_some())
    }

    /// Ends it as a user does, and checks that it ended well and nothing is mounted any more.
    ///
    /// # Errors
    /// When it did not.
    pub fn end(mut self) -> anyhow::Result<()> {
        self.signal(Signal::TERM)?;
        let status = self.child.wait()?;
        ensure!(status.success(), "zimg mount: {status}");
        ensure!(fs::read_dir(&self.dir)?.next().is_none(), "still mounted");
        Ok(())
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Both fail only where `end` was there before; the mount ends with its server.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
