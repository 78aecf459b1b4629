//! Puts an archive's entries into a tree, as extracting it would: a later entry replaces an earlier
//! one of its name, and missing directories are made.

use std::collections::{BTreeMap, HashMap, VecDeque};

use super::member::{Content, Member};
use crate::build::BuildError;
use crate::build::tree::{Data, Entry, File, Node, NodeId, ROOT, Tree, What};
use crate::image::{Time, XattrSet};

/// Symbolic links followed on the way to an entry: as many as Linux follows.
const MAX_LINKS: u32 = 40;

/// Why an entry can't be put into the tree.
pub(super) enum Refused {
    /// It makes no sense.
    Wrong(String),
    /// The tree is full.
    Full(BuildError),
}

impl From<BuildError> for Refused {
    fn from(error: BuildError) -> Self {
        Self::Full(error)
    }
}

fn wrong<T>(why: impl Into<String>) -> Result<T, Refused> {
    Err(Refused::Wrong(why.into()))
}

/// A tree that grows.
pub(super) struct Growing {
    tree: Tree,
    /// The entries of each directory.
    dirs: HashMap<NodeId, BTreeMap<Box<[u8]>, NodeId>>,
}

impl Growing {
    /// The root alone.
    pub(super) fn new() -> Result<Self, BuildError> {
        let tree = Tree::new(implied_directory(), XattrSet::new())?;
        Ok(Self { tree, dirs: HashMap::from([(ROOT, BTreeMap::new())]) })
    }

    /// The tree, with all entries in place.
    pub(super) fn finish(mut self) -> Tree {
        for (dir, entries) in self.dirs {
            let place = self.tree.nodes.get_mut(dir as usize).map(|node| &mut node.what);
            if let Some(What::Directory(place)) = place {
                place.extend(entries.into_iter().map(|(name, node)| Entry { name, node }));
            }
        }
        self.tree
    }

    /// Puts an entry into its place.
    pub(super) fn insert(&mut self, path: &[u8], member: Member) -> Result<(), Refused> {
        let names = names(path)?;
        let Some((name, above)) = names.split_last() else {
            return match member.what {
                Content::Directory => self.update(ROOT, member),
                _ => wrong("only a directory can be the root"),
            };
        };
        let dir = self.directory(above, true)?;
        let old = self.child(dir, name);
        let old_dir = old.filter(|id| self.dirs.contains_key(id));
        if let (Some(id), Content::Directory) = (old_dir, &member.what) {
            return self.update(id, member);
        }
        if old_dir.and_then(|id| self.dirs.get(&id)).is_some_and(|entries| !entries.is_empty()) {
            return wrong("it would replace a directory that is not empty");
        }
        let new = match &member.what {
            Content::Link(target) => self.link_target(target)?,
            _ => self.add(member)?,
        };
        self.dirs.entry(dir).or_default().insert(name.to_vec().into(), new);
        if let Some(id) = old_dir {
            self.dirs.remove(&id);
        }
        Ok(())
    }

    fn add(&mut self, member: Member) -> Result<NodeId, Refused> {
        let what = match member.what {
            Content::File { size, segments } => {
                What::File(File { size, data: Data::Archive(segments.into()) })
            }
            Content::Symlink(target) | Content::Link(target) => What::Symlink(target.into()),
            Content::Directory => What::Directory(Vec::new()),
            Content::Char(device) => What::Char(device),
            Content::Block(device) => What::Block(device),
            Content::Fifo => What::Fifo,
        };
        let directory = matches!(what, What::Directory(_));
        let node = Node {
            // Links have no permissions of their own; Linux shows all.
            mode: if matches!(what, What::Symlink(_)) { 0o777 } else { member.mode },
            uid: member.uid,
            gid: member.gid,
            xattrs: 0,
            mtime: member.mtime,
            btime: member.btime,
            what,
        };
        let id = self.tree.add(node, member.xattrs)?;
        if directory {
            self.dirs.insert(id, BTreeMap::new());
        }
        Ok(id)
    }

