//! Gets an flist and makes an image of it: bounded in size and time, its root hash and signatures
//! checked before anything in it is read.

mod one;
mod soon;

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::{Client, Fault, Location, StoreError, Unreachable};
use crate::format::{FormatError, Layout};
use crate::id::RootHash;
use crate::image::Image;
use crate::trust::{Approval, Channel, Policy, TrustError};
use one::Attempt;
pub use soon::Begun;

/// Longest flist taken, in bytes: far above that of an image with as many files as are allowed
/// to be usual, and little enough for a node's memory.
pub const MAX_FLIST_LEN: u64 = 256 << 20;

/// How long to try.
#[derive(Debug, Clone)]
pub struct LoadOptions {
    /// Longest flist taken, in bytes.
    pub max_len: u64,
    /// Until when to try again what may pass; `None`: only `tries` times.
    pub deadline: Option<Instant>,
    /// How often to try without a deadline, and a name that does not exist with one.
    pub tries: u32,
    /// The wait after a first failure; it doubles with each further one.
    pub first_wait: Duration,
    /// The longest wait.
    pub longest_wait: Duration,
    /// Where the packs lie, if what a boot by the image's profile needs first is to be asked for there
    /// while the flist is still on its way.
    pub packs: Option<Packs>,
}

/// Where packs lie.
#[derive(Debug, Clone)]
pub enum Packs {
    /// Beside the flist, wherever that is found.
    Beside,
    /// In this place.
    At(Location),
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self {
            max_len: MAX_FLIST_LEN,
            deadline: None,
            tries: 3,
            first_wait: Duration::from_millis(250),
            longest_wait: Duration::from_secs(4),
            packs: None,
        }
    }
}

/// An image and how it came.
#[derive(Debug)]
pub struct Loaded {
    /// The image.
    pub image: Image,
    /// BLAKE3 of the flist.
    pub root_hash: RootHash,
    /// Length of the flist in bytes.
    pub len: u64,
    /// Its header and section table.
    pub layout: Layout,
    /// Who vouches for it.
    pub approval: Approval,
    /// The channel that named it, if one did.
    pub channel: Option<Channel>,
    /// Where it was got: one of the locations, or where the channel says.
    pub location: Location,
    /// Rounds over all locations, this one included.
    pub tries: u32,
    /// From the first request to the last byte.
    pub fetching: Duration,
    /// Checking and decoding.
    pub decoding: Duration,
    /// What was asked for meanwhile, if the options said where, and the flist what.
    pub begun: Option<Begun>,
}

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The flist can't be had. The store's error says whether it is missing, out of reach, or
    /// something else.
    #[error("{error}{}", told(*.tries))]
    Store {
        /// What went wrong the last time.
        error: StoreError,
        /// How often it was tried.
        tries: u32,
    },
    /// It is an flist, but not the one wanted.
    #[error(
        "{place} has the root hash {got}, not {want} as demanded: it was replaced, damaged, or \
         the hash is that of another flist"
    )]
    WrongHash {
        /// Where it was got.
        place: String,
        /// The hash demanded.
        want: RootHash,
        /// Its hash.
        got: RootHash,
    },
    /// Nobody who is trusted vouches for it.
    #[error("{place}: {error} ({})", .error.advice())]
    Trust {
        /// Where it was got.
        place: String,
        /// What is missing.
        error: TrustError,
    },
    /// It can't be read as an flist.
    #[error("{place}: {error}")]
    Format {
        /// Where it was got.
        place: String,
        /// What is wrong with it.
        error: FormatError,
    },
}

fn told(tries: u32) -> String {
    if tries > 1 { format!("; tried {tries} times") } else { String::new() }
}

/// Gets the flist from the first of `locations`, which are mirrors, that has one as `policy` demands,
/// or a channel that names one.
///
/// # Errors
/// [`LoadError`] of the first location, when none has it. The others' are logged.
pub fn load(
    client: &Client,
    locations: &[Location],
    policy: &Policy,
    options: &LoadOptions,
) -> Result<Loaded, LoadError> {
    let start = Instant::now();
    let mut wait = options.first_wait;
    for tries in 1.. {
        let mut first = None;
        let mut may_pass = false;
        for location in locations {
            // Even a look-up of a name takes seconds, which a deadline does not shorten.
            if first.is_some() && options.deadline.is_some_and(|end| Instant::now() >= end) {
                break;
            }
            // Another may have it sooner; if none has, the next round is patient.
            let hasty = (tries == 1 && locations.len() > 1).then(|| client.hasty());
            let client = hasty.as_ref().unwrap_or(client);
            let attempt = Attempt { client, policy, options, tries, start };
            match attempt.load(location) {
                Ok(loaded) => return Ok(loaded),
                Err(error) => {
                    may_pass |= passes(&error, tries, options);
                    if locations.len() > 1 {
                        log::warn!("{error}");
                    }
                    first = first.or(Some(error));
                }
            }
        }
        let Some(error) = first else { break };
        let again = match options.deadline {
            Some(deadline) => Instant::now() + wait < deadline,
            None => tries < options.tries,
        };
        if !(may_pass && again) {
            return Err(error);
        }
        if tries == 1 {
            log::warn!("{error}; trying again");
        }
        thread::sleep(wait);
        wait = wait.saturating_mul(2).min(options.longest_wait);
    }
    let source = Arc::new(io::Error::new(io::ErrorKind::InvalidInput, "no location is given"));
    Err(LoadError::Store { error: StoreError::Io { place: "flist".into(), source }, tries: 0 })
}

