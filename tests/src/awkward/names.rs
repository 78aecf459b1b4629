//! Names: every byte, every length, far too many, far too deep; and symlinks to anything.

use std::fs::{self, File};
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::fs::symlink;
use std::path::Path;

use rustix::fs::{Mode, OFlags};

use super::{DIRECTORY, directory_at, os};

/// Entries of the one big directory.
pub const MANY: usize = 20_000;
/// Levels of the deep directories.
const DEPTH: usize = 60;

/// Each single byte, the longest names, names that other formats give a meaning.
pub(super) fn names(dir: &Path) -> anyhow::Result<()> {
    for byte in (1..=255_u8).filter(|byte| !b"/.".contains(byte)) {
        fs::write(dir.join(os(&[byte])), [byte])?;
    }
    let longest = [b'x'; 255];
    let longest_utf8 = "ä".repeat(127);
    let odd: [&[u8]; 20] = [
        &longest,
        &longest[..254],
        &[0xff; 255],
        longest_utf8.as_bytes(),
        b"\xff\xfe not utf-8",
        b"a \xc3 cut short",
        b"line\nfeed",
        b" leading and trailing ",
        b"...",
        b"..x",
        b"-rf",
        b"--help",
        b".wh.removed",
        b".wh..wh..opq",
        b"$(reboot)",
        b"C:\\con\\.txt",
        "e\u{301}".as_bytes(),
        "\u{e9}".as_bytes(),
        "\u{202e}gnp.exe".as_bytes(),
        b"lost+found",
    ];
    for name in odd {
        fs::write(dir.join(os(name)), name)?;
    }
    let parent = dir.join(os(b"dir\xff\n"));
    fs::create_dir(&parent)?;
    fs::write(parent.join(os(b"\x01")), "inside")?;
    Ok(())
}

/// One directory with `MANY` entries.
pub(super) fn many(dir: &Path) -> anyhow::Result<()> {
    for number in 0..MANY {
        let name = format!("entry-{number:05}-{}", "n".repeat(number % 40));
        // Some empty, most small and distinct, some alike.
        let text = if number % 7 == 0 { String::new() } else { format!("{}\n", number % 15_000) };
        File::create(dir.join(name))?.write_all(text.as_bytes())?;
    }
    Ok(())
}

/// 60 levels, with something at each.
pub(super) fn deep(dir: &Path) -> anyhow::Result<()> {
    let mut at = dir.to_path_buf();
    for level in 0..DEPTH {
        at.push(format!("level-{level}"));
        fs::create_dir(&at)?;
        fs::write(at.join("file"), format!("at level {level}"))?;
    }
    Ok(())
}

/// 60 levels of the longest names: a path nearly four times as long as any system call takes.
pub(super) fn deep_long(dir: &Path) -> anyhow::Result<()> {
    let mut at: OwnedFd = rustix::fs::open(dir, DIRECTORY, Mode::empty())?;
    for level in 0..DEPTH {
        let letter = b'a' + u8::try_from(level % 26)?;
        at = directory_at(&at, &[letter; 255])?;
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::CLOEXEC;
    let bottom = rustix::fs::openat(&at, "bottom", flags, Mode::from(0o600))?;
    File::from(bottom).write_all(b"reached")?;
    rustix::fs::symlinkat("bottom", &at, "link")?;
    Ok(())
}

/// Targets of every kind, none of which need exist.
pub(super) fn symlinks(dir: &Path) -> anyhow::Result<()> {
    let longest = [b't'; 4095];
    let odd: Vec<u8> = (1..=255).collect();
    let targets: [(&str, &[u8]); 12] = [
        ("short", b"x"),
        ("longest", &longest),
        ("nearly-longest", &longest[..4094]),
        ("page-and-more", &longest[..1025]),
        ("every-byte", &odd),
        ("not-utf8", b"\xff/\xfe"),
        ("absolute", b"/etc/passwd"),
        ("up", b"../../.."),
        ("slash", b"target/"),
        ("root", b"/"),
        ("itself", b"itself"),
        ("newline", b"a\nb -> c"),
    ];
    for (name, target) in targets {
        symlink(os(target), dir.join(name))?;
    }
    fs::create_dir(dir.join("target"))?;
    fs::write(dir.join("target/file"), "through a link")?;
    symlink("target", dir.join("to-directory"))?;
    symlink("target/file", dir.join("to-file"))?;
    Ok(())
}
