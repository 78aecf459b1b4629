//! What the kernel knows of hardware that does not work: firmware that drivers asked for in vain,
//! modules that did not load, network cards without a driver.

use crate::failure::Fact;
use rustix::fs::{Mode, OFlags, open};
use std::fs;
use std::io::{ErrorKind, Read as _};
use std::path::Path;

/// The longest record of the kernel log, and the most that are read.
const RECORD_MAX: usize = 8192;
const RECORDS_MAX: usize = 100_000;

/// The most things of one kind that are shown.
const SHOWN: usize = 4;

/// All of it, as lines for the screen.
pub(crate) fn facts() -> Vec<Fact> {
    let log = kernel_log();
    let cards = cards_without_driver(Path::new("/sys/bus"));
    let mut facts = Vec::new();
    for (label, values) in [
        ("firmware", log.iter().filter_map(|line| missing_firmware(line)).collect()),
        ("module", log.iter().filter_map(|line| unloaded_module(line)).collect()),
        ("no driver", cards),
    ] {
        facts.extend(distinct(values).into_iter().map(|value| (label.to_owned(), value)));
    }
    facts
}

/// The first few of `values`, each once.
fn distinct(values: Vec<String>) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for value in values {
        if found.len() < SHOWN && !found.contains(&value) {
            found.push(value);
        }
    }
    found
}

/// The messages in the kernel log, oldest first; none where it can't be read.
fn kernel_log() -> Vec<String> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let Ok(log) = open("/dev/kmsg", flags, Mode::empty()) else { return Vec::new() };
    let (mut log, mut lines, mut record) = (fs::File::from(log), Vec::new(), vec![0; RECORD_MAX]);
    for _ in 0..RECORDS_MAX {
        match log.read(&mut record) {
            Ok(0) => break,
            Ok(len) => lines.extend(message(record.get(..len).unwrap_or_default())),
            // Records that were overwritten meanwhile are passed over.
            Err(e) if matches!(e.kind(), ErrorKind::BrokenPipe | ErrorKind::Interrupted) => {}
            Err(_) => break,
        }
    }
    lines
}

/// The text of a record: `priority,sequence,time,flags;text`, then a line end.
fn message(record: &[u8]) -> Option<String> {
    let text = record.split(|b| *b == b'\n').next()?;
    let at = text.iter().position(|b| *b == b';')? + 1;
    text.get(at..).map(|text| String::from_utf8_lossy(text).into_owned())
}

/// `r8169 0000:02:00.0: Direct firmware load for rtl_nic/rtl8168g-2.fw failed with error -2`, or as
/// kernels of Debian 10 and before have it.
fn missing_firmware(line: &str) -> Option<String> {
    let (who, rest) = line
        .split_once(": Direct firmware load for ")
        .or_else(|| line.split_once(": firmware: failed to load "))?;
    let file = rest.split_whitespace().next()?;
    Some(format!("{file} is missing: {who} asks for it"))
}

/// What this program says of a module: `zimg: module e1000e: Exec format error`.
fn unloaded_module(line: &str) -> Option<String> {
    line.strip_prefix("zimg: module ").filter(|rest| !rest.ends_with(" loaded")).map(str::to_owned)
}

/// The network cards on the buses below `bus` (`/sys/bus`) that no driver has taken.
fn cards_without_driver(bus: &Path) -> Vec<String> {
    let mut cards = Vec::new();
    for (name, is_card) in [("pci", is_pci_card as fn(&Path) -> bool), ("virtio", is_virtio_card)] {
        let devices = fs::read_dir(bus.join(name).join("devices")).into_iter().flatten().flatten();
        for device in devices.map(|entry| entry.path()) {
            if is_card(&device) && !device.join("driver").exists() {
                let at = device.file_name().unwrap_or_default().to_string_lossy();
                let id = |file| value(&device, file).trim_start_matches("0x").to_owned();
                let ids = format!("{}:{}", id("vendor"), id("device"));
                cards.push(format!("the network card {ids} at {name} {at} has none"));
            }
        }
    }
    cards.sort();
    cards
}

/// PCI's class 02 is that of network controllers.
fn is_pci_card(device: &Path) -> bool {
    value(device, "class").starts_with("0x02")
}

/// Virtio's device 1 is the network card.
fn is_virtio_card(device: &Path) -> bool {
    value(device, "device") == "0x0001"
}

fn value(device: &Path, file: &str) -> String {
    fs::read_to_string(device.join(file)).unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_the_kernel_log() {
        let record = b"4,1054,5551735,-;r8169 0000:02:00.0: hello; you\n SUBSYSTEM=pci\n";
        assert_eq!(message(record).unwrap(), "r8169 0000:02:00.0: hello; you");
        assert_eq!(message(b"nothing"), None);
    }

    #[test]
    fn firmware_by_file_name() {
        let line = "r8169 0000:02:00.0: Direct firmware load for rtl_nic/rtl8168g-2.fw failed with error -2";
        let want = "rtl_nic/rtl8168g-2.fw is missing: r8169 0000:02:00.0 asks for it";
        assert_eq!(missing_firmware(line).unwrap(), want);
        let old = "bnx2 0000:01:00.0: firmware: failed to load bnx2/bnx2-mips-09-6.2.1b.fw (-2)";
        assert!(
            missing_firmware(old).unwrap().starts_with("bnx2/bnx2-mips-09-6.2.1b.fw is missing")
        );
        assert_eq!(missing_firmware("r8169 0000:02:00.0 eth0: link up"), None);
    }

    #[test]
    fn modules_that_did_not_load() {
        let told = unloaded_module("zimg: module e1000e: Exec format error");
        assert_eq!(told.unwrap(), "e1000e: Exec format error");
        assert_eq!(unloaded_module("zimg: module e1000e loaded"), None);
        assert_eq!(unloaded_module("zimg: modules 4 ms, for 12 devices"), None);
    }

    #[test]
    fn cards_that_nobody_drives() {
        let bus = tempfile::tempdir().unwrap();
        for (device, files) in [
            (
                "pci/devices/0000:00:03.0",
                [("class", "0x020000"), ("vendor", "0x8086"), ("device", "0x100e")],
            ),
            (
                "pci/devices/0000:00:04.0",
                [("class", "0x020000"), ("vendor", "0x1af4"), ("device", "0x1000")],
            ),
            (
                "pci/devices/0000:00:05.0",
                [("class", "0x030000"), ("vendor", "0x1234"), ("device", "0x1111")],
            ),
            ("virtio/devices/virtio0", [("class", ""), ("vendor", "0x1af4"), ("device", "0x0001")]),
            ("virtio/devices/virtio1", [("class", ""), ("vendor", "0x1af4"), ("device", "0x0004")]),
        ] {
            let dir = bus.path().join(device);
            fs::create_dir_all(&dir).unwrap();
            files
                .iter()
                .for_each(|(file, text)| fs::write(dir.join(file), format!("{text}\n")).unwrap());
        }
        fs::create_dir(bus.path().join("pci/devices/0000:00:04.0/driver")).unwrap();
        assert_eq!(
            cards_without_driver(bus.path()),
            [
                "the network card 1af4:0001 at virtio virtio0 has none",
                "the network card 8086:100e at pci 0000:00:03.0 has none",
            ]
        );
        assert!(cards_without_driver(Path::new("/nonesuch")).is_empty());
    }

    #[test]
    fn a_few_of_a_kind() {
        let many = (0..100).map(|n| (n / 2).to_string()).collect();
        assert_eq!(distinct(many), ["0", "1", "2", "3"]);
    }
}
