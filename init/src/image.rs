//! Gets the flist, believes it only once it is verified, and serves it as a file system.

use crate::config::{Ahead, Ca, Config, Servers, Verify};
use crate::failure::{Failure, OrFail, Stage, chain};
use crate::kmsg;
use crate::probe::probe;
use crate::reads::Reads;
use flist::fs::Fs;
use flist::fuse::{self, MountOptions, Mounted};
use flist::id::RootHash;
use flist::image::Image;
use flist::profile::Prefetch;
use flist::store::{
    self, Client, ClientOptions, ClockHelp, FetchOptions, Fetcher, LoadError, LoadOptions,
    Location, Mirrors, PREFETCHES, Packs, Proxies, ProxyFault, Store, StoreError, Unreachable,
};
use flist::trust::{Approval, KeyId, Policy};
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

/// Certificates that are trusted beside the web's, if the initramfs holds any.
const CA: &str = "/etc/zimg/ca.pem";

/// The most of stored chunks that is kept in memory, and the least, in bytes.
const CACHE_MAX: u64 = 64 << 20;
const CACHE_MIN: u64 = 4 << 20;

/// Which part of a small machine's memory that may be: one of so many.
const CACHE_PART: u64 = 16;

/// An image, and where its contents come from.
#[derive(Clone)]
pub(crate) struct Verified {
    /// The hash of its flist.
    pub(crate) root_hash: RootHash,
    /// The keys whose signatures counted.
    pub(crate) signers: Vec<KeyId>,
    image: Arc<Image>,
    stores: Vec<Arc<dyn Store>>,
}

/// Fetches the flist that `config` names and checks it, by `deadline`.
pub(crate) fn load(
    client: &Client,
    config: &Config,
    deadline: Instant,
) -> Result<Verified, Failure> {
    let places = locations(&config.urls)?;
    let policy = match &config.verify {
        Verify::Demanded(policy) => policy.clone(),
        Verify::Off => Policy::anything(),
    };
    let mut stores = locations(&config.stores)?;
    let mut options = LoadOptions { deadline: Some(deadline), ..LoadOptions::default() };
    if config.ahead.prefetch != Prefetch::Off
        && let Some(url) = config.stores.first().or(config.urls.first())
    {
        // The flist's own connection is one more.
        client.warm(url, PREFETCHES - 1);
        // Another profile needs something else first.
        let by_its_own = config.ahead.profile.is_none();
        let packs = stores.first().map_or(Packs::Beside, |first| Packs::At(first.clone()));
        options.packs = by_its_own.then_some(packs);
    }
    let mut loaded =
        store::load(client, &places, &policy, &options).map_err(|e| failure(&e, &config.urls))?;
    kmsg::keep(&format!(
        "flist {} from {}{}: {} bytes, fetched in {} ms, decoded in {} ms",
        loaded.root_hash,
        loaded.location,
        vouched(&loaded.approval),
        loaded.len,
        loaded.fetching.as_millis(),
        loaded.decoding.as_millis()
    ));

    if stores.is_empty() {
        // The mirror that had the flist first, then the others.
        for folder in loaded.mirrors(&places).iter().map(Location::folder) {
            if !stores.contains(&folder) {
                stores.push(folder);
            }
        }
    }
    let open = |location| {
        let store = store::open(client, location);
        match loaded.begun.take_if(|begun| begun.location() == location) {
            Some(begun) => begun.before(store),
            None => store,
        }
    };
    let stores = stores.iter().map(open).collect();
    let (root_hash, signers) = (loaded.root_hash, loaded.approval.signers);
    Ok(Verified { root_hash, signers, image: Arc::new(loaded.image), stores })
}

/// Who vouches for the flist, for the log.
fn vouched(approval: &Approval) -> String {
    let signers = approval.signers.iter().map(|id| format!(", signed by {id}"));
    let claims = approval.claims.as_ref().map(|c| format!(" as {} {}", c.name, c.version));
    signers.chain(claims).collect()
}

