//! Small systems, and what a boot of them is expected to read.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command as Process;

use proptest::prelude::*;

use super::super::scan::{Top, scan};
use super::super::{Place, Walk};
use super::*;

/// A tree with these files, executable if they are programs or scripts; `-> target` makes a link.
fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        match text.strip_prefix("-> ") {
            Some(target) => symlink(target, path).unwrap(),
            None => {
                fs::write(&path, text).unwrap();
                let mode = if path.extension().is_none() { 0o755 } else { 0o644 };
                fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
            }
        }
    }
    dir
}

fn input(dir: &Path) -> Input {
    let top = Top::open(dir).unwrap();
    let mut tree = scan(&top, &[], 1, &()).unwrap().tree;
    let walk = Walk::new(&mut tree).unwrap();
    Input { tree, walk, place: Place::Directory(top) }
}

/// The paths of what is expected, in order.
fn paths(dir: &Path) -> Vec<String> {
    let profile = expected(&input(dir)).unwrap();
    for need in profile.needs() {
        let file = dir.join(std::str::from_utf8(&need.path).unwrap().trim_start_matches('/'));
        assert_eq!(need.range, 0..file.symlink_metadata().unwrap().len());
    }
    profile.needs().iter().map(|need| String::from_utf8(need.path.clone()).unwrap()).collect()
}

#[test]
fn the_libraries_of_a_program_are_those_that_the_loader_takes() {
    let dir = tree(&[("usr/lib/libdecoy.so.1", "decoy"), ("usr/bin/decoy", "#!/bin/sh\n")]);
    // The loader's own word: names with addresses, where a file is meant behind an arrow or alone.
    let told = Process::new("ldd").arg("/bin/bash").output().unwrap();
    let told = String::from_utf8(told.stdout).unwrap();
    let mut files: BTreeSet<String> =
        told.split_whitespace().filter(|word| word.starts_with('/')).map(str::to_owned).collect();
    assert!(files.len() >= 3, "{told}");
    for file in &files {
        let copy = dir.path().join(file.trim_start_matches('/'));
        fs::create_dir_all(copy.parent().unwrap()).unwrap();
        fs::copy(file, copy).unwrap();
    }
    fs::create_dir_all(dir.path().join("etc/ld.so.conf.d")).unwrap();
    // One of another machine is passed over.
    let other = dir.path().join("opt/other");
    fs::create_dir_all(&other).unwrap();
    for file in &files {
        let mut bytes = fs::read(file).unwrap();
        bytes[18] ^= 1;
        fs::write(other.join(&file[file.rfind('/').unwrap() + 1..]), bytes).unwrap();
    }
    let conf = "include /etc/ld.so.conf.d/*.conf\n/opt/other\n";
    fs::write(dir.path().join("etc/ld.so.conf"), conf).unwrap();
    let dirs: String =
        files.iter().map(|file| format!("{}\n", &file[..file.rfind('/').unwrap()])).collect();
    fs::write(dir.path().join("etc/ld.so.conf.d/all.conf"), dirs).unwrap();
    fs::create_dir_all(dir.path().join("sbin")).unwrap();
    fs::copy("/bin/bash", dir.path().join("sbin/init")).unwrap();

    files
        .extend(["/sbin/init", "/etc/ld.so.conf", "/etc/ld.so.conf.d/all.conf"].map(str::to_owned));
    assert_eq!(paths(dir.path()).into_iter().collect::<BTreeSet<_>>(), files);
}

#[test]
fn a_program_says_itself_where_its_libraries_lie() {
    let dir = tree(&[("sbin/old", ""), ("usr/lib/own/old", "")]);
    let link = |arguments: &[&str]| {
        let mut cc = Process::new("cc");
        cc.current_dir(dir.path()).args(["-shared", "-nostdlib"]);
        cc.args(["-x", "c", "/dev/null", "-x", "none"]);
        assert!(cc.args(arguments).status().unwrap().success());
    };
    link(&["-o", "usr/lib/own/libinner.so.1", "-Wl,-soname,libinner.so.1"]);
    let rpath = "-Wl,--no-as-needed,-rpath,/nowhere:$ORIGIN/../usr/lib/own";
    link(&["-o", "sbin/init", rpath, "usr/lib/own/libinner.so.1"]);
    // The control: where every program looks there is one too.
    let usual = dir.path().join("usr/lib/libinner.so.1");
    fs::copy(dir.path().join("usr/lib/own/libinner.so.1"), &usual).unwrap();
    assert_eq!(paths(dir.path()), ["/sbin/init", "/usr/lib/own/libinner.so.1"]);
}

