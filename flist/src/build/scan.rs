//! Reads a directory tree: names, kinds and attributes of all that is in it, without following
//! a symbolic link anywhere.

use std::collections::{HashMap, VecDeque};
use std::ffi::{CString, OsStr};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Statx, StatxFlags, StatxTimestamp};
use rustix::io::Errno;

use super::output::PROC;
use super::tree::{Data, Entry, File, Identity, Node, NodeId, ROOT, Tree, What};
use super::{BuildError, LeftOut, Progress, pseudo};
use crate::image::{Device, MAX_XATTR_LIST_LEN, MAX_XATTR_VALUE_LEN, Time, XattrSet};

/// The top of a source directory.
pub(super) struct Top {
    pub(super) path: PathBuf,
    fd: OwnedFd,
}

/// What a scan found, and what it left out.
pub(super) struct Scanned {
    pub(super) tree: Tree,
    pub(super) left_out: LeftOut,
}

const DIR_FLAGS: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

impl Top {
    /// Opens the source; it may itself be named by a symbolic link.
    pub(super) fn open(path: &Path) -> Result<Self, BuildError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd =
            rustix::fs::open(path, flags, Mode::empty()).map_err(BuildError::io("open", path))?;
        Ok(Self { path: path.to_path_buf(), fd })
    }

    /// Opens the directory that `names` lead to, one after the other, so however long the path.
    pub(super) fn open_dir(&self, names: &[&[u8]]) -> Result<OwnedFd, BuildError> {
        let mut dir: Option<OwnedFd> = None;
        for name in names {
            let above = dir.as_ref().map_or(self.fd.as_fd(), AsFd::as_fd);
            let below = rustix::fs::openat(above, *name, DIR_FLAGS, Mode::empty());
            dir = Some(below.map_err(|e| self.failed("open", names, e))?);
        }
        match dir {
            Some(dir) => Ok(dir),
            None => rustix::fs::openat(&self.fd, c".", DIR_FLAGS, Mode::empty())
                .map_err(BuildError::io("open", &self.path)),
        }
    }

    fn failed(&self, doing: &'static str, names: &[&[u8]], e: Errno) -> BuildError {
        let below: PathBuf = names.iter().map(|n| OsStr::from_bytes(n)).collect();
        BuildError::io(doing, self.path.join(below))(e)
    }
}

pub(super) fn identity_of(stat: &Statx) -> Identity {
    Identity { device: (stat.stx_dev_major, stat.stx_dev_minor), ino: stat.stx_ino }
}

pub(super) fn time_of(stamp: &StatxTimestamp) -> Time {
    Time { sec: stamp.tv_sec, nsec: stamp.tv_nsec }
}

/// Scans all below `top`, save `skip` (the build's own output).
pub(super) fn scan(
    top: &Top,
    skip: &[Identity],
    progress: &dyn Progress,
) -> Result<Scanned, BuildError> {
    let mut scan = Scan {
        top,
        skip,
        links: HashMap::new(),
        list: vec![0; MAX_XATTR_LIST_LEN],
        value: vec![0; MAX_XATTR_VALUE_LEN],
        left_out: LeftOut::default(),
    };
    let fd = top.open_dir(&[])?;
    let stat = statx(&fd, c"").map_err(BuildError::io("examine", &top.path))?;
    let xattrs = scan.xattrs(&fd, c".", Path::new(""))?;
    let mut tree = Tree::new(node(&stat, What::Directory(Vec::new())), xattrs)?;
    let mut queue = VecDeque::from([(ROOT, PathBuf::new(), identity_of(&stat).device)]);
    while let Some((dir, path, device)) = queue.pop_front() {
        if progress.cancelled() {
            return Err(BuildError::Cancelled);
        }
        let entries = scan.directory(&mut tree, &path, device, &mut queue)?;
        if let Some(Node { what: What::Directory(place), .. }) = tree.nodes.get_mut(dir as usize) {
            *place = entries;
        }
    }
    Ok(Scanned { tree, left_out: scan.left_out })
}

struct Scan<'a> {
    top: &'a Top,
    skip: &'a [Identity],
    /// Inodes with several names that have been met.
    links: HashMap<Identity, NodeId>,
    list: Vec<u8>,
    value: Vec<u8>,
    left_out: LeftOut,
}

/// A directory yet to be read: its node, its path below the top, and its device.
type Queue = VecDeque<(NodeId, PathBuf, (u32, u32))>;

