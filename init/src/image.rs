//! Gets the flist, believes it only once it is verified, and serves it as a file system.

use crate::config::{Config, Verify};
use crate::failure::{Failure, OrFail, Stage, chain};
use flist::fs::Fs;
use flist::fuse::{self, MountOptions, Mounted};
use flist::image::Image;
use flist::store::{
    self, Client, ClientOptions, Expected, FetchOptions, Fetcher, LoadError, LoadOptions, Location,
    Mirrors, StoreError, Unreachable,
};
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// Certificates that are trusted beside the web's, if the initramfs holds any.
const CA: &str = "/etc/zimg/ca.pem";

/// An image, and where its contents come from.
pub(crate) struct Verified {
    image: Arc<Image>,
    mirrors: Mirrors,
}

/// Fetches the flist that `config` names and checks it, by `deadline`.
pub(crate) fn load(config: &Config, deadline: Instant) -> Result<Verified, Failure> {
    let client = client()?;
    let places = locations(&config.urls)?;
    let expected = match config.verify {
        Verify::Hash(hash) => Expected::Hash(hash),
        Verify::Off => Expected::Unchecked,
    };
    let options = LoadOptions { deadline: Some(deadline), ..LoadOptions::default() };
    let loaded =
        store::load(&client, &places, expected, &options).map_err(|e| failure(&e, &config.urls))?;
    log::info!(
        "flist {} from {}: {} bytes, fetched in {} ms, decoded in {} ms",
        loaded.root_hash,
        loaded.location,
        loaded.len,
        loaded.fetching.as_millis(),
        loaded.decoding.as_millis()
    );

    let mut stores = locations(&config.stores)?;
    if stores.is_empty() {
        // The mirror that had the flist first, then the others.
        stores.push(loaded.location.folder());
        stores
            .extend(places.iter().map(Location::folder).filter(|l| *l != loaded.location.folder()));
    }
    let stores = stores.iter().map(|location| store::open(&client, location)).collect();
    let mirrors = Mirrors::new(stores)
        .ok_or_else(|| Failure::new(Stage::Flist, "the image has no store", "give zimg.store="))?;
    Ok(Verified { image: Arc::new(loaded.image), mirrors })
}

/// Mounts `verified` on `dir`.
pub(crate) fn mount(verified: Verified, dir: &Path) -> Result<Mounted, Failure> {
    let fix = "use a kernel with FUSE (CONFIG_FUSE_FS), or an initramfs that holds its module";
    let fetcher =
        Fetcher::new(Arc::clone(&verified.image), verified.mirrors, FetchOptions::default())
            .or_fail(Stage::Mount, "start fetching", "give the machine more memory")?;
    let fs = Fs::new(verified.image, Arc::new(fetcher));
    let options =
        MountOptions { allow_other: true, suid: true, dev: true, ..MountOptions::default() };
    fuse::mount(Arc::new(fs), dir, &options).or_fail(Stage::Mount, "mount the image", fix)
}

fn client() -> Result<Client, Failure> {
    let fix = "put certificates in PEM there, or take the file away";
    let ca_pem = match fs::read(CA) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Vec::new(),
        result => result.or_fail(Stage::Flist, CA, fix)?,
    };
    let options = ClientOptions { ca_pem, ..ClientOptions::default() };
    Client::new(options).or_fail(Stage::Flist, CA, fix)
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
            "correct zimg.hash= (`zimg inspect` prints a flist's root hash), or publish the right flist"
                .to_owned(),
        ),
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
        LoadError::Format { .. } => failure,
    }
}

/// The facts that a store's error holds.
fn answers(failure: Failure, error: &StoreError) -> Failure {
    match error {
        StoreError::Missing { status: Some(status), .. } | StoreError::Status { status, .. } => {
            failure.fact("answer", format!("HTTP status {status}"))
        }
        StoreError::Unreachable { cause: Unreachable::Name { answer, .. }, .. } => {
            failure.fact("lookup", answer)
        }
        StoreError::Unreachable { addresses, .. } => {
            addresses.iter().fold(failure, |failure, ip| failure.fact("server", ip))
        }
        StoreError::Missing { status: None, .. }
        | StoreError::Protocol { .. }
        | StoreError::Io { .. } => failure,
    }
}
