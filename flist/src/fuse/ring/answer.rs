//! What comes over io_uring, each answered in a few lines: as `requests` does of what fuser passes on.

use fuser::Errno;
use uring::Request;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::super::errno::errno;
use super::super::server::Server;
use super::wire::{
    AttrOut, Dirent, EntryOut, InHeader, ReadIn, SeekIn, StatfsOut, XattrSize, no_entry,
};
use crate::fs::{Attr, Entry, FsError};

/// `enum fuse_opcode`: what is answered by more than an error.
const LOOKUP: u32 = 1;
const GETATTR: u32 = 3;
const READLINK: u32 = 5;
const READ: u32 = 15;
const STATFS: u32 = 17;
const RELEASE: u32 = 18;
const GETXATTR: u32 = 22;
const LISTXATTR: u32 = 23;
const READDIR: u32 = 28;
const RELEASEDIR: u32 = 29;
const READDIRPLUS: u32 = 44;
const LSEEK: u32 = 46;
/// What changes something: SETATTR, SYMLINK, MKNOD, MKDIR, UNLINK, RMDIR, RENAME, LINK; WRITE;
/// SETXATTR, REMOVEXATTR, CREATE, FALLOCATE, RENAME2, COPY_FILE_RANGE, TMPFILE. The kernel lets these
/// through only once root has remounted it writable.
const CHANGES: [u32; 16] = [4, 6, 8, 9, 10, 11, 12, 13, 16, 21, 24, 35, 43, 45, 47, 51];

/// Answers a request, or has that done by who fetches what it takes.
pub(super) fn answer(server: &Server, request: Request) {
    let Some(header) = read::<InHeader>(request.header()) else { return };
    let ino = header.ino();
    match header.opcode {
        READ => read_file(server, &header, request),
        LOOKUP => match server.entry(ino, name(request.payload())) {
            Ok(Some(attr)) => give(request, EntryOut::from(&attr).as_bytes()),
            Ok(None) => give(request, &no_entry()),
            Err(error) => fail(request, errno(&error)),
        },
        GETATTR => match server.attr(ino) {
            Ok(attr) => give(request, AttrOut::from(&attr).as_bytes()),
            Err(error) => fail(request, errno(&error)),
        },
        READLINK => match server.ino(ino).and_then(|ino| server.fs.readlink(ino)) {
            Ok(target) => give(request, target),
            Err(error) => fail(request, errno(&error)),
        },
        STATFS => give(request, StatfsOut::from(server.fs.statfs()).as_bytes()),
        GETXATTR => {
            let name = name(request.payload());
            let value = server.ino(ino).and_then(|ino| server.fs.xattr(ino, name));
            give_xattr(request, value);
        }
        LISTXATTR => {
            let names = server.xattr_names(ino, header.uid == 0);
            give_xattr(request, names.as_deref().map_err(Clone::clone));
        }
        READDIR | READDIRPLUS => list(server, &header, request),
        LSEEK => {
            let Some(seek) = read::<SeekIn>(request.operation()) else { return };
            match server.seek_file(ino, seek.offset, seek.whence) {
                Ok(at) => give(request, &at.to_ne_bytes()),
                Err(error) => fail(request, error),
            }
        }
        // Nothing was opened, so nothing is to be done.
        RELEASE | RELEASEDIR => give(request, &[]),
        change if CHANGES.contains(&change) => fail(request, Errno::EROFS),
        // To the kernel this means that there is nothing to do (opens, flushes, access), or no such
        // thing here (ioctls, poll, block numbers); it remembers that and does not ask again.
        _ => fail(request, Errno::ENOSYS),
    }
}

fn read_file(server: &Server, header: &InHeader, request: Request) {
    let Some(read) = read::<ReadIn>(request.operation()) else { return };
    server.read_file(header.ino(), read.offset, read.size, |result| match result {
        Ok(bytes) => give(request, bytes),
        Err(error) => fail(request, error),
    });
}

fn list(server: &Server, header: &InHeader, request: Request) {
    let Some(read) = read::<ReadIn>(request.operation()) else { return };
    let plus = header.opcode == READDIRPLUS;
    request.answer(|room| {
        let size = room.len().min(read.size as usize);
        let room = room.get_mut(..size).unwrap_or_default();
        let mut len = 0;
        let add = |entry: &Entry<'_>, attr: &Attr| {
            let end = put_entry(room.get_mut(len..).unwrap_or_default(), plus, entry, attr);
            len += end.unwrap_or(0);
            end.is_none()
        };
        server.list(header.ino(), read.offset, add).map_err(|e| code(errno(&e)))?;
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
fn give_xattr(request: Request, value: Result<&[u8], FsError>) {
    let Some(asked) = read::<XattrSize>(request.operation()) else { return };
    let value = match value {
        Ok(value) => value,
        Err(error) => return fail(request, errno(&error)),
    };
    match u32::try_from(value.len()) {
        Ok(size) if asked.size == 0 => give(request, XattrSize { size, padding: 0 }.as_bytes()),
        Ok(size) if size <= asked.size => give(request, value),
        Ok(_) | Err(_) => fail(request, Errno::ERANGE),
    }
}

fn give(request: Request, bytes: &[u8]) {
    request.answer(|room| {
        room.get_mut(..bytes.len()).ok_or(code(Errno::EIO))?.copy_from_slice(bytes);
        Ok(bytes.len())
    });
}

fn fail(request: Request, error: Errno) {
    request.answer(|_| Err(code(error)));
}

fn code(error: Errno) -> u16 {
    u16::try_from(error.code()).unwrap_or_default()
}

/// A name, without the zero that ends it.
fn name(payload: &[u8]) -> &[u8] {
    payload.split(|&b| b == 0).next().unwrap_or_default()
}

fn read<T: FromBytes + KnownLayout + Immutable>(bytes: &[u8]) -> Option<T> {
    T::read_from_prefix(bytes).ok().map(|(value, _)| value)
}
