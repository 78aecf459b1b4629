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
            let Some(read) = read::<ReadIn>(request.operation()) else { return short(request) };
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
            let Some(seek) = read::<SeekIn>(request.operation()) else { return short(request) };
            match server.seek(ino, seek.offset, seek.whence) {
                Ok(at) => give(request, &at.to_ne_bytes()),
                Err(error) => fail(request, error),
            }
        }
        op::OPEN if !server.no_open => give(request, OpenOut::KEEP.as_bytes()),
        op::OPENDIR if !server.no_opendir => give(request, OpenOut::KEEP.as_bytes()),
        // Nothing was opened, so nothing is to be done.
        op::RELEASE | op::RELEASEDIR => give(request, &[]),
        // The kernel wants no answer, and an image forgets nothing.
        op::FORGET | op::BATCH_FORGET => {}
        change if CHANGES.contains(&change) => fail(request, Errno::ROFS),
        // To the kernel this means that there is nothing to do (opens, flushes, access; that somebody
        // no longer waits, as a fetch is for others too), or no such thing here (ioctls, poll, block
        // numbers); it remembers that and does not ask again.
        _ => fail(request, Errno::NOSYS),
    }
}

fn list<R: Request>(server: &Server, header: &InHeader, request: R) {
    let Some(read) = read::<ReadIn>(request.operation()) else { return short(request) };
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
    let Some(asked) = read::<XattrSize>(request.operation()) else { return short(request) };
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

/// A request that lacks what it should have: no kernel makes one.
fn short<R: Request>(request: R) {
    fail(request, Errno::IO);
}

/// A name, without the zero that ends it.
fn name(payload: &[u8]) -> &[u8] {
    payload.split(|&b| b == 0).next().unwrap_or_default()
}

fn read<T: FromBytes + KnownLayout + Immutable>(bytes: &[u8]) -> Option<T> {
    T::read_from_prefix(bytes).ok().map(|(value, _)| value)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::mpsc::{Sender, channel};

    use super::super::Counts;
    use super::*;
    use crate::fs::Fs;
    use crate::fs::sample::{Fake, Fate, dir, file, image, noise};

    /// A request as it could come, which sends its answer.
    struct Asked {
        bytes: Vec<u8>,
        answer: Answer,
    }

    struct Answer(Sender<Result<Vec<u8>, Errno>>);

    impl Request for Asked {
        type Reply = Answer;

        fn header(&self) -> &[u8] {
            &self.bytes
        }

        fn operation(&self) -> &[u8] {
            self.payload(0)
        }

        fn payload(&self, operation_len: usize) -> &[u8] {
            self.bytes.get(size_of::<InHeader>() + operation_len..).unwrap_or_default()
        }

        fn reply(self) -> Answer {
            self.answer
        }
    }

    impl Reply for Answer {
        fn give(self, result: Result<&[u8], Errno>) {
            self.0.send(result.map(<[u8]>::to_vec)).unwrap();
        }

        fn fill(self, most: usize, write: impl FnOnce(&mut [u8]) -> Result<usize, Errno>) {
            let mut room = vec![0xff; most];
            let result = write(&mut room);
            self.give(result.map(|len| &room[..len]));
        }
    }

    /// Of a directory of ten files of eleven bytes, which have attributes.
    fn server(no_open: bool) -> Server {
        let files = (0..10).map(|n| (format!("name-{n}"), file(noise(n, 11))));
        let (image, stored) = image(&dir(files), 1000);
        let fs = Arc::new(Fs::new(Arc::new(image), Fake::new(stored, |_| Fate::Held)));
        Server { fs, counts: Arc::<Counts>::default(), no_open, no_opendir: no_open }
    }

    /// What is answered to operation `opcode` on inode `ino`, if anything.
    fn ask(server: &Server, opcode: u32, ino: u64, rest: &[u8]) -> Option<Result<Vec<u8>, Errno>> {
        let mut bytes = vec![0; size_of::<InHeader>()];
        bytes[4..8].copy_from_slice(&opcode.to_ne_bytes());
        bytes[16..24].copy_from_slice(&ino.to_ne_bytes());
        bytes.extend_from_slice(rest);
        let (send, receive) = channel();
        answer(server, Asked { bytes, answer: Answer(send) });
        receive.try_recv().ok()
    }

    fn read_in(offset: u64, size: u32) -> Vec<u8> {
        [&[0; 8][..], &offset.to_ne_bytes(), &size.to_ne_bytes(), &[0; 20]].concat()
    }

    #[test]
    fn listings_are_whole_entries_that_fit() {
        let server = server(true);
        for (opcode, entry) in [(op::READDIR, 24 + 8), (op::READDIRPLUS, 128 + 24 + 8)] {
            let mut listed = Vec::new();
            let mut offset = 0;
            for _ in 0..100 {
                // Room for three, and some bytes more.
                let room = u32::try_from(entry * 3 + 7).unwrap();
                let part = ask(&server, opcode, 1, &read_in(offset, room)).unwrap().unwrap();
                if part.is_empty() {
                    break;
                }
                assert_eq!(part.len() % entry, 0);
                for bytes in part.chunks(entry) {
                    let dirent = &bytes[entry - 32..];
                    offset = u64::from_ne_bytes(dirent[8..16].try_into().unwrap());
                    let len = u32::from_ne_bytes(dirent[16..20].try_into().unwrap()) as usize;
                    listed.push(String::from_utf8(dirent[24..24 + len].to_vec()).unwrap());
                    assert!(dirent[24 + len..].iter().all(|&b| b == 0), "padded with zeros");
                }
            }
            let want = [".".to_owned(), "..".to_owned()].into_iter();
            let want: Vec<_> = want.chain((0..10).map(|n| format!("name-{n}"))).collect();
            assert_eq!(listed, want);
            assert_eq!(ask(&server, opcode, 1, &read_in(0, 7)), Some(Ok(Vec::new())), "no room");
        }
    }

    #[test]
    fn attributes_say_how_long_they_are_and_come_where_there_is_room() {
        let server = server(true);
        let get = |size: u32, name: &str| {
            let rest = [&size.to_ne_bytes()[..], &[0; 4], name.as_bytes(), b"\0"].concat();
            ask(&server, op::GETXATTR, 2, &rest).unwrap()
        };
        let value = b"a value\0\xff";
        let len = u32::try_from(value.len()).unwrap();
        assert_eq!(get(0, "user.zimg").unwrap(), [&len.to_ne_bytes()[..], &[0; 4]].concat());
        assert_eq!(get(len, "user.zimg").unwrap(), value);
        assert_eq!(get(len - 1, "user.zimg"), Err(Errno::RANGE));
        assert_eq!(get(100, "user.none"), Err(Errno::NODATA));
    }

    #[test]
    fn an_old_kernel_has_its_opens_answered_and_another_asks_no_more() {
        for opcode in [op::OPEN, op::OPENDIR] {
            let old = ask(&server(false), opcode, 1, &[0; 8]).unwrap();
            assert_eq!(old.unwrap(), OpenOut::KEEP.as_bytes());
            assert_eq!(ask(&server(true), opcode, 1, &[0; 8]), Some(Err(Errno::NOSYS)));
        }
    }

    #[test]
    fn all_is_answered_but_what_wants_no_answer() {
        let server = server(true);
        for opcode in 0..64 {
            for rest in [&[][..], &[0; 64]] {
                let answered = ask(&server, opcode, 1, rest).is_some();
                assert_eq!(answered, ![op::FORGET, op::BATCH_FORGET].contains(&opcode), "{opcode}");
            }
        }
        // A request that was cut off is no reason to panic.
        let (send, receive) = channel();
        answer(&server, Asked { bytes: vec![0; 39], answer: Answer(send) });
        assert!(receive.try_recv().is_err());
        assert_eq!(ask(&server, op::WRITE, 2, &[0; 64]), Some(Err(Errno::ROFS)));
        assert_eq!(server.counts.named()[0], ("lookup", 2));
    }
}
