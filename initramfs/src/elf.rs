//! Just enough of ELF (64-bit, little endian) to read a section by its name and to see whether
//! a program is static. Bytes in, slices out; never panics, whatever the bytes are.

use thiserror::Error;

const MAGIC: [u8; 6] = [0x7f, b'E', b'L', b'F', 2, 1];
const PT_INTERP: u32 = 3;
const SHT_NOBITS: u32 = 8;

/// Why a file could not be read as ELF.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ElfError {
    /// The first bytes are not those of a 64-bit little-endian ELF file.
    #[error("not a 64-bit little-endian ELF file")]
    NotElf,
    /// A table or section lies outside of the file.
    #[error("damaged ELF file: its {0} lies beyond its end")]
    Beyond(&'static str),
}

/// An ELF file's bytes, their header checked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Elf<'a> {
    bytes: &'a [u8],
}

impl<'a> Elf<'a> {
    /// Takes the bytes of a 64-bit little-endian ELF file.
    pub(crate) fn new(bytes: &'a [u8]) -> Result<Elf<'a>, ElfError> {
        if !bytes.starts_with(&MAGIC) {
            return Err(ElfError::NotElf);
        }
        Ok(Elf { bytes })
    }

    /// Whether the program asks for a dynamic loader.
    pub(crate) fn is_dynamic(&self) -> Result<bool, ElfError> {
        let table = "program header table";
        let headers = self.table(0x20, 0x36, 0x38, table)?;
        for header in headers {
            if u32_at(header, 0).ok_or(ElfError::Beyond(table))? == PT_INTERP {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The contents of the first section of that name, or `None` if there is none.
    pub(crate) fn section(&self, name: &[u8]) -> Result<Option<&'a [u8]>, ElfError> {
        let table = ElfError::Beyond("section table");
        let mut headers = self.table(0x28, 0x3a, 0x3c, "section table")?;
        let names_index = u16_at(self.bytes, 0x3e).ok_or(table)?;
        let names = headers
            .clone()
            .nth(usize::from(names_index))
            .ok_or(ElfError::Beyond("table of section names"))
            .and_then(|header| self.contents(header))?;
        let found = headers.find(|header| {
            u32_at(header, 0)
                .and_then(|at| names.get(usize::try_from(at).ok()?..))
                .and_then(|tail| tail.strip_prefix(name))
                .is_some_and(|rest| rest.first() == Some(&0))
        });
        found.map(|header| self.contents(header)).transpose()
    }

    fn contents(&self, header: &[u8]) -> Result<&'a [u8], ElfError> {
        let beyond = ElfError::Beyond("section");
        let range = || {
            if u32_at(header, 4)? == SHT_NOBITS {
                return Some(&[][..]);
            }
            let start = usize::try_from(u64_at(header, 0x18)?).ok()?;
            let len = usize::try_from(u64_at(header, 0x20)?).ok()?;
            self.bytes.get(start..start.checked_add(len)?)
        };
        range().ok_or(beyond)
    }

    /// The headers of a table whose offset, entry size and count stand at these places.
    fn table(
        &self,
        offset_at: usize,
        size_at: usize,
        count_at: usize,
        what: &'static str,
    ) -> Result<std::slice::ChunksExact<'a, u8>, ElfError> {
        let find = || {
            let start = usize::try_from(u64_at(self.bytes, offset_at)?).ok()?;
            let size = usize::from(u16_at(self.bytes, size_at)?);
            let count = usize::from(u16_at(self.bytes, count_at)?);
            let end = start.checked_add(size.checked_mul(count)?)?;
            let table = if count == 0 { &[][..] } else { self.bytes.get(start..end)? };
            Some(table.chunks_exact(size.max(1)))
        };
        find().ok_or(ElfError::Beyond(what))
    }
}

fn array_at<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    array_at(bytes, at).map(u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    array_at(bytes, at).map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    array_at(bytes, at).map(u64::from_le_bytes)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// An ELF file that holds one section, `.modinfo`, and the table of section names.
    pub(crate) fn with_modinfo(modinfo: &[u8]) -> Vec<u8> {
        const NAMES: &[u8] = b"\0.modinfo\0.shstrtab\0";
        let names_at = 64 + modinfo.len();
        let table_at = names_at + NAMES.len();
        let mut elf = vec![0; 64];
        elf[..6].copy_from_slice(&MAGIC);
        elf[0x28..0x30].copy_from_slice(&(table_at as u64).to_le_bytes());
        elf[0x3a] = 64;
        elf[0x3c] = 3;
        elf[0x3e] = 2;
        elf.extend_from_slice(modinfo);
        elf.extend_from_slice(NAMES);
        for (name, start, len) in [(0u8, 0, 0), (1, 64, modinfo.len()), (10, names_at, NAMES.len())]
        {
            let mut header = [0; 64];
            header[0] = name;
            header[0x18..0x20].copy_from_slice(&(start as u64).to_le_bytes());
            header[0x20..0x28].copy_from_slice(&(len as u64).to_le_bytes());
            elf.extend_from_slice(&header);
        }
        elf
    }

    #[test]
    fn a_section_is_found_by_its_whole_name() {
        let bytes = with_modinfo(b"depends=a\0");
        let elf = Elf::new(&bytes).unwrap();
        assert_eq!(elf.section(b".modinfo").unwrap(), Some(&b"depends=a\0"[..]));
        assert_eq!(elf.section(b".modinf").unwrap(), None);
        assert_eq!(elf.section(b".text").unwrap(), None);
    }

    #[test]
    fn this_test_program_is_dynamic_or_static_as_it_was_built() {
        let bytes = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let dynamic = Elf::new(&bytes).unwrap().is_dynamic().unwrap();
        assert_eq!(dynamic, !cfg!(target_feature = "crt-static"));
    }

    #[test]
    fn what_lies_beyond_the_end_is_named() {
        let whole = with_modinfo(b"depends=a\0");
        assert_eq!(Elf::new(b"\x7fELF\x01\x01").unwrap_err(), ElfError::NotElf);
        let cut = &whole[..whole.len() - 1];
        let error = Elf::new(cut).unwrap().section(b".modinfo").unwrap_err();
        assert_eq!(error, ElfError::Beyond("section table"));
    }

    proptest::proptest! {
        #[test]
        fn no_damage_makes_it_panic(at in 0usize..300, value: u8, len in 0usize..300) {
            let mut bytes = with_modinfo(b"depends=a,b\0alias=x\0");
            let at = at % bytes.len();
            bytes[at] = value;
            bytes.truncate(len.max(6));
            if let Ok(elf) = Elf::new(&bytes) {
                let _ = elf.section(b".modinfo");
                let _ = elf.is_dynamic();
            }
        }
    }
}