#[test]
fn what_init_of_sysv_and_its_scripts_start() {
    let dir = tree(&[
        ("sbin/init", "init"),
        (
            "etc/inittab",
            "# /usr/bin/comment\nsi::sysinit:/etc/init.d/rcS\n1:2:respawn:/sbin/getty tty1\n",
        ),
        ("etc/init.d/rcS", "#!/bin/sh\nexec /etc/init.d/rc S\n"),
        ("etc/init.d/rc", "#!/bin/sh\nfor i in /etc/rc$1.d/S*; do $i start; done\n"),
        (
            "etc/init.d/cron",
            "#!/bin/sh\n. /lib/lsb/functions\n[ -x /usr/sbin/cron ] || exit\nX=y log start && \"cron\"\n",
        ),
        ("etc/rc2.d/S01cron", "-> ../init.d/cron"),
        ("etc/rc2.d/K01off", "#!/bin/sh\nstopped\n"),
        (
            "lib/lsb/functions",
            "run() {\n  if mountpoint -q /; then\n    x=$(uname -r | sed s/a/b/)\n  fi\n}\n",
        ),
        ("bin/sh", "-> dash"),
        ("bin/dash", "dash"),
        ("bin/mountpoint", "mountpoint"),
        ("usr/bin/log", "log"),
        ("usr/bin/uname", "uname"),
        ("usr/bin/sed", "sed"),
        ("usr/sbin/cron", "cron"),
        ("sbin/getty", "getty"),
        ("usr/bin/comment", "no"),
        ("usr/bin/start", "no"),
        ("usr/bin/stopped", "no"),
        ("usr/bin/exit.txt", "no"),
    ]);
    let of_etc = ["init.d/cron", "init.d/rc", "init.d/rcS", "inittab", "rc2.d/K01off"];
    let mut wanted: Vec<String> = of_etc.map(|name| format!("/etc/{name}")).into();
    wanted.extend(
        ["/sbin/init", "/bin/dash", "/lib/lsb/functions", "/bin/mountpoint", "/usr/bin/uname"]
            .map(str::to_owned),
    );
    wanted.extend(
        ["/usr/bin/sed", "/usr/bin/log", "/usr/sbin/cron", "/sbin/getty"].map(str::to_owned),
    );
    assert_eq!(paths(dir.path()), wanted);
}

#[test]
fn units_draw_in_others_and_start_programs() {
    let dir = tree(&[
        ("sbin/init", "-> /usr/lib/systemd/systemd"),
        ("usr/lib/systemd/systemd", "systemd"),
        ("usr/lib/systemd/system/default.target", "-> multi-user.target"),
        ("usr/lib/systemd/system/multi-user.target", "[Unit]\nRequires=basic.target\n"),
        ("usr/lib/systemd/system/basic.target", "[Unit]\nWants = early.service\n"),
        (
            "usr/lib/systemd/system/early.service",
            "[Service]\nExecStartPre=-/bin/prepare it\nExecStart=@!early arg0\nExecStop=/bin/stop\n",
        ),
        (
            "usr/lib/systemd/system/a@.service",
            "[Unit]\nBindsTo=b@%i.service\n[Service]\nExecStart=/bin/a %I\n",
        ),
        ("usr/lib/systemd/system/b@.service", "[Service]\nExecStart=/bin/b\n"),
        ("usr/lib/systemd/system/b@x.service.d/more.conf", "[Service]\nExecStartPost=/bin/more\n"),
        ("usr/lib/systemd/system/talk.socket", "[Socket]\nListenStream=1\n"),
        ("usr/lib/systemd/system/talk.service", "[Service]\nExecStart=/bin/talk\n"),
        ("usr/lib/systemd/system/masked.service", "[Service]\nExecStart=/bin/masked\n"),
        ("etc/systemd/system/masked.service", "-> /dev/null"),
        (
            "etc/systemd/system/multi-user.target.wants/a@x.service",
            "-> /usr/lib/systemd/system/a@.service",
        ),
        (
            "etc/systemd/system/multi-user.target.wants/masked.service",
            "-> /usr/lib/systemd/system/masked.service",
        ),
        (
            "etc/systemd/system/multi-user.target.wants/talk.socket",
            "-> /usr/lib/systemd/system/talk.socket",
        ),
        ("usr/lib/systemd/system/idle.service", "[Service]\nExecStart=/bin/idle\n"),
        ("usr/bin/early", "early"),
        ("bin/prepare", "prepare"),
        ("bin/stop", "no"),
        ("bin/a", "a"),
        ("bin/b", "b"),
        ("bin/more", "more"),
        ("bin/talk", "talk"),
        ("bin/masked", "no"),
        ("bin/idle", "no"),
    ]);
    let programs: Vec<String> =
        paths(dir.path()).into_iter().filter(|path| path.contains("bin/")).collect();
    let wanted = ["/bin/prepare", "/usr/bin/early", "/bin/b", "/bin/more", "/bin/a", "/bin/talk"];
    assert_eq!(programs, wanted);
    // All units are read, as others are ordered by them.
    assert!(paths(dir.path()).iter().any(|path| path.ends_with("/idle.service")));
}

