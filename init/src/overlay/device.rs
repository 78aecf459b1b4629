//! The machine's block devices: what each holds, and the one that was asked for, as soon as it is
//! there.

use super::content::{Content, HEAD, Kind, content};
use super::table;
use crate::config::DiskName;
use crate::failure::{Failure, OrFail as _, Stage};
use crate::modules::Uevents;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::Instant;

const BLOCK: &str = "/sys/class/block";

/// Devices that hold no data of their own, or cost seconds to ask.
const PASSED_OVER: [&str; 3] = ["ram", "zram", "fd"];

/// However quiet the kernel is, devices are looked at this often.
const LOOK_AGAIN: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

/// How many bytes at its start a device must have zero to count as blank: all that volume
/// managers and file systems mark as theirs.
const BLANK: u64 = 1 << 20;

/// A block device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Device {
    /// Its node.
    pub(super) node: PathBuf,
    /// What it holds.
    pub(super) content: Content,
    /// Whether nothing can be written to it.
    pub(super) is_read_only: bool,
    part_label: Option<String>,
    part_uuid: Option<String>,
    /// Its partitions' nodes.
    partitions: Vec<String>,
}

/// Waits for the device called `name`, until `deadline`.
pub(super) fn wait_for(name: &DiskName, deadline: Instant) -> Result<Device, Failure> {
    let events = Uevents::open().or_fail(Stage::Overlay, "hear of devices", "")?;
    let mut told = false;
    loop {
        let devices = all();
        let mut found = devices.iter().filter(|device| device.is_called(name));
        match (found.next(), found.next()) {
            (Some(device), None) => return Ok(device.clone()),
            (Some(one), Some(other)) => return Err(ambiguous(name, one, other)),
            (None, _) if Instant::now() >= deadline => return Err(missing(name, &devices)),
            (None, _) => {}
        }
        if !std::mem::replace(&mut told, true) {
            let here: Vec<String> = devices.iter().map(Device::line).collect();
            log::info!("waiting for {name}; here are: {}", here.join("; "));
        }
        // What the event says does not matter: the next look tells.
        let mut ready = [PollFd::new(&events, PollFlags::IN)];
        match poll(&mut ready, Some(&LOOK_AGAIN)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(Failure::new(Stage::Overlay, e, "")),
        }
        events.skip().or_fail(Stage::Overlay, "hear of devices", "")?;
    }
}

impl Device {
    /// Looks at it again, having changed it.
    pub(super) fn again(&self) -> io::Result<Self> {
        let content = look(&self.node)?;
        Ok(Self { content, ..self.clone() })
    }

    /// Whether it holds nothing, not even what a file system's first bytes don't tell.
    pub(super) fn is_blank(&self) -> io::Result<bool> {
        let mut start = Vec::new();
        File::open(&self.node)?.take(BLANK).read_to_end(&mut start)?;
        Ok(self.content.kind == Kind::Blank && start.iter().all(|byte| *byte == 0))
    }

    /// What it holds, in words.
    pub(super) fn holds(&self) -> String {
        match self.partitions.as_slice() {
            [] => self.content.to_string(),
            some => format!("partitions ({})", some.join(", ")),
        }
    }

    /// Whether it is cut into partitions.
    pub(super) fn has_partitions(&self) -> bool {
        !self.partitions.is_empty()
    }

    fn line(&self) -> String {
        format!("{} ({})", self.node.display(), self.holds())
    }

    fn is_called(&self, name: &DiskName) -> bool {
        let same = |have: &Option<String>, want: &String| {
            have.as_ref().is_some_and(|have| have.eq_ignore_ascii_case(want))
        };
        match name {
            DiskName::Label(want) => self.content.label.as_ref() == Some(want),
            DiskName::Uuid(want) => same(&self.content.uuid, want),
            DiskName::PartLabel(want) => self.part_label.as_ref() == Some(want),
            DiskName::PartUuid(want) => same(&self.part_uuid, want),
            DiskName::Node(want) => self.node == Path::new(want),
        }
    }
}

/// Every block device that can be read.
fn all() -> Vec<Device> {
    let entries = fs::read_dir(BLOCK).into_iter().flatten().flatten();
    let mut names: Vec<String> =
        entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names.retain(|name| !PASSED_OVER.iter().any(|prefix| is_numbered(name, prefix)));
    names.iter().filter_map(|name| device(Path::new(BLOCK), name, &names)).collect()
}