    /// Gives a directory that is there already the attributes of a later entry.
    fn update(&mut self, id: NodeId, member: Member) -> Result<(), Refused> {
        let xattrs = self.tree.intern(member.xattrs)?;
        if let Some(node) = self.tree.nodes.get_mut(id as usize) {
            node.mode = member.mode;
            node.uid = member.uid;
            node.gid = member.gid;
            node.xattrs = xattrs;
            node.mtime = member.mtime;
            node.btime = member.btime;
        }
        Ok(())
    }

    /// What a hard link is another name of.
    fn link_target(&mut self, target: &[u8]) -> Result<NodeId, Refused> {
        let shown = String::from_utf8_lossy(target).into_owned();
        let names = names(target)?;
        let found = match names.split_last() {
            Some((name, above)) => {
                let dir = self.directory(above, false)?;
                self.child(dir, name)
            }
            None => Some(ROOT),
        };
        match found {
            Some(id) if self.dirs.contains_key(&id) => {
                wrong(format!("it is a hard link to the directory {shown}"))
            }
            Some(id) => Ok(id),
            None => wrong(format!("it is a hard link to {shown}, which does not come before it")),
        }
    }

    fn child(&self, dir: NodeId, name: &[u8]) -> Option<NodeId> {
        self.dirs.get(&dir)?.get(name).copied()
    }

    /// The directory that `names` lead to. Symbolic links on the way are followed, within the tree;
    /// what is missing is made, or refused.
    fn directory(&mut self, names: &[&[u8]], make: bool) -> Result<NodeId, Refused> {
        let mut way = vec![ROOT];
        let mut ahead: VecDeque<Box<[u8]>> = names.iter().map(|n| (*n).into()).collect();
        let mut links = 0;
        while let Some(name) = ahead.pop_front() {
            let here = way.last().copied().unwrap_or(ROOT);
            // Only in the target of a link.
            if &*name == b".." {
                way.truncate(way.len().saturating_sub(1).max(1));
                continue;
            }
            let found = self.child(here, &name);
            match found.map(|id| (id, self.tree.node(id).map(|n| &n.what))) {
                Some((id, Some(What::Directory(_)))) => way.push(id),
                Some((_, Some(What::Symlink(target)))) => {
                    links += 1;
                    if links > MAX_LINKS {
                        return wrong("too many symbolic links lead to it");
                    }
                    if target.starts_with(b"/") {
                        way.truncate(1);
                    }
                    for part in parts(target).rev() {
                        ahead.push_front(part.into());
                    }
                }
                None if make => {
                    let id = self.tree.add(implied_directory(), XattrSet::new())?;
                    self.dirs.insert(id, BTreeMap::new());
                    self.dirs.entry(here).or_default().insert(name, id);
                    way.push(id);
                }
                _ => {
                    let shown = String::from_utf8_lossy(&name);
                    return wrong(format!("{shown} on the way to it is no directory"));
                }
            }
        }
        Ok(way.last().copied().unwrap_or(ROOT))
    }
}

/// What stands for a directory that has no entry of its own: 0755, root's, and of 1970.
fn implied_directory() -> Node {
    Node {
        mode: 0o755,
        uid: 0,
        gid: 0,
        xattrs: 0,
        mtime: Time::default(),
        btime: None,
        what: What::Directory(Vec::new()),
    }
}

fn parts(path: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    path.split(|&b| b == b'/').filter(|part| !part.is_empty() && *part != b".")
}

/// The names in the path of an entry, which must not lead out of the tree.
fn names(path: &[u8]) -> Result<Vec<&[u8]>, Refused> {
    let names: Vec<&[u8]> = parts(path).collect();
    if names.contains(&&b".."[..]) {
        return wrong("its path has a \"..\" in it: it leads out of the tree");
    }
    if path.contains(&0) {
        return wrong("its path has a zero byte in it");
    }
    Ok(names)
}
