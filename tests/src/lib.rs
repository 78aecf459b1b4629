//! What runs the built programs: virtual machines, networks of their own, Debian roots, servers.
//! Tests and benchmarks are sentences over these.

pub mod awkward;
pub mod compare;
pub mod cpio;
pub mod digest;
pub mod disk;
pub mod distance;
pub mod dns;
pub mod guests;
pub mod http_faults;
pub mod images;
pub mod inbox;
pub mod lab;
pub mod mount;
pub mod newest;
pub mod ntp;
pub mod out;
pub mod overlaid;
pub mod refusal;
pub mod relay;
pub mod root;
pub mod saved;
pub mod scratch;
pub mod switch;
pub mod tpm;
pub mod vm;
pub mod wire;
