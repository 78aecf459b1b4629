//! The file system an image makes, without FUSE: attributes, listings, reads.
