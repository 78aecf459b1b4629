//! Maps of sparse files, in the four forms that GNU tar has had: in the header (`S`), and in
//! extended headers as records (0.0), as one record (0.1), or before the contents (1.0).

use super::header::{BLOCK, Wrong, number};
use super::input::Input;
use super::pax::{Records, decimal};
use crate::build::BuildError;
use crate::build::tree::Segment;
use crate::image::MAX_EXTENTS;

/// Where the bytes of a sparse file belong.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Map {
    /// Length of the file, holes included.
    pub(super) size: u64,
    /// Offset in the file, and how many bytes.
    runs: Vec<(u64, u64)>,
}

/// Why there is no map where one should be.
pub(super) enum NoMap {
    Wrong(Wrong),
    Error(BuildError),
}

impl From<Wrong> for NoMap {
    fn from(why: Wrong) -> Self {
        Self::Wrong(why)
    }
}

impl From<BuildError> for NoMap {
    fn from(error: BuildError) -> Self {
        Self::Error(error)
    }
}

impl NoMap {
    pub(super) fn into_error(self, input: &Input<'_>, path: &[u8]) -> BuildError {
        match self {
            Self::Wrong(why) => input.wrong(Some(path), why),
            Self::Error(error) => error,
        }
    }
}

const MALFORMED: Wrong = "the map of this sparse file is malformed";
/// More runs could not be put into an image.
const TOO_MANY: Wrong = "this sparse file has too many holes";

/// The map of an entry, if it is sparse. Where the map is part of what is `stored`, reads it and
/// takes its length off.
pub(super) fn map(
    input: &mut Input<'_>,
    kind: u8,
    block: &[u8; BLOCK],
    records: &Records,
    stored: &mut u64,
) -> Result<Option<Map>, NoMap> {
    if kind == b'S' {
        return in_header(input, block).map(Some);
    }
    if records.get("GNU.sparse.major") == Some(b"1") {
        let size = records.number("GNU.sparse.realsize")?.ok_or(MALFORMED)?;
        let runs = before_contents(input, stored)?;
        return Ok(Some(Map { size, runs }));
    }
    let Some(size) = records.number("GNU.sparse.size")? else { return Ok(None) };
    let numbers: Vec<u64> = match records.get("GNU.sparse.map") {
        Some(map) => map.split(|&b| b == b',').map(decimal).collect::<Result<_, _>>()?,
        None => records
            .iter()
            .filter(|(key, _)| matches!(*key, b"GNU.sparse.offset" | b"GNU.sparse.numbytes"))
            .map(|(_, value)| decimal(value))
            .collect::<Result<_, _>>()?,
    };
    Ok(Some(Map { size, runs: pairs(&numbers)? }))
}

fn pairs(numbers: &[u64]) -> Result<Vec<(u64, u64)>, Wrong> {
    let (pairs, rest) = numbers.as_chunks::<2>();
    if rest.is_empty() {
        Ok(pairs.iter().map(|&[at, len]| (at, len)).collect())
    } else {
        Err(MALFORMED)
    }
}

/// The old form: four runs in the header, more in blocks behind it.
fn in_header(input: &mut Input<'_>, header: &[u8; BLOCK]) -> Result<Map, NoMap> {
    let size = u64::try_from(number(header, 483, 12)?).ok().ok_or(MALFORMED)?;
    let mut runs = Vec::new();
    take_runs(header, 386, 4, &mut runs)?;
    let mut more = header.get(482).is_some_and(|&b| b != 0);
    while more {
        let block = input.block()?;
        take_runs(&block, 0, 21, &mut runs)?;
        more = block.get(504).is_some_and(|&b| b != 0);
    }
    Ok(Map { size, runs })
}

fn take_runs(
    block: &[u8],
    from: usize,
    count: usize,
    runs: &mut Vec<(u64, u64)>,
) -> Result<(), Wrong> {
    for at in (from..).step_by(24).take(count) {
        if block.get(at).is_none_or(|&b| b == 0) {
            break;
        }
        let field = |at| u64::try_from(number(block, at, 12)?).ok().ok_or(MALFORMED);
        runs.push((field(at)?, field(at + 12)?));
    }
    if runs.len() > MAX_EXTENTS { Err(TOO_MANY) } else { Ok(()) }
}

/// Lines of decimal numbers, the first says how many pairs follow; padded to whole blocks.
fn before_contents(input: &mut Input<'_>, stored: &mut u64) -> Result<Vec<(u64, u64)>, NoMap> {
    let mut text: Vec<u8> = Vec::new();
    let mut numbers: Vec<u64> = Vec::new();
    let mut wanted = 1;
    while numbers.len() < wanted {
        *stored = stored.checked_sub(BLOCK as u64).ok_or(MALFORMED)?;
        text.extend_from_slice(&input.block()?);
        while let Some(end) = text.iter().position(|&b| b == b'\n') {
            if numbers.len() == wanted {
                break;
            }
            numbers.push(decimal(text.get(..end).unwrap_or_default())?);
            text.drain(..=end);
            if let [count] = numbers.as_slice() {
                let count = usize::try_from(*count).ok().filter(|&n| n <= MAX_EXTENTS);
                wanted += 2 * count.ok_or(TOO_MANY)?;
            }
        }
        if text.len() > BLOCK && numbers.len() < wanted {
            return Err(MALFORMED.into());
        }
    }
    Ok(pairs(numbers.get(1..).unwrap_or_default())?)
}

impl Map {
    /// The runs as they lie from `start` on, `stored` bytes in all.
    pub(super) fn segments(&self, start: u64, stored: u64) -> Result<Vec<Segment>, Wrong> {
        let (mut segments, mut at, mut end) = (Vec::new(), 0_u64, 0);
        for &(file_offset, len) in &self.runs {
            let run_end = file_offset.checked_add(len).filter(|&e| e <= self.size);
            let after = at.checked_add(len).filter(|&a| a <= stored);
            let (Some(run_end), Some(after), true) = (run_end, after, file_offset >= end) else {
                return Err(MALFORMED);
            };
            if len > 0 {
                segments.push(Segment { file_offset, at: start + at, len });
            }
            (at, end) = (after, run_end);
        }
        if at == stored { Ok(segments) } else { Err(MALFORMED) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_ascend_and_fit() {
        let map = |size, runs: &[(u64, u64)]| Map { size, runs: runs.to_vec() };
        let segments = map(100, &[(10, 5), (50, 20), (100, 0)]).segments(1000, 25).unwrap();
        let wanted = [(10, 1000, 5), (50, 1005, 20)].map(|(file_offset, at, len)| Segment {
            file_offset,
            at,
            len,
        });
        assert_eq!(segments, wanted);
        for (bad, stored) in [
            (map(100, &[(10, 5)]), 6),
            (map(100, &[(10, 5)]), 4),
            (map(12, &[(10, 5)]), 5),
            (map(100, &[(10, 5), (14, 5)]), 10),
            (map(100, &[(u64::MAX, 5)]), 5),
        ] {
            assert_eq!(bad.segments(0, stored), Err(MALFORMED), "{bad:?}");
        }
    }
}
