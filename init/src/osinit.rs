//! Finds the booted system's init, and becomes it.

use crate::failure::{Failure, OrFail, Stage};
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, fstat, open, openat2};
use std::convert::Infallible;
use std::env;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

/// What is tried in turn where the command line has no `init=`; the kernel's own order.
const USUAL: [&str; 4] = ["/sbin/init", "/etc/init", "/bin/init", "/bin/sh"];

/// The init that `root` holds: `asked`, or the first of the usual ones.
///
/// Found before the root is left, so that a root without one still gets its screen.
pub(crate) fn find(root: &Path, asked: Option<&str>) -> Result<String, Failure> {
    let candidates: Vec<&str> = asked.map_or(USUAL.to_vec(), |path| vec![path]);
    let mut tried = Vec::new();
    for path in candidates {
        match program(root, path) {
            Ok(()) => return Ok(path.to_owned()),
            Err(e) => tried.push((path, e)),
        }
    }
    let (what, fix) = match asked {
        Some(path) => (
            format!("the image has no program {path}, which init= asks for"),
            "correct init= on the kernel command line, or leave it out",
        ),
        None => (
            "the image has no init".to_owned(),
            "build the image from a whole system, or name its program with init=",
        ),
    };
    let failure = Failure::new(Stage::Init, what, fix);
    Err(tried.into_iter().fold(failure, |failure, (path, e)| failure.fact(path, e)))
}

/// Whether `path`, as seen from within `root`, is a program.
pub(crate) fn program(root: &Path, path: &str) -> io::Result<()> {
    let dir = open(root, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let file = openat2(&dir, path, flags, Mode::empty(), ResolveFlags::IN_ROOT)?;
    let meta = fstat(&file)?;
    if FileType::from_raw_mode(meta.st_mode) != FileType::RegularFile {
        return Err(io::Error::other("not a file"));
    }
    if meta.st_mode & 0o111 == 0 {
        return Err(io::Error::other("not executable"));
    }
    Ok(())
}

/// Becomes `path`, with the arguments the kernel gave to PID 1. Returns only if that fails.
pub(crate) fn become_init(path: &str) -> Result<Infallible, Failure> {
    let error = Command::new(path).args(env::args_os().skip(1)).exec();
    Err(error).or_fail(
        Stage::Init,
        &format!("execute {path}"),
        "see that the image holds the program for this kind of processor, with its interpreter and libraries",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    fn root(programs: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for path in programs {
            let path = root.path().join(path.trim_start_matches('/'));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "x").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        root
    }

    #[test]
    fn the_first_of_the_usual_ones_is_taken() {
        let root = root(&["/bin/sh", "/sbin/init"]);
        assert_eq!(find(root.path(), None).unwrap(), "/sbin/init");
        fs::remove_file(root.path().join("sbin/init")).unwrap();
        assert_eq!(find(root.path(), None).unwrap(), "/bin/sh");
    }

    #[test]
    fn links_stay_within_the_root() {
        let root = root(&["/usr/lib/systemd/systemd"]);
        symlink("usr/lib", root.path().join("lib")).unwrap();
        fs::create_dir(root.path().join("sbin")).unwrap();
        symlink("/lib/systemd/systemd", root.path().join("sbin/init")).unwrap();
        assert_eq!(find(root.path(), None).unwrap(), "/sbin/init");
        // A program of the host is no program of the image.
        symlink("/bin/sh", root.path().join("sbin/other")).unwrap();
        assert!(find(root.path(), Some("/sbin/other")).is_err());
    }

    #[test]
    fn what_was_asked_for_is_all_that_is_tried() {
        let root = root(&["/sbin/init"]);
        let failure = find(root.path(), Some("/sbin/nonesuch")).unwrap_err();
        assert!(failure.what.contains("/sbin/nonesuch"));
        assert_eq!(failure.facts.len(), 1);
    }

    #[test]
    fn a_root_without_init_names_all_that_was_tried() {
        let root = root(&[]);
        fs::create_dir_all(root.path().join("sbin/init")).unwrap();
        fs::create_dir_all(root.path().join("bin")).unwrap();
        fs::write(root.path().join("bin/sh"), "").unwrap();
        let failure = find(root.path(), None).unwrap_err();
        let labels: Vec<&str> = failure.facts.iter().map(|(label, _)| label.as_str()).collect();
        assert_eq!(labels, USUAL);
        assert_eq!(failure.facts[0].1, "not a file");
        assert_eq!(failure.facts[3].1, "not executable");
    }
}
