//! What the boot is asked to do: typed and checked, from the kernel command line and from
//! `/etc/zimg/*.conf` of the initramfs.
//!
//! Everything but [`Sources::of_this_boot`] is pure. The command line wins over the files, save where it
//! would loosen what the files demand of verification.

mod ahead;
mod near;
mod overlay;
mod servers;
mod sources;
mod trust;
mod variables;
mod watchdog;

pub(crate) use ahead::Ahead;
pub(crate) use overlay::{Create, Disk, DiskName, Overlay, Update};
pub(crate) use servers::{Ca, Servers};
pub(crate) use sources::Sources;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use sources::conf_words;
pub(crate) use trust::Verify;
pub(crate) use variables::Node;
pub(crate) use watchdog::{Watchdog, watchdog};

use flist::id::RootHash;
use flist::trust::{BadKey, KeyId, Name, PolicyError};
use std::time::Duration;

/// How long everything before the mount may take, unless `zimg.timeout=` says otherwise.
const TIMEOUT: Duration = Duration::from_secs(300);

/// How long of that the network may take: a switch port needs up to 50 s before the first packet
/// passes, and what is silent for twice as long stays so.
const NETWORK_TIMEOUT: Duration = Duration::from_secs(120);

/// The longest `zimg.timeout=` and `zimg.onfail=reboot:` taken: a day.
const SECONDS_MAX: u64 = 86_400;

/// A boot, as asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Config {
    /// Where the flist lies; the first that answers is taken.
    pub(crate) urls: Vec<String>,
    /// What vouches for it.
    pub(crate) verify: Verify,
    /// Where its packs lie; empty: beside the flist.
    pub(crate) stores: Vec<String>,
    /// What takes the writes.
    pub(crate) overlay: Overlay,
    /// Bound on everything before the mount.
    pub(crate) timeout: Duration,
    /// Bound on what of that is the network.
    pub(crate) network_timeout: Duration,
    /// How servers are asked.
    pub(crate) servers: Servers,
    /// What is fetched before it is read.
    pub(crate) ahead: Ahead,
    /// Whether it is watched over.
    pub(crate) watchdog: Watchdog,
    /// Where the failure of the boot is told.
    pub(crate) report: Option<String>,
    /// Tell more in the kernel log.
    pub(crate) debug: bool,
    /// The program to become; `None`: the usual ones in turn.
    pub(crate) init: Option<String>,
}

/// What a failed boot does once the screen is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnFail {
    /// Starts again after this long.
    Reboot(Duration),
    /// Switches the machine off.
    PowerOff,
    /// Stops it, screen on.
    Halt,
    /// Offers a shell on the console.
    Shell,
}

impl Default for OnFail {
    fn default() -> Self {
        Self::Reboot(Duration::from_secs(30))
    }
}

