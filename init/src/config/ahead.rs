//! `zimg.prefetch=` and what belongs to it: what is fetched before it is read.

use super::{ConfigError, Sources, bad};
use flist::profile::Prefetch;

/// The most that the kernel is told to read ahead, in KiB: more would only cost memory.
const READAHEAD_MAX: u32 = 65_536;

/// What is fetched before it is read, and what is told of what is read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Ahead {
    /// How much.
    pub(crate) prefetch: Prefetch,
    /// A profile to go by, in the place of the image's own.
    pub(crate) profile: Option<String>,
    /// Where to post the profile of this boot.
    pub(crate) post: Option<String>,
    /// How much the kernel reads ahead, in KiB.
    pub(crate) readahead: Option<u32>,
}

pub(super) fn ahead(sources: &Sources) -> Result<Ahead, ConfigError> {
    let prefetch = sources.last("zimg.prefetch").unwrap_or("profile");
    let readahead = sources.last("zimg.readahead").map(|value| {
        let kib = value.parse().ok().filter(|kib| *kib <= READAHEAD_MAX);
        kib.ok_or_else(|| bad("zimg.readahead", value, "a number of KiB, at most 65536"))
    });
    Ok(Ahead {
        prefetch: prefetch
            .parse()
            .map_err(|_other| bad("zimg.prefetch", prefetch, "off, profile or all"))?,
        profile: super::urls(sources, "zimg.profile")?.pop(),
        post: super::urls(sources, "zimg.profile.post")?.pop(),
        readahead: readahead.transpose()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cmdline;

    fn of(line: &str) -> Result<Ahead, ConfigError> {
        ahead(&Sources { line: cmdline::words(line.as_bytes()), ..Sources::default() })
    }

    #[test]
    fn what_is_asked_for() {
        assert_eq!(of("quiet"), Ok(Ahead::default()));
        let all = of(
            "zimg.prefetch=all zimg.profile=http://h/p zimg.profile.post=https://h/q zimg.readahead=64",
        );
        let want = Ahead {
            prefetch: Prefetch::All,
            profile: Some("http://h/p".to_owned()),
            post: Some("https://h/q".to_owned()),
            readahead: Some(64),
        };
        assert_eq!(all, Ok(want));
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for (line, wrong) in [
            ("zimg.prefetch=yes", "zimg.prefetch"),
            ("zimg.readahead=1M", "zimg.readahead"),
            ("zimg.readahead=65537", "zimg.readahead"),
        ] {
            let error = of(line).unwrap_err();
            assert!(matches!(error, ConfigError::Value { key, .. } if key == wrong), "{line}");
        }
        assert!(matches!(of("zimg.profile=file"), Err(ConfigError::Url { .. })));
    }
}
