//! Mapped memory.

use std::ffi::c_void;
use std::io;
use std::os::fd::BorrowedFd;
use std::ptr;

use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap, mmap_anonymous, munmap};

/// Memory of its own pages, that ends with this.
pub(crate) struct Map {
    start: *mut u8,
    len: usize,
}

// SAFETY: it is memory like any other; who reads and writes it has to see to it that nobody else does.
unsafe impl Send for Map {}
// SAFETY: the same.
unsafe impl Sync for Map {}

impl Map {
    /// Zeros, of which only what is used takes memory.
    pub(crate) fn zeros(len: usize) -> io::Result<Self> {
        let (protection, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE);
        // SAFETY: the kernel chooses an address where nothing is.
        let start = unsafe {
            mmap_anonymous(ptr::null_mut(), len, protection, flags | MapFlags::NORESERVE)?
        };
        let map = Self { start: start.cast(), len };
        // A huge page would be taken for each entry that is used.
        map.advise(0, len, Advice::LinuxNoHugepage)?;
        Ok(map)
    }

    /// What `file` shares with the kernel at `offset`.
    pub(crate) fn shared(file: BorrowedFd<'_>, offset: u64, len: usize) -> io::Result<Self> {
        let (protection, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED);
        let flags = flags | MapFlags::POPULATE;
        // SAFETY: the kernel chooses an address where nothing is.
        let start = unsafe { mmap(ptr::null_mut(), len, protection, flags, file, offset)? };
        Ok(Self { start: start.cast(), len })
    }

    /// Where `len` bytes at `offset` begin.
    ///
    /// # Panics
    /// If they are not all in it.
    pub(crate) fn at(&self, offset: usize, len: usize) -> *mut u8 {
        assert!(offset.checked_add(len).is_some_and(|end| end <= self.len), "beyond the memory");
        // SAFETY: it is within the mapping.
        unsafe { self.start.add(offset) }
    }

    /// Gives back the memory of the pages of this range; they are zeros again.
    pub(crate) fn give_back(&self, offset: usize, len: usize) -> io::Result<()> {
        self.advise(offset, len, Advice::LinuxDontneedLocked)
    }

    fn advise(&self, offset: usize, len: usize, advice: Advice) -> io::Result<()> {
        let start: *mut c_void = self.at(offset, len).cast();
        // SAFETY: it is within the mapping, and who calls this reads none of it at this time.
        unsafe { madvise(start, len, advice)? };
        Ok(())
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        // SAFETY: whoever points into it holds this. It can't fail: it is a mapping of its own.
        let _ = unsafe { munmap(self.start.cast(), self.len) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_back_is_zeros_again_and_the_rest_stays() {
        let map = Map::zeros(3 * 4096).unwrap();
        // SAFETY: it is all the memory, and nobody else's.
        let bytes = unsafe { std::slice::from_raw_parts_mut(map.at(0, 3 * 4096), 3 * 4096) };
        bytes.fill(1);
        map.give_back(4096, 4096).unwrap();
        assert!(bytes[..4096].iter().chain(&bytes[8192..]).all(|&b| b == 1));
        assert!(bytes[4096..8192].iter().all(|&b| b == 0));
    }

    #[test]
    #[should_panic(expected = "beyond the memory")]
    fn nothing_lies_beyond_it() {
        Map::zeros(4096).unwrap().at(4090, 7);
    }
}
