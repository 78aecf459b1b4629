//! What an interface is called and how it is addressed: names, MACs and the facts a report shows.

use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::str::FromStr;

/// The longest name the kernel gives an interface (`IFNAMSIZ` less the final zero).
const IF_NAME_MAX: usize = 15;

/// An interface's name: 1 to 15 bytes, no `/`, no white space, no zero.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct IfName(OsString);

impl IfName {
    /// Takes `bytes` as a name where the kernel would.
    pub(crate) fn new(bytes: &[u8]) -> Option<Self> {
        let fits = (1..=IF_NAME_MAX).contains(&bytes.len()) && bytes != b"." && bytes != b"..";
        let plain = bytes.iter().all(|b| !matches!(b, 0 | b'/' | b':') && !b.is_ascii_whitespace());
        (fits && plain).then(|| Self(OsString::from_vec(bytes.to_vec())))
    }

    /// The name's bytes, without a final zero.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Display for IfName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0.to_string_lossy())
    }
}

impl fmt::Debug for IfName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An Ethernet hardware address.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Mac(pub [u8; 6]);

impl Mac {
    /// The address that every station hears.
    pub(crate) const BROADCAST: Self = Self([0xff; 6]);
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        f.pad(&format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}"))
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not six pairs of hexadecimal digits joined by `:` or `-`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not six pairs of hexadecimal digits joined by ':' or '-'")]
pub(crate) struct MacError;

impl FromStr for Mac {
    type Err = MacError;

    fn from_str(text: &str) -> Result<Self, MacError> {
        let separator = if text.contains('-') { '-' } else { ':' };
        let mut mac = [0; 6];
        let mut parts = text.split(separator);
        for byte in &mut mac {
            let part = parts.next().filter(|p| is_hex_pair(p)).ok_or(MacError)?;
            *byte = u8::from_str_radix(part, 16).map_err(|_not_hex| MacError)?;
        }
        if parts.next().is_some() { Err(MacError) } else { Ok(Self(mac)) }
    }
}

/// Whether `text` is exactly two hexadecimal digits.
pub(super) fn is_hex_pair(text: &str) -> bool {
    text.len() == 2 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// One interface in the table that a failure shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NicReport {
    /// Its name now.
    pub(crate) name: IfName,
    /// Its hardware address, where it is Ethernet.
    pub(crate) mac: Option<Mac>,
    /// Its driver's name, where the kernel tells one.
    pub(crate) driver: Option<String>,
    /// Whether the far end of the cable answers.
    pub(crate) carrier: bool,
    /// What was tried on it and how it went, in a few words.
    pub(crate) outcome: String,
}

impl fmt::Display for NicReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mac = self.mac.map_or_else(|| "-".to_owned(), |mac| mac.to_string());
        let driver = self.driver.as_deref().unwrap_or("-");
        let carrier = if self.carrier { "carrier" } else { "no carrier" };
        write!(f, "{:<10} {mac:<17} {driver:<12} {carrier:<10} {}", self.name, self.outcome)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mac_is_read_in_both_spellings() {
        let mac = Mac([0x52, 0x54, 0, 0x12, 0xab, 0xff]);
        assert_eq!("52:54:00:12:AB:ff".parse(), Ok(mac));
        assert_eq!("52-54-00-12-ab-ff".parse(), Ok(mac));
        assert_eq!(mac.to_string(), "52:54:00:12:ab:ff");
    }

    #[test]
    fn mac_of_another_shape_is_refused() {
        for bad in
            ["", "52:54:00:12:ab", "52:54:00:12:ab:ff:00", "5:4:0:1:a:f", "+2:54:00:12:ab:ff"]
        {
            assert_eq!(bad.parse::<Mac>(), Err(MacError), "{bad}");
        }
    }

    #[test]
    fn names_are_those_the_kernel_allows() {
        assert!(IfName::new(b"enp0s31f6").is_some());
        assert!(IfName::new(b"\xff").is_some());
        for bad in [&b""[..], b".", b"..", b"a/b", b"a b", b"sixteen-bytes-xx", b"a\0"] {
            assert_eq!(IfName::new(bad), None, "{bad:?}");
        }
    }
}