#[test]
fn links_are_followed_inside_the_tree() {
    let dir = tree(&[
        ("a/file", "x"),
        ("up", "-> ../../a"),
        ("loop", "-> loop"),
        ("deep/link", "-> ../up/./file"),
        ("absolute", "-> /deep//link"),
        ("dir/.hidden.conf", ""),
        ("dir/b.conf", ""),
        ("dir/a.conf", ""),
        ("dir/a.cnf", ""),
    ]);
    let input = input(dir.path());
    let view = View::new(&input);
    for (path, found) in [
        ("/absolute", Some("/a/file")),
        ("absolute", Some("/a/file")),
        ("/a/../../a/file", Some("/a/file")),
        ("/loop", None),
        ("/a", None),
        ("/a/file/x", None),
        ("/none", None),
        ("", None),
    ] {
        let path = view.file(path.as_bytes()).map(|file| String::from_utf8(file.path).unwrap());
        assert_eq!(path.as_deref(), found);
    }
    let fit = |pattern| -> Vec<String> {
        view.matching(pattern).into_iter().map(|path| String::from_utf8(path).unwrap()).collect()
    };
    assert_eq!(fit("/d*r/*.conf"), ["/dir/a.conf", "/dir/b.conf"]);
    assert_eq!(fit("/*p/l*k"), ["/deep/link"]);
}

