//! The flist file: bytes in, a validated image out, and back. No I/O, and no bytes make it panic.
//! FORMAT.md specifies what is here.

mod column;
mod compress;
mod decode;
mod encode;
mod error;
mod header;
mod looks;
mod sections;

pub use decode::decode;
pub use encode::encode;
pub use error::{FormatError, UnknownFeature};
pub use header::{
    CHECKSUM_OFFSET, HEADER_LEN, Layout, MAGIC, MAX_SECTIONS, ROW_LEN, Section, Tag, VERSION,
};
pub use looks::Looks;
pub use sections::MAX_TOTAL_LEN;

#[cfg(test)]
mod tests;
