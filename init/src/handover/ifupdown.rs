//! Debian's ifupdown: it must find the interface up, and must not take it down.
//!
//! Its configuration knows the interface by the name that udev gives it once the system runs, which
//! may be another than the kernel's. So udev is asked to tell that name too, before ifupdown begins.
//! Whatever else is said of a name, it stands for an interface that nothing is done for: ifup finds
//! it configured, ifdown refuses, and after an ifdown that was forced ifup runs no DHCP client.

use super::file;
use crate::net::{Mac, Up};
use crate::wire::GivenFile;

/// What notes the names.
const NOTE: &str = "/run/zimg/note-interface";

/// What ifupdown has done, one line an interface; the same is in one file an interface.
const STATE: &str = "/run/network/ifstate";

/// What ifupdown is to do.
const CONFIG: &str = "/etc/network/interfaces.d/zimg";

/// The files that ifupdown and udev read.
pub(super) fn files(up: &Up) -> Vec<GivenFile> {
    let own = std::iter::once((up.interface.to_string(), Some(up.mac)));
    let beneath = up.beneath.iter().map(|link| (link.name.to_string(), link.mac));
    let links: Vec<(String, Option<Mac>)> = own.chain(beneath).collect();
    let each = |line: &dyn Fn(&str) -> String| -> String {
        links.iter().map(|(name, _)| line(name)).collect()
    };
    let rules = links.iter().filter_map(|(name, mac)| Some(udev_rule(name, &(*mac)?.to_string())));
    let mut files = vec![
        file(STATE.to_owned(), each(&|name| format!("{name}=zimg-{name}\n"))),
        file(CONFIG.to_owned(), each(&config)),
        file("/run/udev/rules.d/79-zimg.rules".to_owned(), rules.collect()),
        file(NOTE.to_owned(), note_script()),
    ];
    let state = |(name, _): &(String, _)| file(format!("{STATE}.{name}"), format!("zimg-{name}\n"));
    files.extend(links.iter().map(state));
    files
}

/// `name` becomes `zimg-NAME` by the line that grep finds it in, however else it is configured.
fn config(name: &str) -> String {
    format!(
        "no-auto-down {name}\n\
         mapping {name}\n\
         \tscript /bin/grep\n\
         \tmap zimg-{name}\n\
         iface zimg-{name} inet manual\n\
         \tdown echo \"{name} stays up: the root file system comes over it\" >&2; false\n"
    )
}

/// 75-net-description.rules has told the names by then, 80-net-setup-link.rules chooses one. Systems
/// forbid to execute what lies in /run: a shell reads it.
fn udev_rule(name: &str, mac: &str) -> String {
    format!(
        "# The root file system comes over this interface.\n\
         ACTION==\"add\", SUBSYSTEM==\"net\", KERNEL==\"{name}\", ATTR{{address}}==\"{mac}\", \
         RUN+=\"/bin/sh {NOTE} $env{{ID_NET_NAME_ONBOARD}} $env{{ID_NET_NAME_SLOT}} \
         $env{{ID_NET_NAME_PATH}} $env{{ID_NET_NAME_MAC}}\"\n"
    )
}

fn note_script() -> String {
    let config = config("$name");
    format!(
        "# udev tells the names that the root's interface may get; ifupdown then takes it for up.\n\
         for name; do\n\
         [ -s \"{STATE}.$name\" ] && continue\n\
         echo \"zimg-$name\" >\"{STATE}.$name\"\n\
         echo \"$name=zimg-$name\" >>{STATE}\n\
         [ -e {CONFIG} ] && cat >>{CONFIG} <<END\n\
         {config}END\n\
         done\n\
         :\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::process::Command;

    #[test]
    fn the_rule_is_one_line_of_udevs_grammar() {
        let rule = udev_rule("eth0", "52:54:00:12:34:56");
        let lines: Vec<&str> = rule.lines().collect();
        assert_eq!(
            lines[1],
            "ACTION==\"add\", SUBSYSTEM==\"net\", KERNEL==\"eth0\", \
             ATTR{address}==\"52:54:00:12:34:56\", RUN+=\"/bin/sh /run/zimg/note-interface \
             $env{ID_NET_NAME_ONBOARD} $env{ID_NET_NAME_SLOT} $env{ID_NET_NAME_PATH} \
             $env{ID_NET_NAME_MAC}\""
        );
        assert_eq!(lines.len(), 2);
    }

    #[test]
    fn each_name_is_noted_once_and_as_the_first_was() {
        let dir = tempfile::tempdir().unwrap();
        let at = |path: &str| dir.path().join(path);
        fs::write(at("state"), "eth0=zimg-eth0\n").unwrap();
        fs::write(at("config"), config("eth0")).unwrap();
        let script = note_script()
            .replace(STATE, at("state").to_str().unwrap())
            .replace(CONFIG, at("config").to_str().unwrap());
        fs::write(at("note"), script).unwrap();
        let status =
            Command::new("/bin/sh").arg(at("note")).args(["ens3", "enp0s3", "ens3"]).status();
        assert!(status.unwrap().success());
        let text = |path: &str| fs::read_to_string(at(path)).unwrap();
        assert_eq!(text("state"), "eth0=zimg-eth0\nens3=zimg-ens3\nenp0s3=zimg-enp0s3\n");
        assert_eq!(text("state.ens3"), "zimg-ens3\n");
        assert_eq!(text("config"), ["eth0", "ens3", "enp0s3"].map(config).concat());
    }
}
