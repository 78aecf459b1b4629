//! What runs the built programs, all in one: so that no processor stands idle while a machine waits
//! for something, and only one program is linked. They are run in the order of their names: those of `armed`
//! mostly wait, and so come first.

mod armed;
mod backoff;
mod boots;
mod cli;
mod compare;
mod daemon;
mod disks;
mod endings;
mod faults;
mod guests;
mod http_faults;
mod ipv6;
mod links;
mod measured;
mod mirrors;
mod overlay;
mod profile;
mod refusals;
mod rings;
mod store_faults;
mod tree;
mod trust;
mod way;