impl Loaded {
    /// Where it lies on each of `locations`, which are those that it was asked for at: first where it
    /// was got.
    pub fn mirrors(&self, locations: &[Location]) -> Vec<Location> {
        let mut mirrors = vec![self.location.clone()];
        for location in locations {
            let flist = match &self.channel {
                Some(channel) if location.is_channel() => location.refer(&channel.flist),
                _ => location.clone(),
            };
            if !mirrors.contains(&flist) {
                mirrors.push(flist);
            }
        }
        mirrors
    }
}

/// The channel at `location`, as `policy` demands it. Asked for once.
///
/// # Errors
/// As [`load`].
pub fn load_channel(
    client: &Client,
    location: &Location,
    policy: &Policy,
) -> Result<(Channel, Approval), LoadError> {
    let (options, start) = (LoadOptions::default(), Instant::now());
    Attempt { client, policy, options: &options, tries: 1, start }.channel(location)
}

/// Whether trying again may help. A name that does not exist may be one of a name server that
/// has only just come up, a certificate out of its time that of a clock about to be set, an flist and
/// its signature of two builds may be about to be published; not for ever, though.
fn passes(error: &LoadError, tries: u32, options: &LoadOptions) -> bool {
    match error {
        LoadError::Store {
            error:
                StoreError::Unreachable {
                    cause:
                        Unreachable::Name { definite: true, .. } | Unreachable::Tls { clock: true, .. },
                    ..
                },
            ..
        }
        | LoadError::Trust { error: TrustError::Forged { .. }, .. } => tries < options.tries,
        LoadError::Store { error, .. } => error.may_pass(),
        LoadError::Trust { .. } | LoadError::WrongHash { .. } | LoadError::Format { .. } => false,
    }
}

/// The bytes of a file, of which nothing is known yet but their hash. Each block is shown as it comes.
fn fetch(
    client: &Client,
    location: &Location,
    max_len: u64,
    deadline: Option<Instant>,
    see: &mut dyn FnMut(&[u8]),
) -> Result<(Vec<u8>, RootHash), StoreError> {
    // Between two packets there is time for it.
    let mut hasher = blake3::Hasher::new();
    let mut each = |block: &[u8]| {
        see(block);
        hasher.update(block);
    };
    let bytes = get(client, location, max_len, deadline, &mut each)?;
    Ok((bytes, hasher.finalize().into()))
}

/// All of a file that belongs to an image and lies at `location`, such as a profile, if it is no longer
/// than `max_len`. Asked for once; nothing is known of its contents.
///
/// # Errors
/// [`StoreError`] when it can't be had.
pub fn load_file(
    client: &Client,
    location: &Location,
    max_len: u64,
) -> Result<Vec<u8>, StoreError> {
    get(client, location, max_len, None, &mut |_block| {})
}

/// The same, given up at the deadline, if there is one. Each block is shown as it comes.
fn get(
    client: &Client,
    location: &Location,
    max_len: u64,
    deadline: Option<Instant>,
    each: &mut dyn FnMut(&[u8]),
) -> Result<Vec<u8>, StoreError> {
    match location {
        Location::Url(url) => client.get_whole(url, max_len, deadline, each),
        Location::Path(path) => {
            let bytes = read_file(path, max_len)?;
            each(&bytes);
            Ok(bytes)
        }
    }
}

fn read_file(path: &Path, limit: u64) -> Result<Vec<u8>, StoreError> {
    let place = || Location::Path(path.into()).to_string();
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(limit + 1).read_to_end(&mut bytes));
    match read {
        Ok(len) if len as u64 > limit => {
            Err(StoreError::Protocol { place: place(), fault: Fault::TooLong { limit } })
        }
        Ok(_) => Ok(bytes),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            Err(StoreError::Missing { place: place(), status: None })
        }
        Err(e) => Err(StoreError::Io { place: place(), source: Arc::new(e) }),
    }
}

#[cfg(test)]
mod tests;
