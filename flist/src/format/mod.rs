//! The flist file: bytes in, a validated image out, and back. No I/O, and no bytes make it panic.
//! FORMAT.md specifies what is here.

mod chunks;
mod column;
mod compress;
mod decode;
mod dirents;
mod encode;
mod error;
mod files;
mod header;
mod inodes;
mod looks;
mod meta;
mod sections;
mod soon;
mod xattrs;

#[cfg(test)]
pub(crate) use compress::FRAMES;
pub use decode::{decode, decode_whole};
pub use encode::encode;
pub use error::{FormatError, Malformed, UnknownFeature};
pub use header::{
    CHECKSUM_OFFSET, HEADER_LEN, Layout, MAGIC, MAX_SECTIONS, ROW_LEN, Section, Tag, VERSION,
};
pub use looks::Looks;
pub(crate) use looks::looks;
pub use sections::{MAX_FILE_LEN, MAX_TOTAL_LEN};
pub use soon::{BEGINNING_LEN, MAX_SOON_LEN, Soon};

#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;
