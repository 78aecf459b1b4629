//! Makes an flist and its packs from a directory or a tar.
