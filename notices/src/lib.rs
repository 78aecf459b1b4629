//! What is linked into a program of this workspace: the crates that cargo says so of, and what comes
//! with Rust. From that: a text of licences to ship with it, and an SBOM. The same lock file gives the
//! same bytes.

#![forbid(unsafe_code)]

mod choice;
mod linked;
mod sbom;
mod texts;

pub use linked::{Crate, Key, Linked};
