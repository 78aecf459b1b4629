//! What every command opens: an flist by path or URL, and the stores its contents lie in.

use std::ffi::OsStr;
use std::ops::Range;
use std::sync::Arc;

use anyhow::Context;
use flist::format::Layout;
use flist::fs::Fs;
use flist::id::RootHash;
use flist::image::{Image, Ino};
use flist::profile::{MAX_PROFILE_LEN, Profile};
use flist::store::{
    Client, ClientOptions, FetchOptions, Fetcher, LoadOptions, Location, Mirrors, Patience, Store,
    load, load_channel, load_file, open as open_store,
};
use flist::trust::{Approval, Channel, MAX_CHANNEL_LEN, Policy};

use crate::exit::Usage;
use crate::trust::Trust;

/// Rounds over all mirrors before a command that is not a mount gives up: some seconds.
const ROUNDS: u32 = 4;

/// An image, and where it came from.
pub(crate) struct Opened {
    pub(crate) image: Arc<Image>,
    pub(crate) root_hash: RootHash,
    /// Length of the flist in bytes.
    pub(crate) flist_len: u64,
    /// The flist's header and section table.
    pub(crate) layout: Layout,
    /// Who vouches for it, where somebody has to.
    pub(crate) approval: Approval,
    location: Location,
    client: Client,
}

/// Opens an flist, which has to be what `trust` says.
pub(crate) fn image(name: &str, trust: &Trust<'_>) -> anyhow::Result<Opened> {
    open(name, &trust.policy()?)
}

/// Opens an flist whose contents will be used: from a URL only if something is demanded of it, or
/// where the user says that nothing is.
pub(crate) fn trusted(name: &str, trust: &Trust<'_>, insecure: bool) -> anyhow::Result<Opened> {
    let remote = matches!(location(name)?, Location::Url(_));
    let policy = trust.policy()?;
    if remote && policy == Policy::anything() && !insecure {
        let why = format!(
            "{name}: a URL needs --key PUBLIC_KEY, if it is signed, or --hash ROOT_HASH, as `zimg \
             build` printed it (or --insecure, to take whatever is there)"
        );
        return Err(Usage(why).into());
    }
    open(name, &policy)
}

fn client() -> anyhow::Result<Client> {
    let proxies = crate::proxy::from_environment()?;
    Ok(Client::new(ClientOptions { proxies, ..ClientOptions::default() })?)
}

/// A channel, and who vouches for it where `trust` says anything.
pub(crate) fn channel(
    name: &str,
    trust: &Trust<'_>,
) -> anyhow::Result<(Channel, Option<Approval>)> {
    let (location, client, policy) = (location(name)?, client()?, trust.policy()?);
    if policy == Policy::anything() {
        let bytes = load_file(&client, &location, MAX_CHANNEL_LEN)?;
        let channel = Channel::parse(&bytes).with_context(|| name.to_owned())?;
        return Ok((channel, None));
    }
    let (channel, approval) = load_channel(&client, &location, &policy)?;
    Ok((channel, Some(approval)))
}

fn open(name: &str, policy: &Policy) -> anyhow::Result<Opened> {
    let (location, client) = (location(name)?, client()?);
    let loaded = load(&client, std::slice::from_ref(&location), policy, &LoadOptions::default())?;
    Ok(Opened {
        image: Arc::new(loaded.image),
        root_hash: loaded.root_hash,
        flist_len: loaded.len,
        layout: loaded.layout,
        approval: loaded.approval,
        location: loaded.location,
        client,
    })
}

/// The image of a base to build upon.
pub(crate) fn base(name: &str) -> anyhow::Result<Image> {
    let opened = open(name, &Policy::anything()).with_context(|| format!("--base {name}"))?;
    Ok(Arc::unwrap_or_clone(opened.image))
}

/// The profile of that name: a file or a URL.
pub(crate) fn profile(opened: &Opened, name: &str) -> anyhow::Result<Profile> {
    let text = load_file(&opened.client, &location(name)?, MAX_PROFILE_LEN)?;
    Profile::parse(&text).with_context(|| format!("--profile {name}"))
}

/// The stores named, or else the flist's own folder.
pub(crate) fn stores(opened: &Opened, names: &[String]) -> anyhow::Result<Vec<Arc<dyn Store>>> {
    if names.is_empty() {
        return Ok(vec![open_store(&opened.client, &opened.location.folder())]);
    }
    let named = names.iter().map(|name| Ok(open_store(&opened.client, &location(name)?)));
    named.collect()
}

/// A fetcher that waits for stores that are away, for as long as it takes. So that a wrong store
/// is told at once rather than waited for, the first chunk is asked for now.
pub(crate) fn patient_fetcher(
    opened: &Opened,
    store: &[String],
    cache_bytes: u64,
) -> anyhow::Result<Arc<Fetcher>> {
    if let Some(first) = opened.image.chunks().first()
        && let Some(pack) = opened.image.pack_of(first)
    {
        let stores = stores(opened, store)?;
        let mut answers = stores.iter().map(|store| store.fetch(pack, first.range()));
        let refused = answers.try_fold(None, |_, answer| answer.err().map(Some).ok_or(()));
        if let Ok(Some(error)) = refused {
            return Err(error).context("no store has the image's contents");
        }
    }
    let options = FetchOptions { cache_bytes, ..FetchOptions::default() };
    fetcher(opened, store, options)
}

fn fetcher(
    opened: &Opened,
    store: &[String],
    options: FetchOptions,
) -> anyhow::Result<Arc<Fetcher>> {
    let mirrors = Mirrors::new(stores(opened, store)?).context("no store is named")?;
    let fetcher = Fetcher::new(Arc::clone(&opened.image), mirrors, options);
    Ok(Arc::new(fetcher.context("can't start the threads that fetch")?))
}

fn location(name: &str) -> anyhow::Result<Location> {
    match Location::parse(OsStr::new(name)) {
        // A mount in the background leaves the directory that a relative path begins at.
        Ok(Location::Path(path)) => Ok(Location::Path(std::path::absolute(path)?)),
        Ok(url) => Ok(url),
        Err(e) => Err(Usage(e.to_string()).into()),
    }
}

/// The contents of an image's files, for commands that read them and end.
pub(crate) struct Contents(Fs);

impl Contents {
    /// Reads from the stores named, or else from the flist's own folder.
    pub(crate) fn new(opened: &Opened, store: &[String]) -> anyhow::Result<Self> {
        let options =
            FetchOptions { patience: Patience::Rounds(ROUNDS), ..FetchOptions::default() };
        let fetcher = fetcher(opened, store, options)?;
        Ok(Self(Fs::new(Arc::clone(&opened.image), fetcher)))
    }

    /// All of `range` of a file, which must lie within it.
    pub(crate) fn read(&self, ino: Ino, range: Range<u64>) -> anyhow::Result<Vec<u8>> {
        let len = usize::try_from(range.end.saturating_sub(range.start))?;
        Ok(self.0.read_wait(ino, range.start, len)?)
    }
}
