//! What must hold before an image is believed. Whoever boots, mounts or unpacks one has a [`Policy`],
//! and the same code here says whether it is met.

use super::{Channel, Claims, KeyId, Name, PublicKey, Signatures, TrustError, Version};
use crate::id::RootHash;

/// What is demanded, not yet known to make sense together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Demands {
    /// The root hash.
    pub hash: Option<RootHash>,
    /// Keys that are trusted.
    pub keys: Vec<PublicKey>,
    /// How many of them must have signed; one where nothing is said.
    pub signatures: Option<usize>,
    /// The name that each of these signatures must state.
    pub name: Option<Name>,
    /// The least version that each of them must state.
    pub min_version: Option<Version>,
}

/// What must hold before an image is believed. There is no default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    hash: Option<RootHash>,
    /// No key twice.
    keys: Vec<PublicKey>,
    /// 1 to as many as there are keys; 0 if there is none.
    signatures: usize,
    name: Option<Name>,
    min_version: Option<Version>,
}

/// Why demands are no policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// Nothing would be checked.
    #[error("neither a root hash nor a key is given")]
    Nothing,
    /// Only signatures tell that.
    #[error("{0} is demanded, but no key is trusted whose signature could state it")]
    Keyless(&'static str),
    /// No image could ever be believed, or any.
    #[error("{signatures} signatures are demanded of {keys} keys: choose 1 to {keys}")]
    Signatures {
        /// How many are demanded.
        signatures: usize,
        /// Different keys.
        keys: usize,
    },
}

/// Who vouches for an image, once a policy is met.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Approval {
    /// The keys whose signatures count.
    pub signers: Vec<KeyId>,
    /// What the first of them states.
    pub claims: Option<Claims>,
}

