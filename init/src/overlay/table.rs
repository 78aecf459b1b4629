//! The UUID of a partition, as its table has it: kernels tell it only since 6.14.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

/// What an entry of a GPT may measure: the least the standard has, and more than any does.
const ENTRY: std::ops::RangeInclusive<u32> = 128..=4096;

/// The UUID of partition `number`, counted from 1, of `disk`, whose blocks measure `block` bytes.
/// Nothing where there is no table that knows it.
pub(super) fn part_uuid(disk: &File, block: u64, number: u32) -> io::Result<Option<String>> {
    let mut header = [0; 92];
    disk.read_exact_at(&mut header, block)?;
    if header.starts_with(b"EFI PART") {
        return gpt(disk, block, number, &header);
    }
    let mut sector = [0; 512];
    disk.read_exact_at(&mut sector, 0)?;
    let signature = u32_at(&sector, 440);
    let is_mbr = sector.ends_with(&[0x55, 0xaa]) && signature != 0;
    Ok(is_mbr.then(|| format!("{signature:08x}-{number:02x}")))
}

fn gpt(disk: &File, block: u64, number: u32, header: &[u8]) -> io::Result<Option<String>> {
    let (count, size) = (u32_at(header, 80), u32_at(header, 84));
    let first = u64::from(u32_at(header, 72)) | u64::from(u32_at(header, 76)) << 32;
    let at = || {
        let before = u64::from(number.checked_sub(1)?) * u64::from(size);
        first.checked_mul(block)?.checked_add(before)
    };
    let (Some(at), true) = (at(), number <= count && ENTRY.contains(&size)) else {
        return Ok(None);
    };
    let mut entry = [0; 32];
    disk.read_exact_at(&mut entry, at)?;
    let (_kind, id) = entry.split_at(16);
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let (a, b, c) = (u32_at(id, 0), u32_at(id, 4) & 0xffff, u32_at(id, 4) >> 16);
    Ok(Some(format!("{a:08x}-{b:04x}-{c:04x}-{}-{}", hex(&id[8..10]), hex(&id[10..]))))
}

/// The little-endian number at `at`; zero where `bytes` are too short.
fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let word = bytes.get(at..at + 4).and_then(|word| word.try_into().ok());
    word.map_or(0, u32::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    /// A disk of 64 MiB with the table that sfdisk makes of `script`.
    fn disk(script: &str) -> tempfile::NamedTempFile {
        let disk = tempfile::NamedTempFile::new().unwrap();
        disk.as_file().set_len(64 << 20).unwrap();
        let mut sfdisk = Command::new("sfdisk");
        let mut child =
            sfdisk.arg("--quiet").arg(disk.path()).stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
        assert!(child.wait().unwrap().success());
        disk
    }

    #[test]
    fn of_a_gpt() {
        let uuid = "01234567-89ab-cdef-fedc-ba9876543210";
        let disk = disk(&format!("label: gpt\nsize=8M\nstart=40960, size=8M, uuid={uuid}\n"));
        let of = |number| part_uuid(disk.as_file(), 512, number).unwrap();
        assert_eq!(of(2).as_deref(), Some(uuid));
        assert!(of(1).is_some_and(|other| other != uuid && other.len() == 36));
        assert_eq!((of(0), of(129)), (None, None));
        // Blocks of 4 KiB: where the table would lie then, there is none, nor an MBR's number.
        assert_eq!(part_uuid(disk.as_file(), 4096, 2).unwrap(), None);
    }

    #[test]
    fn of_an_mbr() {
        let disk = disk("label: dos\nlabel-id: 0x00c0ffee\nsize=8M\nsize=8M\n");
        assert_eq!(part_uuid(disk.as_file(), 512, 2).unwrap().as_deref(), Some("00c0ffee-02"));
    }

    #[test]
    fn of_no_table_and_of_nonsense() {
        let blank = tempfile::tempfile().unwrap();
        blank.set_len(1 << 20).unwrap();
        assert_eq!(part_uuid(&blank, 512, 1).unwrap(), None);
        blank.write_all_at(b"EFI PART", 512).unwrap();
        blank.write_all_at(&[0xff; 16], 512 + 72).unwrap();
        assert_eq!(part_uuid(&blank, 512, 1).unwrap(), None);
        blank.write_all_at(&128_u32.to_le_bytes(), 512 + 84).unwrap();
        assert_eq!(part_uuid(&blank, 512, 1).unwrap(), None);
        let short = tempfile::tempfile().unwrap();
        assert!(part_uuid(&short, 512, 1).is_err());
    }
}
