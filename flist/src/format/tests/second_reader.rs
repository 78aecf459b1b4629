//! A reader in another language, made from FORMAT.md, reads the same.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use super::*;
use crate::image::{Kind, ROOT, Time};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

fn time(Time { sec, nsec }: Time) -> String {
    format!("{sec}+{nsec}")
}

fn inode(image: &Image, ino: u32, text: &mut String) -> std::fmt::Result {
    let inode = image.inode(ino).unwrap();
    let (mode, uid, gid) = (inode.mode, inode.uid, inode.gid);
    write!(
        text,
        "inode {ino}: {mode:o} {uid}:{gid} {} xattrs {}",
        time(inode.mtime),
        inode.xattrs
    )?;
    let born = image.btime(ino).map(|birth| format!(" born {}", time(birth)));
    writeln!(text, "{}", born.unwrap_or_default())?;
    match inode.kind {
        Kind::Directory { .. } => {
            for entry in image.entries(ino).unwrap() {
                writeln!(text, "  entry {} {}", hex(image.name(entry)), entry.ino)?;
            }
        }
        Kind::File { size, .. } => {
            writeln!(text, "  size {size}")?;
            for e in image.extents(ino).unwrap() {
                writeln!(text, "  extent {} {} at {}", e.file_offset, e.len, e.content_offset)?;
            }
        }
        Kind::Symlink { .. } => writeln!(text, "  to {}", hex(image.target(ino).unwrap()))?,
        Kind::Char(device) | Kind::Block(device) => {
            writeln!(text, "  device {}:{}", device.major, device.minor)?;
        }
        Kind::Fifo | Kind::Socket => {}
    }
    Ok(())
}

fn listing(image: &Image) -> String {
    let mut text = String::new();
    for ino in ROOT..=image.inode_count() {
        inode(image, ino, &mut text).unwrap();
    }
    for set in image.tables().xattr_sets.iter().skip(1) {
        text += "xattr set\n";
        set.iter().for_each(|(name, value)| text += &format!("  {}={}\n", hex(name), hex(value)));
    }
    for c in image.chunks() {
        let line = format!("chunk {} stored {} in {} at {}", c.len, c.stored_len, c.pack, c.offset);
        text += &format!("{line} id {}\n", c.id);
    }
    image.packs().iter().for_each(|pack| text += &format!("pack {} id {}\n", pack.len, pack.id));
    if !image.profiled().is_empty() {
        text += &format!("profile of {} chunks\n", image.profiled().end);
    }
    for (key, value) in image.meta() {
        text += &format!("meta {}={}\n", hex(key.as_bytes()), hex(value.as_bytes()));
    }
    text
}

fn second_reader(file: &Path) -> String {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/second_reader.py");
    let output = Command::new("python3").arg(script).arg(file).output();
    let output = output.expect("the second reader needs python3, and the zstd program");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_second_reader_reads_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("image.flist");
    let golden = include_bytes!("../../../tests/golden/small.flist");
    let mut images = fixed(20);
    images.extend([FULL.clone(), decode(golden).unwrap()]);
    for image in images {
        std::fs::write(&file, encode(&image).unwrap()).unwrap();
        assert_eq!(second_reader(&file), listing(&image));
    }
    let mut damaged = encode(&FULL).unwrap();
    damaged[HEADER_LEN + ROW_LEN + 24] ^= 1;
    std::fs::write(&file, damaged).unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/second_reader.py");
    let status = Command::new("python3").arg(script).arg(&file).output().unwrap().status;
    assert!(!status.success(), "it does check lengths");
}
