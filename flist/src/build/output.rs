//! Files that appear whole under their name or not at all, whatever ends the build.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, StatxFlags};
use rustix::io::Errno;

use super::BuildError;
use super::scan::identity_of;
use super::tree::Identity;

/// What umask(2) leaves of these.
const MODE: Mode = Mode::from_raw_mode(0o666);

/// By way of this, files that are open get names, and those that can't be opened are asked for
/// their extended attributes.
pub(super) const PROC: &str = "/proc/self/fd";

/// A file without a name, where the file system has such; else one that is removed when dropped.
pub(super) struct Temp {
    pub(super) file: File,
    name: Option<PathBuf>,
}

impl Temp {
    /// A new file on the file system of directory `dir`.
    pub(super) fn new_in(dir: &Path) -> Result<Self, BuildError> {
        let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::TMPFILE;
        match rustix::fs::open(dir, flags, MODE) {
            Ok(fd) => Ok(Self { file: fd.into(), name: None }),
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL) => Self::named_in(dir),
            Err(e) => Err(BuildError::io("make a file in", dir)(e)),
        }
    }

    /// The same where the file system has no files without names.
    fn named_in(dir: &Path) -> Result<Self, BuildError> {
        let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::CREATE | OFlags::EXCL;
        loop {
            let name = free_name(dir);
            match rustix::fs::open(&name, flags, MODE) {
                Ok(fd) => return Ok(Self { file: fd.into(), name: Some(name) }),
                Err(Errno::EXIST) => {}
                Err(e) => return Err(BuildError::io("make a file in", dir)(e)),
            }
        }
    }

    /// The file, which has no name any more and goes when it is closed.
    pub(super) fn into_file(self) -> Result<File, BuildError> {
        self.file.try_clone().map_err(BuildError::io("keep open", "a file without a name"))
    }

    /// Writes all to the disk and gives the file the name `path`, on the same file system, in
    /// place of what has it.
    pub(super) fn persist(&mut self, path: &Path) -> Result<(), BuildError> {
        self.file.sync_all().map_err(BuildError::io("write", path))?;
        if self.name.is_none() {
            match self.link(path) {
                Ok(()) => return Ok(()),
                Err(Errno::EXIST) => self.link_aside(path)?,
                Err(e) => return Err(BuildError::io("name", path)(e)),
            }
        }
        if let Some(name) = &self.name {
            fs::rename(name, path).map_err(BuildError::io("name", path))?;
        }
        self.name = None;
        Ok(())
    }

    fn link(&self, path: &Path) -> Result<(), Errno> {
        let file = format!("{PROC}/{}", self.file.as_raw_fd());
        rustix::fs::linkat(CWD, file, CWD, path, AtFlags::SYMLINK_FOLLOW)
    }

    /// A name beside `path`, from which a rename can replace what is there.
    fn link_aside(&mut self, path: &Path) -> Result<(), BuildError> {
        loop {
            let name = free_name(&folder_of(path));
            match self.link(&name) {
                Ok(()) => self.name = Some(name),
                Err(Errno::EXIST) => continue,
                Err(e) => return Err(BuildError::io("name", path)(e)),
            }
            return Ok(());
        }
    }
}

impl Drop for Temp {
    fn drop(&mut self) {
        if let Some(name) = &self.name {
            remove(name);
        }
    }
}

/// New files that are removed when dropped, unless kept.
#[derive(Default)]
pub(super) struct Undo(Vec<PathBuf>);

impl Undo {
    pub(super) fn push(&mut self, path: PathBuf) {
        self.0.push(path);
    }

    /// The build succeeded.
    pub(super) fn keep(mut self) {
        self.0.clear();
    }
}

impl Drop for Undo {
    fn drop(&mut self) {
        self.0.iter().for_each(|path| remove(path));
    }
}

fn remove(path: &Path) {
    if let Err(e) = fs::remove_file(path) {
        log::warn!("cannot remove {}: {e}", path.display());
    }
}

/// Where a build writes: the flist and the packs. Made before anything is read, so that what can't
/// be written is known at once.
pub(super) struct Output {
    path: PathBuf,
    flist: Temp,
    packs: PathBuf,
    /// Directories that were missing, outermost first; removed again where the build fails.
    made: Vec<PathBuf>,
}