/// Whether `name` is `prefix` and a number.
fn is_numbered(name: &str, prefix: &str) -> bool {
    name.strip_prefix(prefix).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

/// The device that `block` calls `name`; none where it has no medium.
fn device(block: &Path, name: &str, names: &[String]) -> Option<Device> {
    let dir = block.join(name);
    let size = fs::read_to_string(dir.join("size")).ok()?;
    if size.trim() == "0" {
        return None;
    }
    let node = Path::new("/dev").join(name.replace('!', "/"));
    let uevent = fs::read_to_string(dir.join("uevent")).unwrap_or_default();
    let value = |key: &str| uevent.lines().find_map(|line| line.strip_prefix(key));
    let part_label = value("PARTNAME=").map(str::to_owned);
    let part_uuid = value("PARTUUID=").map(str::to_owned).or_else(|| part_uuid(&dir));
    let is_read_only = fs::read_to_string(dir.join("ro")).is_ok_and(|text| text.trim() != "0");
    let is_part = |part: &&String| dir.join(part).join("partition").exists();
    let partitions = names.iter().filter(is_part).cloned().collect();
    let content = look(&node).inspect_err(|e| log::debug!("{}: {e}", node.display())).ok()?;
    Some(Device { node, content, is_read_only, part_label, part_uuid, partitions })
}

/// What the table says that the partition `dir` of sysfs is in; none where it is no partition.
fn part_uuid(dir: &Path) -> Option<String> {
    let number = fs::read_to_string(dir.join("partition")).ok()?.trim().parse().ok()?;
    // A partition's directory lies in its disk's.
    let disk = fs::canonicalize(dir).ok()?.parent()?.to_owned();
    let block = fs::read_to_string(disk.join("queue/logical_block_size")).ok()?;
    let node = Path::new("/dev").join(disk.file_name()?.to_str()?.replace('!', "/"));
    let read = File::open(&node)
        .and_then(|file| table::part_uuid(&file, block.trim().parse().unwrap_or(512), number));
    read.inspect_err(|e| log::debug!("{}: {e}", node.display())).ok()?
}

fn look(node: &Path) -> io::Result<Content> {
    let mut head = Vec::with_capacity(HEAD);
    File::open(node)?.take(HEAD as u64).read_to_end(&mut head)?;
    Ok(content(&head))
}

fn ambiguous(name: &DiskName, one: &Device, other: &Device) -> Failure {
    let what = format!("more than one block device has {name}");
    let failure =
        Failure::new(Stage::Overlay, what, "name one of them by its UUID= or its /dev/NODE");
    [one, other].into_iter().fold(failure, |failure, device| {
        failure.fact(&device.node.display().to_string(), device.holds())
    })
}

fn missing(name: &DiskName, devices: &[Device]) -> Failure {
    let what = match name {
        DiskName::Node(node) => format!("there is no block device {node}"),
        name => format!("no block device has {name}"),
    };
    let fix = "attach the disk, or correct zimg.overlay=; a driver that the initramfs lacks goes into it by `initramfs --modules vm,NAME`";
    let failure = Failure::new(Stage::Overlay, what, fix);
    if devices.is_empty() {
        return failure.fact("devices", "none");
    }
    devices.iter().fold(failure, |failure, device| {
        failure.fact(&device.node.display().to_string(), device.holds())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(content: Content) -> Device {
        Device {
            node: PathBuf::from("/dev/vda1"),
            content,
            is_read_only: false,
            part_label: Some("State".to_owned()),
            part_uuid: Some("ab-cd".to_owned()),
            partitions: Vec::new(),
        }
    }

    #[test]
    fn a_device_answers_to_all_its_names() {
        let (label, uuid) = (Some("Data".to_owned()), Some("0a-0b".to_owned()));
        let device = sample(Content { kind: Kind::Upper("ext4"), label, uuid, has_errors: false });
        let called =
            |name: fn(String) -> DiskName, text: &str| device.is_called(&name(text.to_owned()));
        assert!(called(DiskName::Label, "Data") && !called(DiskName::Label, "data"));
        assert!(called(DiskName::Uuid, "0A-0B") && !called(DiskName::Uuid, "0A"));
        assert!(called(DiskName::PartLabel, "State") && !called(DiskName::PartLabel, "Data"));
        assert!(called(DiskName::PartUuid, "AB-CD") && !called(DiskName::PartUuid, "0a-0b"));
        assert!(called(DiskName::Node, "/dev/vda1") && !called(DiskName::Node, "/dev/vda"));
    }

    #[test]
    fn what_is_numbered() {
        assert!(is_numbered("ram0", "ram") && is_numbered("fd0", "fd"));
        assert!(!is_numbered("ramdisk", "ram") && !is_numbered("vda", "fd"));
    }

    #[test]
    fn a_missing_device_is_named_beside_those_that_are_there() {
        let device = sample(content(&[0; HEAD]));
        let failure = missing(&DiskName::Label("x".to_owned()), std::slice::from_ref(&device));
        assert_eq!(failure.what, "no block device has LABEL=x");
        assert_eq!(failure.facts, [("/dev/vda1".to_owned(), "nothing (zeros)".to_owned())]);
        assert!(
            ambiguous(&DiskName::Label("x".to_owned()), &device, &device).what.contains("more")
        );
    }
}
