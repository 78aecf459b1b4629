//! DHCPv6's client half (RFC 8415): the codec, what a lease means, and the state machine that asks
//! for one and keeps it. Nothing here does I/O: bytes and instants in, bytes out.

pub(crate) mod client;
pub(crate) mod lease;
#[cfg(test)]
pub(crate) mod oracle;
pub(crate) mod packet;
