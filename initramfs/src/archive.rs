//! The newc cpio archive, byte for byte reproducible: entries sorted by path, inode numbers
//! counted from 1, times 0, owner root.
//!
//! Grammar (Linux, Documentation/driver-api/early-userspace/buffer-format.rst): a header of
//! 110 ASCII characters, "070701" and 13 fields of 8 hexadecimal digits; the name and a NUL,
//! padded to 4; the data, padded to 4. An entry named `TRAILER!!!` ends the archive.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use crate::Error;

const S_IFDIR: u32 = 0o040_000;
const S_IFREG: u32 = 0o100_000;
const S_IFCHR: u32 = 0o020_000;
/// The kernel's PATH_MAX, its NUL included: longer names are skipped by the kernel unseen.
const NAME_MAX: usize = 4096;

#[derive(Debug)]
enum Node {
    Dir,
    File(Vec<u8>),
    CharDevice { major: u32, minor: u32 },
}

#[derive(Debug)]
struct Item {
    permissions: u32,
    node: Node,
}

/// A tree of files to be written as one cpio archive. Paths are relative to its root.
#[derive(Debug, Default)]
pub(crate) struct Archive {
    items: BTreeMap<Vec<u8>, Item>,
}

impl Archive {
    /// An archive that holds nothing yet.
    pub(crate) fn new() -> Archive {
        Archive::default()
    }

    /// Adds a directory (mode 0755) and its parents; one that exists already stays.
    pub(crate) fn dir(&mut self, path: &str) -> Result<(), Error> {
        let path = clean(path)?;
        self.dirs(&path)
    }

    /// Adds a regular file and the directories above it.
    pub(crate) fn file(
        &mut self,
        path: &str,
        permissions: u32,
        data: Vec<u8>,
    ) -> Result<(), Error> {
        self.insert(path, Item { permissions, node: Node::File(data) })
    }

    /// Adds a character device and the directories above it.
    pub(crate) fn char_device(
        &mut self,
        path: &str,
        permissions: u32,
        (major, minor): (u32, u32),
    ) -> Result<(), Error> {
        self.insert(path, Item { permissions, node: Node::CharDevice { major, minor } })
    }

    /// Whether there is a regular file of that path.
    pub(crate) fn has_file(&self, path: &str) -> bool {
        clean(path).is_ok_and(|path| {
            self.items.get(&path).is_some_and(|item| matches!(item.node, Node::File(_)))
        })
    }

    /// The regular files, by path from the root on.
    pub(crate) fn files(&self) -> impl Iterator<Item = (String, &[u8])> {
        self.items.iter().filter_map(|(path, item)| match &item.node {
            Node::File(data) => Some((lossy(path), data.as_slice())),
            Node::Dir | Node::CharDevice { .. } => None,
        })
    }

    /// The archive's bytes.
    pub(crate) fn to_newc(&self) -> Result<Vec<u8>, Error> {
        let mut out = Vec::new();
        for (ino, (path, item)) in (1u32..).zip(&self.items) {
            let (kind, nlink, data, device) = match &item.node {
                Node::Dir => (S_IFDIR, 2, &[][..], (0, 0)),
                Node::File(data) => (S_IFREG, 1, data.as_slice(), (0, 0)),
                Node::CharDevice { major, minor } => (S_IFCHR, 1, &[][..], (*major, *minor)),
            };
            let size = u32::try_from(data.len())
                .map_err(|_too_long| Error::TooLarge { path: lossy(path) })?;
            let mode = kind | item.permissions;
            header(&mut out, path, &Fields { ino, mode, nlink, size, device })?;
            out.extend_from_slice(data);
            pad(&mut out);
        }
        let end = Fields { ino: 0, mode: 0, nlink: 1, size: 0, device: (0, 0) };
        header(&mut out, b"TRAILER!!!", &end)?;
        Ok(out)
    }

    fn insert(&mut self, path: &str, item: Item) -> Result<(), Error> {
        let path = clean(path)?;
        if let Some(slash) = path.iter().rposition(|&byte| byte == b'/') {
            self.dirs(&path[..slash])?;
        }
        match self.items.entry(path) {
            Entry::Occupied(taken) => Err(Error::Taken { path: lossy(taken.key()) }),
            Entry::Vacant(free) => {
                free.insert(item);
                Ok(())
            }
        }
    }

    fn dirs(&mut self, path: &[u8]) -> Result<(), Error> {
        let ends = path.iter().enumerate().filter(|&(_, &byte)| byte == b'/').map(|(at, _)| at);
        for end in ends.chain([path.len()]) {
            let dir = &path[..end];
            match self.items.get(dir) {
                None => {
                    self.items.insert(dir.to_vec(), Item { permissions: 0o755, node: Node::Dir });
                }
                Some(Item { node: Node::Dir, .. }) => {}
                Some(_) => return Err(Error::Taken { path: lossy(dir) }),
            }
        }
        Ok(())
    }
}

/// Only the fields that differ between entries.
struct Fields {
    ino: u32,
    mode: u32,
    nlink: u32,
    size: u32,
    device: (u32, u32),
}

