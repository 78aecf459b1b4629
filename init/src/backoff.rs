//! How often in a row this node failed to boot, so that it waits longer each time.
//!
//! What outlives a reset on a node without a disk is its firmware's memory, where that is UEFI's:
//! one variable of a few bytes. Only a boot that fails writes it, and soon not even that, as the
//! count ends where waits no longer grow. A boot that succeeds neither reads nor writes it: what
//! failed long ago is no longer counted.

use crate::cmdline::Word;
use crate::{aside, modules};
use rustix::fs::{IFlags, ioctl_getflags, ioctl_setflags};
use rustix::io::Errno;
use rustix::mount::{MountFlags, mount};
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

/// Where the firmware's variables are shown; only UEFI's machines have it.
const DIR: &str = "/sys/firmware/efi/efivars";

/// The variable: its name, and the namespace of zimg's.
const NAME: &str = "ZimgFailedBoots-dcb2452e-3ac9-47ec-b584-39977a5e6e56";

/// It is kept, and seen by the kernel: NON_VOLATILE, BOOTSERVICE_ACCESS, RUNTIME_ACCESS.
const ATTRIBUTES: u32 = 7;

/// The longest that a wait grows to.
const LONGEST: Duration = Duration::from_secs(600);

/// What is counted at most.
const MOST: u8 = 10;

/// Failures of which one is longer ago than this are not in a row. In seconds.
const ROW: u64 = 3600;

/// How long the firmware may take. It was seen to take for ever.
const PATIENCE: Duration = Duration::from_secs(5);

/// Counts this failure, at the time `now` (seconds since 1970). How many in a row that makes: 1
/// where nothing is remembered. `line` may hold parameters for the kernel's module.
pub(crate) fn count(line: &[Word], now: u64) -> u8 {
    if !Path::new(DIR).exists() {
        return 1;
    }
    let (tell, told) = mpsc::channel();
    let line = line.to_vec();
    let ask = move || {
        let counted = mount_variables(&line).and_then(|()| count_in(Path::new(DIR), now));
        // Nobody listens any more where it took too long.
        let _ = tell.send(counted);
    };
    let counted = aside::start("firmware", ask)
        .and_then(|()| told.recv_timeout(PATIENCE).map_err(io::Error::other)?);
    counted.unwrap_or_else(|e| {
        log::warn!("the failures of this node are not counted: {DIR}: {e}");
        1
    })
}

/// `asked`, twice as long with each failure before this one, up to ten minutes.
pub(crate) fn wait(asked: Duration, count: u8) -> Duration {
    let longer = asked.saturating_mul(1 << (count.clamp(1, MOST) - 1));
    longer.min(LONGEST.max(asked))
}

fn mount_variables(line: &[Word]) -> io::Result<()> {
    modules::load_file_system("efivarfs", line)?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    match mount("efivarfs", DIR, "efivarfs", flags, None::<&std::ffi::CStr>) {
        Err(Errno::BUSY) => Ok(()),
        result => Ok(result?),
    }
}

/// The same in `dir`.
fn count_in(dir: &Path, now: u64) -> io::Result<u8> {
    let path = dir.join(NAME);
    let before = match fs::read(&path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => None,
        bytes => parse(&bytes?),
    };
    let before = before.filter(|(_, then)| then.abs_diff(now) < ROW);
    let count = before.map_or(1, |(count, _)| count.saturating_add(1).min(MOST));
    // Rather than in every boot that fails, the same is written anew only lest it gets old.
    if before.is_none_or(|(was, then)| was != count || then.abs_diff(now) > ROW / 2) {
        unlock(&path)?;
        // All of it by one write, or the firmware is given half.
        let mut file = File::options().write(true).create(true).truncate(false).open(&path)?;
        file.write_all(&[&ATTRIBUTES.to_le_bytes()[..], &[count], &now.to_le_bytes()].concat())?;
    }
    Ok(count)
}

/// Count and time of the last failure.
fn parse(bytes: &[u8]) -> Option<(u8, u64)> {
    let (_attributes, data) = bytes.split_at_checked(size_of_val(&ATTRIBUTES))?;
    let (count, time) = data.split_first()?;
    Some((*count, u64::from_le_bytes(time.try_into().ok()?)))
}

/// Lets `path` be written to: the kernel guards variables against `rm -r`.
fn unlock(path: &Path) -> io::Result<()> {
    let file = match File::open(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        file => file?,
    };
    match ioctl_getflags(&file) {
        Ok(flags) if flags.contains(IFlags::IMMUTABLE) => {
            Ok(ioctl_setflags(&file, flags.difference(IFlags::IMMUTABLE))?)
        }
        // What knows no such guard has none.
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_ten_minutes() {
        let of = |seconds, count| wait(Duration::from_secs(seconds), count).as_secs();
        let waits: Vec<u64> = (0..=12).map(|count| of(30, count)).collect();
        assert_eq!(waits, [30, 30, 60, 120, 240, 480, 600, 600, 600, 600, 600, 600, 600]);
        assert_eq!((of(1, MOST), of(0, MOST)), (512, 0));
        // What is asked for is never cut.
        assert_eq!((of(86_400, 1), of(86_400, MOST)), (86_400, 86_400));
    }

    #[test]
    fn failures_in_a_row_are_counted() {
        let dir = tempfile::tempdir().unwrap();
        let count = |now| count_in(dir.path(), now).unwrap();
        assert_eq!([count(100), count(200), count(ROW)], [1, 2, 3]);
        assert_eq!(count(2 * ROW), 1, "what failed long ago is no row");
        assert_eq!(count(2 * ROW + 1), 2);
        assert_eq!(count(ROW), 1, "nor is what will fail");
    }

    #[test]
    fn a_count_that_ends_is_hardly_written_any_more() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(NAME);
        for now in 1..u64::from(MOST) {
            assert_eq!(u64::from(count_in(dir.path(), now).unwrap()), now);
        }
        assert_eq!(count_in(dir.path(), 10).unwrap(), MOST);
        let written = fs::read(&path).unwrap();
        assert_eq!(written, [7, 0, 0, 0, MOST, 10, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(count_in(dir.path(), ROW / 2).unwrap(), MOST);
        assert_eq!(fs::read(&path).unwrap(), written);
        assert_eq!(count_in(dir.path(), ROW / 2 + 11).unwrap(), MOST);
        assert_ne!(fs::read(&path).unwrap(), written);
    }

    #[test]
    fn nonsense_counts_as_nothing() {
        let dir = tempfile::tempdir().unwrap();
        for nonsense in [&b""[..], b"\x07", b"\x07\0\0\0", b"\x07\0\0\0\x05abc"] {
            fs::write(dir.path().join(NAME), nonsense).unwrap();
            assert_eq!(count_in(dir.path(), 100).unwrap(), 1, "{nonsense:?}");
            fs::remove_file(dir.path().join(NAME)).unwrap();
        }
        // And where nothing can be written, it is an error, not a count.
        assert!(count_in(&dir.path().join("none"), 100).is_err());
    }
}
