//! Image metadata: `meta`, a row a pair of key and value.

use super::column::{Reader, Writer};
use super::decode::{Read, Source, bound};
use super::encode::Columns;
use super::sections as s;
use crate::image::{Image, MAX_META, MAX_META_LEN, Tables};

pub(super) fn write(image: &Image, out: &mut Columns) {
    let mut column = Writer::default();
    for (key, value) in image.meta() {
        column.counted(key.as_bytes());
        column.counted(value.as_bytes());
    }
    out.put(s::META, column);
}

/// All pairs.
pub(super) fn read(source: &Source<'_>, tables: &mut Tables) -> Read {
    let bytes = source.bytes(s::META)?;
    let mut reader = Reader::new(s::META, &bytes);
    while !reader.is_empty() {
        bound(&reader, tables.meta.len(), MAX_META)?;
        let key = text(&mut reader)?;
        tables.meta.push((key, text(&mut reader)?));
        reader.next_row();
    }
    Ok(())
}

fn text(reader: &mut Reader<'_>) -> Read<String> {
    let bytes = reader.counted(MAX_META_LEN)?.to_vec();
    String::from_utf8(bytes).map_err(|_invalid| reader.bad_here("it is not UTF-8"))
}
