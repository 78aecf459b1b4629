//! Extended attributes of every name space, capabilities and ACLs, on every kind of entry.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use anyhow::Context;
use rustix::fs::{FileType, XattrFlags};

use super::{node, os};

/// Version 2, `cap_net_raw+ep`: what ping has.
const CAP_NET_RAW: [u8; 20] = [1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
/// Version 3, with the id of a user name space's root (100000).
const CAP_IN_NAMESPACE: [u8; 24] =
    [1, 0, 0, 3, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xa0, 0x86, 1, 0];

/// Sets an attribute, of the link itself where it is one.
pub(super) fn set(path: &Path, name: impl AsRef<OsStr>, value: &[u8]) -> anyhow::Result<()> {
    let name = name.as_ref();
    rustix::fs::lsetxattr(path, name, value, XattrFlags::empty())
        .with_context(|| format!("{} of {}", name.display(), path.display()))
}

/// An ACL as the kernel keeps it: owner, user `id`, group, mask, others.
fn acl(id: u32, user: u16) -> Vec<u8> {
    const NOBODY: u32 = u32::MAX;
    let entries =
        [(1, 7, NOBODY), (2, user, id), (4, 5, NOBODY), (0x10, 7, NOBODY), (0x20, 1, NOBODY)];
    let mut bytes = 2_u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in entries {
        bytes.extend(u16::to_le_bytes(tag));
        bytes.extend(u16::to_le_bytes(permissions));
        bytes.extend(u32::to_le_bytes(id));
    }
    bytes
}

pub(super) fn xattrs(dir: &Path) -> anyhow::Result<()> {
    of_users(dir)?;
    let ping = dir.join("ping");
    fs::write(&ping, "#!/bin/true")?;
    fs::set_permissions(&ping, Permissions::from_mode(0o755))?;
    set(&ping, "security.capability", &CAP_NET_RAW)?;
    let inner = dir.join("ping-of-a-namespace");
    fs::write(&inner, "#!/bin/true")?;
    set(&inner, "security.capability", &CAP_IN_NAMESPACE)?;

    for (name, id) in [("acl", 1234), ("acl-of-a-high-id", 0xffff_fffe)] {
        fs::write(dir.join(name), "")?;
        set(&dir.join(name), "system.posix_acl_access", &acl(id, 6))?;
    }
    let shared = dir.join("shared");
    fs::create_dir(&shared)?;
    set(&shared, "system.posix_acl_access", &acl(1234, 7))?;
    set(&shared, "system.posix_acl_default", &acl(4321, 5))?;
    fs::write(shared.join("inherits"), "")?;
    fs::create_dir(shared.join("inherits-too"))?;

    symlink("x", dir.join("symlink"))?;
    node(&dir.join("fifo"), FileType::Fifo, (0, 0))?;
    node(&dir.join("device"), FileType::CharacterDevice, (1, 3))?;
    node(&dir.join("socket"), FileType::Socket, (0, 0))?;
    for name in ["symlink", "fifo", "device", "socket", "shared", "ping"] {
        set(&dir.join(name), "trusted.kind", name.as_bytes())?;
    }
    // What overlayfs leaves in an upper directory.
    fs::create_dir(dir.join("opaque"))?;
    set(&dir.join("opaque"), "trusted.overlay.opaque", b"y")?;
    node(&dir.join("whiteout"), FileType::CharacterDevice, (0, 0)).context("a whiteout")
}

/// The sizes and bytes that names and values may have.
fn of_users(dir: &Path) -> anyhow::Result<()> {
    let file = dir.join("many-attributes");
    fs::write(&file, "")?;
    set(&file, "user.empty", b"")?;
    set(&file, "user.every-byte", &(0..=255).collect::<Vec<u8>>())?;
    set(&file, os(b"user.\xff\n="), b"odd name")?;
    set(&file, format!("user.{}", "n".repeat(250)), b"longest name")?;
    for number in 0..100 {
        set(&file, format!("user.number-{number}"), format!("{number}").as_bytes())?;
    }
    let big = dir.join("big-value");
    fs::write(&big, "")?;
    set(&big, "user.big", &vec![b'v'; 65_000])?;
    // The same set on two files, and one that differs in its value alone.
    for (name, value) in [("alike-1", "same"), ("alike-2", "same"), ("alike-not", "else")] {
        fs::write(dir.join(name), "")?;
        set(&dir.join(name), "user.a", value.as_bytes())?;
    }
    Ok(())
}