impl Output {
    /// The flist is to be `path`; packs go below `store`, by default the flist's own directory.
    pub(super) fn open(path: &Path, store: Option<&Path>) -> Result<Self, BuildError> {
        let folder = folder_of(path);
        if path.file_name().is_none() || path.is_dir() {
            let path = path.to_path_buf();
            return Err(BuildError::Entry { path, why: "is a directory: name the flist to write" });
        }
        // The flist takes the place of what has its name: of a device that would be no service.
        if fs::symlink_metadata(path).is_ok_and(|there| !there.is_file()) {
            let path = path.to_path_buf();
            let why = "is there and no regular file: name another for the flist";
            return Err(BuildError::Entry { path, why });
        }
        if !Path::new(PROC).is_dir() {
            let why = "is not there: /proc must be mounted for a build";
            return Err(BuildError::Entry { path: PROC.into(), why });
        }
        let store = store.unwrap_or(&folder);
        let flist = Temp::new_in(&folder)?;
        let mut output =
            Self { path: path.to_path_buf(), flist, packs: store.join("packs"), made: Vec::new() };
        for dir in [store.to_path_buf(), output.packs.clone()] {
            match fs::create_dir(&dir) {
                Ok(()) => output.made.push(dir),
                Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
                Err(e) => return Err(BuildError::io("make the directory", dir)(e)),
            }
        }
        Ok(output)
    }

    /// The directory of the packs.
    pub(super) fn packs(&self) -> &Path {
        &self.packs
    }

    /// What a scan that meets it leaves out: the packs, and the flist that is to be replaced.
    pub(super) fn identities(&self) -> Result<Vec<Identity>, BuildError> {
        let own = rustix::fs::statx(&self.flist.file, c"", AtFlags::EMPTY_PATH, StatxFlags::INO);
        let own = own.map_err(BuildError::io("examine", &self.path))?;
        let mut identities = vec![identity_of(&own)];
        for path in [&self.packs, &self.path] {
            let flags = AtFlags::SYMLINK_NOFOLLOW;
            match rustix::fs::statx(CWD, path, flags, StatxFlags::INO) {
                Ok(stat) => identities.push(identity_of(&stat)),
                Err(Errno::NOENT) => {}
                Err(e) => return Err(BuildError::io("examine", path)(e)),
            }
        }
        Ok(identities)
    }

    /// Writes the flist: the image is there from now on.
    pub(super) fn write(&mut self, flist: &[u8]) -> Result<(), BuildError> {
        self.flist.file.write_all(flist).map_err(BuildError::io("write", &self.path))?;
        self.flist.persist(&self.path)?;
        self.made.clear();
        sync_dir(&folder_of(&self.path))
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        for dir in self.made.iter().rev() {
            if let Err(e) = fs::remove_dir(dir) {
                log::warn!("cannot remove {}: {e}", dir.display());
            }
        }
    }
}

/// Writes the names in `dir` to the disk.
pub(super) fn sync_dir(dir: &Path) -> Result<(), BuildError> {
    let synced = File::open(dir).and_then(|dir| dir.sync_all());
    synced.map_err(BuildError::io("write", dir))
}

/// The directory that holds `path`.
pub(super) fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_path_buf(),
        _ => PathBuf::from("."),
    }
}

fn free_name(dir: &Path) -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    dir.join(format!(".zimg-{}-{next}.tmp", std::process::id()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dir: &Path) -> Vec<std::ffi::OsString> {
        fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name()).collect()
    }

    /// Both ways to make a file without a lasting name.
    type Make = fn(&Path) -> Result<Temp, BuildError>;
    const WAYS: [Make; 2] = [Temp::new_in, Temp::named_in];

    #[test]
    fn a_file_is_there_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        for make in WAYS {
            let path = dir.path().join("x");
            let mut dropped = make(dir.path()).unwrap();
            dropped.file.write_all(b"half").unwrap();
            drop(dropped);
            assert!(names(dir.path()).is_empty());
            for text in ["first", "in its place"] {
                let mut temp = make(dir.path()).unwrap();
                temp.file.write_all(text.as_bytes()).unwrap();
                temp.persist(&path).unwrap();
                drop(temp);
                assert_eq!(fs::read(&path).unwrap(), text.as_bytes());
                assert_eq!(names(dir.path()), ["x"]);
            }
            fs::remove_file(path).unwrap();
        }
    }

    #[test]
    fn a_file_can_be_used_without_a_name() {
        let dir = tempfile::tempdir().unwrap();
        for make in WAYS {
            let mut file = make(dir.path()).unwrap().into_file().unwrap();
            assert!(names(dir.path()).is_empty());
            file.write_all(b"still open").unwrap();
        }
    }
}
