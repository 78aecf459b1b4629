//! The dirents, `dpre dnam dino`: names front-coded in each directory, and numbers only where a
//! name is not the first of its inode.

use super::column::{Reader, Writer};
use super::decode::{Read, Source, bound, row_number};
use super::encode::Columns;
use super::sections as s;
use crate::image::{Dirent, Image, Kind, MAX_INODES, MAX_NAME_LEN, MAX_NAMES_LEN, ROOT, Tables};

/// In `dino`: the dirent names the inode whose number is the next that no dirent has named.
const NEXT: u32 = 0;

pub(super) fn write(image: &Image, out: &mut Columns) {
    let (mut prefixes, mut rests) = (Writer::default(), Writer::default());
    let mut inos = Writer::default();
    let mut next = ROOT + 1;
    for ino in ROOT..=image.inode_count() {
        let Some(entries) = image.entries(ino) else { continue };
        let mut last: &[u8] = b"";
        for entry in entries {
            let name = image.name(entry);
            let prefix = name.iter().zip(last).take_while(|(a, b)| a == b).count();
            prefixes.number(prefix as u64);
            rests.string(name.get(prefix..).unwrap_or_default());
            last = name;
            let new = entry.ino == next;
            inos.number(if new { NEXT } else { entry.ino }.into());
            next += u32::from(new);
        }
        rests.string(b"");
    }
    out.put(s::DIRENT_PREFIX, prefixes);
    out.put(s::DIRENT_NAME, rests);
    out.put(s::DIRENT_INO, inos);
}

struct Readers<'a> {
    prefixes: Reader<'a>,
    rests: Reader<'a>,
    inos: Reader<'a>,
    /// The last number that a dirent has named.
    last: u32,
}

/// The dirents of all directories.
pub(super) fn read(source: &Source<'_>, tables: &mut Tables) -> Read {
    let prefixes = source.bytes(s::DIRENT_PREFIX)?;
    let (rests, inos) = (source.bytes(s::DIRENT_NAME)?, source.bytes(s::DIRENT_INO)?);
    let mut columns = Readers {
        prefixes: Reader::new(s::DIRENT_PREFIX, &prefixes),
        rests: Reader::new(s::DIRENT_NAME, &rests),
        inos: Reader::new(s::DIRENT_INO, &inos),
        last: ROOT,
    };
    tables.dirents.reserve_exact(columns.inos.numbers_left().min(MAX_INODES));
    for inode in &mut tables.inodes {
        if let Kind::Directory { first, count } = &mut inode.kind {
            *first = row_number(tables.dirents.len());
            columns.directory(&mut tables.dirents, &mut tables.names)?;
            *count = row_number(tables.dirents.len()) - *first;
        }
    }
    columns.prefixes.finish()?;
    columns.rests.finish()?;
    columns.inos.finish()
}

impl Readers<'_> {
    /// Pushes the entries of the next directory.
    fn directory(&mut self, dirents: &mut Vec<Dirent>, names: &mut Vec<u8>) -> Read {
        let mut last = names.len()..names.len();
        loop {
            let rest = self.rests.string()?;
            // A name is greater than the one before, so only the end has nothing of its own.
            if rest.is_empty() {
                return Ok(());
            }
            bound(&self.rests, dirents.len(), MAX_INODES)?;
            let prefix = usize::try_from(self.prefixes.u64()?).unwrap_or(usize::MAX);
            if prefix > last.len() {
                return Err(self.prefixes.bad("it is longer than the name before"));
            }
            let len = prefix + rest.len();
            if len > MAX_NAME_LEN || names.len() + len > MAX_NAMES_LEN {
                return Err(self.rests.bad("the name, or all together, is too long"));
            }
            let start = names.len();
            names.extend_from_within(last.start..last.start + prefix);
            names.extend_from_slice(rest);
            last = start..names.len();
            let ino = self.ino()?;
            let name_len = u8::try_from(len).unwrap_or(u8::MAX);
            dirents.push(Dirent { name_start: row_number(start), ino, name_len });
        }
    }

    fn ino(&mut self) -> Read<u32> {
        match self.inos.u32()? {
            NEXT => {
                self.last += 1;
                Ok(self.last)
            }
            ino => Ok(ino),
        }
    }
}
