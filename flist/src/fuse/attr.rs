//! Attributes as fuser wants them.

use std::time::{Duration, SystemTime};

use fuser::{FileAttr, FileType, INodeNo};

use crate::fs::Attr;
use crate::image::{Device, Time};

/// The attributes of an inode.
pub(super) fn file_attr(attr: &Attr) -> FileAttr {
    let mtime = system_time(attr.mtime);
    FileAttr {
        ino: INodeNo(attr.ino.into()),
        size: attr.size,
        blocks: attr.blocks,
        atime: mtime,
        mtime,
        ctime: mtime,
        crtime: SystemTime::UNIX_EPOCH, // Only asked for on another system.
        kind: file_type(attr.mode),
        perm: permissions(attr.mode),
        nlink: attr.nlink,
        uid: attr.uid,
        gid: attr.gid,
        rdev: encode_device(attr.rdev),
        blksize: attr.block_size,
        flags: 0,
    }
}

/// What says that there is no such name, for as long as an entry would be good.
pub(super) fn no_entry() -> FileAttr {
    FileAttr {
        ino: INodeNo(0),
        size: 0,
        blocks: 0,
        atime: SystemTime::UNIX_EPOCH,
        mtime: SystemTime::UNIX_EPOCH,
        ctime: SystemTime::UNIX_EPOCH,
        crtime: SystemTime::UNIX_EPOCH,
        kind: FileType::RegularFile,
        perm: 0,
        nlink: 0,
        uid: 0,
        gid: 0,
        rdev: 0,
        blksize: 0,
        flags: 0,
    }
}

fn file_type(mode: u32) -> FileType {
    match mode & 0o170_000 {
        0o140_000 => FileType::Socket,
        0o120_000 => FileType::Symlink,
        0o060_000 => FileType::BlockDevice,
        0o040_000 => FileType::Directory,
        0o020_000 => FileType::CharDevice,
        0o010_000 => FileType::NamedPipe,
        _ => FileType::RegularFile,
    }
}

fn permissions(mode: u32) -> u16 {
    u16::try_from(mode & 0o7777).unwrap_or_default()
}

/// As the kernel's new_encode_dev does.
pub(super) fn encode_device(Device { major, minor }: Device) -> u32 {
    (minor & 0xff) | (major << 8) | ((minor & !0xff) << 12)
}

/// A point in time on Linux, where `SystemTime` holds any 64-bit second.
fn system_time(time: Time) -> SystemTime {
    let seconds = Duration::from_secs(time.sec.unsigned_abs());
    let whole = if time.sec < 0 {
        SystemTime::UNIX_EPOCH.checked_sub(seconds)
    } else {
        SystemTime::UNIX_EPOCH.checked_add(seconds)
    };
    let exact = whole.and_then(|t| t.checked_add(Duration::from_nanos(time.nsec.into())));
    exact.unwrap_or(SystemTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_time_survives() {
        for (sec, nsec) in
            [(0, 1), (-1, 999_999_999), (-1, 0), (i64::MAX, 5), (i64::MIN, 7), (4_294_967_296, 9)]
        {
            let time = system_time(Time { sec, nsec });
            let (got_sec, got_nsec) = match time.duration_since(SystemTime::UNIX_EPOCH) {
                Ok(d) => (i128::from(d.as_secs()), d.subsec_nanos()),
                Err(e) => {
                    let nanos = -i128::try_from(e.duration().as_nanos()).unwrap();
                    let part = u32::try_from(nanos.rem_euclid(1_000_000_000)).unwrap();
                    (nanos.div_euclid(1_000_000_000), part)
                }
            };
            assert_eq!((got_sec, got_nsec), (i128::from(sec), nsec));
        }
    }

    #[test]
    fn devices_as_the_kernel_encodes_them() {
        assert_eq!(encode_device(Device { major: 8, minor: 1 }), 0x801);
        assert_eq!(encode_device(Device { major: 0xfff, minor: 0xf_ffff }), 0xffff_ffff);
        assert_eq!(encode_device(Device { major: 259, minor: 256 }), 0x11_0300);
    }
}