fn header(out: &mut Vec<u8>, name: &[u8], fields: &Fields) -> Result<(), Error> {
    let name_len = u32::try_from(name.len() + 1)
        .ok()
        .filter(|_| name.len() < NAME_MAX)
        .ok_or_else(|| Error::BadPath { path: lossy(name), why: "longer than 4095 bytes" })?;
    let Fields { ino, mode, nlink, size, device } = *fields;
    out.extend_from_slice(b"070701");
    let (uid, gid, mtime, check) = (0, 0, 0, 0);
    let on = (0, 0);
    for field in
        [ino, mode, uid, gid, nlink, mtime, size, on.0, on.1, device.0, device.1, name_len, check]
    {
        out.extend_from_slice(format!("{field:08X}").as_bytes());
    }
    out.extend_from_slice(name);
    out.push(0);
    pad(out);
    Ok(())
}

fn pad(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(4), 0);
}

/// The path without leading, trailing and doubled slashes and `.`; refuses `..`, an empty
/// path, and the name that ends an archive.
fn clean(path: &str) -> Result<Vec<u8>, Error> {
    let bad = |why| Err(Error::BadPath { path: path.to_owned(), why });
    let parts: Vec<&str> = path.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    if parts.is_empty() {
        return bad("names no file");
    }
    if parts.contains(&"..") {
        return bad("has a '..' in it");
    }
    if path.contains('\0') {
        return bad("has a NUL byte in it");
    }
    let clean = parts.join("/").into_bytes();
    if clean == b"TRAILER!!!" {
        return bad("is the name that ends a cpio archive");
    }
    Ok(clean)
}

fn lossy(path: &[u8]) -> String {
    format!("/{}", String::from_utf8_lossy(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Archive {
        let mut archive = Archive::new();
        archive.file("/init", 0o755, b"program".to_vec()).unwrap();
        archive.file("etc//zimg/./10-a.conf", 0o644, b"zimg.url=http://a/\n".to_vec()).unwrap();
        archive.char_device("dev/console", 0o600, (5, 1)).unwrap();
        archive.dir("/sysroot/").unwrap();
        archive.dir("etc/zimg").unwrap();
        archive
    }

    #[test]
    fn the_cpio_crate_reads_what_was_written() {
        let bytes = sample().to_newc().unwrap();
        let mut rest = std::io::Cursor::new(&bytes);
        let mut seen = Vec::new();
        loop {
            let mut reader = cpio::newc::Reader::new(rest).unwrap();
            if reader.entry().is_trailer() {
                break;
            }
            let mut data = Vec::new();
            std::io::Read::read_to_end(&mut reader, &mut data).unwrap();
            let entry = reader.entry();
            assert_eq!((entry.uid(), entry.gid(), entry.mtime()), (0, 0, 0));
            seen.push((
                entry.ino(),
                entry.name().to_owned(),
                entry.mode(),
                entry.nlink(),
                (entry.rdev_major(), entry.rdev_minor()),
                String::from_utf8(data).unwrap(),
            ));
            rest = reader.finish().unwrap();
        }
        let row = |ino, name: &str, mode, nlink, rdev, data: &str| {
            (ino, name.to_owned(), mode, nlink, rdev, data.to_owned())
        };
        assert_eq!(
            seen,
            [
                row(1, "dev", 0o040_755, 2, (0, 0), ""),
                row(2, "dev/console", 0o020_600, 1, (5, 1), ""),
                row(3, "etc", 0o040_755, 2, (0, 0), ""),
                row(4, "etc/zimg", 0o040_755, 2, (0, 0), ""),
                row(5, "etc/zimg/10-a.conf", 0o100_644, 1, (0, 0), "zimg.url=http://a/\n"),
                row(6, "init", 0o100_755, 1, (0, 0), "program"),
                row(7, "sysroot", 0o040_755, 2, (0, 0), ""),
            ]
        );
    }

    #[test]
    fn order_of_adding_does_not_matter() {
        let mut other = Archive::new();
        other.dir("sysroot").unwrap();
        other.char_device("dev/console", 0o600, (5, 1)).unwrap();
        other.file("etc/zimg/10-a.conf", 0o644, b"zimg.url=http://a/\n".to_vec()).unwrap();
        other.file("init", 0o755, b"program".to_vec()).unwrap();
        assert_eq!(other.to_newc().unwrap(), sample().to_newc().unwrap());
    }

    #[test]
    fn paths_that_lead_astray_or_are_taken_are_refused() {
        let long = "x".repeat(4096);
        for path in ["", "/", "./.", "a/../b", "..", "TRAILER!!!", "a\0b"] {
            let refused = sample().file(path, 0o644, Vec::new());
            assert!(matches!(refused, Err(Error::BadPath { .. })), "{path:?}: {refused:?}");
        }
        for path in ["init", "init/below", "etc", "/dev/console"] {
            let refused = sample().file(path, 0o644, Vec::new());
            assert!(matches!(refused, Err(Error::Taken { .. })), "{path:?}: {refused:?}");
        }
        let mut archive = sample();
        archive.file(&long, 0o644, Vec::new()).unwrap();
        assert!(matches!(archive.to_newc(), Err(Error::BadPath { .. })));
    }
}
