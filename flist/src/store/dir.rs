//! A store on this machine: a directory with `packs/` in it.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use super::{Body, Fault, Location, Store, StoreError};
use crate::image::Pack;

/// A directory that holds packs.
pub struct Dir {
    path: PathBuf,
    name: String,
}

impl Dir {
    /// The store in `path`; nothing is opened yet.
    pub fn new(path: PathBuf) -> Self {
        let name = Location::Path(path.clone()).to_string();
        Self { path, name }
    }
}

impl Store for Dir {
    fn name(&self) -> &str {
        &self.name
    }

    fn open(&self, pack: &Pack, range: Range<u64>) -> Result<Box<dyn Body + '_>, StoreError> {
        let path = self.path.join("packs").join(pack.id.to_string());
        let place = Location::Path(path.clone()).to_string();
        match File::open(path) {
            Ok(file) => Ok(Box::new(PackFile { file, place, range })),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                Err(StoreError::Missing { place, status: None })
            }
            Err(e) => Err(StoreError::Io { place, source: Arc::new(e) }),
        }
    }
}

struct PackFile {
    file: File,
    place: String,
    range: Range<u64>,
}

impl Body for PackFile {
    fn remaining(&self) -> Range<u64> {
        self.range.clone()
    }

    fn read_exact(&mut self, buf: &mut [u8]) -> Result<(), StoreError> {
        let place = || self.place.clone();
        match self.file.read_exact_at(buf, self.range.start) {
            Ok(()) => {
                self.range.start += buf.len() as u64;
                Ok(())
            }
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => {
                let got = self.file.metadata().map_or(0, |m| m.len());
                let want = self.range.end;
                Err(StoreError::Protocol { place: place(), fault: Fault::Short { got, want } })
            }
            Err(e) => Err(StoreError::Io { place: place(), source: Arc::new(e) }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::PackId;

    #[test]
    fn ranges_of_a_pack() {
        let dir = tempfile::tempdir().unwrap();
        let pack = Pack { id: PackId::of(b"0123456789"), len: 10 };
        let store = Dir::new(dir.path().into());
        assert!(matches!(store.fetch(&pack, 0..4), Err(StoreError::Missing { .. })));

        std::fs::create_dir(dir.path().join("packs")).unwrap();
        std::fs::write(dir.path().join("packs").join(pack.id.to_string()), b"0123456789").unwrap();
        assert_eq!(store.fetch(&pack, 3..7).unwrap(), b"3456");
        assert_eq!(store.fetch(&pack, 0..10).unwrap(), b"0123456789");
        let short = store.fetch(&pack, 8..12).unwrap_err();
        let StoreError::Protocol { fault, .. } = short else { panic!("{short}") };
        assert_eq!(fault, Fault::Short { got: 10, want: 12 });
    }

    #[test]
    fn a_directory_in_the_place_of_a_pack() {
        let dir = tempfile::tempdir().unwrap();
        let pack = Pack { id: PackId::of(b""), len: 10 };
        std::fs::create_dir_all(dir.path().join("packs").join(pack.id.to_string())).unwrap();
        let error = Dir::new(dir.path().into()).fetch(&pack, 0..4).unwrap_err();
        assert!(matches!(error, StoreError::Io { .. }), "{error}");
    }
}
