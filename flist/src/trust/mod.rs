//! Who vouches for an image: minisign's keys and signatures, what a trusted comment says, and the
//! policy of who reads the image.
//!
//! Bytes in, values out: what comes from outside is bounded, and read or refused, never a panic.

mod channel;
mod claims;
mod error;
#[cfg(any(test, feature = "testing"))]
pub(crate) mod examples;
#[cfg(any(test, feature = "testing"))]
pub(crate) mod fuzzing;
mod key;
mod name;
mod policy;
mod signature;
mod version;

#[cfg(test)]
pub(crate) mod testing;

pub use channel::{BadChannel, BadReference, CHANNEL_SUFFIX, Channel, MAX_CHANNEL_LEN, Reference};
pub use claims::Claims;
pub use error::TrustError;
pub use key::{BadKey, KeyId, PublicKey};
pub use name::{BadName, Name};
pub use policy::{Approval, Demands, Policy, PolicyError};
pub use signature::{BadSignatures, MAX_SIGNATURES, MAX_SIGNATURES_LEN, Signature, Signatures};
pub use version::{BadVersion, Version};

/// What the name of a file's signatures has more than its own.
pub const SUFFIX: &str = ".minisig";
