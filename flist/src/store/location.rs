//! Where an flist or a store is said to be: a URL, or a path.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use ureq::http::Uri;

use crate::trust::{CHANNEL_SUFFIX, Reference};

/// An http or https URL, or a path on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// A URL whose scheme is http or https and that has a host.
    Url(String),
    /// A file or directory.
    Path(PathBuf),
}

/// Text that is neither.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadLocation {
    /// Nothing at all.
    #[error("an empty text is neither a URL nor a path")]
    Empty,
    /// A scheme this program does not speak.
    #[error("{text}: the scheme {scheme} is not known; use http://, https:// or a path")]
    Scheme {
        /// All of it.
        text: String,
        /// What comes before `://`.
        scheme: String,
    },
    /// A URL that can't be read.
    #[error("{text}: not a URL: {why}")]
    Url {
        /// All of it.
        text: String,
        /// What is wrong.
        why: String,
    },
}

impl Location {
    /// Reads a URL or a path. A path may hold any byte; it is a URL only if it says so.
    ///
    /// # Errors
    /// [`BadLocation`] when it begins like a URL and is none that can be fetched.
    pub fn parse(text: &OsStr) -> Result<Self, BadLocation> {
        if text.is_empty() {
            return Err(BadLocation::Empty);
        }
        let Some((scheme, rest)) = text.to_str().and_then(|t| t.split_once("://")) else {
            return Ok(Self::Path(PathBuf::from(text)));
        };
        let whole = text.to_string_lossy().into_owned();
        match scheme.to_ascii_lowercase().as_str() {
            "http" | "https" => check_url(whole).map(Self::Url),
            "file" if rest.starts_with('/') => Ok(Self::Path(PathBuf::from(rest))),
            "file" => {
                Err(BadLocation::Url { text: whole, why: "file:// takes a full path".into() })
            }
            // A relative path such as `a://b` is written `./a://b`.
            s if s.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b)) => {
                Err(BadLocation::Scheme { text: whole, scheme: scheme.into() })
            }
            _ => Ok(Self::Path(PathBuf::from(text))),
        }
    }

    /// The folder it lies in: where its packs are unless something else is said. A URL's query
    /// is dropped.
    pub fn folder(&self) -> Self {
        match self {
            Self::Url(url) => {
                let url = without_query(url);
                let path = url.find("://").map_or(0, |at| at + 3);
                match url.get(path..).and_then(|rest| rest.rfind('/')) {
                    Some(slash) => Self::Url(url.get(..=path + slash).unwrap_or(url).into()),
                    None => Self::Url(format!("{url}/")),
                }
            }
            Self::Path(path) => Self::Path(match path.parent() {
                Some(parent) if parent != Path::new("") => parent.into(),
                _ => PathBuf::from("."),
            }),
        }
    }

    /// The file beside it whose name has `suffix` more. A URL's query stays.
    pub fn beside(&self, suffix: &str) -> Self {
        match self {
            Self::Url(url) => {
                let path = without_query(url);
                let query = url.get(path.len()..).unwrap_or_default();
                Self::Url(format!("{path}{suffix}{query}"))
            }
            Self::Path(path) => {
                let mut name = path.as_os_str().to_owned();
                name.push(suffix);
                Self::Path(name.into())
            }
        }
    }

    /// Whether it is a channel's, by its name.
    pub fn is_channel(&self) -> bool {
        match self {
            Self::Url(url) => without_query(url).ends_with(CHANNEL_SUFFIX),
            Self::Path(path) => path.as_os_str().as_bytes().ends_with(CHANNEL_SUFFIX.as_bytes()),
        }
    }

    /// What `reference` in a channel that lies here stands for.
    pub fn refer(&self, reference: &Reference) -> Self {
        match reference.url() {
            Some(url) => Self::Url(url.to_owned()),
            None => self.folder().join(&reference.to_string()),
        }
    }

    /// What lies beneath this folder under `name`.
    pub fn join(&self, name: &str) -> Self {
        match self {
            Self::Url(url) => {
                Self::Url(format!("{}/{name}", without_query(url).trim_end_matches('/')))
            }
            Self::Path(path) => Self::Path(path.join(name)),
        }
    }
}

