//! Compares a directory with an image, entry by entry, in all that an image records.

use std::collections::HashMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use super::Bench;
use crate::image::{Ino, Kind, ROOT};

/// Panics at the first difference.
pub(super) fn assert_same(bench: &Bench, name: &str, source: &Path) {
    let image = bench.decode(name);
    let mut links = HashMap::new();
    let mut queue = vec![(source.to_path_buf(), ROOT)];
    while let Some((path, ino)) = queue.pop() {
        let inode = image.inode(ino).unwrap();
        let meta = fs::symlink_metadata(&path).unwrap();
        let shown = path.display();
        assert_eq!(inode.mode, meta.mode(), "{shown}");
        assert_eq!((inode.uid, inode.gid), (meta.uid(), meta.gid()), "{shown}");
        let nsec = i64::from(inode.mtime.nsec);
        assert_eq!((inode.mtime.sec, nsec), (meta.mtime(), meta.mtime_nsec()), "{shown}");
        assert_eq!(image.xattrs(ino), xattrs(&path), "{shown}");
        let key = (meta.dev(), meta.ino());
        assert_eq!(*links.entry(key).or_insert(ino), ino, "{shown}: link group");
        if !meta.is_dir() {
            assert_eq!(u64::from(image.nlink(ino)), meta.nlink(), "{shown}");
        }
        kind(bench, name, ino, &path);
        if meta.is_dir() {
            let entries = image.entries(ino).unwrap();
            assert_eq!(entries.len(), fs::read_dir(&path).unwrap().count(), "{shown}");
            for entry in fs::read_dir(&path).unwrap() {
                let entry = entry.unwrap();
                let child = image.lookup(ino, entry.file_name().as_bytes());
                queue.push((entry.path(), child.expect("an entry of the source is there")));
            }
        }
    }
    assert_eq!(links.len(), image.inode_count() as usize);
}

fn kind(bench: &Bench, name: &str, ino: Ino, path: &Path) {
    let image = bench.decode(name);
    let meta = fs::symlink_metadata(path).unwrap();
    let kind = meta.file_type();
    let shown = path.display();
    match &image.inode(ino).unwrap().kind {
        Kind::Directory { .. } => assert!(kind.is_dir(), "{shown}"),
        Kind::File { size, .. } => {
            assert!(kind.is_file(), "{shown}");
            assert_eq!(*size, meta.len(), "{shown}");
            assert!(fs::read(path).unwrap() == bench.contents(&image, ino), "{shown}: contents");
        }
        Kind::Symlink { .. } => {
            let target = fs::read_link(path).unwrap();
            assert_eq!(image.target(ino).unwrap(), target.as_os_str().as_bytes(), "{shown}");
        }
        Kind::Char(d) | Kind::Block(d) => {
            assert!(kind.is_char_device() || kind.is_block_device(), "{shown}");
            assert_eq!(rustix::fs::makedev(d.major, d.minor), meta.rdev(), "{shown}");
        }
        Kind::Fifo => assert!(kind.is_fifo(), "{shown}"),
        Kind::Socket => assert!(kind.is_socket(), "{shown}"),
    }
}

/// The extended attributes of `path`, in name order.
fn xattrs(path: &Path) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut list = vec![0; 1 << 16];
    let len = rustix::fs::llistxattr(path, list.as_mut_slice()).unwrap();
    let names = list[..len].split(|&b| b == 0).filter(|n| !n.is_empty());
    let mut set: Vec<_> = names
        .map(|name| {
            let mut value = vec![0; 1 << 16];
            let len = rustix::fs::lgetxattr(path, name, value.as_mut_slice()).unwrap();
            (name.to_vec(), value[..len].to_vec())
        })
        .collect();
    set.sort();
    set
}
