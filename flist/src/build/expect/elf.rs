//! What a program or library of ELF names to be loaded with it.

use elf::ElfBytes;
use elf::abi::{DT_NEEDED, DT_RPATH, DT_RUNPATH, DT_STRTAB, ELFMAGIC, PT_INTERP, PT_LOAD};
use elf::endian::AnyEndian;

use super::join;

/// Bytes that tell of what machine a file is: those of the header.
pub(super) const HEADER_LEN: u64 = 64;

/// Most libraries one names, and most directories it has them looked for in: those with the most have some
/// hundred, and some few.
const MOST_NEEDED: usize = 1000;
const MOST_DIRS: usize = 64;
/// Longest name of a library or path, in bytes, as in Linux (`PATH_MAX`).
const LONGEST: usize = 4096;

/// That.
#[derive(Debug)]
pub(super) struct Elf<'a> {
    /// The loader.
    pub(super) interpreter: Option<&'a [u8]>,
    /// Libraries, by name.
    pub(super) needed: Vec<&'a [u8]>,
    pub(super) machine: Machine,
    run_path: Option<&'a [u8]>,
}

/// What a file is for: its class, byte order and machine, as the header has them.
pub(super) type Machine = [u8; 4];

/// The machine of an ELF file that begins so; `EI_CLASS` and `EI_DATA` are at 4, `e_machine` at 18.
pub(super) fn machine_of(file: &[u8]) -> Option<Machine> {
    let header = file.get(..20).filter(|header| header.starts_with(&ELFMAGIC))?;
    Some([4, 5, 18, 19].map(|at| header.get(at).copied().unwrap_or_default()))
}

impl<'a> Elf<'a> {
    /// Reads it; what is broken is as if it were not there. None for what is no ELF file.
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let file = ElfBytes::<AnyEndian>::minimal_parse(bytes).ok()?;
        let machine = machine_of(bytes)?;
        let mut elf = Self { interpreter: None, needed: Vec::new(), machine, run_path: None };
        let segments = file.segments();
        if let Some(named) = segments.and_then(|s| s.iter().find(|s| s.p_type == PT_INTERP)) {
            let name = file.segment_data(&named).ok();
            elf.interpreter = name.and_then(|name| name.split(|byte| *byte == 0).next());
        }
        elf.read_dynamic(bytes, &file);
        Some(elf)
    }

    /// Reads the section for the loader, if there is one that leads anywhere.
    fn read_dynamic(&mut self, bytes: &'a [u8], file: &ElfBytes<'a, AnyEndian>) -> Option<()> {
        let dynamic = file.dynamic().ok()??;
        // Where strings lie is an address; where that lies in the file, the segments say.
        let table = dynamic.iter().find(|entry| entry.d_tag == DT_STRTAB)?.d_ptr();
        let mut loaded = file.segments()?.iter().filter(|segment| segment.p_type == PT_LOAD);
        let start = loaded.find_map(|segment| {
            let into = table.checked_sub(segment.p_vaddr)?;
            (into < segment.p_filesz).then(|| segment.p_offset.checked_add(into))?
        })?;
        let string = |at: u64| {
            let start = usize::try_from(start.checked_add(at)?).ok()?;
            let rest = bytes.get(start..)?;
            let len = rest.iter().take(LONGEST).position(|byte| *byte == 0)?;
            rest.get(..len)
        };
        for entry in dynamic.iter() {
            match entry.d_tag {
                DT_NEEDED if self.needed.len() < MOST_NEEDED => {
                    self.needed.extend(string(entry.d_val()));
                }
                DT_RPATH | DT_RUNPATH => self.run_path = string(entry.d_val()),
                _ => {}
            }
        }
        Some(())
    }

    /// Where the file `path` has its libraries looked for first.
    pub(super) fn run_path(&self, path: &[u8]) -> Vec<Vec<u8>> {
        const ORIGIN: &[u8] = b"$ORIGIN";
        let dirs = self.run_path.unwrap_or_default().split(|byte| *byte == b':');
        let own = path.get(..path.len() - super::name_of(path).len()).unwrap_or_default();
        dirs.filter(|dir| !dir.is_empty())
            .take(MOST_DIRS)
            .map(|dir| match dir.strip_prefix(ORIGIN) {
                Some(below) => join(own, below),
                None => dir.to_vec(),
            })
            .collect()
    }
}
