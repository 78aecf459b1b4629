//! The interfaces as the kernel's `/sys/class/net` shows them: for the failure screen.

use std::fs;
use std::path::Path;

/// A line for each interface below `class` but the loopback, in the order of their names.
pub(crate) fn lines(class: &Path) -> Vec<String> {
    let entries = fs::read_dir(class).into_iter().flatten().flatten();
    let mut lines: Vec<String> = entries
        .filter(|entry| entry.file_name() != "lo")
        .map(|entry| line(&entry.path()))
        .collect();
    if lines.is_empty() {
        lines.push("none: no driver found a network card".to_owned());
    }
    lines.sort();
    lines
}

fn line(dir: &Path) -> String {
    let name = dir.file_name().unwrap_or_default().to_string_lossy();
    let text = |file: &str| fs::read_to_string(dir.join(file)).unwrap_or_default();
    let driver = fs::read_link(dir.join("device/driver")).unwrap_or_default();
    let driver = driver.file_name().map_or("-".into(), |name| name.to_string_lossy());
    // Reading the carrier of an interface that is down is an error of its own.
    let link = match text("carrier").trim() {
        "1" => "link",
        "0" => "no link",
        _ => "down",
    };
    format!("{name:<10} {:<17} {driver:<12} {link}", text("address").trim())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_line_each() {
        let class = tempfile::tempdir().unwrap();
        for (name, carrier) in [("lo", "1\n"), ("eth1", ""), ("eth0", "1\n")] {
            let dir = class.path().join(name);
            fs::create_dir_all(dir.join("device")).unwrap();
            fs::write(dir.join("address"), "52:54:00:12:34:56\n").unwrap();
            fs::write(dir.join("carrier"), carrier).unwrap();
        }
        symlink("../../bus/virtio/drivers/virtio_net", class.path().join("eth0/device/driver"))
            .unwrap();
        assert_eq!(
            lines(class.path()),
            [
                "eth0       52:54:00:12:34:56 virtio_net   link",
                "eth1       52:54:00:12:34:56 -            down",
            ]
        );
    }

    #[test]
    fn none_is_said_too() {
        assert!(lines(Path::new("/nonesuch"))[0].starts_with("none"));
    }
}
