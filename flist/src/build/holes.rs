//! Tells holes from data by the bytes alone, so that the result does not depend on how a file
//! system or an archive happened to store the file: a run of zeros of at least [`MIN_HOLE`] bytes
//! that begins and ends at multiples of [`PAGE`] (or at the end of the file) is a hole.

use super::BuildError;

/// Holes begin at multiples of this.
const PAGE: usize = 4096;
/// Shorter runs of zeros are data.
const MIN_HOLE: u64 = 64 << 10;

const ZEROS: [u8; PAGE] = [0; PAGE];

/// Takes the data of a file: where in it, and the bytes. What comes is in file order.
pub(super) trait Sink {
    fn data(&mut self, file_offset: u64, bytes: &[u8]) -> Result<(), BuildError>;
}

impl<F: FnMut(u64, &[u8]) -> Result<(), BuildError>> Sink for F {
    fn data(&mut self, file_offset: u64, bytes: &[u8]) -> Result<(), BuildError> {
        self(file_offset, bytes)
    }
}

/// The bytes of a file, or of a range of it, go in; its data comes out.
pub(super) struct Holes<'a> {
    sink: &'a mut dyn Sink,
    /// Offset of the first byte that was not yet passed on, a multiple of [`PAGE`].
    at: u64,
    /// Zeros from `at` on, whole pages.
    zeros: u64,
    /// The page begun after them.
    page: Vec<u8>,
}

impl<'a> Holes<'a> {
    /// What comes begins at offset `at` of the file, a multiple of [`PAGE`].
    pub(super) fn new(at: u64, sink: &'a mut dyn Sink) -> Self {
        Self { sink, at, zeros: 0, page: Vec::with_capacity(PAGE) }
    }

    /// The next bytes of the file.
    pub(super) fn bytes(&mut self, mut bytes: &[u8]) -> Result<(), BuildError> {
        if !self.page.is_empty() {
            let (head, rest) = bytes.split_at(bytes.len().min(PAGE - self.page.len()));
            self.page.extend_from_slice(head);
            bytes = rest;
            self.turn_full_page()?;
        }
        let (whole, rest) = bytes.split_at(bytes.len() / PAGE * PAGE);
        self.pages(whole)?;
        self.page.extend_from_slice(rest);
        Ok(())
    }

    /// So many zeros are next in the file.
    pub(super) fn zeros(&mut self, mut count: u64) -> Result<(), BuildError> {
        let page = PAGE as u64;
        if !self.page.is_empty() {
            let fill = (PAGE - self.page.len()).min(usize::try_from(count).unwrap_or(PAGE));
            self.page.extend(ZEROS.iter().take(fill));
            count -= fill as u64;
            self.turn_full_page()?;
        }
        if self.page.is_empty() {
            self.zeros += count / page * page;
            self.page.extend(ZEROS.iter().take(usize::try_from(count % page).unwrap_or(0)));
        }
        Ok(())
    }

    /// The file, or the range, ends here.
    pub(super) fn finish(mut self) -> Result<(), BuildError> {
        let rest = std::mem::take(&mut self.page);
        if rest.iter().all(|&b| b == 0) {
            if self.zeros + (rest.len() as u64) < MIN_HOLE {
                self.flush_zeros()?;
                self.pass(&rest)?;
            }
            return Ok(());
        }
        self.flush_zeros()?;
        self.pass(&rest)
    }

    fn turn_full_page(&mut self) -> Result<(), BuildError> {
        if self.page.len() == PAGE {
            let page = std::mem::take(&mut self.page);
            self.pages(&page)?;
            self.page = page;
            self.page.clear();
        }
        Ok(())
    }

