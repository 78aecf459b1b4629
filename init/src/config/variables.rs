//! What in a URL is put in per node: `${mac}` and the like, so that a fleet has one command line.

use super::ConfigError;

/// What is known of a node that tells it from others. A value is there where the machine or the
/// network tells one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Node {
    /// The address of the interface that carries the node: `52:54:00:12:34:56`.
    pub(crate) mac: Option<String>,
    /// The machine's UUID, as its firmware has it, in lower case.
    pub(crate) uuid: Option<String>,
    /// Its serial number.
    pub(crate) serial: Option<String>,
    /// Its name.
    pub(crate) hostname: Option<String>,
}

/// What there is instead of one that is not known.
pub(super) const NAMES_KNOWN: &str =
    "those known are ${mac}, ${mac:hexhyp} (joined by -), ${uuid}, ${serial} and ${hostname}";

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Variable {
    Mac,
    MacHyphens,
    Uuid,
    Serial,
    Hostname,
}

/// A piece of a URL.
enum Piece<'a> {
    Text(&'a str),
    Variable(Variable, &'a str),
}

impl Variable {
    /// The same names as iPXE's.
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "mac" => Self::Mac,
            "mac:hexhyp" => Self::MacHyphens,
            "uuid" => Self::Uuid,
            "serial" => Self::Serial,
            "hostname" => Self::Hostname,
            _ => return None,
        })
    }

    fn value(self, node: &Node) -> Option<String> {
        match self {
            Self::Mac => node.mac.clone(),
            Self::MacHyphens => node.mac.as_ref().map(|mac| mac.replace(':', "-")),
            Self::Uuid => node.uuid.clone(),
            Self::Serial => node.serial.clone(),
            Self::Hostname => node.hostname.clone(),
        }
    }

    /// Who should tell it.
    fn source(self) -> &'static str {
        match self {
            Self::Mac | Self::MacHyphens => "the network interface has no such address",
            Self::Uuid | Self::Serial => "this machine's firmware tells none",
            Self::Hostname => "neither DHCP nor ip= gives this node a name",
        }
    }
}

/// Checks the variables in `url`, the value of `key`.
pub(super) fn check(key: &'static str, url: &str) -> Result<(), ConfigError> {
    pieces(key, url).map(|_| ())
}

/// `url`, the value of `key`, for `node`.
pub(crate) fn expand(key: &'static str, url: &str, node: &Node) -> Result<String, ConfigError> {
    let mut expanded = String::new();
    for piece in pieces(key, url)? {
        match piece {
            Piece::Text(text) => expanded += text,
            Piece::Variable(variable, name) => {
                let value = variable.value(node).ok_or_else(|| ConfigError::NoValue {
                    key,
                    name: name.to_owned(),
                    why: variable.source(),
                })?;
                push_encoded(&mut expanded, &value);
            }
        }
    }
    Ok(expanded)
}

fn pieces<'a>(key: &'static str, url: &'a str) -> Result<Vec<Piece<'a>>, ConfigError> {
    let mut pieces = Vec::new();
    let mut rest = url;
    while let Some((text, behind)) = rest.split_once("${") {
        let name = behind.split_once('}');
        let unknown = || ConfigError::Variable {
            key,
            name: name.map_or(behind, |(name, _)| name).to_owned(),
        };
        let (name, behind) = name.ok_or_else(unknown)?;
        let variable = Variable::named(name).ok_or_else(unknown)?;
        pieces.extend([Piece::Text(text), Piece::Variable(variable, name)]);
        rest = behind;
    }
    pieces.push(Piece::Text(rest));
    Ok(pieces)
}

/// What a URL may hold anywhere stays, and the colons of a MAC; all else is percent-encoded.
fn push_encoded(url: &mut String, value: &str) {
    for byte in value.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b':' => {
                url.push(char::from(byte));
            }
            byte => *url += &format!("%{byte:02X}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node() -> Node {
        Node {
            mac: Some("52:54:00:12:34:56".to_owned()),
            uuid: Some("4c4c4544-0044".to_owned()),
            serial: Some("A/B 1é".to_owned()),
            hostname: None,
        }
    }

    #[test]
    fn each_has_its_value() {
        for (url, want) in [
            ("http://h/x", "http://h/x"),
            ("http://h/${mac}.flist", "http://h/52:54:00:12:34:56.flist"),
            ("http://h/${mac:hexhyp}/${uuid}", "http://h/52-54-00-12-34-56/4c4c4544-0044"),
            ("http://h/?s=${serial}&x", "http://h/?s=A%2FB%201%C3%A9&x"),
            ("http://h/$mac/{mac}/$", "http://h/$mac/{mac}/$"),
        ] {
            assert_eq!(expand("zimg.url", url, &node()).unwrap(), want);
            assert_eq!(check("zimg.url", url), Ok(()));
        }
    }

    #[test]
    fn what_is_not_known_is_refused_by_name() {
        for (url, name) in [
            ("http://h/${ip}", "ip"),
            ("http://h/${MAC}", "MAC"),
            ("http://h/${mac", "mac"),
            ("${}", ""),
        ] {
            let error = check("zimg.url", url).unwrap_err();
            assert_eq!(error, ConfigError::Variable { key: "zimg.url", name: name.to_owned() });
            assert!(error.fix().contains("${mac:hexhyp}"));
        }
    }

    #[test]
    fn a_value_that_nobody_tells() {
        let error = expand("zimg.store", "http://${hostname}/", &node()).unwrap_err();
        assert!(error.to_string().contains("zimg.store= asks for ${hostname}"), "{error}");
        assert!(error.to_string().contains("DHCP"), "{error}");
    }
}
