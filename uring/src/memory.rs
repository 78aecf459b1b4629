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
        Ok(unsafe { madvise(start, len, advice)? })
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        // SAFETY: whoever points into it holds this. It can't fail: it is a mapping of its own.
        let _ = unsafe { munmap(self.start.cast(), self.len) };
    }
}
