//! The bounds of an image. A reader refuses what exceeds them before it allocates; a builder
//! refuses to make it.

/// Most inodes, and most dirents: 16 Mi.
pub const MAX_INODES: usize = 1 << 24;
/// Most extents: 32 Mi.
pub const MAX_EXTENTS: usize = 1 << 25;
/// Most chunks: 4 Mi, so 4 TiB at the most and about 1 TiB at the usual size.
pub const MAX_CHUNKS: usize = 1 << 22;
/// Most packs.
pub const MAX_PACKS: usize = 1 << 20;
/// Longest pack in bytes: 16 GiB.
pub const MAX_PACK_LEN: u64 = 1 << 34;
/// Longest name of a dirent in bytes: NAME_MAX of Linux.
pub const MAX_NAME_LEN: usize = 255;
/// All names together, in bytes.
pub const MAX_NAMES_LEN: usize = 1 << 29;
/// Longest target of a symbolic link in bytes: PATH_MAX of Linux less the final zero.
pub const MAX_TARGET_LEN: usize = 4095;
/// All targets together, in bytes.
pub const MAX_TARGETS_LEN: usize = 1 << 28;
/// Largest file: 2^63 - 1 bytes, the largest `off_t`.
pub const MAX_FILE_SIZE: u64 = i64::MAX as u64;
/// Most distinct sets of xattrs.
pub const MAX_XATTR_SETS: usize = 1 << 20;
/// Most xattrs of one inode.
pub const MAX_XATTRS: usize = 1 << 12;
/// Longest xattr name in bytes: XATTR_NAME_MAX of Linux.
pub const MAX_XATTR_NAME_LEN: usize = 255;
/// Longest xattr value in bytes: XATTR_SIZE_MAX of Linux.
pub const MAX_XATTR_VALUE_LEN: usize = 1 << 16;
/// All names of one inode's xattrs together, each with a final zero: XATTR_LIST_MAX of Linux.
pub const MAX_XATTR_LIST_LEN: usize = 1 << 16;
/// All xattr names and values together, in bytes.
pub const MAX_XATTRS_LEN: usize = 1 << 28;
/// Most pairs of image metadata.
pub const MAX_META: usize = 1 << 12;
/// Longest key or value of image metadata in bytes.
pub const MAX_META_LEN: usize = 1 << 16;
/// Deepest directory, the root being at depth 0. Bounds recursion in whatever walks the tree.
pub const MAX_DEPTH: u32 = 1 << 12;
/// Highest major device number of Linux.
pub const MAX_MAJOR: u32 = (1 << 12) - 1;
/// Highest minor device number of Linux.
pub const MAX_MINOR: u32 = (1 << 20) - 1;
