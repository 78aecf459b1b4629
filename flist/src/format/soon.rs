//! What of the packs a boot by the image's profile asks for first, `soon`. It lies at the beginning of the
//! file, so that who fetches an flist can ask for that as well before the rest is there.

use std::ops::Range;

use super::column::{Reader, Writer};
use super::encode::Columns;
use super::header::Layout;
use super::sections::SOON;
use crate::id::{ID_LEN, PackId};
use crate::image::{Image, Pack};

/// The longest stretch, in stored bytes: a request's, as long as nothing is known of the way.
pub const MAX_SOON_LEN: u64 = 512 << 10;

/// How much of a file's beginning says what is needed soon, in bytes, if it does at all.
pub const BEGINNING_LEN: usize = 4 << 10;

/// A stretch of a pack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Soon {
    /// The pack.
    pub pack: Pack,
    /// Which bytes of it: some, at most [`MAX_SOON_LEN`], none beyond its end.
    pub range: Range<u64>,
}

impl Soon {
    /// The first chunks of `image`'s profile that follow each other in their pack, as far as one request
    /// goes; none without a profile, or where the first chunk is longer.
    pub fn of(image: &Image) -> Option<Self> {
        let profiled = image.chunks().get(..image.profiled().len())?;
        let first = profiled.first()?;
        let mut range = first.offset..first.offset;
        for chunk in profiled {
            let end = chunk.range().end;
            let goes_on = chunk.pack == first.pack && chunk.offset == range.end;
            if !goes_on || end - range.start > MAX_SOON_LEN {
                break;
            }
            range.end = end;
        }
        let pack = *image.pack_of(first)?;
        (!range.is_empty()).then_some(Self { pack, range })
    }

    /// What an flist that begins with `beginning` says of it, if that is enough of the file. Nothing of the
    /// file is verified: this may be asked for, and what comes is to be believed no more than the rest.
    pub fn peek(beginning: &[u8]) -> Option<Self> {
        let layout = Layout::peek(beginning)?;
        let section = layout.sections.iter().find(|section| section.tag == SOON)?;
        let start = usize::try_from(section.offset).ok()?;
        let end = start.checked_add(usize::try_from(section.stored_len).ok()?)?;
        let bytes = beginning.get(start..end).filter(|_| !section.is_compressed())?;
        let mut reader = Reader::new(SOON, bytes);
        let id = PackId::from_bytes(*reader.take(ID_LEN).ok()?.first_chunk()?);
        let mut number = || reader.u64().ok();
        let (pack, start, len) = (Pack { id, len: number()? }, number()?, number()?);
        reader.finish().ok()?;
        let end = start.checked_add(len)?;
        let bounded = (1..=MAX_SOON_LEN).contains(&len) && end <= pack.len;
        bounded.then_some(Self { pack, range: start..end })
    }
}

pub(super) fn write(image: &Image, out: &mut Columns) {
    let mut column = Writer::default();
    if let Some(Soon { pack, range }) = Soon::of(image) {
        column.0.extend_from_slice(pack.id.as_bytes());
        for number in [pack.len, range.start, range.end - range.start] {
            column.number(number);
        }
    }
    out.put(SOON, column);
}
