//! One kernel argument while it is read: its fields, and what may stand in each.

use std::net::IpAddr;

use super::links::address;
use super::{Device, Method, Request, SpecError, class_prefix, is_domain, prefix_of_mask};
use crate::net::link::Mac;
use crate::net::link::{IfName, is_hex_pair};

/// The forms of `ip=` that the kernel and dracut document, shown in errors.
const IP_FORM: &str = "<client>:<server>:<gateway>:<mask>:<hostname>:<device>:<autoconf>:<dns0>:<dns1>:<ntp0>, \
                       the same with <mtu>:<mac> for the servers, <device>:<autoconf>:<mtu>:<mac> or <autoconf>, \
                       IPv6 in brackets";
/// What may stand for autoconf.
const AUTOCONF: &str = "dhcp, on, any, auto6, dhcp6, either6, link6, none or off \
                        (BOOTP, RARP and iBFT are not spoken here)";
/// The fields of `ip=` in which a MAC may stand: the device or the address to give it.
const MACS: [usize; 4] = [0, 3, 5, 8];

/// A field of a value: where it begins, and its text.
pub(super) type Field<'a> = (usize, &'a str);

/// The words that may stand alone or in the autoconf field.
#[derive(Clone, Copy)]
enum Autoconf {
    /// `dhcp` and `single-dhcp`.
    Dhcp,
    /// `on` and `any`, and nothing: whatever fits.
    Any,
    /// `auto6`, `dhcp6`, `either6`, `link6`.
    Six(Method),
    /// `off` and `none`.
    Off,
}

impl Autoconf {
    /// What it means where no address is given.
    fn alone(self) -> Method {
        match self {
            Self::Dhcp => Method::Dhcp { requested: None },
            Self::Any => Method::Any,
            Self::Six(method) => method,
            Self::Off => Method::Off,
        }
    }
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