/// Mounts `verified` on `dir`, and meanwhile sees that some store has its contents, by `deadline`.
/// What `ahead` says is fetched from now on, with `client` where a server has to be asked for it.
pub(crate) fn mount_what_is_there(
    verified: Verified,
    dir: &Path,
    ahead: &mut Ahead,
    client: &Client,
    deadline: Instant,
) -> Result<(Mounted, Reads), Failure> {
    let contents = verified.clone();
    let search = thread::Builder::new()
        .name("search".to_owned())
        .spawn(move || find_contents(&contents, deadline))
        .or_fail(Stage::Store, "start asking the stores", "give the machine more memory")?;
    let mut reads = reads(verified, ahead)?;
    let by_profile = reads.prefetch(ahead, client);
    let usual = if by_profile { fuse::PROFILED_READAHEAD_KIB } else { fuse::READAHEAD_KIB };
    let mut mounted = mount(reads.fs(), dir, ahead.readahead.unwrap_or(usual))?;
    if ahead.readahead.is_none() {
        reads.raise_later(mounted.take_readahead());
    }
    let defect = |_panic| Failure::new(Stage::Store, "the search for the contents ended", "");
    search.join().map_err(defect)??;
    Ok((mounted, reads))
}

/// Sees that some store has the contents of `verified`, by `deadline`.
fn find_contents(verified: &Verified, deadline: Instant) -> Result<(), Failure> {
    // The shortest of the first pack: what is read first is being fetched already.
    let chunks = verified.image.chunks();
    let pack = chunks.first().map(|chunk| chunk.pack);
    let of_first_pack = chunks.iter().take_while(|chunk| Some(chunk.pack) == pack);
    match of_first_pack
        .min_by_key(|chunk| chunk.stored_len)
        .and_then(|chunk| Some((*verified.image.pack_of(chunk)?, *chunk)))
    {
        Some((pack, chunk)) => probe(pack, chunk, &verified.stores, deadline),
        // No file of it has contents.
        None => Ok(()),
    }
}

/// Makes `verified` ready to be read.
fn reads(verified: Verified, ahead: &mut Ahead) -> Result<Reads, Failure> {
    let mirrors = Mirrors::new(verified.stores)
        .ok_or_else(|| Failure::new(Stage::Mount, "the image has no store", "give zimg.store="))?;
    let (whole, memory) = (Fetcher::cache_for_all(&verified.image), flist::memory());
    if ahead.prefetch == Prefetch::All && whole > memory / 2 {
        log::warn!(
            "zimg.prefetch=all: the image's {whole} bytes take more than half of this machine's memory; only the profile is fetched ahead"
        );
        ahead.prefetch = Prefetch::Profile;
    }
    let cache_bytes =
        if ahead.prefetch == Prefetch::All { whole } else { 0 }.max(cache_bytes(memory));
    let mut options = FetchOptions { cache_bytes, journal: true, ..FetchOptions::default() };
    if ahead.prefetch == Prefetch::Off {
        options.along = 0;
    }
    let fetcher = Fetcher::new(Arc::clone(&verified.image), mirrors, options).or_fail(
        Stage::Mount,
        "start fetching",
        "give the machine more memory",
    )?;
    Ok(Reads::new(verified.image, fetcher))
}

/// Mounts `fs` on `dir`, of which the kernel reads so many KiB ahead.
fn mount(fs: Fs, dir: &Path, readahead: u32) -> Result<Mounted, Failure> {
    let fix = "use a kernel with FUSE (CONFIG_FUSE_FS), or an initramfs that holds its module";
    let mut options =
        MountOptions { allow_other: true, suid: true, dev: true, ..MountOptions::default() };
    options.readahead_kib = readahead;
    fuse::mount(Arc::new(fs), dir, &options).or_fail(Stage::Mount, "mount the image", fix)
}

/// How much of `memory` the cache may take.
fn cache_bytes(memory: u64) -> u64 {
    (memory / CACHE_PART).clamp(CACHE_MIN, CACHE_MAX)
}

/// A client for HTTP and HTTPS that asks as `servers` says, and `clock` where the time is in doubt.
/// It trusts the web's roots, those of the initramfs, and those of the command line.
pub(crate) fn client(servers: &Servers, clock: Option<ClockHelp>) -> Result<Client, Failure> {
    let proxies = servers.proxy.clone().map(Proxies::all).unwrap_or_default();
    let ca_pem = authorities(&servers.cas)?;
    let options = ClientOptions { ca_pem, proxies, clock, ..ClientOptions::default() };
    let fix = "put whole certificates in PEM there, or take them away";
    Client::new(options).or_fail(Stage::Configuration, "/etc/zimg/ca.pem or zimg.ca=", fix)
}

