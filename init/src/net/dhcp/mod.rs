//! DHCPv4's client half: the codec, what a lease means, and the state machine that asks for one.
//! Nothing here does I/O: bytes and instants in, bytes out.

pub(crate) mod client;
pub(crate) mod frame;
pub(crate) mod lease;
#[cfg(test)]
pub(crate) mod oracle;
pub(crate) mod packet;
pub(crate) mod renewal;
