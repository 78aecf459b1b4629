//! Debian's ifupdown: it must find the interface up, and must not take it down.
//!
//! Its configuration knows the interface by the name that udev gives it once the system runs, which
//! may be another than the kernel's. So udev is asked to note that name too, before ifupdown begins.
//! The state noted, `zimg`, is no interface that ifupdown could have a definition of: so ifup finds
//! the interface configured, and ifdown finds nothing to do.

use super::file;
use crate::net::Up;
use crate::wire::GivenFile;

/// The program that notes names.
const NOTE: &str = "/run/zimg/note-interface";

/// The files that ifupdown and udev read.
pub(super) fn files(up: &Up) -> [GivenFile; 5] {
    let name = up.interface.to_string();
    [
        file("/run/network/ifstate".to_owned(), format!("{name}=zimg\n")),
        file(format!("/run/network/ifstate.{name}"), "zimg\n".to_owned()),
        file("/etc/network/interfaces.d/zimg".to_owned(), format!("no-auto-down {name}\n")),
        file("/run/udev/rules.d/79-zimg.rules".to_owned(), udev_rule(&name, &up.mac.to_string())),
        file(NOTE.to_owned(), NOTE_SCRIPT.to_owned()),
    ]
}

/// 75-net-description.rules has told the names by then, 80-net-setup-link.rules chooses one.
fn udev_rule(name: &str, mac: &str) -> String {
    format!(
        "# The root file system comes over this interface.\n\
         ACTION==\"add\", SUBSYSTEM==\"net\", KERNEL==\"{name}\", ATTR{{address}}==\"{mac}\", \
         RUN+=\"{NOTE} $env{{ID_NET_NAME_ONBOARD}} $env{{ID_NET_NAME_SLOT}} \
         $env{{ID_NET_NAME_PATH}} $env{{ID_NET_NAME_MAC}}\"\n"
    )
}

const NOTE_SCRIPT: &str = "#!/bin/sh\n\
# udev tells the names that the root's interface may get; ifupdown then takes it for up.\n\
for name; do\n\
    [ -s \"/run/network/ifstate.$name\" ] && continue\n\
    echo zimg >\"/run/network/ifstate.$name\"\n\
    echo \"$name=zimg\" >>/run/network/ifstate\n\
    [ -e /etc/network/interfaces.d/zimg ] &&\n\
        echo \"no-auto-down $name\" >>/etc/network/interfaces.d/zimg\n\
done\n\
:\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rule_is_one_line_of_udevs_grammar() {
        let rule = udev_rule("eth0", "52:54:00:12:34:56");
        let lines: Vec<&str> = rule.lines().collect();
        assert_eq!(
            lines[1],
            "ACTION==\"add\", SUBSYSTEM==\"net\", KERNEL==\"eth0\", \
             ATTR{address}==\"52:54:00:12:34:56\", RUN+=\"/run/zimg/note-interface \
             $env{ID_NET_NAME_ONBOARD} $env{ID_NET_NAME_SLOT} $env{ID_NET_NAME_PATH} \
             $env{ID_NET_NAME_MAC}\""
        );
        assert_eq!(lines.len(), 2);
    }

    #[test]
    fn the_note_is_a_program() {
        assert!(super::super::is_program(NOTE_SCRIPT));
    }
}
