//! Hard links, special files, modes, owners, times.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, lchown, symlink};
use std::path::Path;

use rustix::fs::FileType;

use super::{node, set_time};

/// Groups of hard links: across directories, of every kind, many of one file.
pub(super) fn links(dir: &Path) -> anyhow::Result<()> {
    for sub in ["a", "b", "b/c", "many"] {
        fs::create_dir(dir.join(sub))?;
    }
    fs::write(dir.join("a/file"), "one of three")?;
    fs::hard_link(dir.join("a/file"), dir.join("b/c/same"))?;
    fs::hard_link(dir.join("a/file"), dir.join("also"))?;
    // Equal contents, yet another file: a second group of two.
    fs::write(dir.join("a/twin"), "one of three")?;
    fs::hard_link(dir.join("a/twin"), dir.join("b/twin"))?;
    fs::write(dir.join("b/single"), "one of three")?;
    fs::write(dir.join("a/empty"), "")?;
    fs::hard_link(dir.join("a/empty"), dir.join("b/empty"))?;
    symlink("file", dir.join("a/symlink"))?;
    fs::hard_link(dir.join("a/symlink"), dir.join("b/symlink"))?;
    node(&dir.join("a/fifo"), FileType::Fifo, (0, 0))?;
    fs::hard_link(dir.join("a/fifo"), dir.join("b/fifo"))?;
    node(&dir.join("a/device"), FileType::CharacterDevice, (1, 3))?;
    fs::hard_link(dir.join("a/device"), dir.join("b/device"))?;
    fs::write(dir.join("many/0"), "three hundred names")?;
    for number in 1..300 {
        fs::hard_link(dir.join("many/0"), dir.join(format!("many/{number}")))?;
    }
    Ok(())
}

/// Fifos, sockets and devices, at the ends of what numbers a device may have.
pub(super) fn special(dir: &Path) -> anyhow::Result<()> {
    node(&dir.join("fifo"), FileType::Fifo, (0, 0))?;
    node(&dir.join("socket"), FileType::Socket, (0, 0))?;
    for (kind, letter) in [(FileType::CharacterDevice, 'c'), (FileType::BlockDevice, 'b')] {
        for device in [(0, 0), (1, 3), (8, 0), (255, 255), (256, 256), (0xfff, 0xf_ffff)] {
            node(&dir.join(format!("{letter}{}:{}", device.0, device.1)), kind, device)?;
        }
    }
    Ok(())
}

/// Every permission bit, on files and directories, and ids up to the greatest.
pub(super) fn modes_and_owners(dir: &Path) -> anyhow::Result<()> {
    for bit in 0..12 {
        let mode = 1 << bit;
        for (kind, is_dir) in [("file", false), ("dir", true)] {
            let path = dir.join(format!("{kind}-{mode:04o}"));
            if is_dir {
                fs::create_dir(&path)?;
            } else {
                fs::write(&path, "")?;
            }
            fs::set_permissions(&path, Permissions::from_mode(mode))?;
        }
    }
    for mode in [0o0000, 0o0644, 0o4755, 0o2755, 0o6711, 0o7777] {
        let path = dir.join(format!("mode-{mode:04o}"));
        fs::write(&path, "")?;
        fs::set_permissions(&path, Permissions::from_mode(mode))?;
    }
    fs::create_dir(dir.join("closed"))?;
    fs::write(dir.join("closed/inside"), "root sees it")?;
    fs::set_permissions(dir.join("closed"), Permissions::from_mode(0o000))?;
    for id in [1, 1000, 65_534, 65_535, 65_536, 0x7fff_ffff, 0x8000_0000, 0xffff_fffe] {
        let (file, link) = (dir.join(format!("owner-{id}")), dir.join(format!("link-{id}")));
        fs::write(&file, "")?;
        // The group differs from the owner, so that neither can stand for the other.
        chown(&file, Some(id), Some(id - 1))?;
        symlink("x", &link)?;
        lchown(&link, Some(id - 1), Some(id))?;
    }
    // Changing the owner takes setuid away: set it after.
    let path = dir.join("setuid-of-another");
    fs::write(&path, "")?;
    chown(&path, Some(33), Some(44))?;
    fs::set_permissions(&path, Permissions::from_mode(0o6755))?;
    Ok(())
}

/// Times of every width, on every kind of entry.
pub(super) fn times(dir: &Path) -> anyhow::Result<()> {
    let times = [
        ("epoch", 0, 0),
        ("just-after", 0, 1),
        ("just-before", -1, 999_999_999),
        ("before-1901", i64::from(i32::MIN) - 1, 1),
        ("1800", -5_364_662_400, 123_456_789),
        ("after-2038", i64::from(i32::MAX) + 1, 500_000_000),
        ("after-2106", i64::from(u32::MAX) + 1, 999_999_999),
        ("after-2262", 9_223_372_037, 1),
        ("after-2446", 15_032_385_536, 1),
        ("3500", 48_282_220_800, 7),
        ("now-ish", 1_700_000_000, 100),
    ];
    for (name, seconds, nanos) in times {
        let path = |kind| dir.join(format!("{kind}-{name}"));
        fs::write(path("file"), "")?;
        symlink("x", path("symlink"))?;
        node(&path("fifo"), FileType::Fifo, (0, 0))?;
        node(&path("device"), FileType::BlockDevice, (7, 0))?;
        for kind in ["file", "symlink", "fifo", "device"] {
            set_time(&path(kind), seconds, nanos)?;
        }
    }
    Ok(())
}
