//! zimg.
fn main() {}
