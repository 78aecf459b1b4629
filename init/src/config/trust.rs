//! What vouches for the image: a root hash, public keys, and what their signatures must state.
//!
//! What the initramfs says can be tightened from the command line, never loosened: its keys are the
//! only ones, its root hash and its name stay, and of versions and numbers of signatures the higher
//! counts.

use super::sources::KeyFile;
use super::{ConfigError, Sources, bad};
use crate::cmdline::Word;
use flist::id::RootHash;
use flist::trust::{Demands, Name, Policy, PolicyError, PublicKey, Version};

/// What must hold before an flist is believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verify {
    /// It is what this demands.
    Demanded(Policy),
    /// Nothing: an experiment.
    Off,
}

pub(super) fn verify(sources: &Sources) -> Result<Verify, ConfigError> {
    let held = held_keys(sources)?;
    if let Some(other) = sources.each("zimg.verify").find(|value| *value != "off") {
        return Err(ConfigError::VerifyValue(other.to_owned()));
    }
    let pinned = hash(&sources.files)?;
    if sources.has("zimg.verify") {
        return match bound_by(sources, &held, pinned) {
            Some(what) => Err(ConfigError::VerifyOffRefused(what)),
            None => Ok(Verify::Off),
        };
    }
    let hash = match (pinned, hash(&sources.line)?) {
        (Some(pinned), Some(asked)) if pinned != asked => {
            return Err(ConfigError::TwoHashes(pinned, asked));
        }
        (pinned, asked) => pinned.or(asked),
    };
    let demands = Demands {
        hash,
        keys: keys(held, &sources.line)?,
        signatures: signatures(sources)?,
        name: name(sources)?,
        min_version: min_version(sources)?,
    };
    Policy::new(demands).map(Verify::Demanded).map_err(|error| match error {
        PolicyError::Nothing => ConfigError::NoAnchor,
        error => ConfigError::Policy(error),
    })
}

/// What of the initramfs `zimg.verify=off` would loosen.
fn bound_by(sources: &Sources, held: &[PublicKey], pinned: Option<RootHash>) -> Option<String> {
    let said = ["zimg.name", "zimg.min-version", "zimg.signatures"];
    let said = said.into_iter().find(|key| sources.files.iter().any(|word| word.key == *key));
    match (held.first(), pinned, said) {
        (Some(key), ..) => Some(format!("the public key {}", key.id())),
        (_, Some(_), _) => Some("a zimg.hash= in /etc/zimg".to_owned()),
        (_, _, Some(key)) => Some(format!("a {key}= in /etc/zimg")),
        (None, None, None) => None,
    }
}

/// The keys of the initramfs, in its files or its configuration.
fn held_keys(sources: &Sources) -> Result<Vec<PublicKey>, ConfigError> {
    let of_file = |KeyFile { path, bytes }: &KeyFile| {
        if !path.ends_with(".pub") {
            return Err(ConfigError::StrayKey(path.clone()));
        }
        let bad = |why| ConfigError::BadKey { place: path.clone(), why };
        PublicKey::parse(bytes).map_err(bad)
    };
    sources.keys.iter().map(of_file).chain(given_keys(&sources.files)).collect()
}

/// The keys that `words` give.
fn given_keys(words: &[Word]) -> impl Iterator<Item = Result<PublicKey, ConfigError>> {
    words.iter().filter(|word| word.key == "zimg.key").map(|word| {
        let value = word.value.as_deref().unwrap_or_default();
        let bad = |why| ConfigError::BadKey { place: format!("zimg.key={value}"), why };
        value.parse().map_err(bad)
    })
}

/// The keys that count: those of the command line, which are some of the initramfs' if it has any.
fn keys(held: Vec<PublicKey>, line: &[Word]) -> Result<Vec<PublicKey>, ConfigError> {
    let asked: Vec<PublicKey> = given_keys(line).collect::<Result<_, _>>()?;
    match asked.iter().find(|key| !held.is_empty() && !held.contains(key)) {
        Some(key) => Err(ConfigError::KeyNotHeld(key.id())),
        None if asked.is_empty() => Ok(held),
        None => Ok(asked),
    }
}

/// The one root hash among `words`.
fn hash(words: &[Word]) -> Result<Option<RootHash>, ConfigError> {
    let mut found = None;
    for word in words.iter().filter(|word| word.key == "zimg.hash") {
        let value = word.value.clone().unwrap_or_default();
        let hash: RootHash = value.parse().map_err(|why| ConfigError::Hash { value, why })?;
        match found {
            Some(other) if other != hash => return Err(ConfigError::TwoHashes(other, hash)),
            _ => found = Some(hash),
        }
    }
    Ok(found)
}

/// The one name that is asked for.
fn name(sources: &Sources) -> Result<Option<Name>, ConfigError> {
    let mut found: Option<Name> = None;
    for value in sources.each("zimg.name") {
        let name: Name = value.parse().map_err(|_bad| {
            bad("zimg.name", value, "letters, digits or ._+-/, as `zimg sign --name` has it")
        })?;
        match found {
            Some(other) if other != name => return Err(ConfigError::TwoNames(other, name)),
            _ => found = Some(name),
        }
    }
    Ok(found)
}

/// The highest version that is asked for as the least.
fn min_version(sources: &Sources) -> Result<Option<Version>, ConfigError> {
    let versions = sources.each("zimg.min-version").map(|value| {
        value
            .parse()
            .map_err(|_bad| bad("zimg.min-version", value, "numbers joined by dots, as in 12.5"))
    });
    versions.collect::<Result<Vec<Version>, _>>().map(|versions| versions.into_iter().max())
}

/// The highest number of signatures that is asked for.
fn signatures(sources: &Sources) -> Result<Option<usize>, ConfigError> {
    let numbers = sources.each("zimg.signatures").map(|value| {
        let number = value.parse().ok().filter(|number| *number > 0);
        number.ok_or_else(|| {
            bad("zimg.signatures", value, "how many keys must have signed: 1 or more")
        })
    });
    numbers.collect::<Result<Vec<usize>, _>>().map(|numbers| numbers.into_iter().max())
}

#[cfg(test)]
mod tests;
