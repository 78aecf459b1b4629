//! Paths within an image.

use anyhow::{Context, bail, ensure};
use flist::image::{Image, Ino, Kind, ROOT};

use crate::text;

/// Most symbolic links followed on one path, as Linux has it (path_resolution(7)).
const MAX_LINKS: usize = 40;

/// The inode at `path`; a link at its end is not followed.
pub(crate) fn resolve(image: &Image, path: &[u8]) -> anyhow::Result<Ino> {
    find(image, path, false)
}

/// The inode at `path`, links followed within the image, the last one too.
pub(crate) fn follow(image: &Image, path: &[u8]) -> anyhow::Result<Ino> {
    find(image, path, true)
}

fn find(image: &Image, path: &[u8], follow_last: bool) -> anyhow::Result<Ino> {
    let shown = || format!("/{}", text::escaped(path).trim_start_matches('/'));
    let mut rest: Vec<Vec<u8>> = names(path);
    let (mut at, mut links) = (ROOT, 0);
    while let Some(name) = rest.pop() {
        let here = match name.as_slice() {
            b".." => image.parent(at),
            name => image.lookup(at, name),
        };
        let Some(next) = here else {
            ensure!(image.entries(at).is_some(), "{}: a part of it is not a directory", shown());
            bail!("{}: the image has no '{}' there", shown(), text::escaped(&name));
        };
        match image.target(next) {
            Some(target) if follow_last || !rest.is_empty() => {
                links += 1;
                ensure!(links <= MAX_LINKS, "{}: too many symbolic links", shown());
                if target.starts_with(b"/") {
                    at = ROOT;
                }
                rest.extend(names(target));
            }
            _ => at = next,
        }
    }
    Ok(at)
}

/// The names of a path, last one first.
fn names(path: &[u8]) -> Vec<Vec<u8>> {
    let parts = path.split(|&b| b == b'/').filter(|n| !n.is_empty() && *n != b".");
    parts.rev().map(<[u8]>::to_vec).collect()
}

/// `dir/name`; the root's path is empty.
pub(crate) fn join(dir: &[u8], name: &[u8]) -> Vec<u8> {
    if dir.is_empty() { name.to_vec() } else { [dir, b"/", name].concat() }
}

/// Called with a directory and its path.
pub(crate) type Visit<'a, E> = dyn FnMut(Ino, &[u8]) -> Result<(), E> + 'a;

/// Calls `visit` for `start` and every directory below it with its path, parents first, each
/// directory followed by its subdirectories in name order.
pub(crate) fn walk_directories<E>(
    image: &Image,
    start: Ino,
    base: Vec<u8>,
    visit: &mut Visit<'_, E>,
) -> Result<(), E> {
    let mut waiting = vec![(start, base)];
    while let Some((dir, path)) = waiting.pop() {
        let Some(entries) = image.entries(dir) else { continue };
        visit(dir, &path)?;
        for entry in entries.iter().rev() {
            if image.inode(entry.ino).is_some_and(|i| matches!(i.kind, Kind::Directory { .. })) {
                waiting.push((entry.ino, join(&path, image.name(entry))));
            }
        }
    }
    Ok(())
}

/// A regular file at `path`, links followed, or why not.
pub(crate) fn regular(image: &Image, path: &[u8]) -> anyhow::Result<Ino> {
    let ino = follow(image, path)?;
    let inode = image.inode(ino).context("no such inode")?;
    match inode.kind {
        Kind::File { .. } => Ok(ino),
        _ => bail!("{}: is a {}, not a regular file", text::escaped(path), crate::ls::kind(inode)),
    }
}
