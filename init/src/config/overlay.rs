//! `zimg.overlay=` and what belongs to it: where the booted system's writes go.

use super::{ConfigError, Sources, bad};
use std::fmt;

/// Where the booted system's writes go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Overlay {
    /// Memory, at most this much (`size=` of tmpfs).
    Tmpfs {
        /// As tmpfs takes it: `50%`, `2G`.
        size: String,
    },
    /// A file system on a block device: they are there after the next boot.
    Disk(Disk),
    /// Nowhere: the root is read-only.
    Off,
}

/// A device that keeps the writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Disk {
    /// Which.
    pub(crate) name: DiskName,
    /// What may be done to one that holds no overlay yet.
    pub(crate) create: Create,
    /// What becomes of the writes when the node boots another image.
    pub(crate) update: Update,
}

/// How a device is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DiskName {
    /// By its file system's label.
    Label(String),
    /// By its file system's UUID.
    Uuid(String),
    /// By its name in the partition table.
    PartLabel(String),
    /// By its UUID in the partition table.
    PartUuid(String),
    /// By its node below /dev.
    Node(String),
}

/// What the operator consents to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Create {
    /// Nothing: what holds neither an overlay nor an empty file system is refused.
    No,
    /// What costs no data: a file system on a blank device, a directory beside others' files.
    Beside,
    /// A file system on the device, whatever it holds.
    Erase,
}

/// What another image means for the writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Update {
    /// They lie over any image.
    Keep,
    /// Each image has its own.
    Fresh,
}

impl fmt::Display for DiskName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Label(name) => write!(f, "LABEL={name}"),
            Self::Uuid(name) => write!(f, "UUID={name}"),
            Self::PartLabel(name) => write!(f, "PARTLABEL={name}"),
            Self::PartUuid(name) => write!(f, "PARTUUID={name}"),
            Self::Node(path) => f.write_str(path),
        }
    }
}

pub(super) fn overlay(sources: &Sources) -> Result<Overlay, ConfigError> {
    let value = sources.last("zimg.overlay").unwrap_or("tmpfs");
    let create = create(sources)?;
    let update = update(sources)?;
    let size = match value {
        "off" => return Ok(Overlay::Off),
        "tmpfs" => Some("50%"),
        other => other.strip_prefix("tmpfs:size=").filter(|size| is_size(size)),
    };
    let tmpfs = size.map(|size| Overlay::Tmpfs { size: size.to_owned() });
    let disk = || disk_name(value).map(|name| Overlay::Disk(Disk { name, create, update }));
    let expected = "tmpfs, tmpfs:size=SIZE (as 50% or 2G), LABEL=, UUID=, PARTLABEL=, PARTUUID=, /dev/NODE or off";
    tmpfs.or_else(disk).ok_or_else(|| bad("zimg.overlay", value, expected))
}

fn create(sources: &Sources) -> Result<Create, ConfigError> {
    match sources.last("zimg.overlay.create") {
        None | Some("no") => Ok(Create::No),
        Some("" | "yes") => Ok(Create::Beside),
        Some("erase") => Ok(Create::Erase),
        Some(value) => Err(bad("zimg.overlay.create", value, "nothing behind it, or erase")),
    }
}

fn update(sources: &Sources) -> Result<Update, ConfigError> {
    match sources.last("zimg.overlay.update") {
        None | Some("keep") => Ok(Update::Keep),
        Some("fresh") => Ok(Update::Fresh),
        Some(value) => Err(bad("zimg.overlay.update", value, "keep or fresh")),
    }
}

/// The links of udev, which no initramfs has, and what they stand for.
const LINKS: [(&str, &str); 4] = [
    ("/dev/disk/by-label/", "LABEL="),
    ("/dev/disk/by-uuid/", "UUID="),
    ("/dev/disk/by-partlabel/", "PARTLABEL="),
    ("/dev/disk/by-partuuid/", "PARTUUID="),
];

fn disk_name(value: &str) -> Option<DiskName> {
    for (link, tag) in LINKS {
        if let Some(name) = value.strip_prefix(link) {
            return disk_name(&format!("{tag}{name}"));
        }
    }
    if value.starts_with("/dev/disk/") || value.contains("..") {
        return None;
    }
    if let Some(node) = value.strip_prefix("/dev/") {
        return (!node.is_empty()).then(|| DiskName::Node(value.to_owned()));
    }
    let (tag, name) = value.split_once('=')?;
    let name = name.trim_matches('"');
    let of = match tag {
        _ if name.is_empty() => return None,
        "LABEL" => DiskName::Label,
        "UUID" => DiskName::Uuid,
        "PARTLABEL" => DiskName::PartLabel,
        "PARTUUID" => DiskName::PartUuid,
        _ => return None,
    };
    Some(of(name.to_owned()))
}

/// What tmpfs takes for a size: digits, then nothing or one of `k m g %`.
fn is_size(text: &str) -> bool {
    let digits = text.strip_suffix(['k', 'K', 'm', 'M', 'g', 'G', '%']).unwrap_or(text);
    !digits.is_empty() && digits.len() <= 12 && digits.bytes().all(|b| b.is_ascii_digit())
}
