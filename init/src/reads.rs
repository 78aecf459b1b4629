//! What is fetched of the image before it is read, and what is told of what was read.

use crate::aside;
use crate::config::Ahead;
use crate::timeline::{self, Stages};
use flist::fs::Fs;
use flist::fuse::{Counts, READAHEAD_KIB, Readahead};
use flist::id::RootHash;
use flist::image::Image;
use flist::profile::{MAX_NEEDS, Prefetch, Profile, Recorder};
use flist::store::{Client, Fetcher, Location, Prefetched, load_file};
use rustix::fs::{Mode, OFlags, openat, renameat};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// Where the booted system finds the profile of its boot, as `profile`.
const DIR: &str = "/run/zimg";

/// The boot is over once for so long nothing has been read that was not read before; or in any case
/// after that long.
const QUIET: Duration = Duration::from_secs(15);
const LONGEST: Duration = Duration::from_secs(600);

/// How often to look whether it is.
const LOOK: Duration = Duration::from_secs(1);

/// The longest profile that is fetched, in bytes: it is decoded before the system runs.
const PROFILE_MAX: u64 = 4 << 20;
const _: () =
    assert!(PROFILE_MAX / 16 <= MAX_NEEDS as u64, "so few lines fit that none is refused");

/// How long a server may take to which the profile is posted.
const POST: Duration = Duration::from_secs(30);

/// The image as it is read.
pub(crate) struct Reads {
    image: Arc<Image>,
    fetcher: Arc<Fetcher>,
    recorder: Arc<Recorder>,
    /// To be raised once the boot is over.
    readahead: Option<Readahead>,
}

impl Reads {
    /// What is read of `image` by `fetcher`.
    pub(crate) fn new(image: Arc<Image>, fetcher: Fetcher) -> Self {
        Self { image, fetcher: Arc::new(fetcher), recorder: Arc::default(), readahead: None }
    }

    /// Raises what the kernel reads ahead to the usual, once the boot is over.
    pub(crate) fn raise_later(&mut self, readahead: Option<Readahead>) {
        self.readahead = readahead;
    }

    /// The file system to serve.
    pub(crate) fn fs(&self) -> Fs {
        let contents = Arc::clone(&self.fetcher);
        Fs::new(Arc::clone(&self.image), contents).recorded(Arc::clone(&self.recorder))
    }

    /// Begins to fetch what `ahead` says, with `client` if it has to be told by a server. Returns whether
    /// there is a profile to go by.
    pub(crate) fn prefetch(&self, ahead: &Ahead, client: &Client) -> bool {
        let what = ahead.prefetch;
        let (image, fetcher) = (Arc::clone(&self.image), Arc::clone(&self.fetcher));
        match ahead.profile.clone().filter(|_| what != Prefetch::Off) {
            None => {
                begin(&image, &fetcher, what, None);
                what != Prefetch::Off && !image.profiled().is_empty()
            }
            Some(url) => {
                let client = client.clone();
                // It may take a while, and the boot can do without.
                let get = move || match profile(&client, &url) {
                    Ok(profile) => begin(&image, &fetcher, what, Some(&profile)),
                    Err(e) => {
                        log::warn!(
                            "zimg.profile={url}: {e}; the image's own is used, if it has one"
                        );
                        begin(&image, &fetcher, what, None);
                    }
                };
                if let Err(e) = aside::start("profile", get) {
                    log::warn!("nothing is fetched ahead: {e}");
                }
                true
            }
        }
    }

