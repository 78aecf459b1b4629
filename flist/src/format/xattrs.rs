//! The xattr sets but for the first, which is empty: `xset`, a row a set.

use super::column::{Reader, Writer};
use super::decode::{Read, Source, bound};
use super::encode::Columns;
use super::sections as s;
use crate::image::{
    Image, MAX_XATTR_NAME_LEN, MAX_XATTR_SETS, MAX_XATTR_VALUE_LEN, MAX_XATTRS, Tables, XattrSet,
};

pub(super) fn write(image: &Image, out: &mut Columns) {
    let mut column = Writer::default();
    for set in image.tables().xattr_sets.iter().skip(1) {
        column.number(set.len() as u64);
        for (name, value) in set {
            column.counted(name);
            column.counted(value);
        }
    }
    out.put(s::XATTR_SET, column);
}

/// All xattr sets.
pub(super) fn read(source: &Source<'_>, tables: &mut Tables) -> Read {
    let bytes = source.bytes(s::XATTR_SET)?;
    let mut reader = Reader::new(s::XATTR_SET, &bytes);
    tables.xattr_sets.push(XattrSet::new());
    while !reader.is_empty() {
        bound(&reader, tables.xattr_sets.len(), MAX_XATTR_SETS)?;
        let count = reader.part()?;
        if count > MAX_XATTRS as u64 {
            return Err(reader.bad_here("it has too many attributes"));
        }
        let mut set = XattrSet::new();
        for _ in 0..count {
            let name = reader.counted(MAX_XATTR_NAME_LEN)?.to_vec();
            set.push((name, reader.counted(MAX_XATTR_VALUE_LEN)?.to_vec()));
        }
        reader.next_row();
        tables.xattr_sets.push(set);
    }
    Ok(())
}
