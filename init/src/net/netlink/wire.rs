//! Netlink's bytes: messages and attributes, built and taken apart without I/O.

/// The size of `struct nlmsghdr`.
const HEADER: usize = 16;

/// A message while it is built: header, fixed part, attributes.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    bytes: Vec<u8>,
}

impl Message {
    /// A message of type `kind` with `flags` and the fixed part `body`.
    pub(crate) fn new(kind: u16, flags: u16, body: &[u8]) -> Self {
        let mut bytes = vec![0; 4];
        bytes.extend_from_slice(&kind.to_ne_bytes());
        bytes.extend_from_slice(&flags.to_ne_bytes());
        bytes.extend_from_slice(&[0; 8]);
        bytes.extend_from_slice(body);
        Self { bytes }
    }

    /// Adds the attribute `kind`, padded to four bytes.
    pub(crate) fn attr(mut self, kind: u16, value: &[u8]) -> Self {
        self.pad();
        self.bytes.extend_from_slice(&Self::attribute(kind, value));
        self
    }

    /// The attribute `kind` alone, to stand in another.
    pub(crate) fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        // No attribute made here comes near the limit of 64 KiB.
        let len = u16::try_from(value.len() + 4).unwrap_or(u16::MAX);
        [&len.to_ne_bytes(), &kind.to_ne_bytes(), value].concat()
    }

    /// The whole message, numbered `sequence`.
    pub(crate) fn finish(mut self, sequence: u32) -> Vec<u8> {
        self.pad();
        let len = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
        for (place, byte) in self.bytes.iter_mut().zip(len.to_ne_bytes()) {
            *place = byte;
        }
        for (place, byte) in self.bytes.iter_mut().skip(8).zip(sequence.to_ne_bytes()) {
            *place = byte;
        }
        self.bytes
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

/// A message that was received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Received<'a> {
    /// Its type.
    pub(crate) kind: u16,
    /// Its flags.
    pub(crate) flags: u16,
    /// The number of the request it answers.
    pub(crate) sequence: u32,
    /// All after the header.
    pub(crate) body: &'a [u8],
}

/// The messages in one datagram, up to the first that is cut short.
pub(crate) fn messages(datagram: &[u8]) -> impl Iterator<Item = Received<'_>> {
    let mut rest = datagram;
    std::iter::from_fn(move || {
        let len = usize::try_from(u32_at(rest, 0)?).ok()?;
        let message = Received {
            kind: u16_at(rest, 4)?,
            flags: u16_at(rest, 6)?,
            sequence: u32_at(rest, 8)?,
            body: rest.get(HEADER..len)?,
        };
        rest = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some(message)
    })
}

/// The attributes in `bytes`, as type and value, up to the first that is cut short.
pub(crate) fn attrs(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    /// Marks a nested or big-endian value; no part of the type.
    const FLAGS: u16 = 0xc000;
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let len = usize::from(u16_at(rest, 0)?);
        let kind = u16_at(rest, 2)? & !FLAGS;
        let value = rest.get(4..len)?;
        rest = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

/// The number at `offset`, where all of it is there.
pub(crate) fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    bytes.get(offset..)?.first_chunk().map(|b| u32::from_ne_bytes(*b))
}

/// The number at `offset`, where all of it is there.
pub(crate) fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    bytes.get(offset..)?.first_chunk().map(|b| u16::from_ne_bytes(*b))
}
