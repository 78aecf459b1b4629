//! The tree to build, as a directory or a tar gives it: everything but the contents themselves.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::BuildError;
use super::error::fit;
use crate::image::{Device, Time, XattrSet};

/// Index of a node in [`Tree::nodes`].
pub(super) type NodeId = u32;

/// The root's.
pub(super) const ROOT: NodeId = 0;

/// All nodes; a node is an inode, so what has several names is there once.
pub(super) struct Tree {
    pub(super) nodes: Vec<Node>,
    xattr_ids: HashMap<XattrSet, u32>,
}

/// One inode.
pub(super) struct Node {
    /// Permission bits, as `st_mode & 0o7777`.
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// Which set of [`Tree::xattr_sets`].
    pub(super) xattrs: u32,
    pub(super) mtime: Time,
    pub(super) btime: Option<Time>,
    pub(super) what: What,
}

/// What a node is.
pub(super) enum What {
    /// Entries in any order, each name once.
    Directory(Vec<Entry>),
    File(File),
    Symlink(Box<[u8]>),
    Char(Device),
    Block(Device),
    Fifo,
    Socket,
}

/// A name in a directory.
pub(super) struct Entry {
    pub(super) name: Box<[u8]>,
    pub(super) node: NodeId,
}

/// A regular file.
pub(super) struct File {
    pub(super) size: u64,
    pub(super) data: Data,
}

/// Where the bytes of a regular file lie.
pub(super) enum Data {
    /// In the source directory, under the node's first name.
    Disk {
        /// Device and inode number: it must still be that one when it is read.
        identity: Identity,
        /// Whether it occupies less than its size, so may have holes.
        sparse: bool,
    },
    /// In the archive or its spool, in file order; zeros between the segments.
    Archive(Box<[Segment]>),
}

/// A run of a file's bytes in an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) file_offset: u64,
    pub(super) at: u64,
    pub(super) len: u64,
}

/// Device and inode number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Identity {
    pub(super) device: (u32, u32),
    pub(super) ino: u64,
}

impl Tree {
    /// A tree of that root alone.
    pub(super) fn new(root: Node, xattrs: XattrSet) -> Result<Self, BuildError> {
        let xattr_ids = HashMap::from([(XattrSet::new(), 0)]);
        let mut tree = Self { nodes: Vec::new(), xattr_ids };
        tree.add(root, xattrs)?;
        Ok(tree)
    }

    /// Adds a node; nothing names it yet.
    pub(super) fn add(&mut self, mut node: Node, xattrs: XattrSet) -> Result<NodeId, BuildError> {
        let id = fit(self.nodes.len(), "inodes")?;
        node.xattrs = self.intern(xattrs)?;
        self.nodes.push(node);
        Ok(id)
    }

    /// The number of a set, the same for equal sets.
    pub(super) fn intern(&mut self, mut set: XattrSet) -> Result<u32, BuildError> {
        set.sort();
        let next = fit(self.xattr_ids.len(), "sets of extended attributes")?;
        Ok(*self.xattr_ids.entry(set).or_insert(next))
    }

    /// The sets by number.
    pub(super) fn xattr_sets(&self) -> Vec<&XattrSet> {
        let mut sets: Vec<_> = self.xattr_ids.iter().collect();
        sets.sort_by_key(|&(_, &number)| number);
        sets.into_iter().map(|(set, _)| set).collect()
    }

    pub(super) fn node(&self, id: NodeId) -> Option<&Node> {
        self.nodes.get(id as usize)
    }

    /// The entry of that name in a directory, once a walk has sorted them.
    pub(super) fn entry(&self, dir: NodeId, name: &[u8]) -> Option<&Entry> {
        let entries = self.entries(dir);
        let at = entries.binary_search_by(|entry| (*entry.name).cmp(name)).ok()?;
        entries.get(at)
    }

    /// The entries of a directory, none for what is no directory.
    pub(super) fn entries(&self, id: NodeId) -> &[Entry] {
        match self.node(id).map(|n| &n.what) {
            Some(What::Directory(entries)) => entries,
            _ => &[],
        }
    }
}

/// The nodes in the order of an image's inodes, and where each was met first.
pub(super) struct Walk {
    /// By inode index.
    pub(super) order: Vec<Met>,
    /// By node: the inode index.
    pub(super) index: Vec<u32>,
}

/// A node, the inode index of the directory that first names it, and which entry that is.
#[derive(Clone, Copy)]
pub(super) struct Met {
    pub(super) node: NodeId,
    pub(super) dir: u32,
    entry: u32,
}

/// No inode yet.
const UNMET: u32 = u32::MAX;

impl Walk {
    /// Sorts every directory by name, and walks the tree from the root, directory by directory.
    /// Forgets nodes that no name leads to.
    pub(super) fn new(tree: &mut Tree) -> Result<Self, BuildError> {
        for node in &mut tree.nodes {
            if let What::Directory(entries) = &mut node.what {
                entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
            }
        }
        let mut order = vec![Met { node: ROOT, dir: 0, entry: 0 }];
        let mut index = vec![UNMET; tree.nodes.len()];
        if let Some(root) = index.first_mut() {
            *root = 0;
        }
        let mut next = 0;
        while let Some(&Met { node, .. }) = order.get(next) {
            let dir = fit(next, "inodes")?;
            for (child, entry) in tree.entries(node).iter().zip(0..) {
                let Some(met) = index.get_mut(child.node as usize) else { continue };
                if *met == UNMET {
                    *met = fit(order.len(), "inodes")?;
                    order.push(Met { node: child.node, dir, entry });
                }
            }
            next += 1;
        }
        Ok(Self { order, index })
    }

    /// The name under which inode index `at` was first met; empty for the root.
    pub(super) fn name<'a>(&self, tree: &'a Tree, at: u32) -> &'a [u8] {
        let entry = self.order.get(at as usize).filter(|_| at != 0).and_then(|met| {
            let dir = self.order.get(met.dir as usize)?;
            tree.entries(dir.node).get(met.entry as usize)
        });
        entry.map_or(&[], |e| &e.name)
    }

    /// The names that lead from the root to inode index `at`.
    pub(super) fn names<'a>(&self, tree: &'a Tree, mut at: u32) -> Vec<&'a [u8]> {
        let mut names = Vec::new();
        while at != 0 {
            names.push(self.name(tree, at));
            at = self.order.get(at as usize).map_or(0, |met| met.dir);
        }
        names.reverse();
        names
    }

    /// The path of inode index `at` below the root, to be shown; `.` for the root.
    pub(super) fn path(&self, tree: &Tree, at: u32) -> PathBuf {
        match self.names(tree, at).as_slice() {
            [] => PathBuf::from("."),
            names => names.iter().map(|n| OsStr::from_bytes(n)).collect(),
        }
    }
}
