//! Which requests go through a proxy, and through which. Reads no environment: who asks for a
//! proxy says so.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ureq::http::Uri;

/// An HTTP proxy.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    /// `http://HOST:PORT/`, for the resolver.
    uri: Uri,
    /// The value of `Proxy-Authorization`, where a user is named.
    authorization: Option<String>,
}

/// Text that names no proxy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}; write a proxy as http://[USER:PASSWORD@]HOST[:PORT]")]
pub struct BadProxy {
    why: &'static str,
}

/// The port of a proxy that names none, as curl has it.
const PORT: u16 = 1080;

impl FromStr for Proxy {
    type Err = BadProxy;

    /// Reads `[http://][USER[:PASSWORD]@]HOST[:PORT][/]`; user and password may hold `%xx`.
    fn from_str(text: &str) -> Result<Self, BadProxy> {
        let bad = |why| BadProxy { why };
        let rest = match text.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => rest,
            Some(_) => return Err(bad("only proxies that are spoken to by http are known")),
            None => text,
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (user, address) = match rest.rsplit_once('@') {
            Some((user, address)) => (Some(user), address),
            None => (None, rest),
        };
        let authority: ureq::http::uri::Authority =
            address.parse().map_err(|_not_one| bad("this is no host and port"))?;
        if authority.host().is_empty() || address.contains(['/', '?', '#']) {
            return Err(bad("this is no host and port"));
        }
        let port = match authority.port() {
            Some(port) => port.as_u16(),
            None if address.ends_with(':') => return Err(bad("the port is missing")),
            None if authority.host().len() < address.len() => return Err(bad("this is no port")),
            None => PORT,
        };
        let uri = format!("http://{}:{port}/", authority.host());
        let uri = uri.parse().map_err(|_not_one| bad("this is no host and port"))?;
        let authorization = match user {
            Some(user) => {
                let user = percent_decoded(user).ok_or(bad("a % is followed by no two digits"))?;
                let with_colon =
                    if user.contains(&b':') { user } else { [&user[..], b":"].concat() };
                Some(format!("Basic {}", base64(&with_colon)))
            }
            None => None,
        };
        Ok(Self { uri, authorization })
    }
}

impl Proxy {
    /// `http://HOST:PORT/`, for the resolver.
    pub(super) fn uri(&self) -> &Uri {
        &self.uri
    }

    /// The header that tells the proxy who asks, if it is to be told.
    pub(super) fn header(&self) -> String {
        let line = |value: &String| format!("Proxy-Authorization: {value}\r\n");
        self.authorization.as_ref().map(line).unwrap_or_default()
    }
}

/// Without user and password: for messages.
impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.uri.to_string().trim_end_matches('/'))
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({self})")
    }
}

/// The proxies that requests go through. Clones are cheap enough for one a client.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proxies {
    /// For http URLs.
    pub http: Option<Proxy>,
    /// For https URLs.
    pub https: Option<Proxy>,
    /// Hosts that are asked directly: `*` for all, a name for it and all names beneath it, with or
    /// without a leading `.` or `*.`, or an address.
    pub except: Vec<String>,
}

impl Proxies {
    /// One for everything.
    pub fn all(proxy: Proxy) -> Self {
        Self { http: Some(proxy.clone()), https: Some(proxy), except: Vec::new() }
    }

    /// The proxy that a request for `uri` goes through.
    pub(super) fn of(&self, uri: &Uri) -> Option<&Proxy> {
        let proxy = match uri.scheme_str() {
            Some("https") => self.https.as_ref(),
            _ => self.http.as_ref(),
        }?;
        let host = uri.host().unwrap_or_default();
        (!self.except.iter().any(|pattern| matches(pattern, host))).then_some(proxy)
    }

    /// The same for the text of a URL.
    pub(super) fn of_url(&self, url: &str) -> Option<&Proxy> {
        url.parse().ok().and_then(|uri| self.of(&uri))
    }
}

