//! The kernel arguments that describe the network, read without any I/O: `ip=`, `nameserver=`,
//! `BOOTIF=`. What can't be read is an error that names the text, its place and the form expected.

use std::net::{IpAddr, Ipv4Addr};

use super::link::{IfName, Mac, is_hex_pair};

/// The form of `ip=` that the kernel documents, shown in errors.
const IP_FORM: &str = "<client>:<server>:<gateway>:<mask>:<hostname>:<device>:<autoconf>:<dns0>:<dns1>:<ntp0>, \
                       <device>:dhcp, dhcp, on, any, none or off";

/// Everything the kernel command line says about the network.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct NetConfig {
    /// One for each `ip=`, in order. Where none says how to get an address (or the list is
    /// empty), every interface that no entry switches off asks by DHCP.
    pub(crate) requests: Vec<Request>,
    /// `nameserver=`, in order: asked before those of a lease.
    pub(crate) nameservers: Vec<IpAddr>,
    /// `BOOTIF=`: the interface the firmware booted from, tried before the others.
    pub(crate) bootif: Option<Mac>,
}

/// What one `ip=` asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    /// The interface meant; `None` is any.
    pub(crate) device: Option<Device>,
    /// How the interface gets its address.
    pub(crate) method: Method,
    /// The node's name, where it is given.
    pub(crate) hostname: Option<String>,
    /// DNS servers, in order.
    pub(crate) dns: Vec<IpAddr>,
    /// NTP servers, in order.
    pub(crate) ntp: Vec<IpAddr>,
    /// The MTU to set, whatever a lease says.
    pub(crate) mtu: Option<u32>,
}

/// An interface as the command line names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Device {
    /// By its name.
    Name(IfName),
    /// By its hardware address.
    Mac(Mac),
}

/// How an interface gets its address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    /// By DHCP, asking for `requested` where it is given.
    Dhcp {
        /// The address to ask for (option 50).
        requested: Option<Ipv4Addr>,
    },
    /// As the command line says.
    Static {
        /// The node's address.
        address: Ipv4Addr,
        /// The length of the network's prefix.
        prefix: u8,
        /// The default route's gateway.
        gateway: Option<Ipv4Addr>,
    },
    /// Not at all: the interface is left alone.
    Off,
}

/// A kernel argument that can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}={value}: {what} at position {position} ({text:?}): expected {expected}")]
pub(crate) struct SpecError {
    /// The argument's key.
    pub(crate) key: String,
    /// The argument's whole value.
    pub(crate) value: String,
    /// The field that is wrong, by name.
    pub(crate) what: &'static str,
    /// Where the field begins in the value, in bytes from 0.
    pub(crate) position: usize,
    /// The field's text.
    pub(crate) text: String,
    /// The form expected there.
    pub(crate) expected: &'static str,
}

impl NetConfig {
    /// Reads the arguments that concern the network; all others are passed over.
    pub(crate) fn parse(args: &[(String, Option<String>)]) -> Result<Self, SpecError> {
        let mut config = Self::default();
        for (key, value) in args {
            let value = value.as_deref().unwrap_or("");
            match key.as_str() {
                "ip" => config.requests.push(Arg { key, value }.ip()?),
                "nameserver" => config.nameservers.push(Arg { key, value }.nameserver()?),
                "BOOTIF" => config.bootif = Some(Arg { key, value }.bootif()?),
                _ => {}
            }
        }
        Ok(config)
    }

    /// The request that holds for the interface called `name` with address `mac`: the first that
    /// names it, else the first that names none; DHCP where no request says how to get an address.
    pub(crate) fn for_link(&self, name: &IfName, mac: Mac) -> Request {
        let named =
            self.requests.iter().find(|r| r.device.as_ref().is_some_and(|d| d.is(name, mac)));
        let unnamed = || self.requests.iter().find(|r| r.device.is_none());
        let silent = self.requests.iter().all(|r| r.device.is_some() && r.method == Method::Off);
        let fallback = if silent { Request::dhcp() } else { Request::off() };
        named.or_else(unnamed).cloned().unwrap_or(fallback)
    }

    /// Whether the command line switches the network off altogether.
    pub(crate) fn is_off(&self) -> bool {
        let off = |r: &Request| r.method == Method::Off;
        self.requests.iter().any(|r| r.device.is_none() && off(r)) && self.requests.iter().all(off)
    }
}

impl Request {
    /// DHCP on any interface.
    pub(crate) fn dhcp() -> Self {
        Self {
            device: None,
            method: Method::Dhcp { requested: None },
            hostname: None,
            dns: Vec::new(),
            ntp: Vec::new(),
            mtu: None,
        }
    }

    /// No set-up.
    fn off() -> Self {
        Self { method: Method::Off, ..Self::dhcp() }
    }
}

