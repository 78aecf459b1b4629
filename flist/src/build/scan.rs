//! Reads a directory tree: names, kinds and attributes of all that is in it, without following
//! a symbolic link anywhere.

use std::collections::{HashMap, VecDeque};
use std::ffi::{CStr, CString, OsStr};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Statx, StatxFlags, StatxTimestamp};
use rustix::io::Errno;

use super::output::PROC;
use super::parallel::in_order;
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

/// Directories that are looked at before what was seen goes into the tree.
const TOGETHER: usize = 256;

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

/// Scans all below `top`, save `skip` (the build's own output), by several threads.
pub(super) fn scan(
    top: &Top,
    skip: &[Identity],
    threads: usize,
    progress: &dyn Progress,
) -> Result<Scanned, BuildError> {
    let mut eyes = Eyes::new(top, skip);
    let fd = top.open_dir(&[])?;
    let stat = statx(&fd, c"").map_err(BuildError::io("examine", &top.path))?;
    let xattrs = eyes.xattrs(&fd, c".", Path::new(""))?;
    let tree = Tree::new(node(&stat, What::Directory(Vec::new())), xattrs)?;
    let mut scan = Scan { tree, links: HashMap::new(), left_out: LeftOut::default() };
    let mut queue = VecDeque::from([Folder {
        node: ROOT,
        path: PathBuf::new(),
        device: identity_of(&stat).device,
    }]);
    while !queue.is_empty() {
        let folders: Vec<Folder> = queue.drain(..queue.len().min(TOGETHER)).collect();
        let look = |eyes: &mut Eyes<'_>, folder: &Folder| {
            if progress.cancelled() {
                return Err(BuildError::Cancelled);
            }
            eyes.look(folder)
        };
        let seen = in_order(threads, 1, &folders, || Eyes::new(top, skip), look)?;
        for (folder, seen) in folders.into_iter().zip(seen) {
            scan.take(folder, seen, &mut queue)?;
        }
    }
    Ok(Scanned { tree: scan.tree, left_out: scan.left_out })
}

/// A directory yet to be read: its node, its path below the top, and its device.
struct Folder {
    node: NodeId,
    path: PathBuf,
    device: (u32, u32),
}

/// What was seen of an entry of a directory.
struct Seen {
    name: CString,
    stat: Statx,
    /// None for what is left out.
    what: Option<What>,
    xattrs: XattrSet,
    /// A directory on which the machine mounted something of its own.
    mounted: bool,
}

/// Turns what is seen into a tree, in order.
struct Scan {
    tree: Tree,
    /// Inodes with several names that have been met.
    links: HashMap<Identity, NodeId>,
    left_out: LeftOut,
}

impl Scan {
    fn take(
        &mut self,
        folder: Folder,
        seen: Vec<Seen>,
        queue: &mut VecDeque<Folder>,
    ) -> Result<(), BuildError> {
        let mut entries = Vec::with_capacity(seen.len());
        for Seen { name, stat, what, xattrs, mounted } in seen {
            let Some(what) = what else {
                self.left_out.skipped.push(folder.below(&name));
                continue;
            };
            let id = identity_of(&stat);
            let directory = matches!(what, What::Directory(_));
            let met = self.links.get(&id).copied();
            let node = match met {
                Some(met) => met,
                None => self.tree.add(node(&stat, what), xattrs)?,
            };
            if directory && mounted {
                self.left_out.emptied.push(folder.below(&name));
            } else if directory {
                queue.push_back(Folder { node, path: folder.below(&name), device: id.device });
            } else if met.is_none() && stat.stx_nlink > 1 {
                self.links.insert(id, node);
            }
            entries.push(Entry { name: name.into_bytes().into(), node });
        }
        entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        let dir = self.tree.nodes.get_mut(folder.node as usize);
        if let Some(Node { what: What::Directory(place), .. }) = dir {
            *place = entries;
        }
        Ok(())
    }
}

impl Folder {
    fn below(&self, name: &CStr) -> PathBuf {
        self.path.join(OsStr::from_bytes(name.to_bytes()))
    }
}

/// Looks at directories; one for each thread.
struct Eyes<'a> {
    top: &'a Top,
    skip: &'a [Identity],
    list: Vec<u8>,
    value: Vec<u8>,
}

impl<'a> Eyes<'a> {
    fn new(top: &'a Top, skip: &'a [Identity]) -> Self {
        let (list, value) = (vec![0; MAX_XATTR_LIST_LEN], vec![0; MAX_XATTR_VALUE_LEN]);
        Self { top, skip, list, value }
    }

    /// All that is in a directory, sorted by name.
    fn look(&mut self, folder: &Folder) -> Result<Vec<Seen>, BuildError> {
        let names: Vec<&[u8]> = folder.path.iter().map(OsStr::as_bytes).collect();
        let fd = self.top.open_dir(&names)?;
        let names = list(&fd);
        let names = names.map_err(BuildError::io("list", self.top.path.join(&folder.path)))?;
        names.into_iter().map(|name| self.entry(folder, &fd, name)).collect()
    }

    fn entry(&mut self, folder: &Folder, dir: &OwnedFd, name: CString) -> Result<Seen, BuildError> {
        let below = || folder.below(&name);
        let stat = statx(dir, &name).map_err(|e| self.at("examine", &below())(e))?;
        let id = identity_of(&stat);
        if self.skip.contains(&id) {
            return Ok(Seen { name, stat, what: None, xattrs: XattrSet::new(), mounted: false });
        }
        let what = self.what(dir, &name, &stat, &below)?;
        let xattrs = self.xattrs(dir, &name, &below())?;
        let mounted = matches!(what, What::Directory(_))
            && id.device != folder.device
            && pseudo::is_mounted(dir, &name).map_err(|e| self.at("examine", &below())(e))?;
        Ok(Seen { name, stat, what: Some(what), xattrs, mounted })
    }

    fn what(
        &self,
        dir: &OwnedFd,
        name: &CStr,
        stat: &Statx,
        path: &dyn Fn() -> PathBuf,
    ) -> Result<What, BuildError> {
        Ok(match FileType::from_raw_mode(u32::from(stat.stx_mode)) {
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
                let target = target.map_err(|e| self.at("read the link", &path())(e))?;
                What::Symlink(target.into_bytes().into())
            }
            FileType::CharacterDevice => What::Char(device(stat)),
            FileType::BlockDevice => What::Block(device(stat)),
            FileType::Fifo => What::Fifo,
            FileType::Socket => What::Socket,
            FileType::Unknown => {
                let path = self.top.path.join(path());
                return Err(BuildError::Entry { path, why: "its type is not known" });
            }
        })
    }

    /// The extended attributes of `name` in `dir`, by way of /proc: so also those of symbolic
    /// links and devices, which can't be opened.
    fn xattrs(&mut self, dir: &OwnedFd, name: &CStr, path: &Path) -> Result<XattrSet, BuildError> {
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
fn statx(dir: &OwnedFd, name: &CStr) -> Result<Statx, Errno> {
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT | AtFlags::EMPTY_PATH;
    rustix::fs::statx(dir, name, flags, StatxFlags::BASIC_STATS | StatxFlags::BTIME)
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