/// Why the boot as asked for can't be tried. [`ConfigError::fix`] says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error("nothing says what to boot: zimg.url= is missing")]
    NoUrl,
    #[error("{key}={value} is not an http or https URL")]
    Url { key: &'static str, value: String },
    #[error("{key}= asks for ${{{name}}}, which is not known")]
    Variable { key: &'static str, name: String },
    #[error("{key}= asks for ${{{name}}}, but {why}")]
    NoValue { key: &'static str, name: String, why: &'static str },
    #[error("zimg.proxy=: {0}")]
    Proxy(String),
    #[error("nothing vouches for the image: zimg.hash= is missing, and so is a public key")]
    NoAnchor,
    #[error("zimg.hash={value}: {why}")]
    Hash { value: String, why: flist::id::BadId },
    #[error("two different root hashes are asked for: {0} and {1}")]
    TwoHashes(RootHash, RootHash),
    #[error("zimg.verify={0} is not known")]
    VerifyValue(String),
    #[error("zimg.verify=off, but the initramfs holds {0}")]
    VerifyOffRefused(String),
    #[error("{key} is not a key of zimg, but close to {meant}=")]
    NearMiss { key: String, meant: &'static str },
    #[error("{place}: {why}")]
    BadKey { place: String, why: BadKey },
    #[error("{0} is no file of a public key, NAME.pub")]
    StrayKey(String),
    #[error("zimg.key= gives the key {0}, which is none of those that the initramfs trusts")]
    KeyNotHeld(KeyId),
    #[error("two different names are asked for: {0} and {1}")]
    TwoNames(Name, Name),
    #[error("{0}")]
    Policy(PolicyError),
    #[error("{key}={value} is not understood: expected {expected}")]
    Value { key: &'static str, value: String, expected: &'static str },
}

impl ConfigError {
    /// What the operator can do about it.
    pub(crate) fn fix(&self) -> &'static str {
        match self {
            Self::Variable { .. } => variables::NAMES_KNOWN,
            Self::NoValue { .. } => "write the URL without it, or with another variable",
            Self::Proxy(_) => "correct zimg.proxy=, or leave it out to ask servers directly",
            Self::NoUrl => {
                "add zimg.url=http://SERVER/NAME.flist and zimg.hash=ROOT-HASH to the kernel command line (`zimg serve DIR` prints both)"
            }
            Self::Url { .. } => "write it as http://HOST[:PORT]/PATH or https://HOST[:PORT]/PATH",
            Self::NoAnchor => {
                "add zimg.key= with the public key that signs your images, or zimg.hash= with the root hash that `zimg inspect` prints; only for an experiment, zimg.verify=off"
            }
            Self::Hash { .. } => "copy the root hash whole, as `zimg inspect` prints it",
            Self::TwoHashes(..) => {
                "give one zimg.hash=; one in /etc/zimg/*.conf of the initramfs can't be replaced from the command line"
            }
            Self::VerifyValue(_) => "zimg.verify= has the one value off; leave it out to verify",
            Self::VerifyOffRefused(_) => {
                "take zimg.verify=off away: what the initramfs demands can't be loosened from the command line"
            }
            Self::NearMiss { .. } => {
                "correct the spelling: a misspelt verification key must not pass for none"
            }
            Self::BadKey { .. } => {
                "copy the second line of NAME.pub whole, as `zimg keygen` wrote it"
            }
            Self::StrayKey(_) => "name public keys NAME.pub, and lay nothing else beside them",
            Self::KeyNotHeld(_) => {
                "have the initramfs trust it (`initramfs --key FILE`), or take zimg.key= away: the command line adds no trust to keys of the initramfs"
            }
            Self::TwoNames(..) => {
                "give one zimg.name=; one in /etc/zimg/*.conf of the initramfs can't be replaced from the command line"
            }
            Self::Policy(PolicyError::Keyless(_)) => {
                "add zimg.key= with the public key that signs your images, or take the demand away"
            }
            Self::Policy(_) => "correct zimg.signatures=, or give more keys",
            Self::Value { .. } => "correct the value on the kernel command line",
        }
    }
}

/// What `zimg.onfail=` asks for. Never an error: a failure screen needs an answer even when the
/// rest of the configuration is the failure.
pub(crate) fn on_fail(sources: &Sources) -> OnFail {
    sources.last("zimg.onfail").and_then(parse_on_fail).unwrap_or_default()
}

/// What of `sources` is ignored: for the screen of a boot that failed, perhaps for that.
pub(crate) fn ignored(sources: &Sources) -> Vec<String> {
    near::unknown_keys(sources).unwrap_or_default()
}

/// Checks it all. The warnings name what was ignored.
pub(crate) fn config(sources: &Sources) -> Result<(Config, Vec<String>), ConfigError> {
    let warnings = near::unknown_keys(sources)?;
    if let Some(text) = sources.last("zimg.onfail").filter(|text| parse_on_fail(text).is_none()) {
        return Err(bad("zimg.onfail", text, "reboot[:SECONDS], poweroff, halt or shell"));
    }
    let urls = urls(sources, "zimg.url")?;
    if urls.is_empty() {
        return Err(ConfigError::NoUrl);
    }
    let timeout = timeout(sources)?;
    let config = Config {
        urls,
        verify: trust::verify(sources)?,
        stores: self::urls(sources, "zimg.store")?,
        overlay: overlay::overlay(sources)?,
        timeout: timeout.unwrap_or(TIMEOUT),
        network_timeout: timeout.unwrap_or(NETWORK_TIMEOUT),
        servers: servers::servers(sources)?,
        ahead: ahead::ahead(sources)?,
        watchdog: watchdog(sources)?,
        report: self::urls(sources, "zimg.report")?.pop(),
        debug: debug(sources)?,
        init: sources.last("init").filter(|path| !path.is_empty()).map(str::to_owned),
    };
    Ok((config, warnings))
}

impl Config {
    /// The same, with its URLs those of `node`.
    pub(crate) fn for_node(mut self, node: &Node) -> Result<Self, ConfigError> {
        for (key, urls) in [("zimg.url", &mut self.urls), ("zimg.store", &mut self.stores)] {
            for url in urls {
                *url = variables::expand(key, url, node)?;
            }
        }
        let Ahead { profile, post, .. } = &mut self.ahead;
        for (key, url) in [
            ("zimg.report", &mut self.report),
            ("zimg.profile", profile),
            ("zimg.profile.post", post),
        ] {
            if let Some(url) = url {
                *url = variables::expand(key, url, node)?;
            }
        }
        Ok(self)
    }
}

fn urls(sources: &Sources, key: &'static str) -> Result<Vec<String>, ConfigError> {
    let check = |value: &str| {
        let host = value.strip_prefix("http://").or_else(|| value.strip_prefix("https://"));
        match host {
            Some(host) if !host.is_empty() && !host.starts_with('/') => {
                variables::check(key, value).map(|()| value.to_owned())
            }
            _ => Err(ConfigError::Url { key, value: value.to_owned() }),
        }
    };
    sources.all(key).into_iter().map(check).collect()
}

/// How long to try, where that is said.
fn timeout(sources: &Sources) -> Result<Option<Duration>, ConfigError> {
    let Some(value) = sources.last("zimg.timeout") else { return Ok(None) };
    let time = seconds(value).filter(|time| !time.is_zero());
    time.map(Some).ok_or_else(|| bad("zimg.timeout", value, "a number of seconds from 1 to 86400"))
}

/// `value` is not what `key` takes.
fn bad(key: &'static str, value: &str, expected: &'static str) -> ConfigError {
    ConfigError::Value { key, value: value.to_owned(), expected }
}

fn debug(sources: &Sources) -> Result<bool, ConfigError> {
    match sources.last("zimg.log") {
        None => Ok(false),
        Some("debug") => Ok(true),
        Some(value) => Err(bad("zimg.log", value, "debug")),
    }
}

fn parse_on_fail(text: &str) -> Option<OnFail> {
    match text {
        "reboot" => Some(OnFail::default()),
        "poweroff" => Some(OnFail::PowerOff),
        "halt" => Some(OnFail::Halt),
        "shell" => Some(OnFail::Shell),
        other => other.strip_prefix("reboot:").and_then(seconds).map(OnFail::Reboot),
    }
}

fn seconds(text: &str) -> Option<Duration> {
    let seconds: u64 = text.parse().ok()?;
    (seconds <= SECONDS_MAX).then(|| Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests;