    /// Once the boot is over, of which `stages` are, leaves its profile and its timeline in `/run/zimg`,
    /// and posts the profile by `client` where it is asked to. To be called before that directory is
    /// moved to the booted system.
    pub(crate) fn tell(
        self,
        post: Option<String>,
        client: &Client,
        root: RootHash,
        stages: Stages,
        counts: Arc<Counts>,
    ) {
        let client = client.clone();
        let began = fs::create_dir_all(DIR).and_then(|()| Ok(File::open(DIR)?.into())).and_then(
            |dir: OwnedFd| {
                let told = move || {
                    let began = Instant::now();
                    let last = self.wait_until_over(began);
                    let journal = self.fetcher.journal();
                    let text =
                        timeline::json(root, &stages, &journal, began, last, &counts.named());
                    put(&dir, "boot.json", &text);
                    self.tell_profile(&dir, post.as_deref(), &client);
                };
                aside::start("profile", told)
            },
        );
        if let Err(e) = began {
            log::warn!("this boot leaves no profile: {e}");
        }
    }

    /// Returns when, since `began`, something was last read that was not read before.
    fn wait_until_over(&self, began: Instant) -> Instant {
        let quiet = loop {
            let quiet = self.recorder.quiet();
            if quiet >= QUIET || began.elapsed() >= LONGEST {
                break quiet;
            }
            thread::sleep(LOOK);
        };
        if let Some(readahead) = &self.readahead {
            readahead.set(READAHEAD_KIB);
        }
        self.fetcher.take_along();
        Instant::now().checked_sub(quiet).map_or(began, |last| last.max(began))
    }

    fn tell_profile(&self, dir: &OwnedFd, post: Option<&str>, client: &Client) {
        let profile = self.recorder.end(&self.image);
        let text = profile.to_text();
        log::debug!("this boot's profile has {} ranges", profile.needs().len());
        put(dir, "profile", &text);
        let Some(url) = post else { return };
        match client.post(url, "text/plain", text.as_bytes(), POST) {
            Ok(status) => {
                log::info!("this boot's profile was posted to {url}: HTTP status {status}");
            }
            Err(e) => log::warn!("this boot's profile can't be posted: {e}"),
        }
    }
}

/// Leaves a file there, whole or not at all.
fn put(dir: &OwnedFd, name: &str, text: &str) {
    let put = || -> io::Result<()> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC;
        let mut file = File::from(openat(dir, ".new", flags, Mode::from_raw_mode(0o644))?);
        file.write_all(text.as_bytes())?;
        Ok(renameat(dir, ".new", dir, name)?)
    };
    if let Err(e) = put() {
        log::warn!("{DIR}/{name}: {e}");
    }
}

fn profile(client: &Client, url: &str) -> Result<Profile, String> {
    let location = Location::parse(OsStr::new(url)).map_err(|e| e.to_string())?;
    let text = load_file(client, &location, PROFILE_MAX).map_err(|e| e.to_string())?;
    Profile::parse(&text).map_err(|e| e.to_string())
}

fn begin(image: &Image, fetcher: &Fetcher, what: Prefetch, profile: Option<&Profile>) {
    let chunks = what.chunks(image, profile);
    if chunks.is_empty() {
        return;
    }
    let began = Instant::now();
    let ended = move |fetched: Prefetched| {
        let Prefetched { chunks, bytes, missing } = fetched;
        let seconds = began.elapsed().as_secs_f64();
        match (what, missing) {
            (Prefetch::All, 0) => {
                log::info!(
                    "all {bytes} bytes of the image are held after {seconds:.1} s: no server is needed any more"
                );
            }
            (_, 0) => {
                log::debug!(
                    "{bytes} bytes in {chunks} chunks were fetched ahead in {seconds:.1} s"
                );
            }
            (_, _) => log::warn!(
                "{missing} of {chunks} chunks can't be fetched ahead: no store has them right"
            ),
        }
    };
    fetcher.prefetch(chunks, Box::new(ended));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn a_profile_appears_whole() {
        let dir = tempfile::tempdir().unwrap();
        let open = || OwnedFd::from(File::open(dir.path()).unwrap());
        put(&open(), "profile", "zimg profile 1\n0 10 /a\n");
        put(&open(), "profile", "zimg profile 1\n");
        let there = fs::read(Path::new(dir.path()).join("profile")).unwrap();
        assert_eq!(there, b"zimg profile 1\n");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
