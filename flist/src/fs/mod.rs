//! The file system an image makes, without FUSE: attributes, listings, reads. It never blocks on
//! the network: a read whose chunks are not in memory ends in a callback once they are.

mod ahead;
mod attr;
mod contents;
mod plain;
mod read;
#[cfg(test)]
pub(crate) mod sample;
#[cfg(test)]
mod tests;

pub use attr::{Attr, Entry, Statfs, Whence, Xattr};
pub use contents::{Contents, Done, Lost};

use std::sync::Arc;

use crate::chunk::Corrupt;
use crate::image::{Image, Ino, Kind, MAX_NAME_LEN};
use crate::profile::Recorder;
use ahead::Ahead;
use read::Assembler;

/// Why the file system can't answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum FsError {
    /// The image has no inode of that number.
    #[error("there is no inode {0}")]
    NoSuchInode(u64),
    /// What only a directory can do was asked of something else.
    #[error("inode {0} is no directory")]
    NotDirectory(Ino),
    /// A name is longer than any in an image.
    #[error("a name of {0} bytes")]
    NameTooLong(usize),
    /// What only a symbolic link can do was asked of something else.
    #[error("inode {0} is no symbolic link")]
    NotSymlink(Ino),
    /// A directory was to be read as a file.
    #[error("inode {0} is a directory")]
    IsDirectory(Ino),
    /// A device, pipe or socket was to be read as a file.
    #[error("inode {0} is no regular file")]
    NotFile(Ino),
    /// The inode has no such extended attribute.
    #[error("inode {0} has no such attribute")]
    NoXattr(Ino),
    /// A seek from behind the end of the file, or for data where only a hole follows.
    #[error("inode {0} has no such offset")]
    NoOffset(Ino),
    /// The contents can't be had.
    #[error("inode {ino} can't be read: {why}")]
    Lost {
        /// The file.
        ino: Ino,
        /// What the store said.
        why: Lost,
    },
    /// Verified stored bytes do not decompress: the image was built wrong.
    #[error("inode {ino} can't be read: {why}")]
    Corrupt {
        /// The file.
        ino: Ino,
        /// Which chunk and what is wrong with it.
        why: Corrupt,
    },
    /// A chunk that was fetched is not as long as the image's table says; so the table
    /// contradicts itself.
    #[error("inode {0} can't be read: a chunk is shorter than recorded; the flist was built wrong")]
    ShortChunk(Ino),
    /// No memory for decompression.
    #[error("no memory to decompress with")]
    NoMemory,
}

/// An image and where its contents come from, as a read-only file system.
pub struct Fs {
    image: Arc<Image>,
    contents: Arc<dyn Contents>,
    /// Shared with reads on their way, which must not keep `contents` alive that ends them.
    assembler: Arc<Assembler>,
    ahead: Option<Ahead>,
    /// Takes down what is read.
    recorder: Option<Arc<Recorder>>,
}

impl Fs {
    /// The file system of `image`, whose chunks `contents` has.
    pub fn new(image: Arc<Image>, contents: Arc<dyn Contents>) -> Self {
        let assembler = Arc::default();
        let ahead = Ahead::where_it_helps(&assembler);
        Self { image, contents, assembler, ahead, recorder: None }
    }

    /// The same, with what is read of it noted by `recorder`.
    pub fn recorded(self, recorder: Arc<Recorder>) -> Self {
        Self { recorder: Some(recorder), ..self }
    }

    /// The image.
    pub fn image(&self) -> &Arc<Image> {
        &self.image
    }

    /// The inode number `ino`, however wide the asker's numbers are, if the image has it.
    ///
    /// # Errors
    /// [`FsError::NoSuchInode`].
    pub fn ino(&self, ino: u64) -> Result<Ino, FsError> {
        let known = Ino::try_from(ino).ok().filter(|&i| self.image.inode(i).is_some());
        known.ok_or(FsError::NoSuchInode(ino))
    }