impl Device {
    /// Whether this means the interface called `name` with address `mac`.
    fn is(&self, name: &IfName, mac: Mac) -> bool {
        match self {
            Self::Name(wanted) => wanted == name,
            Self::Mac(wanted) => *wanted == mac,
        }
    }
}

/// A field of a value: where it begins, and its text.
type Field<'a> = (usize, &'a str);

/// The words that may stand alone or in the autoconf field.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Autoconf {
    /// `dhcp`.
    Dhcp,
    /// `on` and `any`, and nothing: whatever fits.
    Any,
    /// `off` and `none`.
    Off,
}

/// One argument while it is read.
#[derive(Clone, Copy)]
struct Arg<'a> {
    key: &'a str,
    value: &'a str,
}

impl<'a> Arg<'a> {
    fn error(&self, field: Field<'_>, what: &'static str, expected: &'static str) -> SpecError {
        let (position, text) = field;
        let (key, value) = (self.key.to_owned(), self.value.to_owned());
        SpecError { key, value, what, position, text: text.to_owned(), expected }
    }

    fn nameserver(&self) -> Result<IpAddr, SpecError> {
        let text = self.value.trim_start_matches('[').trim_end_matches(']');
        text.parse().map_err(|_bad| self.error((0, self.value), "address", "an IP address"))
    }

    fn bootif(&self) -> Result<Mac, SpecError> {
        let form = "01-aa-bb-cc-dd-ee-ff (hardware type 01, then the MAC)";
        let error = |_bad| self.error((0, self.value), "interface", form);
        let text = self.value;
        // pxelinux writes the hardware type first, iPXE scripts often don't.
        let has_type = text.split(['-', ':']).count() == 7;
        let mac =
            if has_type { text.strip_prefix("01").and_then(|t| t.get(1..)) } else { Some(text) };
        mac.ok_or_else(|| error(()))?.parse().map_err(|_bad| error(()))
    }

    fn ip(&self) -> Result<Request, SpecError> {
        let fields = self.fields();
        let at = |index: usize| fields.get(index).copied().unwrap_or((self.value.len(), ""));
        if fields.len() == 1 {
            let method = match self.autoconf(at(0), IP_FORM)? {
                Autoconf::Dhcp | Autoconf::Any => Method::Dhcp { requested: None },
                Autoconf::Off => Method::Off,
            };
            return Ok(Request { method, ..Request::dhcp() });
        }
        let (_, first) = at(0);
        let names_device =
            !first.is_empty() && first.parse::<IpAddr>().is_err() && !first.contains('/');
        if names_device && fields.len() <= 3 { self.short(&fields) } else { self.long(&fields) }
    }

