//! One attempt at one location: the flist and its signatures are fetched beside each other, and nothing of
//! the flist is decoded before it is what the policy demands.

use std::thread;
use std::time::Instant;

use super::soon::Watch;
use super::{LoadError, LoadOptions, Loaded, fetch, get};
use crate::date;
use crate::format::{self, FormatError, Layout};
use crate::id::RootHash;
use crate::store::{Client, Location, StoreError};
use crate::trust::{
    Approval, Channel, MAX_CHANNEL_LEN, MAX_SIGNATURES_LEN, Policy, SUFFIX, Signatures, TrustError,
};

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
    /// Gets the flist at `location`, or that which the channel there names.
    pub(super) fn load(&self, location: &Location) -> Result<Loaded, LoadError> {
        if location.is_channel() {
            return self.follow(location);
        }
        let mut watch = self.watch(location);
        let see = &mut |block: &[u8]| watch.see(block);
        let (flist, signatures) = self.with_signatures(location, self.options.max_len, see);
        let (bytes, root_hash) = flist.map_err(|error| self.store(error))?;
        let fetched = Instant::now();
        let approval = self
            .approve(&bytes, root_hash, signatures, location)
            .map_err(|refused| or_no_flist(refused, &bytes, location))?;
        let loaded = self.decode(&bytes, root_hash, location, fetched)?;
        Ok(Loaded { approval, begun: watch.begun(), ..loaded })
    }

    /// The channel at `location`, and who vouches for it.
    pub(super) fn channel(&self, location: &Location) -> Result<(Channel, Approval), LoadError> {
        let refused = |error| LoadError::Trust { place: location.to_string(), error };
        if !self.policy.wants_signatures() {
            return Err(refused(TrustError::KeylessChannel));
        }
        let (bytes, signatures) = self.with_signatures(location, MAX_CHANNEL_LEN, &mut |_block| {});
        let (bytes, _hash) = bytes.map_err(|error| self.store(error))?;
        let beside = location.beside(SUFFIX).to_string();
        self.policy.check_channel(&bytes, &signatures?, &beside, date::now()).map_err(refused)
    }

    fn follow(&self, at: &Location) -> Result<Loaded, LoadError> {
        let (channel, approval) = self.channel(at)?;
        let location = at.refer(&channel.flist);
        let wrong = |place: &Location, want, got| match want == got {
            true => Ok(()),
            false => Err(LoadError::WrongHash { place: place.to_string(), want, got }),
        };
        // A hash that is demanded besides is that of the flist.
        wrong(at, self.policy.hash().unwrap_or(channel.root_hash), channel.root_hash)?;
        let mut watch = self.watch(&location);
        let see = &mut |block: &[u8]| watch.see(block);
        let LoadOptions { max_len, deadline, .. } = *self.options;
        let flist = fetch(self.client, &location, max_len, deadline, see);
        let (bytes, got) = flist.map_err(|error| self.store(error))?;
        let fetched = Instant::now();
        wrong(&location, channel.root_hash, got)
            .map_err(|refused| or_no_flist(refused, &bytes, &location))?;
        let loaded = self.decode(&bytes, got, &location, fetched)?;
        Ok(Loaded { approval, channel: Some(channel), begun: watch.begun(), ..loaded })
    }

    /// What is left to do with the bytes of an flist that somebody vouches for.
    fn decode(
        &self,
        bytes: &[u8],
        root_hash: RootHash,
        location: &Location,
        fetched: Instant,
    ) -> Result<Loaded, LoadError> {
        let place = || location.to_string();
        let (image, layout) = format::decode_whole(bytes)
            .map_err(|error| LoadError::Format { place: place(), error })?;
        Ok(Loaded {
            image,
            root_hash,
            len: bytes.len() as u64,
            layout,
            approval: Approval::default(),
            channel: None,
            location: location.clone(),
            tries: self.tries,
            fetching: fetched.saturating_duration_since(self.start),
            decoding: fetched.elapsed(),
            begun: None,
        })
    }

    /// What an flist at `location` is to be shown to while it comes.
    fn watch(&self, location: &Location) -> Watch<'_> {
        Watch::new(self.client, self.options.packs.as_ref(), location)
    }

    /// The bytes of the file, which are shown as they come, with their hash, and meanwhile its signatures,
    /// where some are demanded.
    fn with_signatures(
        &self,
        location: &Location,
        max_len: u64,
        see: &mut dyn FnMut(&[u8]),
    ) -> (Result<Fetched, StoreError>, Result<Signatures, LoadError>) {
        let mut file = || fetch(self.client, location, max_len, self.options.deadline, see);
        if !self.policy.wants_signatures() {
            return (file(), Ok(Signatures::default()));
        }
        thread::scope(|scope| {
            let beside = thread::Builder::new().name("signatures".to_owned());
            let beside = beside.spawn_scoped(scope, || self.signatures(location));
            let file = file();
            // Where no thread could be had, they are asked for now.
            let joined = beside.ok().and_then(|thread| thread.join().ok());
            (file, joined.unwrap_or_else(|| self.signatures(location)))
        })
    }

    fn signatures(&self, location: &Location) -> Result<Signatures, LoadError> {
        let beside = location.beside(SUFFIX);
        let at = || beside.to_string();
        let bytes =
            get(self.client, &beside, MAX_SIGNATURES_LEN, self.options.deadline, &mut |_block| {});
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
        if let Some(want) = self.policy.hash().filter(|want| *want != got) {
            return Err(LoadError::WrongHash { place, want, got });
        }
        let beside = location.beside(SUFFIX).to_string();
        let checked = self.policy.check(bytes, &signatures?, &beside);
        checked.map_err(|error| LoadError::Trust { place, error })
    }

    fn store(&self, error: StoreError) -> LoadError {
        LoadError::Store { error, tries: self.tries }
    }
}

/// What to say where `bytes` are `refused`: a web page is no flist with a wrong hash, nor is half an
/// flist. The section table is the farthest that this looks into bytes nobody vouches for.
fn or_no_flist(refused: LoadError, bytes: &[u8], location: &Location) -> LoadError {
    use FormatError::{NotAnFlist, Truncated};
    match Layout::read(bytes) {
        Err(error @ (NotAnFlist(_) | Truncated { .. })) => {
            LoadError::Format { place: location.to_string(), error }
        }
        _ => refused,
    }
}
