//! How kernel and server come to terms about a mount just made.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::param::page_size;
use zerocopy::{FromBytes, IntoBytes};

use super::Counts;
use super::device::reply;
use super::server::Server;
use super::wire::{InHeader, InitIn, InitOut, MAJOR, MIN_BUFFER, MINOR, feature, op};
use crate::fs::Fs;

/// Longest read, so longest answer: 256 pages, the most the kernel allows by default.
pub(super) const MAX_ANSWER: u32 = 1 << 20;
/// Reads the kernel keeps going in the background. Many, as they may all wait for the network
/// while the next could be answered from memory.
pub(super) const MAX_BACKGROUND: u16 = 1024;
/// With so many going the kernel no longer reads ahead of need.
const CONGESTED: u16 = 256;
/// Nothing is written: the least that there is.
const MAX_WRITE: u32 = 4096;

/// What makes the kernel ask less. Each is used if it has it. Every listing brings attributes, not
/// only those the kernel expects to need them (`READDIRPLUS_AUTO`): a walk that stats takes two
/// thirds of the time, one that does not takes no longer.
const WANTED: u64 = feature::ASYNC_READ
    | feature::PARALLEL_DIROPS
    | feature::CACHE_SYMLINKS
    | feature::DO_READDIRPLUS
    | feature::NO_OPEN_SUPPORT
    | feature::NO_OPENDIR_SUPPORT
    | feature::MAX_PAGES
    | feature::INIT_EXT;

/// Comes to terms with the kernel, which shall send at most `background` requests ahead of need. Without
/// what is `needed` it does not.
///
/// # Errors
/// When it does not: the mount is of no use then.
pub(super) fn handshake(
    fs: Arc<Fs>,
    counts: Arc<Counts>,
    device: &OwnedFd,
    needed: u64,
    background: u16,
) -> io::Result<Server> {
    let mut buffer = [0; MIN_BUFFER];
    let len = rustix::io::retry_on_intr(|| rustix::io::read(device, &mut buffer))?;
    let bad = || io::Error::other("the kernel's greeting is not understood");
    let (header, rest) = InHeader::read_from_prefix(&buffer).map_err(|_short| bad())?;
    // What an old kernel leaves out is zero.
    let (init, _) = InitIn::read_from_prefix(rest).map_err(|_short| bad())?;
    if len < size_of::<InHeader>() || header.opcode != op::INIT || init.major != MAJOR {
        return Err(bad());
    }
    let offered = u64::from(init.flags) | u64::from(init.flags2) << 32;
    if offered & needed != needed {
        return Err(io::Error::other("the kernel does not offer what it takes"));
    }
    let agreed = wanted(&fs, offered) | needed;
    let pages = MAX_ANSWER as usize / page_size();
    let half = |bits: u64| u32::try_from(bits & u64::from(u32::MAX)).unwrap_or_default();
    let answer = InitOut {
        major: MAJOR,
        minor: MINOR,
        max_readahead: init.max_readahead,
        flags: half(agreed),
        max_background: background,
        congested: CONGESTED.min(background / 4 * 3),
        max_write: MAX_WRITE,
        time_granularity: 1,
        max_pages: u16::try_from(pages.max(1)).unwrap_or(1),
        unused: 0,
        flags2: half(agreed >> 32),
        rest: [0; 7],
    };
    reply(device, header.unique, Ok(answer.as_bytes()))?;
    Ok(Server {
        fs,
        counts,
        no_open: agreed & feature::NO_OPEN_SUPPORT != 0,
        no_opendir: agreed & feature::NO_OPENDIR_SUPPORT != 0,
    })
}

/// Which of the features that are `offered` make the kernel ask less, or right. What an old kernel
/// lacks it does without.
fn wanted(fs: &Fs, offered: u64) -> u64 {
    let mut wanted = WANTED;
    // Overlayfs looks for the origin of a file that was written to by its handle, and from Linux
    // 6.16 on takes what it finds for stale (ESTALE) from the second look on, if the kernel had
    // forgotten it meanwhile. So handles are not offered (possible from 6.9 on), or always good.
    wanted |= if offered & feature::NO_EXPORT_SUPPORT != 0 {
        feature::NO_EXPORT_SUPPORT
    } else {
        feature::EXPORT_SUPPORT
    };
    if fs.has_acls() {
        wanted |= feature::POSIX_ACL;
    }
    wanted & offered
}
