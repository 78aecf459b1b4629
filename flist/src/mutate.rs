//! For tests: what a fuzzer does to its seeds, the same each time.

/// A generator of numbers that are the same each time (xorshift64).
pub struct Numbers(u64);

impl Numbers {
    /// One that begins anew.
    #[expect(clippy::new_without_default, reason = "no number is the natural first")]
    pub fn new() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }

    /// The next number, below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 1).unwrap_or(usize::MAX) % end.max(1)
    }

    /// Changes some bytes of `data`, or moves, inserts and removes some.
    pub fn mutate(&mut self, data: &mut Vec<u8>) {
        for _ in 0..=self.below(4) {
            let at = self.below(data.len());
            let end = at + self.below(data.len() - at).min(16);
            match self.below(6) {
                0 => data.iter_mut().skip(at).take(1).for_each(|b| *b ^= 1 << (end % 8)),
                1 => data
                    .iter_mut()
                    .skip(at)
                    .take(1)
                    .for_each(|b| *b = [0, 1, 0x7f, 0x80, 0xff][end % 5]),
                2 => drop(data.drain(at..end)),
                3 => data.extend_from_within(at..end),
                4 => drop(data.splice(at..at, [end.to_le_bytes()[0]])),
                _ => {
                    let piece = data[at..end].to_vec();
                    let to = self.below(data.len());
                    drop(data.splice(to..to, piece));
                }
            }
        }
    }
}
