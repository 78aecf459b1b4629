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

#[cfg(test)]
mod tests {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

    use super::*;
    use crate::fs::sample::{Fake, Fate, dir, image};

    /// What is answered to a kernel of that version that offers these features, and what is agreed.
    fn greet(minor: u32, offered: u64, needed: u64) -> io::Result<(Vec<u32>, Server)> {
        let (kernel, device) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
                .unwrap();
        let half = |at: u32| u32::try_from(offered >> at & u64::from(u32::MAX)).unwrap();
        let mut words = vec![0, op::INIT, 7, 0, 0, 0, 0, 0, 0, 0, MAJOR, minor, 131_072, half(0)];
        // Version 36 brought more of them.
        if minor >= 36 {
            words.push(half(32));
            words.extend([0; 11]);
        }
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        rustix::io::write(&kernel, &bytes).unwrap();
        let (image, stored) = image(&dir::<&str>([]), 1000);
        let fs = Arc::new(Fs::new(Arc::new(image), Fake::new(stored, |_| Fate::Held)));
        let server = handshake(fs, Arc::default(), &device, needed, MAX_BACKGROUND)?;
        let mut answer = [0; 200];
        let len = rustix::io::read(&kernel, &mut answer).unwrap();
        let words =
            answer[..len].chunks(4).map(|word| u32::from_ne_bytes(word.try_into().unwrap()));
        Ok((words.collect(), server))
    }

    #[test]
    fn an_old_kernel_gets_what_it_knows() {
        // Linux 4.19 has 27.
        let offered = feature::ASYNC_READ | feature::EXPORT_SUPPORT | feature::NO_OPEN_SUPPORT;
        let (answer, server) = greet(27, offered, 0).unwrap();
        let [len, error, unique, _, major, _, readahead, flags, ..] = answer[..] else { panic!() };
        assert_eq!((len, error, unique, major, readahead), (80, 0, 7, MAJOR, 131_072));
        assert_eq!(u64::from(flags), offered);
        assert!(server.no_open && !server.no_opendir);
    }

    #[test]
    fn a_new_kernel_gets_all_that_is_wanted() {
        let (answer, server) = greet(45, u64::MAX, 0).unwrap();
        let agreed = u64::from(answer[7]) | u64::from(answer[12]) << 32;
        // The image has access control lists.
        assert_eq!(agreed, WANTED | feature::NO_EXPORT_SUPPORT | feature::POSIX_ACL);
        assert!(server.no_open && server.no_opendir);
        // 1,024 in the background, congested at 256; nothing is written; answers of 1 MiB.
        assert_eq!(answer[8], 256 << 16 | 1024);
        assert_eq!((answer[9], answer[11] as usize * page_size()), (MAX_WRITE, 1 << 20));
    }

    #[test]
    fn what_is_needed_and_not_offered_ends_it() {
        assert!(greet(42, WANTED, feature::OVER_IO_URING).is_err());
        let offered = WANTED | feature::OVER_IO_URING;
        let (answer, _) = greet(42, offered, feature::OVER_IO_URING).unwrap();
        assert_eq!(answer[12], u32::try_from(feature::OVER_IO_URING >> 32).unwrap());
    }
}