impl Policy {
    /// The policy that demands this.
    ///
    /// # Errors
    /// [`PolicyError`] when it demands nothing, or what can't be.
    pub fn new(demands: Demands) -> Result<Self, PolicyError> {
        let Demands { hash, keys: given, signatures, name, min_version } = demands;
        let mut keys: Vec<PublicKey> = Vec::new();
        for key in given {
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        if keys.is_empty() {
            for (demanded, what) in [
                (name.is_some(), "a name"),
                (min_version.is_some(), "a version"),
                (signatures.is_some(), "a number of signatures"),
            ] {
                if demanded {
                    return Err(PolicyError::Keyless(what));
                }
            }
            hash.ok_or(PolicyError::Nothing)?;
        }
        let least = usize::from(!keys.is_empty());
        let signatures = signatures.unwrap_or(least);
        if signatures < least || signatures > keys.len() {
            return Err(PolicyError::Signatures { signatures, keys: keys.len() });
        }
        Ok(Self { hash, keys, signatures, name, min_version })
    }

    /// Only this root hash.
    pub fn of_hash(hash: RootHash) -> Self {
        Self { hash: Some(hash), ..Self::anything() }
    }

    /// Whatever is there. Who says so has told the user that nothing is verified.
    pub fn anything() -> Self {
        Self { hash: None, keys: Vec::new(), signatures: 0, name: None, min_version: None }
    }

    /// The root hash it demands.
    pub fn hash(&self) -> Option<RootHash> {
        self.hash
    }

    /// The keys it trusts.
    pub fn keys(&self) -> &[PublicKey] {
        &self.keys
    }

    /// Whether it says anything that signatures have to meet.
    pub fn wants_signatures(&self) -> bool {
        !self.keys.is_empty()
    }

    /// Whether `signatures`, got from `place`, are all that is demanded of a file `bytes`, and what
    /// they state is.
    ///
    /// # Errors
    /// [`TrustError`] says what is missing.
    pub fn check(
        &self,
        bytes: &[u8],
        signatures: &Signatures,
        place: &str,
    ) -> Result<Approval, TrustError> {
        self.count(bytes, signatures, place, |id, comment| {
            let claims = Claims::parse(comment);
            if let Ok(claims) = &claims {
                self.check_name(&claims.name)?;
                self.check_version(&claims.version)?;
            } else if self.name.is_some() || self.min_version.is_some() {
                let why = claims.err().unwrap_or_default();
                return Err(TrustError::NoClaims { id, comment: comment.to_owned(), why });
            }
            Ok(claims.ok())
        })
    }

    /// The channel that a file `bytes` is, if `signatures`, got from `place`, are all that is demanded
    /// of it, and if it is what is demanded, `now`: seconds since 1970. Its own text is what states
    /// name and version.
    ///
    /// # Errors
    /// [`TrustError`] says what is missing.
    pub fn check_channel(
        &self,
        bytes: &[u8],
        signatures: &Signatures,
        place: &str,
        now: i64,
    ) -> Result<(Channel, Approval), TrustError> {
        if !self.wants_signatures() {
            return Err(TrustError::KeylessChannel);
        }
        let approval = self.count(bytes, signatures, place, |_id, _comment| Ok(None))?;
        let channel = Channel::parse(bytes).map_err(TrustError::BadChannel)?;
        self.check_name(&channel.name)?;
        self.check_version(&channel.version)?;
        if now >= channel.expires {
            return Err(TrustError::Expired { expires: channel.expires, now });
        }
        let (name, version) = (channel.name.clone(), channel.version.clone());
        let claims = Some(Claims { name, version, date: None });
        Ok((channel, Approval { claims, ..approval }))
    }

    /// Checks `signatures` of a file `bytes`, of which `meets` says whether the one of a key counts
    /// by what its trusted comment states.
    fn count(
        &self,
        bytes: &[u8],
        signatures: &Signatures,
        place: &str,
        meets: impl Fn(KeyId, &str) -> Result<Option<Claims>, TrustError>,
    ) -> Result<Approval, TrustError> {
        let mut approval = Approval::default();
        let mut faults = Vec::new();
        for key in &self.keys {
            let of_key: Vec<_> = signatures.iter().filter(|s| s.id() == key.id()).collect();
            let Some(signature) = of_key.iter().find(|s| key.signed(bytes, s)) else {
                if !of_key.is_empty() {
                    faults.push(TrustError::Forged { id: key.id() });
                }
                continue;
            };
            match meets(key.id(), signature.comment()) {
                Ok(claims) => {
                    approval.signers.push(key.id());
                    approval.claims = approval.claims.or(claims);
                }
                Err(fault) => faults.push(fault),
            }
        }
        if approval.signers.len() >= self.signatures {
            return Ok(approval);
        }
        Err(self.refusal(&approval, faults, signatures, place))
    }

    /// Why there are not enough that count: what is wrong with the first, unless some are good.
    fn refusal(
        &self,
        approval: &Approval,
        faults: Vec<TrustError>,
        signatures: &Signatures,
        place: &str,
    ) -> TrustError {
        let fault = faults.into_iter().next();
        if approval.signers.is_empty() {
            return fault.unwrap_or_else(|| TrustError::UnknownKeys {
                place: place.to_owned(),
                got: signatures.iter().map(super::Signature::id).collect(),
                trusted: self.keys.iter().map(PublicKey::id).collect(),
            });
        }
        TrustError::TooFew {
            got: approval.signers.clone(),
            want: self.signatures,
            fault: fault.map(Box::new),
        }
    }

    fn check_name(&self, got: &Name) -> Result<(), TrustError> {
        match &self.name {
            Some(want) if want != got => {
                Err(TrustError::WrongName { got: got.clone(), want: want.clone() })
            }
            _ => Ok(()),
        }
    }

    fn check_version(&self, got: &Version) -> Result<(), TrustError> {
        match &self.min_version {
            Some(want) if got < want => {
                Err(TrustError::TooOld { got: got.clone(), want: want.clone() })
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