    /// The whole value.
    pub(super) fn text(&self) -> &'a str {
        self.value
    }

    /// Where the value ends.
    pub(super) fn end(&self) -> usize {
        self.value.len()
    }

    /// What is said of a field that can't be read.
    pub(super) fn error(
        &self,
        field: Field<'_>,
        what: &'static str,
        expected: &'static str,
    ) -> SpecError {
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
        let fields = self.fields(&MACS);
        let at = |index: usize| fields.get(index).copied().unwrap_or((self.end(), ""));
        if fields.len() == 1 {
            return Ok(Request {
                method: self.autoconf(at(0), IP_FORM)?.alone(),
                ..Request::any()
            });
        }
        let (_, first) = at(0);
        let names_device = !first.is_empty() && address(first).is_none() && !first.contains('/');
        let has_word = !at(1).1.is_empty() && self.autoconf(at(1), AUTOCONF).is_ok();
        if names_device && (fields.len() <= 3 || fields.len() == 4 && has_word) {
            self.short(&fields)
        } else {
            self.long(&fields)
        }
    }

    /// `<device>:<autoconf>[:<mtu>[:<mac>]]`, as dracut has it.
    fn short(&self, fields: &[Field<'a>]) -> Result<Request, SpecError> {
        let at = |index: usize| fields.get(index).copied().unwrap_or((self.end(), ""));
        Ok(Request {
            device: self.device(at(0))?,
            method: self.autoconf(at(1), AUTOCONF)?.alone(),
            mtu: self.optional_mtu(at(2))?,
            mac: self.optional_mac(at(3))?,
            ..Request::any()
        })
    }

    /// `<client>:<server>:<gateway>:<mask>:<hostname>:<device>:<autoconf>`, then the kernel's
    /// `:<dns0>:<dns1>:<ntp0>` or dracut's `:<mtu>:<mac>`.
    fn long(&self, fields: &[Field<'a>]) -> Result<Request, SpecError> {
        let at = |index: usize| fields.get(index).copied().unwrap_or((self.end(), ""));
        if let Some(extra) = fields.get(10) {
            return Err(self.error(*extra, "an eleventh field", IP_FORM));
        }
        let method = self.method(&at)?;
        let (_, seventh) = at(7);
        let is_mtu = !seventh.is_empty() && seventh.bytes().all(|b| b.is_ascii_digit());
        let is_mac = mac_prefix(at(8).1).is_some() || at(8).1.contains('-');
        let is_dracuts = is_mtu || is_mac && seventh.is_empty();
        let servers = |indices: &[usize]| -> Result<Vec<IpAddr>, SpecError> {
            let found = indices.iter().map(|index| self.address(at(*index), "server address"));
            found.filter_map(Result::transpose).collect()
        };
        Ok(Request {
            device: self.device(at(5))?,
            method,
            hostname: self.hostname(at(4))?,
            dns: servers(if is_dracuts { &[] } else { &[7, 8] })?,
            ntp: servers(&[9])?,
            mtu: if is_dracuts { self.optional_mtu(at(7))? } else { None },
            mac: if is_dracuts { self.optional_mac(at(8))? } else { None },
        })
    }

    /// How an interface gets its address by the long form whose fields `at` gives.
    fn method(&self, at: &dyn Fn(usize) -> Field<'a>) -> Result<Method, SpecError> {
        let client = self.address(at(0), "client address")?;
        // The NFS server has no meaning here, but rubbish in its place shows a slipped field.
        self.address(at(1), "server address")?;
        let gateway = self.address(at(2), "gateway")?;
        let mask = self.mask(at(3), client)?;
        let autoconf = self.autoconf(at(6), AUTOCONF)?;
        Ok(match (autoconf, client) {
            (Autoconf::Any | Autoconf::Off, Some(address)) => {
                if gateway.is_some_and(|gateway| gateway.is_ipv4() != address.is_ipv4()) {
                    return Err(self.error(at(2), "gateway", "an address of the client's family"));
                }
                let default = match address {
                    IpAddr::V4(ip) => class_prefix(ip),
                    IpAddr::V6(_) => 64,
                };
                Method::Static { address, prefix: mask.unwrap_or(default), gateway }
            }
            (Autoconf::Dhcp, Some(IpAddr::V4(ip))) => Method::Dhcp { requested: Some(ip) },
            (Autoconf::Dhcp, Some(IpAddr::V6(_))) => {
                return Err(self.error(at(0), "client address", "an IPv4 address with dhcp"));
            }
            (autoconf, _) => autoconf.alone(),
        })
    }

    /// Splits the value at its colons; brackets hold an address together, and so do the colons of
    /// a MAC in the fields numbered in `macs`, where several may be joined by commas.
    pub(super) fn fields(&self, macs: &[usize]) -> Vec<Field<'a>> {
        let mut fields = Vec::new();
        let (mut start, mut at) = (0, 0);
        loop {
            let may_be_mac = macs.contains(&fields.len());
            let rest = self.value.get(at..).unwrap_or("");
            let len = match mac_prefix(rest).filter(|_| may_be_mac) {
                Some(len) => len,
                None => item_len(rest, may_be_mac),
            };
            at += len;
            let next = rest.as_bytes().get(len);
            if next == Some(&b',') {
                at += 1;
                continue;
            }
            fields.push((start, self.value.get(start..at).unwrap_or("")));
            if next.is_none() {
                return fields;
            }
            at += 1;
            start = at;
        }
    }

    fn autoconf(&self, field: Field<'_>, expected: &'static str) -> Result<Autoconf, SpecError> {
        match field.1 {
            "dhcp" | "single-dhcp" => Ok(Autoconf::Dhcp),
            "" | "on" | "any" => Ok(Autoconf::Any),
            "off" | "none" => Ok(Autoconf::Off),
            "auto6" => Ok(Autoconf::Six(Method::Auto6)),
            "dhcp6" => Ok(Autoconf::Six(Method::Dhcp6)),
            "either6" => Ok(Autoconf::Six(Method::Either6)),
            "link6" => Ok(Autoconf::Six(Method::Link6)),
            _ => Err(self.error(field, "autoconf", expected)),
        }
    }

    fn address(&self, field: Field<'_>, what: &'static str) -> Result<Option<IpAddr>, SpecError> {
        let (_, text) = field;
        if text.is_empty() {
            return Ok(None);
        }
        let expected = "an IPv4 address, or an IPv6 address in brackets";
        let address = address(text).ok_or_else(|| self.error(field, what, expected))?;
        Ok(Some(address).filter(|a| !a.is_unspecified()))
    }

    /// The netmask for `client`, which is an IPv4 address unless it is said.
    fn mask(&self, field: Field<'_>, client: Option<IpAddr>) -> Result<Option<u8>, SpecError> {
        let (_, text) = field;
        if text.is_empty() {
            return Ok(None);
        }
        let is_v6 = client.is_some_and(|client| client.is_ipv6());
        let (longest, expected) = if is_v6 {
            (128, "a prefix length (64)")
        } else {
            (32, "a netmask (255.255.255.0) or a prefix length (24)")
        };
        let length = text.parse::<u8>().ok().filter(|len| (1..=longest).contains(len));
        let dotted = || text.parse().ok().and_then(prefix_of_mask).filter(|_| !is_v6);
        let prefix = length.or_else(dotted);
        prefix.map(Some).ok_or_else(|| self.error(field, "netmask", expected))
    }

    fn optional_mac(&self, field: Field<'_>) -> Result<Option<Mac>, SpecError> {
        if field.1.is_empty() {
            return Ok(None);
        }
        let bad = |_bad| self.error(field, "MAC", "six pairs of hexadecimal digits joined by ':'");
        field.1.parse().map(Some).map_err(bad)
    }

    /// An MTU, where the field gives one.
    pub(super) fn optional_mtu(&self, field: Field<'_>) -> Result<Option<u32>, SpecError> {
        if field.1.is_empty() {
            return Ok(None);
        }
        let mtu = field.1.parse().ok().filter(|mtu| (577..=65535).contains(mtu));
        let mtu = mtu.ok_or_else(|| self.error(field, "MTU", "a number from 577 to 65535"))?;
        Ok(Some(mtu))
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

    /// A device, where the field names one.
    pub(super) fn device(&self, field: Field<'_>) -> Result<Option<Device>, SpecError> {
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

/// The length of what `text` begins with up to a colon outside of brackets; up to a comma too, where
/// it is one of several.
fn item_len(text: &str, is_list: bool) -> usize {
    let bracket = if text.starts_with('[') { text.find(']').unwrap_or(0) } else { 0 };
    let end = |byte: u8| byte == b':' || is_list && byte == b',';
    let rest = text.bytes().skip(bracket);
    rest.enumerate().find(|(_, byte)| end(*byte)).map_or(text.len(), |(at, _)| bracket + at)
}

/// The length of the MAC that `text` begins with, where a whole item is one.
fn mac_prefix(text: &str) -> Option<usize> {
    const LEN: usize = 17;
    let mac = text.get(..LEN)?;
    let whole = matches!(text.as_bytes().get(LEN), None | Some(b':' | b','));
    (whole && mac.split(':').count() == 6 && mac.split(':').all(is_hex_pair)).then_some(LEN)
}