    /// `<device>:<autoconf>[:<mtu>]`, as dracut has it.
    fn short(&self, fields: &[Field<'a>]) -> Result<Request, SpecError> {
        let at = |index: usize| fields.get(index).copied().unwrap_or((self.value.len(), ""));
        let device = self.device(at(0))?;
        let method = match self.autoconf(at(1), "dhcp, on, any, none or off")? {
            Autoconf::Dhcp | Autoconf::Any => Method::Dhcp { requested: None },
            Autoconf::Off => Method::Off,
        };
        let mtu = match at(2) {
            (_, "") => None,
            field => Some(self.mtu(field)?),
        };
        Ok(Request { device, method, mtu, ..Request::dhcp() })
    }

    /// `<client>:<server>:<gateway>:<mask>:<hostname>:<device>:<autoconf>:<dns0>:<dns1>:<ntp0>`.
    fn long(&self, fields: &[Field<'a>]) -> Result<Request, SpecError> {
        let at = |index: usize| fields.get(index).copied().unwrap_or((self.value.len(), ""));
        if let Some(extra) = fields.get(10) {
            return Err(self.error(*extra, "an eleventh field", IP_FORM));
        }
        let client = self.address(at(0), "client address")?;
        // The NFS server has no meaning here, but rubbish in its place shows a slipped field.
        self.address(at(1), "server address")?;
        let gateway = self.address(at(2), "gateway")?;
        let mask = self.mask(at(3))?;
        let autoconf = self.autoconf(at(6), "dhcp, on, any, none, off or nothing")?;
        let method = match (autoconf, client) {
            (Autoconf::Dhcp, requested) => Method::Dhcp { requested },
            (Autoconf::Any, None) => Method::Dhcp { requested: None },
            (Autoconf::Off, None) => Method::Off,
            (Autoconf::Any | Autoconf::Off, Some(address)) => {
                let prefix = mask.unwrap_or_else(|| class_prefix(address));
                Method::Static { address, prefix, gateway }
            }
        };
        let list = |fields: &[Field<'a>]| -> Result<Vec<IpAddr>, SpecError> {
            let found = fields.iter().map(|f| self.address(*f, "server address"));
            found.filter_map(Result::transpose).map(|a| a.map(IpAddr::V4)).collect()
        };
        Ok(Request {
            device: self.device(at(5))?,
            method,
            hostname: self.hostname(at(4))?,
            dns: list(&[at(7), at(8)])?,
            ntp: list(&[at(9)])?,
            mtu: None,
        })
    }

    /// Splits the value at its colons; brackets hold an address together, and six pairs of
    /// digits that stand where a device may stand are a MAC.
    fn fields(&self) -> Vec<Field<'a>> {
        let mut fields = Vec::new();
        let mut start = 0;
        loop {
            let rest = self.value.get(start..).unwrap_or("");
            let place_of_device = matches!(fields.len(), 0 | 5);
            let len = match mac_prefix(rest).filter(|_| place_of_device) {
                Some(len) => len,
                None => {
                    let bracket =
                        if rest.starts_with('[') { rest.find(']').unwrap_or(0) } else { 0 };
                    rest.bytes()
                        .skip(bracket)
                        .position(|b| b == b':')
                        .map_or(rest.len(), |at| bracket + at)
                }
            };
            fields.push((start, rest.get(..len).unwrap_or(rest)));
            if len >= rest.len() {
                return fields;
            }
            start += len + 1;
        }
    }

    fn autoconf(&self, field: Field<'_>, expected: &'static str) -> Result<Autoconf, SpecError> {
        match field.1 {
            "dhcp" => Ok(Autoconf::Dhcp),
            "" | "on" | "any" => Ok(Autoconf::Any),
            "off" | "none" => Ok(Autoconf::Off),
            _ => Err(self.error(field, "autoconf", expected)),
        }
    }

    fn address(&self, field: Field<'_>, what: &'static str) -> Result<Option<Ipv4Addr>, SpecError> {
        let (_, text) = field;
        if text.is_empty() {
            return Ok(None);
        }
        let address: Ipv4Addr =
            text.parse().map_err(|_bad| self.error(field, what, "an IPv4 address"))?;
        Ok(Some(address).filter(|a| !a.is_unspecified()))
    }

    fn mask(&self, field: Field<'_>) -> Result<Option<u8>, SpecError> {
        let (_, text) = field;
        if text.is_empty() {
            return Ok(None);
        }
        let length = text.parse::<u8>().ok().filter(|len| (1..=32).contains(len));
        let dotted = || text.parse::<Ipv4Addr>().ok().and_then(prefix_of_mask);
        let prefix = length.or_else(dotted);
        let expected = "a netmask (255.255.255.0) or a prefix length (24)";
        prefix.map(Some).ok_or_else(|| self.error(field, "netmask", expected))
    }

    fn mtu(&self, field: Field<'_>) -> Result<u32, SpecError> {
        let mtu = field.1.parse().ok().filter(|mtu| (577..=65535).contains(mtu));
        mtu.ok_or_else(|| self.error(field, "MTU", "a number from 577 to 65535"))
    }

    fn hostname(&self, field: Field<'_>) -> Result<Option<String>, SpecError> {
        let (_, text) = field;
        if text.is_empty() {
            return Ok(None);
        }
        if is_domain(text) {
            return Ok(Some(text.to_owned()));
        }
        Err(self.error(field, "hostname", "letters, digits, '-' and '.', at most 63 in a label"))
    }

    fn device(&self, field: Field<'_>) -> Result<Option<Device>, SpecError> {
        let (_, text) = field;
        if text.is_empty() {
            return Ok(None);
        }
        if let Ok(mac) = text.parse() {
            return Ok(Some(Device::Mac(mac)));
        }
        let name = IfName::new(text.as_bytes());
        let expected = "an interface's name (at most 15 bytes) or MAC";
        let device = name.map(Device::Name);
        device.map(Some).ok_or_else(|| self.error(field, "device", expected))
    }
}

/// The length of the MAC that `text` begins with, where a whole field is one.
fn mac_prefix(text: &str) -> Option<usize> {
    const LEN: usize = 17;
    let mac = text.get(..LEN)?;
    let whole = matches!(text.as_bytes().get(LEN), None | Some(b':'));
    (whole && mac.split(':').count() == 6 && mac.split(':').all(is_hex_pair)).then_some(LEN)
}

/// The prefix length that `mask` means, where its ones come first.
pub(super) fn prefix_of_mask(mask: Ipv4Addr) -> Option<u8> {
    let bits = u32::from(mask);
    let ones = bits.leading_ones();
    (bits.count_ones() == ones).then(|| u8::try_from(ones).ok()).flatten()
}

/// The prefix length of `address`'s class, which the kernel takes where no mask is given.
pub(super) fn class_prefix(address: Ipv4Addr) -> u8 {
    match address.octets()[0] {
        0..128 => 8,
        128..192 => 16,
        192.. => 24,
    }
}

/// Whether `text` may stand in resolv.conf or be a node's name: dotted labels of letters, digits,
/// `-` and `_`.
pub(super) fn is_domain(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    text.len() <= 253 && text.split('.').all(label)
}

#[cfg(test)]
#[path = "spec_tests.rs"]
mod tests;
