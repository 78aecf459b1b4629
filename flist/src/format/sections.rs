//! The sections of version 1: their names, what they hold, and how long each may be.

use super::header::Tag;
use crate::image::{
    MAX_CHUNKS, MAX_EXTENTS, MAX_INODES, MAX_META, MAX_META_LEN, MAX_NAMES_LEN, MAX_PACKS,
    MAX_TARGETS_LEN, MAX_XATTR_SETS, MAX_XATTRS_LEN,
};

/// A section this reader knows.
pub(super) struct Known {
    pub(super) tag: Tag,
    /// What it holds.
    pub(super) meaning: &'static str,
    /// Longest contents in bytes.
    pub(super) max_len: u64,
    /// Whether an image is misread without it.
    pub(super) required: bool,
}

/// All known sections together, decompressed, at the longest: 2 GiB.
pub const MAX_TOTAL_LEN: u64 = 1 << 31;

/// Longest flist in bytes: 1 GiB. Thirty times what a million files need.
pub const MAX_FILE_LEN: u64 = 1 << 30;

/// Longest number below 2^32 in LEB128.
const NUMBER32: usize = 5;
/// Longest number below 2^64 in LEB128.
const NUMBER64: usize = 10;
const ID: usize = crate::id::ID_LEN;

const fn known(tag: [u8; 4], meaning: &'static str, max_len: usize, required: bool) -> Known {
    Known { tag: Tag(tag), meaning, max_len: max_len as u64, required }
}

macro_rules! sections {
    ($($name:ident = $tag:literal, $meaning:literal, $max:expr, $required:literal;)*) => {
        $(pub(super) const $name: Tag = Tag(*$tag);)*
        /// All sections in the order they are written.
        pub(super) const KNOWN: &[Known] = &[$(known(*$tag, $meaning, $max, $required)),*];
    };
}

sections! {
    SOON = b"soon", "profile: what to ask for first", ID + 3 * NUMBER64, false;
    INODE_MODE = b"imod", "inodes: type and permissions", NUMBER32 * MAX_INODES, true;
    INODE_UID = b"iuid", "inodes: owner", NUMBER32 * MAX_INODES, true;
    INODE_GID = b"igid", "inodes: group", NUMBER32 * MAX_INODES, true;
    INODE_XATTRS = b"ixat", "inodes: number of the xattr set", NUMBER32 * MAX_INODES, true;
    INODE_SEC = b"isec", "inodes: modification time, seconds", NUMBER64 * MAX_INODES, true;
    INODE_NSEC = b"insc", "inodes: modification time, nanoseconds", NUMBER32 * MAX_INODES, true;
    DEVICE = b"vdev", "devices: number", NUMBER32 * MAX_INODES, true;
    FILE_SIZE = b"fsiz", "files: size", NUMBER64 * MAX_INODES, true;
    FILE_EXTENTS = b"fext", "files: number of extents", NUMBER32 * MAX_INODES, true;
    EXTENT_HOLE = b"ehol", "extents: hole before", NUMBER64 * MAX_EXTENTS, true;
    EXTENT_LEN = b"elen", "extents: length", NUMBER64 * MAX_EXTENTS, true;
    EXTENT_POS = b"epos", "extents: position in the content space", NUMBER64 * MAX_EXTENTS, true;
    LINK_TARGET = b"ltgt", "symbolic links: target", MAX_TARGETS_LEN + MAX_INODES, true;
    DIRENT_PREFIX = b"dpre", "dirents: bytes of the name before", 2 * MAX_INODES, true;
    DIRENT_NAME = b"dnam", "dirents: rest of the name", MAX_NAMES_LEN + 2 * MAX_INODES, true;
    DIRENT_INO = b"dino", "dirents: inode", NUMBER32 * MAX_INODES, true;
    XATTR_SET = b"xset", "xattr sets", MAX_XATTRS_LEN + 8 * MAX_XATTR_SETS, true;
    CHUNK_LEN = b"clen", "chunks: length", NUMBER32 * MAX_CHUNKS, true;
    CHUNK_STORED = b"csto", "chunks: stored length", NUMBER32 * MAX_CHUNKS, true;
    CHUNK_PACK = b"cpak", "chunks: pack", NUMBER32 * MAX_CHUNKS, true;
    CHUNK_OFFSET = b"coff", "chunks: offset in the pack", NUMBER64 * MAX_CHUNKS, true;
    CHUNK_ID = b"chid", "chunks: id", ID * MAX_CHUNKS, true;
    PACK_LEN = b"plen", "packs: length", NUMBER64 * MAX_PACKS, true;
    PACK_ID = b"pkid", "packs: id", ID * MAX_PACKS, true;
    PROFILED = b"prof", "profile: number of chunks", NUMBER32, false;
    META = b"meta", "image metadata", MAX_META * MAX_META_LEN, false;
    BIRTH_SEC = b"bsec", "inodes: creation time, seconds", NUMBER64 * MAX_INODES, false;
    BIRTH_NSEC = b"bnsc", "inodes: creation time, nanoseconds", NUMBER32 * MAX_INODES, false;
}

/// The known section of that name.
pub(super) fn find(tag: Tag) -> Option<&'static Known> {
    KNOWN.iter().find(|known| known.tag == tag)
}