    /// The inode that `name` names in directory `dir`, if any; `.` and `..` are understood.
    /// `.` is understood of what is no directory too: that is how NFS asks again for an inode. So
    /// is `/`, the name of a dentry that has none yet: overlayfs finds the origin of a file that
    /// was written to by its handle, and has such a dentry looked up in itself.
    ///
    /// # Errors
    /// [`FsError::NoSuchInode`], [`FsError::NotDirectory`], [`FsError::NameTooLong`].
    pub fn lookup(&self, dir: Ino, name: &[u8]) -> Result<Option<Ino>, FsError> {
        if name == b"." || name == b"/" {
            return self.ino(u64::from(dir)).map(Some);
        }
        if name.len() > MAX_NAME_LEN {
            return Err(FsError::NameTooLong(name.len()));
        }
        let parent = self.parent(dir)?;
        Ok(if name == b".." { Some(parent) } else { self.image.lookup(dir, name) })
    }

    fn parent(&self, dir: Ino) -> Result<Ino, FsError> {
        self.ino(u64::from(dir))?;
        self.image.parent(dir).ok_or(FsError::NotDirectory(dir))
    }

    /// The target of symbolic link `ino`.
    ///
    /// # Errors
    /// [`FsError::NoSuchInode`], [`FsError::NotSymlink`].
    pub fn readlink(&self, ino: Ino) -> Result<&[u8], FsError> {
        self.ino(u64::from(ino))?;
        self.image.target(ino).ok_or(FsError::NotSymlink(ino))
    }

    /// The value of the extended attribute `name`.
    ///
    /// # Errors
    /// [`FsError::NoSuchInode`], [`FsError::NoXattr`].
    pub fn xattr(&self, ino: Ino, name: &[u8]) -> Result<&[u8], FsError> {
        let set = self.xattrs(ino)?;
        let at = set.binary_search_by(|(n, _)| n.as_slice().cmp(name));
        let found = at.ok().and_then(|at| set.get(at));
        found.map(|(_, value)| value.as_slice()).ok_or(FsError::NoXattr(ino))
    }

    /// The extended attributes, names and values in name order.
    ///
    /// # Errors
    /// [`FsError::NoSuchInode`].
    pub fn xattrs(&self, ino: Ino) -> Result<&[Xattr], FsError> {
        self.ino(u64::from(ino))?;
        Ok(self.image.xattrs(ino))
    }

    /// Whether any inode has a POSIX access control list.
    pub fn has_acls(&self) -> bool {
        let sets = &self.image.tables().xattr_sets;
        sets.iter().flatten().any(|(name, _)| name.starts_with(b"system.posix_acl_"))
    }

    /// The entries of directory `dir` from `offset` on: 0 to begin with, then whatever
    /// [`Entry::next`] said. `.` and `..` come first. Offsets stay good for ever.
    ///
    /// # Errors
    /// [`FsError::NoSuchInode`], [`FsError::NotDirectory`].
    pub fn entries(
        &self,
        dir: Ino,
        offset: u64,
    ) -> Result<impl Iterator<Item = Entry<'_>>, FsError> {
        let parent = self.parent(dir)?;
        let dots = [(dir, &b"."[..]), (parent, &b".."[..])];
        let skip = usize::try_from(offset).unwrap_or(usize::MAX);
        let listed = self.image.entries(dir).unwrap_or_default();
        let listed = listed.get(skip.saturating_sub(dots.len())..).unwrap_or_default();
        let named = listed.iter().map(|e| (e.ino, self.image.name(e)));
        let all = dots.into_iter().skip(skip).chain(named);
        Ok(all.zip(offset + 1..).map(|((ino, name), next)| Entry { ino, name, next }))
    }

    /// The size of regular file `ino`.
    fn file_size(&self, ino: Ino) -> Result<u64, FsError> {
        match self.image.inode(ino).map(|i| &i.kind) {
            None => Err(FsError::NoSuchInode(u64::from(ino))),
            Some(Kind::File { size, .. }) => Ok(*size),
            Some(Kind::Directory { .. }) => Err(FsError::IsDirectory(ino)),
            Some(_) => Err(FsError::NotFile(ino)),
        }
    }
}
