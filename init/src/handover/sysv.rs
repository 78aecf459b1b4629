//! SysV init's scripts end all processes but those they are told of: on the way down as
//! `/run/sendsigs.omit.d` says, but in single-user mode (`killprocs`) all of them.
//!
//! All such scripts read LSB's functions first, and these what lies in a directory. There `killall5`
//! becomes one that spares what serves the root.

use super::file;
use crate::wire::GivenFile;

/// Named as run-parts(8) demands of what LSB's functions read.
const FUNCTIONS: &str = "/lib/lsb/init-functions.d/05-zimg";

/// What spares the processes that are to be spared on the way down.
pub(super) fn functions_file() -> GivenFile {
    file(FUNCTIONS.to_owned(), functions("/run/sendsigs.omit.d/zimg*"))
}

fn functions(spared: &str) -> String {
    format!(
        "# A process serves the root file system: whatever else ends, it must not.\n\
         killall5() {{\n\
         \tfor zimg_pid in $(cat {spared} 2>/dev/null); do set -- \"$@\" -o \"$zimg_pid\"; done\n\
         \tcommand killall5 \"$@\"\n\
         }}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::process::Command;

    /// What the system's own killall5 is told by a script that has read the functions.
    fn told(pids: &[(&str, &str)], script: &str) -> String {
        let dir = tempfile::tempdir().unwrap();
        let at = |path: &str| dir.path().join(path);
        fs::write(at("killall5"), "#!/bin/sh\necho \"$@\"\nexit 2\n").unwrap();
        fs::set_permissions(at("killall5"), fs::Permissions::from_mode(0o755)).unwrap();
        pids.iter().for_each(|(name, pid)| fs::write(at(name), pid).unwrap());
        let script = format!("{}{script}", functions(at("zimg*").to_str().unwrap()));
        let path = format!("{}:/usr/bin:/bin", dir.path().display());
        let output = Command::new("/bin/sh").args(["-c", &script]).env("PATH", path).output();
        let output = output.unwrap();
        assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
        String::from_utf8(output.stdout).unwrap()
    }

    #[test]
    fn killall5_spares_what_serves_the_root() {
        let pids = [("zimg", "77\n"), ("zimg-disk", "78\n"), ("other", "79\n")];
        assert_eq!(told(&pids, "killall5 -9 -o 5 || echo $?"), "-9 -o 5 -o 77 -o 78\n2\n");
    }

    #[test]
    fn booted_another_way_nothing_is_spared() {
        assert_eq!(told(&[], "killall5 -15"), "-15\n");
    }
}
