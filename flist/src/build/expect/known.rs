//! What well-known programs read that nothing in them tells, and where libraries lie.

use std::collections::HashSet;

use super::super::BuildError;
use super::view::View;
use super::{Want, fits};

/// Where loaders are told where to look, in how many directories at most, and where they look by
/// themselves.
const CONFIGURATION: [&str; 2] = ["/etc/ld.so.conf", "/etc/ld.so.conf.d/*.conf"];
const MOST_DIRS: usize = 64;
const LIBRARIES: [&str; 4] = ["/lib64", "/usr/lib64", "/lib", "/usr/lib"];

/// Programs by name, and what they read: patterns of paths, and names of units.
const READ_BY: [(&str, &[&str]); 15] = [
    ("ld-linux*", &["/etc/ld.so.cache"]),
    (
        "libc.so*",
        &["/usr/lib/locale/C.utf8/*", "/lib/*/libnss_systemd.so*", "/lib64/libnss_systemd.so*"],
    ),
    (
        "systemd",
        &[
            "/usr/lib/systemd/system-generators/*",
            "/lib/systemd/system-generators/*",
            "/lib/systemd/systemd-executor",
            "/lib/systemd/systemd-remount-fs",
            "/bin/mount",
            "/usr/lib/systemd/system-preset/*",
            "/usr/lib/systemd/system/*",
            "/lib/systemd/system/*",
            "sysinit.target",
            "basic.target",
            "default.target",
            "getty@tty1.service",
            "serial-getty@ttyS0.service",
        ],
    ),
    ("systemd-tmpfiles", &["/usr/lib/tmpfiles.d/*"]),
    ("systemd-sysusers", &["/usr/lib/sysusers.d/*"]),
    ("systemd-sysctl", &["/usr/lib/sysctl.d/*"]),
    ("systemd-modules-load", &["/usr/lib/modules-load.d/*"]),
    (
        "*udevd",
        &[
            "/usr/lib/udev/rules.d/*",
            "/lib/udev/rules.d/*",
            "/usr/lib/udev/hwdb.bin",
            "/lib/udev/hwdb.bin",
            "/etc/udev/hwdb.bin",
            "/usr/lib/systemd/network/*",
            "/lib/systemd/network/*",
            "/lib/udev/dmi_memory_id",
            "/lib/udev/ifupdown-hotplug",
        ],
    ),
    ("kmod", &["/lib/modprobe.d/*", "/usr/lib/modprobe.d/*", "/lib/modules/*/modules.*.bin"]),
    (
        "dbus-*",
        &[
            "/usr/share/dbus-1/system.conf",
            "/usr/share/dbus-1/system.d/*",
            "/usr/share/dbus-1/system-services/*",
        ],
    ),
    ("ifup", &["/bin/ip", "/sbin/ip", "/bin/run-parts", "/etc/network/if-*up.d/*"]),
    ("NetworkManager", &["/usr/lib*/NetworkManager/*/*.so", "/usr/lib/*/NetworkManager/*/*.so"]),
    // SysV init's, and whatever has an inittab; then OpenRC's.
    ("init", &["/etc/inittab"]),
    ("rc", &["/etc/rcS.d/S*", "/etc/rc2.d/S*"]),
    ("openrc", &["/lib/rc/sh/*", "/usr/libexec/rc/sh/*", "/lib/rc/bin/*", "/etc/runlevels/*/*"]),
];

/// What the program or library of these names reads, that no other did before (`told`).
pub(super) fn read_by(names: &[&[u8]], told: &mut HashSet<usize>) -> Vec<Want> {
    let mut wants = Vec::new();
    for (row, (known, reads)) in READ_BY.iter().enumerate() {
        if names.iter().any(|name| fits(known, name)) && told.insert(row) {
            wants.extend(reads.iter().map(|read| match *read {
                "/etc/inittab" => Want::Script(read.as_bytes().to_vec()),
                pattern if pattern.starts_with('/') => Want::Matching(pattern),
                unit => Want::Unit(unit.as_bytes().to_vec()),
            }));
        }
    }
    wants
}

/// Where the loader of the tree looks for libraries: where its configuration says, then by itself.
pub(super) fn libraries(view: &mut View<'_>) -> Result<Vec<Vec<u8>>, BuildError> {
    let mut dirs = Vec::new();
    for path in CONFIGURATION.map(|pattern| view.matching(pattern)).concat() {
        if let Some(file) = view.file(&path).filter(|_| dirs.len() < MOST_DIRS) {
            let text = view.read(&file, super::SMALL)?;
            let lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
            dirs.extend(lines.filter(|line| line.starts_with(b"/")).map(<[u8]>::to_vec));
        }
    }
    dirs.truncate(MOST_DIRS);
    dirs.extend(LIBRARIES.map(|dir| dir.as_bytes().to_vec()));
    Ok(dirs)
}
