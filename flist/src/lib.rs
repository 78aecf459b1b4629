//! The flist format, the stores its contents come from, and the file system they make.
//!
//! `id <- chunk <- store`, `id <- format`, `{id, format} <- image`, `{image, store} <- fs <- fuse`,
//! `{id, format} <- trust <- store`.
#![forbid(unsafe_code)]

pub mod chunk;
pub mod date;
pub mod format;
pub mod fs;
#[cfg(feature = "fuse")]
pub mod fuse;
#[cfg(any(test, feature = "testing"))]
#[doc(hidden)]
pub mod fuzzing;
pub mod id;
pub mod image;
mod memory;
#[cfg(any(test, feature = "testing"))]
#[doc(hidden)]
pub mod mutate;
pub mod profile;
pub mod store;
pub mod trust;

pub use memory::memory;

#[cfg(feature = "build")]
pub mod build;
