//! The FUSE server.