#[test]
fn a_tree_without_init_and_what_is_too_long() {
    let dir = tree(&[("bin/sh", "sh"), ("etc/passwd.txt", "root")]);
    assert!(paths(dir.path()).is_empty(), "what a shell will be told is not known");
    let grow = |dir: &Path, name: &str, len: u64| {
        fs::File::options().write(true).open(dir.join(name)).unwrap().set_len(len).unwrap();
    };
    let files = [
        ("sbin/init", "#!/bin/big\n"),
        ("bin/big", ""),
        ("etc/big.txt", ""),
        ("etc/.git/object.txt", "hidden"),
        ("bin/init", "#!/bin/sh\nsmall\n"),
        ("bin/small", "x"),
    ];
    let dir = tree(&files);
    grow(dir.path(), "bin/big", LONGEST + 1);
    grow(dir.path(), "etc/big.txt", SMALL + 1);
    assert_eq!(paths(dir.path()), ["/sbin/init"]);
    // What can't be started is none.
    fs::set_permissions(dir.path().join("sbin/init"), fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(paths(dir.path()), ["/bin/init", "/bin/small"]);
    grow(dir.path(), "bin/init", LONGEST + 1);
    assert!(paths(dir.path()).is_empty(), "it tells nothing");
}

/// Units that draw in ever more of themselves, directories by links of which there are ever more paths, and
/// scripts that name each other come to an end.
#[test]
fn what_has_no_end_ends() {
    let many: String = (0..5000).map(|number| format!("Wants=b@%i{number}.service\n")).collect();
    let dir = tree(&[
        ("sbin/init", "-> /lib/systemd/systemd"),
        ("lib/systemd/systemd", "systemd"),
        ("lib/systemd/system/default.target", "[Unit]\nWants=a@x.service b@x.service\n"),
        ("lib/systemd/system/a@.service", "[Unit]\nWants=a@%ix.service a@%iy.service\n"),
        ("lib/systemd/system/b@.service", &many),
        ("lib/systemd/system-generators/NetworkManager", "#!/bin/sh\n. /bin/sh\n/bin/other\n"),
        ("bin/sh", "#!/bin/other\n"),
        ("bin/other", "#!/bin/sh\n/bin/sh\n"),
    ]);
    for number in 0..300 {
        let plugins = dir.path().join("usr/lib/NetworkManager");
        fs::create_dir_all(&plugins).unwrap();
        symlink("NetworkManager", dir.path().join(format!("usr/lib/{number}"))).unwrap();
        symlink(".", plugins.join(format!("{number}"))).unwrap();
        symlink(".", plugins.join("NetworkManager")).ok();
        fs::write(plugins.join(format!("{number}.so")), "x").unwrap();
    }
    let paths = paths(dir.path());
    assert!(paths.iter().any(|path| path == "/usr/lib/NetworkManager/7.so"), "the control");
}

#[test]
fn commands_stand_where_they_stand() {
    use Command::{Run, Source};
    let text =
        b"#!/bin/sh -e\n# a comment\n a b; c|d && e || ! f\n. g\nsource \"/h\" i\nX=1 Y=\"/i\" 'j' k\n\
        if [ -x l ]; then exec m; fi\n(n) `o` $(p)\necho q\n\nr=$(s)\n";
    let runs = |words: [&'static str; 5]| words.map(|word| Run(word.as_bytes()));
    let mut wanted = Vec::from(runs(["a", "c", "d", "e", "f"]));
    wanted.extend([Source(b"g"), Source(b"/h")]);
    // The shell's own words pass for programs, which there are none of.
    wanted.extend(runs(["/i", "j", "m", "fi", "n"]));
    wanted.extend(["o", "p", "s"].map(|word| Run(word.as_bytes())));
    assert_eq!(script::commands(text), wanted);
    for (line, programs, shell) in [
        (&b"#!/bin/sh -e\n"[..], &[&b"/bin/sh"[..]][..], true),
        (b"#! /usr/bin/env -S bash", &[b"/usr/bin/env", b"bash"], true),
        (b"#!/usr/bin/env python3\n", &[b"/usr/bin/env", b"python3"], false),
        (b"#!/sbin/openrc-run\n", &[b"/sbin/openrc-run"], true),
    ] {
        let interpreter = script::interpreter(line).unwrap();
        let runs: Vec<_> = programs.iter().map(|program| Run(program)).collect();
        assert_eq!(
            (interpreter.commands().collect::<Vec<_>>(), interpreter.is_shell()),
            (runs, shell)
        );
    }
    assert!(
        ["# /bin/sh", "#!", "#! \n", ""]
            .iter()
            .all(|l| script::interpreter(l.as_bytes()).is_none())
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    /// Whatever an init is, and however broken: it is needed, and nothing of it ends a build.
    #[test]
    fn any_init_is_looked_into(
        mut init in prop_oneof![
            Just(fs::read("/bin/true").unwrap()),
            prop::collection::vec(any::<u8>(), 1..4096),
        ],
        everywhere in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..64),
        in_headers in prop::collection::vec((0_usize..1024, any::<u8>()), 0..8),
        cut: prop::sample::Index,
    ) {
        let len = init.len();
        let everywhere = everywhere.iter().map(|(at, byte)| (at.index(len), *byte));
        for (at, byte) in everywhere.chain(in_headers) {
            init[at % len] = byte;
        }
        init.truncate(len.min(1 + cut.index(2 * len)));
        let dir = tree(&[("bin/sh", "sh")]);
        fs::create_dir(dir.path().join("sbin")).unwrap();
        let path = dir.path().join("sbin/init");
        fs::write(&path, &init).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        prop_assert_eq!(&paths(dir.path())[0], "/sbin/init");
    }
}