    /// Whole pages: runs of data are passed on in one piece.
    fn pages(&mut self, bytes: &[u8]) -> Result<(), BuildError> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let data = rest.chunks(PAGE).take_while(|p| *p != ZEROS).count() * PAGE;
            let (run, after) = rest.split_at(data);
            if !run.is_empty() {
                self.flush_zeros()?;
                self.pass(run)?;
            }
            let zeros = after.chunks(PAGE).take_while(|p| *p == ZEROS).count() * PAGE;
            self.zeros += zeros as u64;
            rest = after.get(zeros..).unwrap_or_default();
        }
        Ok(())
    }

    /// Data follows: the zeros before it are a hole if they are many, else data.
    fn flush_zeros(&mut self) -> Result<(), BuildError> {
        let zeros = std::mem::take(&mut self.zeros);
        if zeros >= MIN_HOLE {
            self.at += zeros;
            return Ok(());
        }
        for _ in 0..zeros / PAGE as u64 {
            self.pass(&ZEROS)?;
        }
        Ok(())
    }

    fn pass(&mut self, bytes: &[u8]) -> Result<(), BuildError> {
        if !bytes.is_empty() {
            self.sink.data(self.at, bytes)?;
            self.at += bytes.len() as u64;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Runs of data, merged where they touch.
    #[derive(Default, Debug, PartialEq)]
    struct Runs(Vec<(u64, Vec<u8>)>);

    impl Sink for Runs {
        fn data(&mut self, offset: u64, bytes: &[u8]) -> Result<(), BuildError> {
            match self.0.last_mut() {
                Some((start, run)) if *start + run.len() as u64 == offset => {
                    run.extend_from_slice(bytes);
                }
                _ => self.0.push((offset, bytes.to_vec())),
            }
            Ok(())
        }
    }

    /// A piece of a file: zeros by count, or bytes.
    #[derive(Debug, Clone)]
    enum Part {
        Zeros(usize),
        Bytes(usize),
    }

    fn feed(parts: &[Part], step: usize, as_bytes: bool) -> (Vec<u8>, Runs) {
        let (mut plain, mut runs) = (Vec::new(), Runs::default());
        let mut holes = Holes::new(0, &mut runs);
        for part in parts {
            match *part {
                Part::Zeros(n) if !as_bytes => {
                    holes.zeros(n as u64).unwrap();
                    plain.resize(plain.len() + n, 0);
                }
                Part::Zeros(n) | Part::Bytes(n) => {
                    let fill = u8::from(matches!(part, Part::Bytes(_)));
                    let bytes = vec![fill; n];
                    bytes.chunks(step).for_each(|b| holes.bytes(b).unwrap());
                    plain.extend_from_slice(&bytes);
                }
            }
        }
        holes.finish().unwrap();
        (plain, runs)
    }

    /// The definition at the top of this file, in the plainest way.
    fn expected(plain: &[u8]) -> Runs {
        let pages: Vec<&[u8]> = plain.chunks(PAGE).collect();
        let (mut runs, mut at, mut offset) = (Runs::default(), 0, 0);
        while at < pages.len() {
            let zeros = pages[at..].iter().take_while(|p| p.iter().all(|&b| b == 0));
            let run: Vec<_> = zeros.collect();
            let len: usize = run.iter().map(|p| p.len()).sum();
            let take = if len as u64 >= MIN_HOLE { 0 } else { run.len().max(1) };
            for page in &pages[at..at + take] {
                runs.data(offset as u64, page).unwrap();
                offset += page.len();
            }
            if take == 0 {
                offset += len;
            }
            at += if take == 0 { run.len() } else { take };
        }
        runs
    }

    proptest! {
        #[test]
        fn holes_are_what_the_definition_says(
            parts in prop::collection::vec(
                prop_oneof![
                    (0_usize..200_000).prop_map(Part::Zeros),
                    (0_usize..30).prop_map(|n| Part::Zeros(n * PAGE)),
                    (0_usize..10_000).prop_map(Part::Bytes),
                    (0_usize..4).prop_map(|n| Part::Bytes(n * PAGE)),
                ],
                0..8,
            ),
            step in 1_usize..300_000,
            as_bytes: bool,
        ) {
            let (plain, runs) = feed(&parts, step, as_bytes);
            prop_assert_eq!(runs, expected(&plain));
        }
    }

    #[test]
    fn zeros_at_the_limit() {
        for (zeros, data) in [(MIN_HOLE - 1, 1), (MIN_HOLE, 0), (MIN_HOLE + 1, 0)] {
            let (_, runs) = feed(&[Part::Zeros(usize::try_from(zeros).unwrap())], 4096, true);
            assert_eq!(runs.0.len(), data, "{zeros}");
        }
    }
}
