//! init.
mod net;
mod sys;
fn main() {}
