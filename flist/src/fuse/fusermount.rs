//! Mounting for ordinary users through the setuid program fusermount3, which passes the opened
//! `/dev/fuse` back over a socket.

use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

use super::kernel::{SOURCE, SUBTYPE};
use super::{MountError, MountOptions, UnmountError};

const PROGRAM: &str = "fusermount3";

pub(super) fn mount(dir: &Path, options: &MountOptions) -> Result<OwnedFd, MountError> {
    if options.suid || options.dev {
        log::warn!(
            "{}: setuid and device nodes stay without effect, as root did not mount it",
            dir.display()
        );
    }
    let failed = |error: io::Error| MountError::Fusermount(error.to_string());
    let (ours, theirs) = UnixStream::pair().map_err(failed)?;
    let output = Command::new(PROGRAM)
        .arg("-o")
        .arg(option_text(options))
        .arg("--")
        .arg(dir)
        .env("_FUSE_COMMFD", "0")
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .output();
    let output = match output {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(MountError::NoFusermount);
        }
        other => other.map_err(failed)?,
    };
    if !output.status.success() {
        return Err(MountError::Fusermount(said(&output)));
    }
    let received = receive(&ours).map_err(failed)?;
    received.ok_or_else(|| MountError::Fusermount("it passed no file descriptor".into()))
}

fn option_text(options: &MountOptions) -> String {
    let mut text = format!("ro,fsname={SOURCE},subtype={SUBTYPE},default_permissions");
    if options.allow_other {
        text.push_str(",allow_other");
    }
    text
}

/// The file descriptor that fusermount3 sent before it ended.
fn receive(socket: &UnixStream) -> io::Result<Option<OwnedFd>> {
    let mut byte = [0];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    recvmsg(socket, &mut [IoSliceMut::new(&mut byte)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let fds = control.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(fds) => Some(fds),
        _ => None,
    });
    Ok(fds.flatten().next())
}

pub(super) fn unmount(dir: &Path, lazily: bool) -> Result<(), UnmountError> {
    let mut command = Command::new(PROGRAM);
    command.arg("-u").args(lazily.then_some("-z")).arg("--").arg(dir).stdin(Stdio::null());
    let refused = |why| UnmountError::Refused { dir: dir.to_owned(), why };
    let output = command.output().map_err(|error| refused(format!("{PROGRAM}: {error}")))?;
    if output.status.success() {
        return Ok(());
    }
    let why = said(&output);
    if why.contains("busy") { Err(UnmountError::Busy(dir.to_owned())) } else { Err(refused(why)) }
}

/// What the program said, without its name and the line's end.
fn said(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    let text = text.trim().trim_start_matches(PROGRAM).trim_start_matches([':', ' ']);
    if text.is_empty() { output.status.to_string() } else { text.to_owned() }
}
