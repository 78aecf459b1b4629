//! Reads a tree from a tar: v7, ustar, GNU and pax, as GNU tar, bsdtar, star and others write them.
//!
//! Attributes are taken as numbers (owners' names are not looked up), hard links and sparse files
//! as such. Leading `/` and `./` go; a path with `..` in it is refused. Directories without an entry
//! are root's, 0755, of 1970. Sockets can't be in a tar.

mod acl;
mod header;
mod input;
mod insert;
mod member;
mod pax;
mod sparse;

use std::ffi::OsStr;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::read::Place;
use super::tree::Tree;
use super::{BuildError, Progress};
use input::Input;
use insert::{Growing, Refused};
use member::Members;

/// Reads the archive `path`, or standard input if there is none. Contents that can't be read from
/// it a second time are kept in an unnamed file in `store`.
pub(super) fn read(
    path: Option<&Path>,
    store: &Path,
    progress: &dyn Progress,
) -> Result<(Tree, Place), BuildError> {
    read_all(path, store, progress).map_err(|error| {
        // A reader that was told to stop has its own words for that.
        if progress.cancelled() { BuildError::Cancelled } else { error }
    })
}

fn read_all(
    path: Option<&Path>,
    store: &Path,
    progress: &dyn Progress,
) -> Result<(Tree, Place), BuildError> {
    match path {
        Some(path) => members(Input::open(path, store, progress)?, progress),
        None => read_stream(std::io::stdin(), store, progress),
    }
}

/// Reads the archive that `reader` gives.
pub(super) fn read_stream(
    reader: impl Read + AsFd,
    store: &Path,
    progress: &dyn Progress,
) -> Result<(Tree, Place), BuildError> {
    members(Input::stream(reader, Path::new("standard input"), store, progress)?, progress)
}

fn members(input: Input<'_>, progress: &dyn Progress) -> Result<(Tree, Place), BuildError> {
    let mut members = Members::new(input, progress);
    let mut growing = Growing::new()?;
    while let Some(mut member) = members.next()? {
        let (at, path) = (member.at, std::mem::take(&mut member.path));
        growing.insert(&path, member).map_err(|refused| match refused {
            Refused::Wrong(why) => wrong(&members.input.path, at, Some(&path), why),
            Refused::Full(error) => error,
        })?;
    }
    Ok((growing.finish(), members.input.finish()?))
}

fn wrong(archive: &Path, at: u64, entry: Option<&[u8]>, why: impl Into<String>) -> BuildError {
    BuildError::Tar {
        path: archive.to_path_buf(),
        at,
        entry: entry.map(|entry| PathBuf::from(OsStr::from_bytes(entry))),
        why: why.into(),
    }
}
