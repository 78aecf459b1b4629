//! What can be wrong with an flist, by what its reader does next.

use super::header::{Tag, VERSION};
use super::looks::Looks;
use crate::image::Invalid;

/// Why bytes are no image this program can show, or why an image can't be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// Something else lies where an flist should: check the URL or path.
    #[error("this is no flist: {0}")]
    NotAnFlist(Looks),
    /// Get it again.
    #[error("the flist is cut short: {have} of {want} bytes are there")]
    Truncated {
        /// Bytes there.
        have: u64,
        /// Bytes there should be at the least.
        want: u64,
    },
    /// Get it again.
    #[error("the flist is damaged: {0}")]
    Damaged(&'static str),
    /// Update this program.
    #[error("the flist is of version {0}; this zimg reads version {VERSION}: update it")]
    LaterVersion(u32),
    /// Update this program.
    #[error("the flist uses a feature that this zimg does not know: {0}; update it")]
    UnknownFeature(UnknownFeature),
    /// Whole but wrong: the program that made it has a defect, or means harm.
    #[error("the flist is malformed: {0}")]
    Malformed(#[from] Malformed),
    /// Well-formed, but what it describes can't be.
    #[error("the flist describes an impossible image: {0}")]
    Invalid(#[from] Invalid),
    /// The image can't be written as an flist.
    #[error("section '{section}' of the flist can't be written: {why}")]
    Encode {
        /// Which section.
        section: Tag,
        /// Why.
        why: String,
    },
}

/// A feature without which an flist would be misread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnknownFeature {
    /// A bit of the header's incompat flags.
    #[error("incompat flag bit {0}")]
    Bit(u32),
    /// A section that must be understood.
    #[error("section '{0}'")]
    Section(Tag),
    /// A flag of a section.
    #[error("flag bit {bit} of section '{section}'")]
    SectionBit {
        /// Whose flag.
        section: Tag,
        /// Which bit.
        bit: u32,
    },
}

/// A rule of the format that is broken, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// In the header.
    #[error("header: {0}")]
    Header(&'static str),
    /// In a row of the section table.
    #[error("section '{section}': {what}")]
    Section {
        /// Which section.
        section: Tag,
        /// What is wrong with it.
        what: &'static str,
    },
    /// In a row of a section.
    #[error("section '{section}', row {row}: {what}")]
    Row {
        /// Which section.
        section: Tag,
        /// Which row, from 0.
        row: u64,
        /// What is wrong with it.
        what: &'static str,
    },
}
