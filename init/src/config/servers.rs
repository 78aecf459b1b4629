//! How servers are asked: whom to trust beside the web's authorities, by which proxy, and what time
//! it is.

use super::{ConfigError, Sources, bad};
use flist::store::{BadProxy, Proxy};

/// The most bytes of a certificate on the command line, which holds 2048 or 4096 in all.
const CERTIFICATE_MAX: usize = 4096;

/// How servers are asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Servers {
    /// CAs to trust beside the web's.
    pub(crate) cas: Vec<Ca>,
    /// The proxy that all requests go through.
    pub(crate) proxy: Option<Proxy>,
    /// Time servers, names or addresses, in the place of those that DHCP names.
    pub(crate) ntp: Vec<String>,
    /// The earliest time it can be: seconds since 1970.
    pub(crate) epoch: Option<i64>,
}

/// Where a CA's certificate is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ca {
    /// In a file of the initramfs, in PEM, perhaps with others.
    File(String),
    /// Here: what stands between a PEM's first and last line, on one.
    Inline(String),
}

pub(super) fn servers(sources: &Sources) -> Result<Servers, ConfigError> {
    Ok(Servers {
        cas: sources.each("zimg.ca").map(ca).collect::<Result<_, _>>()?,
        proxy: proxy(sources)?,
        ntp: ntp(sources)?,
        epoch: epoch(sources)?,
    })
}

fn ca(text: &str) -> Result<Ca, ConfigError> {
    let is_base64 = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=');
    match text {
        // A certificate is a DER sequence, whose first bytes make an M in base64.
        path if path.starts_with('/') => Ok(Ca::File(path.to_owned())),
        inline
            if inline.starts_with('M')
                && inline.len() <= CERTIFICATE_MAX
                && inline.bytes().all(is_base64) =>
        {
            Ok(Ca::Inline(inline.to_owned()))
        }
        other => Err(bad(
            "zimg.ca",
            other,
            "the path of a PEM file in the initramfs, or a certificate in base64 (a PEM's lines but the first and the last, joined)",
        )),
    }
}

fn proxy(sources: &Sources) -> Result<Option<Proxy>, ConfigError> {
    // The value may hold a password: it is not shown.
    let parse = |text: &str| text.parse().map_err(|e: BadProxy| ConfigError::Proxy(e.to_string()));
    sources.last("zimg.proxy").filter(|text| !text.is_empty()).map(parse).transpose()
}

fn ntp(sources: &Sources) -> Result<Vec<String>, ConfigError> {
    let expected = "names or addresses of time servers, joined by commas";
    let mut servers = Vec::new();
    for value in sources.all("zimg.ntp") {
        for server in value.split(',') {
            let host = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b':' | b'-' | b'_');
            let name = server.trim_start_matches('[').trim_end_matches(']');
            if name.is_empty() || !name.bytes().all(host) {
                return Err(bad("zimg.ntp", value, expected));
            }
            servers.push(name.to_owned());
        }
    }
    Ok(servers)
}

fn epoch(sources: &Sources) -> Result<Option<i64>, ConfigError> {
    let Some(value) = sources.last("zimg.epoch") else { return Ok(None) };
    let seconds = value.parse().ok().filter(|seconds| (0..=EPOCH_MAX).contains(seconds));
    seconds.map(Some).ok_or_else(|| bad("zimg.epoch", value, "seconds since 1970"))
}

/// The year 2262, up to which the kernel's clock can be set.
const EPOCH_MAX: i64 = 9_223_372_036;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cmdline;

    fn of(line: &str) -> Result<Servers, ConfigError> {
        servers(&Sources { line: cmdline::words(line.as_bytes()), ..Sources::default() })
    }

    #[test]
    fn nothing_asked_for() {
        assert_eq!(of("quiet"), Ok(Servers::default()));
    }

    #[test]
    fn cas() {
        let cas = of("zimg.ca=/ca.pem zimg.ca=MIIBszCCAVmgAwIBAgIU+/==").unwrap().cas;
        let inline = "MIIBszCCAVmgAwIBAgIU+/==".to_owned();
        assert_eq!(cas, [Ca::File("/ca.pem".to_owned()), Ca::Inline(inline)]);
        for wrong in ["", "ca.pem", "http://h/ca.pem", "M-", &"M".repeat(5000)] {
            let error = of(&format!("zimg.ca={wrong}")).unwrap_err();
            assert!(matches!(error, ConfigError::Value { key: "zimg.ca", .. }), "{wrong}");
        }
    }

    #[test]
    fn a_proxys_password_is_not_shown() {
        assert_eq!(
            of("zimg.proxy=http://p:3128").unwrap().proxy.unwrap().to_string(),
            "http://p:3128"
        );
        assert_eq!(of("zimg.proxy=").unwrap().proxy, None);
        let error = of("zimg.proxy=socks5://ann:secret@p").unwrap_err().to_string();
        assert!(error.contains("zimg.proxy=") && !error.contains("secret"), "{error}");
    }

    #[test]
    fn time_servers() {
        let ntp = of("zimg.ntp=a.example,10.0.0.1 zimg.ntp=[fd00::1]").unwrap().ntp;
        assert_eq!(ntp, ["a.example", "10.0.0.1", "fd00::1"]);
        for wrong in ["", "a,", "a b", "ntp://a", "a/b"] {
            assert!(of(&format!("zimg.ntp=\"{wrong}\"")).is_err(), "{wrong}");
        }
    }

    #[test]
    fn epochs() {
        assert_eq!(of("zimg.epoch=1795413912").unwrap().epoch, Some(1_795_413_912));
        for wrong in ["", "-1", "now", "99999999999"] {
            assert!(of(&format!("zimg.epoch={wrong}")).is_err(), "{wrong}");
        }
    }
}
