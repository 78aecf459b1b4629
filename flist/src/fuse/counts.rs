//! How often the kernel asked for what: each time is a round trip between it and the server.

use std::sync::atomic::{AtomicU32, Ordering};

use super::wire::op;

/// Numbers of operations that are counted; the kernel has about fifty.
const OPERATIONS: usize = 64;

/// What is counted by name. The kernel asks for most others once, and not again.
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
    pub fn named(&self) -> Vec<(&'static str, u32)> {
        let of =
            |opcode: usize| self.0.get(opcode).map_or(0, |count| count.load(Ordering::Relaxed));
        let unanswered = [op::FORGET, op::BATCH_FORGET, op::INTERRUPT];
        let all = (0..OPERATIONS).filter(|at| !unanswered.iter().any(|code| *code as usize == *at));
        let mut other: u32 = all.map(of).sum();
        let mut named: Vec<_> = NAMES
            .iter()
            .map(|(name, codes)| (*name, codes.iter().map(|code| of(*code as usize)).sum::<u32>()))
            .collect();
        other -= named.iter().map(|(_, count)| count).sum::<u32>();
        named.push(("other", other));
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
