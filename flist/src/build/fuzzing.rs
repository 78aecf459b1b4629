//! What the fuzz target `tar` runs.
#![expect(clippy::unwrap_used, reason = "a fuzz target panics where a promise is not kept")]

use std::fs::File;
use std::io::{Seek, Write};

use rustix::fs::{MemfdFlags, memfd_create};

use super::tar;

/// Reads an archive of these bytes.
pub(crate) fn tar(bytes: &[u8]) {
    let mut bytes = bytes.to_vec();
    seal(&mut bytes);
    let mut file = File::from(memfd_create("tar", MemfdFlags::CLOEXEC).unwrap());
    file.write_all(&bytes).unwrap();
    file.rewind().unwrap();
    // Read or refused, either is right.
    drop(tar::read_stream(file, &std::env::temp_dir(), &()));
}

/// Puts the sums of all headers right, so that more than the sum is tested.
pub(crate) fn seal(bytes: &mut [u8]) {
    for block in bytes.chunks_exact_mut(512).filter(|block| block.get(257..262) == Some(b"ustar")) {
        let Some(field) = block.get_mut(148..156) else { continue };
        field.fill(b' ');
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        let sum = format!("{sum:06o}\0 ");
        block.iter_mut().skip(148).zip(sum.bytes()).for_each(|(to, byte)| *to = byte);
    }
}
