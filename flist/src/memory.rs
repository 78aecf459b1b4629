//! How much memory there is: caches follow it.

/// All of the machine's memory, in bytes.
pub fn memory() -> u64 {
    let info = rustix::system::sysinfo();
    info.totalram.saturating_mul(u64::from(info.mem_unit))
}

#[cfg(test)]
mod tests {
    #[test]
    fn this_machine_has_memory() {
        assert!(super::memory() > 64 << 20);
    }
}
