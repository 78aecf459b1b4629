//! A tree as who boots it sees it: by paths, of which links are followed inside the tree.

use super::super::BuildError;
use super::super::layout::PAGE;
use super::super::read::{Input, Reader};
use super::super::tree::{Entry, NodeId, ROOT, What};
use crate::image::MAX_TARGET_LEN;

/// As many links one path may lead over, as in Linux (`MAXSYMLINKS`).
const MOST_LINKS: usize = 40;

/// Directories below another are looked into so deep.
const DEEPEST: usize = 8;

/// So many paths fit a pattern.
const MOST_FITTING: usize = 4096;

/// A regular file.
pub(super) struct Found {
    /// Its inode index.
    pub(super) at: u32,
    /// Its path, without links.
    pub(super) path: Vec<u8>,
    pub(super) size: u64,
    /// Whether anybody may execute it.
    pub(super) executable: bool,
}

/// Such a view.
pub(super) struct View<'a> {
    input: &'a Input,
    reader: Reader<'a>,
}

impl<'a> View<'a> {
    pub(super) fn new(input: &'a Input) -> Self {
        Self { input, reader: Reader::new(input) }
    }

    /// The regular file that `path` leads to.
    pub(super) fn file(&self, path: &[u8]) -> Option<Found> {
        self.found(&self.resolve(path)?)
    }

    /// Whether there is something of this path, be it a link that leads nowhere.
    pub(super) fn is_named(&self, path: &[u8]) -> bool {
        let name = super::name_of(path);
        let dir = path.get(..path.len() - name.len()).unwrap_or_default();
        let dir = self.resolve(dir).map(|names| self.node(&names));
        dir.is_some_and(|dir| self.input.tree.entry(dir, name).is_some())
    }

    /// What is in the directory that `path` leads to.
    pub(super) fn entries(&self, path: &[u8]) -> &'a [Entry] {
        let dir = self.resolve(path);
        dir.map_or(&[], |names| self.input.tree.entries(self.node(&names)))
    }

    /// The regular files in and below the directory that `path` leads to, in order; links are not followed,
    /// and what is hidden is left out.
    pub(super) fn below(&self, path: &[u8]) -> Vec<Found> {
        let mut found = Vec::new();
        if let Some(mut names) = self.resolve(path) {
            self.gather(&mut names, DEEPEST, &mut found);
        }
        found
    }

    fn gather(&self, names: &mut Vec<&'a Entry>, deeper: usize, found: &mut Vec<Found>) {
        let entries = self.input.tree.entries(self.node(names)).iter();
        for entry in entries.filter(|entry| !entry.name.starts_with(b".")) {
            names.push(entry);
            found.extend(self.found(names));
            if deeper > 0 {
                self.gather(names, deeper - 1, found);
            }
            names.pop();
        }
    }

    /// Paths that fit `pattern`, in which a `*` stands for any part of a name. Names that begin with a
    /// dot are hidden from it, as from a shell; of those without a `*` there may be nothing.
    pub(super) fn matching(&self, pattern: &str) -> Vec<Vec<u8>> {
        let names = pattern.split('/').filter(|name| !name.is_empty());
        names.fold(vec![Vec::new()], |paths, name| {
            let below = |path: Vec<u8>| -> Vec<Vec<u8>> {
                if !name.contains('*') {
                    return vec![super::join(&path, name.as_bytes())];
                }
                let names = self.entries(&path).iter().map(|entry| &*entry.name);
                let fit = names.filter(|n| !n.starts_with(b".") && super::fits(name, n));
                fit.map(|name| super::join(&path, name)).collect()
            };
            paths.into_iter().flat_map(below).take(MOST_FITTING).collect()
        })
    }

    /// The contents of a file, as far as `most` bytes, rounded up to whole pages.
    pub(super) fn read(&mut self, file: &Found, most: u64) -> Result<Vec<u8>, BuildError> {
        let len = most.next_multiple_of(PAGE).min(file.size);
        let mut contents = vec![0; usize::try_from(len).unwrap_or(0)];
        self.reader.read_range(file.at, 0..len, &mut |offset: u64, bytes: &[u8]| {
            let start = usize::try_from(offset).unwrap_or(usize::MAX);
            if let Some(place) = contents.get_mut(start..).and_then(|c| c.get_mut(..bytes.len())) {
                place.copy_from_slice(bytes);
            }
            Ok(())
        })?;
        Ok(contents)
    }

    fn found(&self, names: &[&Entry]) -> Option<Found> {
        let node = self.input.tree.node(self.node(names))?;
        let What::File(file) = &node.what else { return None };
        let at = self.input.walk.index.get(self.node(names) as usize).copied()?;
        let path = names.iter().flat_map(|entry| [b"/", &*entry.name].concat()).collect();
        Some(Found { at, path, size: file.size, executable: node.mode & 0o111 != 0 })
    }

    fn node(&self, names: &[&Entry]) -> NodeId {
        names.last().map_or(ROOT, |entry| entry.node)
    }

    /// The entries that lead from the root to what `path` names, none of them a link. A path is no longer
    /// than the target of a link.
    fn resolve(&self, path: &[u8]) -> Option<Vec<&'a Entry>> {
        if path.len() > MAX_TARGET_LEN {
            return None;
        }
        let tree = &self.input.tree;
        // What is yet to be gone, the last first.
        let mut ahead: Vec<&[u8]> = path.rsplit(|byte| *byte == b'/').collect();
        let (mut names, mut links) = (Vec::new(), 0);
        while let Some(name) = ahead.pop() {
            match name {
                b"" | b"." => continue,
                b".." => drop(names.pop()),
                _ => {
                    let entry = tree.entry(self.node(&names), name)?;
                    if let What::Symlink(target) = &tree.node(entry.node)?.what {
                        links += 1;
                        if links > MOST_LINKS || target.len() > MAX_TARGET_LEN {
                            return None;
                        }
                        if target.starts_with(b"/") {
                            names.clear();
                        }
                        ahead.extend(target.rsplit(|byte| *byte == b'/'));
                    } else {
                        names.push(entry);
                    }
                }
            }
        }
        Some(names)
    }
}