/// The certificates that are trusted beside the web's, in PEM.
fn authorities(asked: &[Ca]) -> Result<Vec<u8>, Failure> {
    let mut pem = match fs::read(CA) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Vec::new(),
        result => result.or_fail(Stage::Configuration, CA, "put certificates in PEM there")?,
    };
    for ca in asked {
        pem.push(b'\n');
        match ca {
            Ca::File(path) => pem.extend(fs::read(path).or_fail(
                Stage::Configuration,
                &format!("zimg.ca={path}"),
                "put the file into the initramfs: `initramfs --add ca.pem=/ca.pem`, or a second cpio appended to it",
            )?),
            Ca::Inline(base64) => pem.extend(
                format!("-----BEGIN CERTIFICATE-----\n{base64}\n-----END CERTIFICATE-----\n").bytes(),
            ),
        }
    }
    Ok(pem)
}

fn locations(urls: &[String]) -> Result<Vec<Location>, Failure> {
    let parse = |url: &String| {
        Location::parse(OsStr::new(url)).or_fail(Stage::Flist, url, "correct the URL")
    };
    urls.iter().map(parse).collect()
}

/// What the screen shows of a flist that can't be had.
fn failure(error: &LoadError, urls: &[String]) -> Failure {
    let (what, fix) = match error {
        LoadError::Store { error, .. } => (error.fact(), error.advice().to_owned()),
        LoadError::WrongHash { .. } => (
            chain(error),
            "correct zimg.hash= or the channel (`zimg inspect` prints a flist's root hash), or publish the right flist"
                .to_owned(),
        ),
        LoadError::Trust { place, error } => {
            (format!("{place}: {error}"), error.advice().to_owned())
        }
        LoadError::Format { .. } => {
            (chain(error), "check the URL; build the flist anew with `zimg build`".to_owned())
        }
    };
    let mut failure = Failure::new(Stage::Flist, what, fix);
    for url in urls {
        failure = failure.fact("URL", url);
    }
    match error {
        LoadError::Store { error, tries } => answers(failure, error).fact("tries", tries),
        LoadError::WrongHash { want, got, .. } => failure.fact("wanted", want).fact("got", got),
        LoadError::Trust { .. } | LoadError::Format { .. } => failure,
    }
}

/// `failure` with the facts that a store's error holds.
pub(crate) fn answers(failure: Failure, error: &StoreError) -> Failure {
    match error {
        StoreError::Missing { status: Some(status), .. } | StoreError::Status { status, .. } => {
            failure.fact("answer", format!("HTTP status {status}"))
        }
        StoreError::Unreachable { cause: Unreachable::Name { answer, .. }, .. } => {
            failure.fact("lookup", answer)
        }
        StoreError::Unreachable { cause: Unreachable::Proxy { proxy, fault }, .. } => {
            let failure = failure.fact("proxy", proxy);
            match fault {
                ProxyFault::Away(cause) => match &**cause {
                    Unreachable::Name { answer, .. } => failure.fact("lookup", answer),
                    _ => failure,
                },
                ProxyFault::Status(status) => {
                    failure.fact("answer", format!("HTTP status {status}, by the proxy"))
                }
                ProxyFault::NotOne(_) => failure,
            }
        }
        StoreError::Unreachable { addresses, .. } => {
            addresses.iter().fold(failure, |failure, ip| failure.fact("server", ip))
        }
        StoreError::Missing { status: None, .. }
        | StoreError::Protocol { .. }
        | StoreError::Io { .. } => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_machines_have_small_caches() {
        let mib = |n: u64| n << 20;
        for (memory, want) in [(0, 4), (mib(32), 4), (mib(256), 16), (mib(512), 32)] {
            assert_eq!(cache_bytes(memory), mib(want), "{memory}");
        }
        assert_eq!(cache_bytes(mib(1024)), mib(64));
        assert_eq!(cache_bytes(u64::MAX), mib(64));
    }
}
