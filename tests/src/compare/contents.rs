//! Two files byte by byte, except where both say that they have a hole.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use rustix::fs::SeekFrom;
use rustix::io::Errno;

const PIECE: usize = 1 << 20;

/// Where two files of length `len` begin to differ.
pub(super) fn first_difference(files: &[File; 2], len: u64) -> io::Result<Option<u64>> {
    let mut pieces = [vec![0; PIECE], vec![0; PIECE]];
    let mut at = 0;
    while at < len {
        let [left, right] = files;
        at = next_data(left, at)?.unwrap_or(len).min(next_data(right, at)?.unwrap_or(len));
        let count = usize::try_from(len.saturating_sub(at).min(PIECE as u64)).unwrap_or(PIECE);
        let [left, right] = &mut pieces;
        files[0].read_exact_at(&mut left[..count], at)?;
        files[1].read_exact_at(&mut right[..count], at)?;
        if left[..count] != right[..count] {
            let same = left.iter().zip(right.iter()).take_while(|(l, r)| l == r).count();
            return Ok(Some(at + same as u64));
        }
        at += count as u64;
    }
    Ok(None)
}

/// Where the next data lies; `None` where only a hole follows. A file system that knows no holes
/// says that all is data.
fn next_data(file: &File, at: u64) -> io::Result<Option<u64>> {
    match rustix::fs::seek(file, SeekFrom::Data(at)) {
        Ok(at) => Ok(Some(at)),
        Err(Errno::NXIO) => Ok(None),
        Err(Errno::INVAL) => Ok(Some(at)),
        Err(error) => Err(error.into()),
    }
}
