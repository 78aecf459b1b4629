//! Why a policy is not met. What happened and what to do about it stay apart, so that a failure screen
//! can show each.

use super::{BadChannel, BadSignatures, KeyId, Name, Version};
use crate::date;

/// Why nobody who is trusted vouches for an image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    /// There are no signatures.
    #[error("it is not signed: {place} is not there")]
    Unsigned {
        /// Where they should be.
        place: String,
    },
    /// What lies there can't be read as signatures.
    #[error("{place}: {why}")]
    Unreadable {
        /// Where it lies.
        place: String,
        /// What is wrong with it.
        why: BadSignatures,
    },
    /// Somebody signed, but nobody who is trusted.
    #[error("it is signed by {}, and trusted is {} ({place})", list(.got), list(.trusted))]
    UnknownKeys {
        /// Where the signatures lie.
        place: String,
        /// Whose they claim to be.
        got: Vec<KeyId>,
        /// Whose would count.
        trusted: Vec<KeyId>,
    },
    /// A signature that claims to be of a trusted key, and is not, or is of something else.
    #[error(
        "the signature by key {id} is not one of this file: the file or the signature was changed, \
         or one of them is of another version"
    )]
    Forged {
        /// The key.
        id: KeyId,
    },
    /// Name or version are demanded, and the signer states neither.
    #[error(
        "the signature by key {id} states no name and version: its trusted comment {comment:?} {why}"
    )]
    NoClaims {
        /// The signer's key.
        id: KeyId,
        /// What is stated.
        comment: String,
        /// What of that is missing or wrong.
        why: &'static str,
    },
    /// Another image.
    #[error("it is signed as the image {got}, not {want} as demanded")]
    WrongName {
        /// What it is called.
        got: Name,
        /// What it should be called.
        want: Name,
    },
    /// An earlier version than allowed.
    #[error("it is signed as version {got}, older than {want}, the least that is allowed")]
    TooOld {
        /// Its version.
        got: Version,
        /// The least.
        want: Version,
    },
    /// Some signatures are good, but not enough of them.
    #[error("{} of the {want} signatures demanded {} there: by {}{}", .got.len(), if .got.len() == 1 { "is" } else { "are" }, list(.got), .fault.as_ref().map(|f| format!("; {f}")).unwrap_or_default())]
    TooFew {
        /// Whose count.
        got: Vec<KeyId>,
        /// How many must.
        want: usize,
        /// What is wrong with one that does not count.
        fault: Option<Box<TrustError>>,
    },
    /// A channel is signed, or nothing.
    #[error("it is a channel, and no key is trusted that could have signed it")]
    KeylessChannel,
    /// Signed, and still no channel.
    #[error("{0}")]
    BadChannel(BadChannel),
    /// A channel out of its time, which somebody may have kept.
    #[error("the channel expired at {}, and it is {} now", date::text(*.expires), date::text(*.now))]
    Expired {
        /// When it did: seconds since 1970.
        expires: i64,
        /// What the clock says.
        now: i64,
    },
}

impl TrustError {
    /// What to do about it, in one clause.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Unsigned { .. } => "sign it with `zimg sign`, and publish the .minisig beside it",
            Self::Unreadable { .. } => "publish the .minisig anew, as `zimg sign` wrote it",
            Self::UnknownKeys { .. } => {
                "sign it with a trusted key, or have the signer's public key trusted"
            }
            Self::Forged { .. } => "publish the file and its .minisig anew, both of one build",
            Self::NoClaims { .. } => "sign it with `zimg sign`, which states both",
            Self::WrongName { .. } => "check the URL, or correct the name that is demanded",
            Self::TooOld { .. } => "publish a later version, or lower the version demanded",
            Self::KeylessChannel => {
                "have the key trusted that signs the channel, or give the URL of the flist itself"
            }
            Self::BadChannel(_) => "make the channel anew with `zimg channel set`",
            Self::Expired { .. } => {
                "publish the channel anew with `zimg channel set`; see that the clock is right"
            }
            Self::TooFew { .. } => "have it signed by more of the trusted keys: `zimg sign --add`",
        }
    }
}

/// Keys in a sentence.
fn list(ids: &[KeyId]) -> String {
    let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
    match ids.as_slice() {
        [] => "nobody".to_owned(),
        [id] => format!("key {id}"),
        ids => format!("keys {}", ids.join(", ")),
    }
}