fn without_query(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or(url)
}

fn check_url(text: String) -> Result<String, BadLocation> {
    match text.parse::<Uri>() {
        Ok(uri) if uri.host().is_some_and(|h| !h.is_empty()) => Ok(text),
        Ok(_) => Err(BadLocation::Url { text, why: "it names no host".into() }),
        Err(e) => Err(BadLocation::Url { text, why: e.to_string() }),
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(url) => f.write_str(url),
            Self::Path(path) => path.as_os_str().as_bytes().escape_ascii().fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Location {
        Location::parse(OsStr::new(text)).unwrap()
    }

    #[test]
    fn urls_and_paths() {
        assert!(matches!(parse("http://a/x.flist"), Location::Url(_)));
        assert!(matches!(parse("HTTPS://a:8443/x.flist"), Location::Url(_)));
        assert_eq!(parse("x.flist"), Location::Path("x.flist".into()));
        assert_eq!(parse("file:///a b"), Location::Path("/a b".into()));
        assert_eq!(parse("./odd://name"), Location::Path("./odd://name".into()));
        let bytes = OsStr::from_bytes(b"/tmp/\xff://x");
        assert_eq!(Location::parse(bytes).unwrap(), Location::Path(bytes.into()));
    }

    #[test]
    fn what_is_neither() {
        let bad = |text| Location::parse(OsStr::new(text)).unwrap_err();
        assert_eq!(bad(""), BadLocation::Empty);
        assert!(matches!(bad("s3://b/x"), BadLocation::Scheme { .. }));
        assert!(matches!(bad("http://"), BadLocation::Url { .. }));
        assert!(matches!(bad("http:///x"), BadLocation::Url { .. }));
        assert!(matches!(bad("http://a b/x"), BadLocation::Url { .. }));
        assert!(matches!(bad("file://host/x"), BadLocation::Url { .. }));
    }

    #[test]
    fn the_folder_of_an_flist() {
        for (flist, folder) in [
            ("http://a/img/x.flist", "http://a/img/"),
            ("http://a/x.flist?sig=a/b#c", "http://a/"),
            ("http://a", "http://a/"),
            ("http://a?x", "http://a/"),
            ("/img/x.flist", "/img"),
            ("x.flist", "."),
        ] {
            assert_eq!(parse(flist).folder().to_string(), folder, "{flist}");
        }
    }

    #[test]
    fn what_lies_beside() {
        for (file, beside) in [
            ("http://a/x.flist", "http://a/x.flist.sig"),
            ("http://a/x.flist?token=a/b#c", "http://a/x.flist.sig?token=a/b#c"),
            ("/img/x?.flist", "/img/x?.flist.sig"),
        ] {
            assert_eq!(parse(file).beside(".sig").to_string(), beside);
        }
    }

    #[test]
    fn channels_and_what_they_refer_to() {
        for (channel, reference, flist) in [
            ("http://a/b/x.channel?token=1", "c/y.flist", "http://a/b/c/y.flist"),
            ("http://a/x.channel", "https://b/y.flist?z", "https://b/y.flist?z"),
            ("/img/x.channel", "y.flist", "/img/y.flist"),
            ("x.channel", "y.flist", "./y.flist"),
            ("x.channel", "http://b/y", "http://b/y"),
        ] {
            assert!(parse(channel).is_channel(), "{channel}");
            let reference = Reference::new(reference).unwrap();
            assert_eq!(parse(channel).refer(&reference).to_string(), flist);
        }
        for other in ["http://a/x.flist", "http://a/x.flist?y.channel", "x.channel/y", "channel"] {
            assert!(!parse(other).is_channel(), "{other}");
        }
    }

    #[test]
    fn joining() {
        assert_eq!(parse("http://a/b").join("packs/0").to_string(), "http://a/b/packs/0");
        assert_eq!(parse("http://a/b//?x").join("packs/0").to_string(), "http://a/b/packs/0");
        assert_eq!(parse("/b").join("packs/0").to_string(), "/b/packs/0");
    }
}
