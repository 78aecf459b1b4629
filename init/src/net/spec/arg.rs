//! One kernel argument while it is read: its fields, and what may stand in each.

use std::net::{IpAddr, Ipv4Addr};

use super::{Device, Method, Request, SpecError, class_prefix, is_domain, prefix_of_mask};
use crate::net::link::Mac;
use crate::net::link::{IfName, is_hex_pair};

/// The form of `ip=` that the kernel documents, shown in errors.
const IP_FORM: &str = "<client>:<server>:<gateway>:<mask>:<hostname>:<device>:<autoconf>:<dns0>:<dns1>:<ntp0>, \
                       <device>:dhcp, dhcp, on, any, none or off";

/// A field of a value: where it begins, and its text.
type Field<'a> = (usize, &'a str);

/// The words that may stand alone or in the autoconf field.
#[derive(Clone, Copy)]
enum Autoconf {
    /// `dhcp`.
    Dhcp,
    /// `on` and `any`, and nothing: whatever fits.
    Any,
    /// `auto6`, `dhcp6`, `either6`, `link6`.
    Six(Method),
    /// `off` and `none`.
    Off,
}

/// One argument while it is read.
#[derive(Clone, Copy)]
pub(super) struct Arg<'a> {
    key: &'a str,
    value: &'a str,
}

impl<'a> Arg<'a> {
    pub(super) fn new(key: &'a str, value: &'a str) -> Self {
        Self { key, value }
    }

    fn error(&self, field: Field<'_>, what: &'static str, expected: &'static str) -> SpecError {
        let (position, text) = field;
        let (key, value) = (self.key.to_owned(), self.value.to_owned());
        SpecError { key, value, what, position, text: text.to_owned(), expected }
    }

    /// The value of `nameserver=`.
    pub(super) fn nameserver(&self) -> Result<IpAddr, SpecError> {
        let text = self.value.trim_start_matches('[').trim_end_matches(']');
        text.parse().map_err(|_bad| self.error((0, self.value), "address", "an IP address"))
    }

    /// The value of `BOOTIF=`.
    pub(super) fn bootif(&self) -> Result<Mac, SpecError> {
        let form = "01-aa-bb-cc-dd-ee-ff (hardware type 01, then the MAC)";
        let error = |_bad| self.error((0, self.value), "interface", form);
        let text = self.value;
        // pxelinux writes the hardware type first, iPXE scripts often don't.
        let has_type = text.split(['-', ':']).count() == 7;
        let mac =
            if has_type { text.strip_prefix("01").and_then(|t| t.get(1..)) } else { Some(text) };
        mac.ok_or_else(|| error(()))?.parse().map_err(|_bad| error(()))
    }

    /// The value of `ip=`.
    pub(super) fn ip(&self) -> Result<Request, SpecError> {
        let fields = self.fields();
        let at = |index: usize| fields.get(index).copied().unwrap_or((self.value.len(), ""));
        if fields.len() == 1 {
            let method = match self.autoconf(at(0), IP_FORM)? {
                Autoconf::Dhcp => Method::Dhcp { requested: None },
                Autoconf::Any => Method::Any,
                Autoconf::Six(method) => method,
                Autoconf::Off => Method::Off,
            };
            return Ok(Request { method, ..Request::any() });
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
            Autoconf::Dhcp => Method::Dhcp { requested: None },
            Autoconf::Any => Method::Any,
            Autoconf::Six(method) => method,
            Autoconf::Off => Method::Off,
        };
        let mtu = match at(2) {
            (_, "") => None,
            field => Some(self.mtu(field)?),
        };
        Ok(Request { device, method, mtu, ..Request::any() })
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
            (Autoconf::Any, None) => Method::Any,
            (Autoconf::Six(method), _) => method,
            (Autoconf::Off, None) => Method::Off,
            (Autoconf::Any | Autoconf::Off, Some(address)) => {
                let prefix = mask.unwrap_or_else(|| class_prefix(address));
                Method::Static { address: address.into(), prefix, gateway: gateway.map(IpAddr::V4) }
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
            "auto6" => Ok(Autoconf::Six(Method::Auto6)),
            "dhcp6" => Ok(Autoconf::Six(Method::Dhcp6)),
            "either6" => Ok(Autoconf::Six(Method::Either6)),
            "link6" => Ok(Autoconf::Six(Method::Link6)),
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