impl Scan<'_> {
    fn directory(
        &mut self,
        tree: &mut Tree,
        path: &Path,
        device: (u32, u32),
        queue: &mut Queue,
    ) -> Result<Vec<Entry>, BuildError> {
        let names: Vec<&[u8]> = path.iter().map(OsStr::as_bytes).collect();
        let fd = self.top.open_dir(&names)?;
        let mut entries = Vec::new();
        for name in list(&fd).map_err(BuildError::io("list", self.top.path.join(path)))? {
            let below = path.join(OsStr::from_bytes(name.as_bytes()));
            let stat = statx(&fd, &name).map_err(self.at("examine", &below))?;
            let id = identity_of(&stat);
            if self.skip.contains(&id) {
                self.left_out.skipped.push(below);
                continue;
            }
            let node = match self.links.get(&id) {
                Some(&met) => met,
                None => self.entry(tree, &fd, &name, &stat, &below)?,
            };
            if is_dir(&stat) {
                if id.device != device
                    && pseudo::is_mounted(&fd, &name).map_err(self.at("examine", &below))?
                {
                    self.left_out.emptied.push(below);
                } else {
                    queue.push_back((node, below, id.device));
                }
            }
            entries.push(Entry { name: name.into_bytes().into(), node });
        }
        entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    /// A node for an inode that was not met before.
    fn entry(
        &mut self,
        tree: &mut Tree,
        dir: &OwnedFd,
        name: &CString,
        stat: &Statx,
        path: &Path,
    ) -> Result<NodeId, BuildError> {
        let what = match FileType::from_raw_mode(u32::from(stat.stx_mode)) {
            FileType::Directory => What::Directory(Vec::new()),
            FileType::RegularFile => What::File(File {
                size: stat.stx_size,
                data: Data::Disk {
                    identity: identity_of(stat),
                    sparse: stat.stx_blocks.saturating_mul(512) < stat.stx_size,
                },
            }),
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(dir, name, Vec::new());
                What::Symlink(target.map_err(self.at("read the link", path))?.into_bytes().into())
            }
            FileType::CharacterDevice => What::Char(device(stat)),
            FileType::BlockDevice => What::Block(device(stat)),
            FileType::Fifo => What::Fifo,
            FileType::Socket => What::Socket,
            FileType::Unknown => {
                let path = self.top.path.join(path);
                return Err(BuildError::Entry { path, why: "its type is not known" });
            }
        };
        let directory = matches!(what, What::Directory(_));
        let xattrs = self.xattrs(dir, name, path)?;
        let id = tree.add(node(stat, what), xattrs)?;
        if stat.stx_nlink > 1 && !directory {
            self.links.insert(identity_of(stat), id);
        }
        Ok(id)
    }

    /// The extended attributes of `name` in `dir`, by way of /proc: so also those of symbolic
    /// links and devices, which can't be opened.
    fn xattrs(
        &mut self,
        dir: &OwnedFd,
        name: &std::ffi::CStr,
        path: &Path,
    ) -> Result<XattrSet, BuildError> {
        let mut file = format!("{PROC}/{}/", dir.as_raw_fd()).into_bytes();
        file.extend_from_slice(name.to_bytes());
        let doing = "read the extended attributes of";
        let listed = match rustix::fs::llistxattr(file.as_slice(), self.list.as_mut_slice()) {
            Ok(len) => len,
            Err(Errno::OPNOTSUPP) => 0,
            Err(e) => return Err(self.at(doing, path)(e)),
        };
        let mut set = XattrSet::new();
        let names = self.list.get(..listed).unwrap_or_default();
        for name in names.split(|&b| b == 0).filter(|n| !n.is_empty()) {
            match rustix::fs::lgetxattr(file.as_slice(), name, self.value.as_mut_slice()) {
                Ok(len) => {
                    set.push((name.to_vec(), self.value.get(..len).unwrap_or_default().to_vec()));
                }
                // Removed since it was listed.
                Err(Errno::NODATA) => {}
                Err(e) => return Err(self.at(doing, path)(e)),
            }
        }
        Ok(set)
    }

    fn at(&self, doing: &'static str, path: &Path) -> impl FnOnce(Errno) -> BuildError + use<> {
        let path = self.top.path.join(path);
        move |e| match e {
            // It was there a moment ago.
            Errno::NOENT => BuildError::Changed(path),
            _ => BuildError::io(doing, path)(e),
        }
    }
}

/// The names in a directory but `.` and `..`, sorted.
fn list(fd: &OwnedFd) -> Result<Vec<CString>, Errno> {
    let mut names = Vec::new();
    for entry in Dir::read_from(fd)? {
        let entry = entry?;
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            names.push(entry.file_name().to_owned());
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// Attributes of `name` in `dir`, or of `dir` itself if the name is empty.
fn statx(dir: &OwnedFd, name: &std::ffi::CStr) -> Result<Statx, Errno> {
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT | AtFlags::EMPTY_PATH;
    rustix::fs::statx(dir, name, flags, StatxFlags::BASIC_STATS | StatxFlags::BTIME)
}

fn is_dir(stat: &Statx) -> bool {
    FileType::from_raw_mode(u32::from(stat.stx_mode)) == FileType::Directory
}

fn device(stat: &Statx) -> Device {
    Device { major: stat.stx_rdev_major, minor: stat.stx_rdev_minor }
}

fn node(stat: &Statx, what: What) -> Node {
    let known = stat.stx_mask & StatxFlags::BTIME.bits() != 0;
    Node {
        mode: u32::from(stat.stx_mode) & 0o7777,
        uid: stat.stx_uid,
        gid: stat.stx_gid,
        xattrs: 0,
        mtime: time_of(&stat.stx_mtime),
        btime: known.then(|| time_of(&stat.stx_btime)),
        what,
    }
}
