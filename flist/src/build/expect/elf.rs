//! What a program or library of ELF names to be loaded with it.

use elf::ElfBytes;
use elf::abi::{DT_NEEDED, DT_RPATH, DT_RUNPATH, DT_STRTAB, PT_INTERP, PT_LOAD};
use elf::endian::AnyEndian;

use super::join;

/// Most libraries one names: those with the most have some hundred.
const MOST_NEEDED: usize = 1000;

/// That.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Elf<'a> {
    /// The loader.
    pub(super) interpreter: Option<&'a [u8]>,
    /// Libraries, by name.
    pub(super) needed: Vec<&'a [u8]>,
    run_path: Option<&'a [u8]>,
}

impl<'a> Elf<'a> {
    /// Reads it; what is broken is as if it were not there. None for what is no ELF file.
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let file = ElfBytes::<AnyEndian>::minimal_parse(bytes).ok()?;
        let mut elf = Self::default();
        let segments = file.segments();
        if let Some(named) = segments.and_then(|s| s.iter().find(|s| s.p_type == PT_INTERP)) {
            let name = file.segment_data(&named).ok();
            elf.interpreter = name.and_then(|name| name.split(|byte| *byte == 0).next());
        }
        let Ok(Some(dynamic)) = file.dynamic() else { return Some(elf) };
        // Where strings lie is an address; where that lies in the file, the segments say.
        let table = dynamic.iter().find(|entry| entry.d_tag == DT_STRTAB)?.d_ptr();
        let mut loaded = segments?.iter().filter(|segment| segment.p_type == PT_LOAD);
        let start = loaded.find_map(|segment| {
            let into = table.checked_sub(segment.p_vaddr)?;
            (into < segment.p_filesz).then(|| segment.p_offset.checked_add(into))?
        })?;
        let string = |at: u64| {
            let start = usize::try_from(start.checked_add(at)?).ok()?;
            bytes.get(start..)?.split(|byte| *byte == 0).next()
        };
        for entry in dynamic.iter() {
            match entry.d_tag {
                DT_NEEDED if elf.needed.len() < MOST_NEEDED => {
                    elf.needed.extend(string(entry.d_val()));
                }
                DT_RPATH | DT_RUNPATH => elf.run_path = string(entry.d_val()),
                _ => {}
            }
        }
        Some(elf)
    }

    /// Where the file `path` has its libraries looked for first.
    pub(super) fn run_path(&self, path: &[u8]) -> Vec<Vec<u8>> {
        const ORIGIN: &[u8] = b"$ORIGIN";
        let dirs = self.run_path.unwrap_or_default().split(|byte| *byte == b':');
        let own = path.get(..path.len() - super::name_of(path).len()).unwrap_or_default();
        dirs.filter(|dir| !dir.is_empty())
            .map(|dir| match dir.strip_prefix(ORIGIN) {
                Some(below) => join(own, below),
                None => dir.to_vec(),
            })
            .collect()
    }
}