fn matches(pattern: &str, host: &str) -> bool {
    let pattern = pattern.trim().trim_start_matches("*.").trim_start_matches('.');
    let host = host.trim_start_matches('[').trim_end_matches(']');
    if pattern == "*" || pattern.eq_ignore_ascii_case(host) {
        return !pattern.is_empty();
    }
    if pattern.is_empty() || host.parse::<IpAddr>().is_ok() {
        return false;
    }
    let start = host.len().checked_sub(pattern.len());
    let ends = start.and_then(|start| Some((host.get(..start)?, host.get(start..)?)));
    ends.is_some_and(|(before, end)| before.ends_with('.') && end.eq_ignore_ascii_case(pattern))
}

fn percent_decoded(text: &str) -> Option<Vec<u8>> {
    let mut bytes = text.bytes();
    let mut out = Vec::new();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'%' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16);
                let value = digit()? * 16 + digit()?;
                u8::try_from(value).ok()?
            }
            byte => byte,
        });
    }
    Some(out)
}

/// Base64 with padding (RFC 4648, section 4).
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let group = three.iter().fold(0_usize, |group, byte| group << 8 | usize::from(*byte));
        let group = group << (8 * (3 - three.len()));
        for place in 0..4 {
            let digit = DIGITS[group >> (18 - 6 * place) & 63];
            text.push(if place <= three.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxy(text: &str) -> Proxy {
        text.parse().unwrap()
    }

    #[test]
    fn proxies_as_people_write_them() {
        for (text, shown) in [
            ("http://p:3128", "http://p:3128"),
            ("http://p:3128/", "http://p:3128"),
            ("HTTP://10.0.0.1", "http://10.0.0.1:1080"),
            ("p.example.org:8080", "http://p.example.org:8080"),
            ("http://ann:secret@[fd00::1]:3128", "http://[fd00::1]:3128"),
        ] {
            assert_eq!(proxy(text).to_string(), shown);
        }
    }

    #[test]
    fn what_is_no_proxy() {
        for text in [
            "",
            "http://",
            "https://p:1",
            "socks5://p",
            "http://p:x",
            "http://p:",
            "http://p:99999",
            "http://p/path",
            "http://a b",
            "http://%zz@p",
            "http://p?x",
        ] {
            let error = text.parse::<Proxy>().expect_err(text);
            assert!(error.to_string().contains("HOST[:PORT]"), "{error}");
        }
    }

    #[test]
    fn user_and_password_are_told_to_the_proxy_and_to_nobody_else() {
        // The example of RFC 7617.
        let proxy = proxy("http://Aladdin:open%20sesame@p:1");
        assert_eq!(proxy.header(), "Proxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n");
        assert_eq!(format!("{proxy} {proxy:?}"), "http://p:1 Proxy(http://p:1)");
        assert_eq!(self::proxy("http://ann@p").header(), "Proxy-Authorization: Basic YW5uOg==\r\n");
        assert_eq!(self::proxy("http://p").header(), "");
    }

    #[test]
    fn the_examples_of_rfc_4648() {
        for (plain, text) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")]
        {
            assert_eq!(base64(plain.as_bytes()), text);
        }
        assert_eq!(base64(&[0xfb, 0xff]), "+/8=");
    }

    #[test]
    fn exceptions() {
        let with = |except: &[&str]| Proxies {
            except: except.iter().map(|e| (*e).to_owned()).collect(),
            ..Proxies::all(proxy("p"))
        };
        let direct = |except: &str, url: &str| with(&[except]).of_url(url).is_none();
        for except in ["example.org", ".example.org", "*.example.org", " Example.org ", "*"] {
            assert!(direct(except, "http://a.example.org/"), "{except}");
        }
        assert!(direct("example.org", "https://example.org:8443/"));
        assert!(
            direct("10.0.0.1", "http://10.0.0.1:80/") && direct("fd00::1", "http://[fd00::1]/")
        );
        for except in ["", ".", "ample.org", "example.org.uk", "0.0.1"] {
            assert!(!direct(except, "http://example.org/"), "{except}");
            assert!(!direct(except, "http://10.0.0.1/"), "{except}");
        }
        assert!(with(&["x", "example.org"]).of_url("http://example.org/").is_none());
    }

    #[test]
    fn each_scheme_has_its_own() {
        let only = Proxies { https: Some(proxy("p")), ..Proxies::default() };
        assert!(only.of_url("https://h/").is_some() && only.of_url("http://h/").is_none());
    }
}
