//! What a command's options demand of an flist before it is believed: the same policy, by the same
//! code, as a node's.

use std::fs::File;
use std::io::Read;

use anyhow::Context;
use flist::id::RootHash;
use flist::trust::{Approval, Demands, Name, Policy, PublicKey, Version};

use crate::exit::Usage;

/// Longest file that is read as a public key, in bytes.
const MAX_KEY_LEN: u64 = 4 << 10;

/// The options `--hash`, `--key`, `--signatures`, `--name` and `--min-version`.
#[derive(Default)]
pub(crate) struct Trust<'a> {
    pub(crate) hash: Option<RootHash>,
    pub(crate) keys: &'a [String],
    pub(crate) signatures: Option<usize>,
    pub(crate) name: Option<&'a Name>,
    pub(crate) min_version: Option<&'a Version>,
}

/// The arguments of a command that opens an flist: its own, and behind them the options that say what
/// is demanded of it. (argh has no way to share options.)
macro_rules! demanding {
    ($(#[$($attribute:tt)*])* pub(crate) struct Args { $($own:tt)* }) => {
        $(#[$($attribute)*])*
        pub(crate) struct Args {
            $($own)*
            /// root hash the flist must have
            #[argh(option)]
            hash: Option<flist::id::RootHash>,
            /// public key that must have signed it: the file NAME.pub, or its base64; of several one is enough
            #[argh(option)]
            key: Vec<String>,
            /// how many of these keys must have signed it (default 1)
            #[argh(option)]
            signatures: Option<usize>,
            /// name of the image that the signature must state
            #[argh(option)]
            name: Option<flist::trust::Name>,
            /// least version of the image that the signature must state
            #[argh(option)]
            min_version: Option<flist::trust::Version>,
        }

        impl Args {
            fn trust(&self) -> $crate::trust::Trust<'_> {
                $crate::trust::Trust {
                    hash: self.hash,
                    keys: &self.key,
                    signatures: self.signatures,
                    name: self.name.as_ref(),
                    min_version: self.min_version.as_ref(),
                }
            }
        }
    };
}
pub(crate) use demanding;

impl Trust<'_> {
    /// The policy that they are; where there is none, anything is good.
    pub(crate) fn policy(&self) -> anyhow::Result<Policy> {
        let demands = Demands {
            hash: self.hash,
            keys: self.keys.iter().map(|text| key(text)).collect::<Result<_, _>>()?,
            signatures: self.signatures,
            name: self.name.cloned(),
            min_version: self.min_version.cloned(),
        };
        if demands == Demands::default() {
            return Ok(Policy::anything());
        }
        let why = |e| Usage(format!("{e}: see --key, --signatures, --name and --min-version"));
        Ok(Policy::new(demands).map_err(why)?)
    }
}

/// A public key: the base64 itself, or a file.
fn key(text: &str) -> anyhow::Result<PublicKey> {
    if let Ok(key) = text.parse() {
        return Ok(key);
    }
    let name = || format!("--key {text}: it is no public key in base64, so a file is meant");
    let mut bytes = Vec::new();
    let file = File::open(text).with_context(name)?;
    file.take(MAX_KEY_LEN).read_to_end(&mut bytes).with_context(name)?;
    PublicKey::parse(&bytes).with_context(|| format!("--key {text}"))
}

/// Who vouches for an image, as the end of a sentence that begins with its root hash.
pub(crate) fn vouched(approval: &Approval) -> String {
    let ids: Vec<String> = approval.signers.iter().map(ToString::to_string).collect();
    let as_what = match &approval.claims {
        Some(claims) => format!(" as {} version {}", claims.name, claims.version),
        None => String::new(),
    };
    match ids.as_slice() {
        [] => String::new(),
        [id] => format!("; signed by key {id}{as_what}"),
        ids => format!("; signed by keys {}{as_what}", ids.join(", ")),
    }
}
