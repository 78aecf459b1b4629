//! One attempt at one location: the flist and its signatures are fetched beside each other, and nothing of
//! the flist is decoded before it is what the policy demands.

use std::thread;
use std::time::Instant;

use super::{LoadError, LoadOptions, Loaded, fetch, load_file_by};
use crate::format::{self, FormatError, Layout};
use crate::id::RootHash;
use crate::store::{Client, Location, StoreError};
use crate::trust::{Approval, MAX_SIGNATURES_LEN, Policy, SUFFIX, Signatures, TrustError};

/// The bytes of a file, of which nothing is known yet but their hash.
type Fetched = (Vec<u8>, RootHash);

/// What is the same at each location.
pub(super) struct Attempt<'a> {
    pub(super) client: &'a Client,
    pub(super) policy: &'a Policy,
    pub(super) options: &'a LoadOptions,
    /// Rounds over all locations, this one included.
    pub(super) tries: u32,
    pub(super) start: Instant,
}

impl Attempt<'_> {
    /// Gets the flist at `location`.
    pub(super) fn load(&self, location: &Location) -> Result<Loaded, LoadError> {
        let (flist, signatures) = self.with_signatures(location);
        let (bytes, root_hash) = flist.map_err(|error| self.store(error))?;
        let fetched = Instant::now();
        let place = location.to_string();
        let approval = self.approve(&bytes, root_hash, signatures, location)?;
        let (image, layout) =
            format::decode_whole(&bytes).map_err(|error| LoadError::Format { place, error })?;
        Ok(Loaded {
            image,
            root_hash,
            len: bytes.len() as u64,
            layout,
            approval,
            location: location.clone(),
            tries: self.tries,
            fetching: fetched.saturating_duration_since(self.start),
            decoding: fetched.elapsed(),
        })
    }

    /// The bytes of the flist, with their hash, and meanwhile its signatures, where some are demanded.
    fn with_signatures(
        &self,
        location: &Location,
    ) -> (Result<Fetched, StoreError>, Result<Signatures, LoadError>) {
        let flist = || fetch(self.client, location, self.options);
        if !self.policy.wants_signatures() {
            return (flist(), Ok(Signatures::default()));
        }
        thread::scope(|scope| {
            let beside = thread::Builder::new().name("signatures".to_owned());
            let beside = beside.spawn_scoped(scope, || self.signatures(location));
            let flist = flist();
            // Where no thread could be had, they are asked for now.
            let joined = beside.ok().and_then(|thread| thread.join().ok());
            (flist, joined.unwrap_or_else(|| self.signatures(location)))
        })
    }

    fn signatures(&self, location: &Location) -> Result<Signatures, LoadError> {
        let beside = location.beside(SUFFIX);
        let at = || beside.to_string();
        let bytes = load_file_by(self.client, &beside, MAX_SIGNATURES_LEN, self.options.deadline);
        let refused = |error| LoadError::Trust { place: location.to_string(), error };
        match bytes {
            Ok(bytes) => Signatures::parse(&bytes)
                .map_err(|why| refused(TrustError::Unreadable { place: at(), why })),
            Err(StoreError::Missing { .. }) => Err(refused(TrustError::Unsigned { place: at() })),
            Err(error) => Err(self.store(error)),
        }
    }

    /// Whether the bytes of an flist, whose hash is `got`, are what the policy demands.
    fn approve(
        &self,
        bytes: &[u8],
        got: RootHash,
        signatures: Result<Signatures, LoadError>,
        location: &Location,
    ) -> Result<Approval, LoadError> {
        let place = location.to_string();
        let refused = match (self.policy.hash(), signatures) {
            (Some(want), _) if want != got => LoadError::WrongHash { place, want, got },
            (_, Err(error)) => error,
            (_, Ok(signatures)) => {
                let beside = location.beside(SUFFIX).to_string();
                match self.policy.check(bytes, &signatures, &beside) {
                    Ok(approval) => return Ok(approval),
                    Err(error) => LoadError::Trust { place, error },
                }
            }
        };
        // A web page is no flist with a wrong hash, nor is half an flist. The section table is the
        // farthest that this looks into bytes nobody vouches for.
        use FormatError::{NotAnFlist, Truncated};
        match Layout::read(bytes) {
            Err(error @ (NotAnFlist(_) | Truncated { .. })) => {
                Err(LoadError::Format { place: location.to_string(), error })
            }
            _ => Err(refused),
        }
    }

    fn store(&self, error: StoreError) -> LoadError {
        LoadError::Store { error, tries: self.tries }
    }
}
