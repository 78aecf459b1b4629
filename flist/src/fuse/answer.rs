//! The kernel's requests, each answered in a few lines, whichever way it came.

use rustix::io::Errno;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::server::Server;
use super::wire::{
    AttrOut, Dirent, EntryOut, InHeader, OpenOut, ReadIn, SeekIn, StatfsOut, XattrSize, no_entry,
    op,
};
use crate::fs::{Attr, Entry};

/// What changes something. The kernel lets these through only once root has remounted it writable.
const CHANGES: [u32; 16] = [
    op::SETATTR,
    op::SYMLINK,
    op::MKNOD,
    op::MKDIR,
    op::UNLINK,
    op::RMDIR,
    op::RENAME,
    op::LINK,
    op::WRITE,
    op::SETXATTR,
    op::REMOVEXATTR,
    op::CREATE,
    op::FALLOCATE,
    op::RENAME2,
    op::COPY_FILE_RANGE,
    op::TMPFILE,
];

/// A request as it came.
pub(super) trait Request {
    /// What answers it.
    type Reply: Reply;

    /// `struct fuse_in_header` and whatever follows.
    fn header(&self) -> &[u8];

    /// What the operation is asked, a structure of its own, and whatever follows.
    fn operation(&self) -> &[u8];

    /// What comes behind a structure of so many bytes: a name.
    fn payload(&self, operation_len: usize) -> &[u8];

    /// The way to answer it.
    fn reply(self) -> Self::Reply;
}

/// Answers one request, from any thread.
pub(super) trait Reply: Send + Sized + 'static {
    /// Answers with `bytes`, or an error.
    fn give(self, result: Result<&[u8], Errno>);

    /// Answers with what `write` writes to `most` bytes, which says how long it is.
    fn fill(self, most: usize, write: impl FnOnce(&mut [u8]) -> Result<usize, Errno>);
}

/// Answers a request, or has that done by who fetches what it takes.
pub(super) fn answer<R: Request>(server: &Server, request: R) {
    let Some(header) = read::<InHeader>(request.header()) else { return };
    let ino = header.ino;
    server.counts.add(header.opcode);
    match header.opcode {
        op::READ => {
            let Some(read) = read::<ReadIn>(request.operation()) else { return };
            let reply = request.reply();
            server.read(ino, read.offset, read.size, |result| reply.give(result));
        }
        op::LOOKUP => match server.entry(ino, name(request.payload(0))) {
            Ok(Some(attr)) => give(request, EntryOut::from(&attr).as_bytes()),
            Ok(None) => give(request, &no_entry()),
            Err(error) => fail(request, error),
        },
        op::GETATTR => match server.attr(ino) {
            Ok(attr) => give(request, AttrOut::from(&attr).as_bytes()),
            Err(error) => fail(request, error),
        },
        op::READLINK => request.reply().give(server.target(ino)),
        op::STATFS => give(request, StatfsOut::from(server.fs.statfs()).as_bytes()),
        op::GETXATTR => {
            let name = name(request.payload(size_of::<XattrSize>()));
            let value = server.xattr(ino, name);
            give_xattr(request, value);
        }
        op::LISTXATTR => {
            let names = server.xattr_names(ino, header.uid == 0);
            give_xattr(request, names.as_deref().map_err(|e| *e));
        }
        op::READDIR | op::READDIRPLUS => list(server, &header, request),
        op::LSEEK => {
            let Some(seek) = read::<SeekIn>(request.operation()) else { return };
            match server.seek(ino, seek.offset, seek.whence) {
                Ok(at) => give(request, &at.to_ne_bytes()),
                Err(error) => fail(request, error),
            }
        }
        op::OPEN if !server.no_open => give(request, OpenOut::KEEP.as_bytes()),
        op::OPENDIR if !server.no_opendir => give(request, OpenOut::KEEP.as_bytes()),
        // Nothing was opened, so nothing is to be done.
        op::RELEASE | op::RELEASEDIR => give(request, &[]),
        // The kernel wants no answer. An image forgets nothing; and whoever no longer wants to wait for
        // a fetch may be one of many.
        op::FORGET | op::BATCH_FORGET | op::INTERRUPT => {}
        change if CHANGES.contains(&change) => fail(request, Errno::ROFS),
        // To the kernel this means that there is nothing to do (opens, flushes, access), or no such
        // thing here (ioctls, poll, block numbers); it remembers that and does not ask again.
        _ => fail(request, Errno::NOSYS),
    }
}

fn list<R: Request>(server: &Server, header: &InHeader, request: R) {
    let Some(read) = read::<ReadIn>(request.operation()) else { return };
    let plus = header.opcode == op::READDIRPLUS;
    request.reply().fill(read.size as usize, |room| {
        let mut len = 0;
        let add = |entry: &Entry<'_>, attr: &Attr| {
            let end = put_entry(room.get_mut(len..).unwrap_or_default(), plus, entry, attr);
            len += end.unwrap_or(0);
            end.is_none()
        };
        server.list(header.ino, read.offset, add)?;
        Ok(len)
    });
}

/// Writes an entry of a directory, and says how long it is, if there is room.
fn put_entry(room: &mut [u8], plus: bool, entry: &Entry<'_>, attr: &Attr) -> Option<usize> {
    let (attributes, dirent) = (plus.then(|| EntryOut::from(attr)), Dirent::new(entry, attr));
    let attributes = attributes.as_ref().map_or(&[][..], IntoBytes::as_bytes);
    let parts = [attributes, dirent.as_bytes(), entry.name];
    let len = parts.iter().map(|part| part.len()).sum::<usize>();
    let padded = len.next_multiple_of(size_of::<u64>());
    let mut rest = room.get_mut(..padded)?;
    for part in parts {
        let (place, behind) = rest.split_at_mut_checked(part.len())?;
        place.copy_from_slice(part);
        rest = behind;
    }
    rest.fill(0);
    Some(padded)
}

/// Answers a question about xattrs: a size of 0 asks how long the answer is.
fn give_xattr<R: Request>(request: R, value: Result<&[u8], Errno>) {
    let Some(asked) = read::<XattrSize>(request.operation()) else { return };
    let value = match value {
        Ok(value) => value,
        Err(error) => return fail(request, error),
    };
    match u32::try_from(value.len()) {
        Ok(size) if asked.size == 0 => give(request, XattrSize { size, padding: 0 }.as_bytes()),
        Ok(size) if size <= asked.size => give(request, value),
        Ok(_) | Err(_) => fail(request, Errno::RANGE),
    }
}

fn give<R: Request>(request: R, bytes: &[u8]) {
    request.reply().give(Ok(bytes));
}

fn fail<R: Request>(request: R, error: Errno) {
    request.reply().give(Err(error));
}

/// A name, without the zero that ends it.
fn name(payload: &[u8]) -> &[u8] {
    payload.split(|&b| b == 0).next().unwrap_or_default()
}

fn read<T: FromBytes + KnownLayout + Immutable>(bytes: &[u8]) -> Option<T> {
    T::read_from_prefix(bytes).ok().map(|(value, _)| value)
}
