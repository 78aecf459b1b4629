//! Host names to addresses, by the system's resolver. Answers are kept for a while, and used
//! beyond that when no new one is to be had: a root must outlive its name server.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

use super::look_up::{is_silence, look_up};
use super::proxy::{Proxies, Proxy};

/// How long an answer is used without asking again.
const FRESH: Duration = Duration::from_secs(30);

/// Most names kept; redirects could lead to ever new ones.
const NAMES: usize = 64;

/// Most addresses of a name that are tried.
const ADDRESSES: usize = 16;

/// A name without an address.
#[derive(Debug, thiserror::Error)]
#[error("the name {host} has no address: {answer}")]
pub(super) struct NoSuchName {
    pub(super) host: String,
    pub(super) answer: String,
}

impl NoSuchName {
    /// Whether the resolver says that the name does not exist. The standard library tells this
    /// from "the name server does not answer" by nothing but the words of musl and glibc.
    pub(super) fn is_definite(&self) -> bool {
        ["Name does not resolve", "Name has no usable address", "not known", "No address"]
            .iter()
            .any(|words| self.answer.contains(words))
    }
}

/// Names looked up. Clones share them.
#[derive(Clone, Default)]
pub(super) struct Names(Arc<Mutex<HashMap<String, Answer>>>);

#[derive(Clone)]
struct Answer {
    addresses: Vec<SocketAddr>,
    at: Instant,
}

impl Names {
    /// The addresses found for the host of `url`, if it was looked up.
    pub(super) fn known(&self, url: &str) -> Vec<IpAddr> {
        let host = url.parse::<Uri>().ok().and_then(|uri| host_and_port(&uri));
        let answer = host.and_then(|host| self.kept(&host));
        answer.map(|a| a.addresses.iter().map(SocketAddr::ip).collect()).unwrap_or_default()
    }

    fn kept(&self, host: &str) -> Option<Answer> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(host).cloned()
    }

    fn keep(&self, host: String, answer: Answer) {
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if names.len() >= NAMES {
            names.clear();
        }
        names.insert(host, answer);
    }

    /// The addresses of `host`, given as `name:port`, from `look_up` where they have to be new.
    fn addresses(
        &self,
        host: &str,
        now: Instant,
        look_up: impl FnOnce(&str) -> std::io::Result<Vec<SocketAddr>>,
    ) -> Result<Vec<SocketAddr>, NoSuchName> {
        let kept = self.kept(host);
        if let Some(answer) = &kept
            && now.saturating_duration_since(answer.at) < FRESH
        {
            return Ok(answer.addresses.clone());
        }
        let answer = match look_up(host) {
            Ok(addresses) if addresses.is_empty() => "no address of a usable kind".into(),
            Ok(addresses) => {
                self.keep(host.into(), Answer { addresses: addresses.clone(), at: now });
                return Ok(addresses);
            }
            Err(error) => told(&error),
        };
        match kept {
            Some(stale) => {
                // Not asked again for a while: each failed look-up takes seconds.
                self.keep(host.into(), Answer { addresses: stale.addresses.clone(), at: now });
                Ok(stale.addresses)
            }
            None => {
                let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
                Err(NoSuchName { host: name.into(), answer })
            }
        }
    }
}

/// The resolver's answer in words of which an operator can make something.
fn told(error: &std::io::Error) -> String {
    if is_silence(error) {
        return "no DNS server answers".into();
    }
    let text = error.to_string();
    text.strip_prefix("failed to lookup address information: ").unwrap_or(&text).to_owned()
}

/// Finds what is connected to: the host of a URL, or the proxy on the way to it.
#[derive(Debug, Clone)]
pub(super) struct FirstHop {
    pub(super) names: Names,
    pub(super) proxies: Proxies,
}

impl Resolver for FirstHop {
    fn resolve(
        &self,
        uri: &Uri,
        _: &Config,
        _: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let uri = self.proxies.of(uri).map_or(uri, Proxy::uri);
        let host = host_and_port(uri).ok_or_else(|| ureq::Error::BadUri(uri.to_string()))?;
        let found = self.names.addresses(&host, Instant::now(), look_up);
        let found = found.map_err(|e| ureq::Error::Other(Box::new(e)))?;
        let mut addresses = self.empty();
        found.into_iter().take(ADDRESSES).for_each(|address| addresses.push(address));
        Ok(addresses)
    }
}

fn host_and_port(uri: &Uri) -> Option<String> {
    DefaultResolver::host_and_port(uri.scheme()?, uri.authority()?)
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Names")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    fn none(_: &str) -> io::Result<Vec<SocketAddr>> {
        Err(io::Error::other("no such name"))
    }

    #[test]
    fn an_answer_is_kept_then_renewed_and_outlives_the_name_server() {
        let names = Names::default();
        let start = Instant::now();
        let [a, b]: [SocketAddr; 2] = ["10.0.0.1:80", "10.0.0.2:80"].map(|a| a.parse().unwrap());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(names.addresses("h:80", at(0), |_| Ok(vec![a])).unwrap(), [a]);
        assert_eq!(names.addresses("h:80", at(29), |_| panic!("still fresh")).unwrap(), [a]);
        assert_eq!(names.addresses("h:80", at(31), |_| Ok(vec![b])).unwrap(), [b]);
        assert_eq!(names.addresses("h:80", at(99), none).unwrap(), [b]);
        assert_eq!(names.addresses("h:80", at(100), |_| panic!("asked just now")).unwrap(), [b]);
        assert_eq!(names.known("http://h/x"), [b.ip()]);
        assert!(names.known("http://other/x").is_empty());
    }

    #[test]
    fn silence_is_told_from_an_answer() {
        let of = |text: &str| {
            told(&io::Error::other(format!("failed to lookup address information: {text}")))
        };
        assert_eq!(of("Try again"), "no DNS server answers");
        assert_eq!(of("Temporary failure in name resolution"), "no DNS server answers");
        assert_eq!(of("Name does not resolve"), "Name does not resolve");
        assert_eq!(told(&io::Error::other("else")), "else");
    }

    #[test]
    fn a_name_without_address() {
        let names = Names::default();
        let error = names.addresses("h:80", Instant::now(), none).unwrap_err();
        assert_eq!((error.host.as_str(), error.answer.as_str()), ("h", "no such name"));
        assert!(names.addresses("h:80", Instant::now(), |_| Ok(vec![])).is_err());
        assert!(!error.is_definite());
        let answer = "failed to lookup address information: Name or service not known".into();
        assert!(NoSuchName { host: "h".into(), answer }.is_definite());
    }

    #[test]
    fn the_number_of_names_is_bounded() {
        let names = Names::default();
        let address: SocketAddr = "10.0.0.1:80".parse().unwrap();
        for n in 0..1000 {
            names.addresses(&format!("h{n}:80"), Instant::now(), |_| Ok(vec![address])).unwrap();
        }
        assert!(names.0.lock().unwrap().len() <= NAMES);
    }
}
