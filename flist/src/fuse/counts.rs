//! How often the kernel asked for what: each time is a round trip between it and the server.

use std::sync::atomic::{AtomicU32, Ordering};

use super::wire::op;

/// Numbers of operations that are counted; the kernel has about fifty.
const OPERATIONS: usize = 64;

/// What is counted by name: what a boot asks for often.
const NAMES: [(&str, &[u32]); 9] = [
    ("lookup", &[op::LOOKUP]),
    ("getattr", &[op::GETATTR]),
    ("readlink", &[op::READLINK]),
    ("open", &[op::OPEN, op::OPENDIR]),
    ("read", &[op::READ]),
    ("readdir", &[op::READDIR, op::READDIRPLUS]),
    ("getxattr", &[op::GETXATTR]),
    ("listxattr", &[op::LISTXATTR]),
    ("statfs", &[op::STATFS]),
];

/// How often each was asked for since the mount.
#[derive(Debug)]
pub struct Counts([AtomicU32; OPERATIONS]);

impl Default for Counts {
    fn default() -> Self {
        Self([const { AtomicU32::new(0) }; OPERATIONS])
    }
}

impl Counts {
    pub(super) fn add(&self, opcode: u32) {
        if let Some(count) = self.0.get(opcode as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Names of what was asked for, each with how often; all that has none is `other`. What needs no
    /// answer does not count.
    pub fn named(&self) -> Vec<(&'static str, u64)> {
        let mut counts = self.0.each_ref().map(|count| u64::from(count.load(Ordering::Relaxed)));
        let mut take = |codes: &[u32]| -> u64 {
            codes.iter().map(|&code| counts.get_mut(code as usize).map_or(0, std::mem::take)).sum()
        };
        take(&[op::FORGET, op::BATCH_FORGET, op::INTERRUPT]);
        let mut named: Vec<_> = NAMES.iter().map(|(name, codes)| (*name, take(codes))).collect();
        named.push(("other", counts.iter().sum()));
        named.retain(|(_, count)| *count > 0);
        named
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_name_is_other() {
        let counts = Counts::default();
        for opcode in [op::LOOKUP, op::READDIR, op::READDIRPLUS, op::FORGET, 52, 9999] {
            counts.add(opcode);
        }
        assert_eq!(counts.named(), [("lookup", 1), ("readdir", 2), ("other", 1)]);
    }
}
