//! What a block device holds, told by its first bytes. Pure: bytes in, a description out.

use std::fmt;

/// How many bytes tell: up to the superblock of btrfs, the one that lies farthest in.
pub(super) const HEAD: usize = 68 << 10;

/// What a device holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Content {
    /// What it is.
    pub(super) kind: Kind,
    /// Its label, where it has one.
    pub(super) label: Option<String>,
    /// Its UUID in the usual writing.
    pub(super) uuid: Option<String>,
    /// Whether the kernel found errors in it since it was last checked.
    pub(super) has_errors: bool,
}

/// Sorts of content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A file system that can take an overlay's writes; the name mount(2) knows it by.
    Upper(&'static str),
    /// Something else, known by name.
    Other(&'static str),
    /// Zeros.
    Blank,
    /// Nothing known.
    Unknown,
}

/// What `head`, the first [`HEAD`] bytes of a device or all of a smaller one, stands for.
pub(super) fn content(head: &[u8]) -> Content {
    let known = [ext, xfs, btrfs].into_iter().find_map(|look| look(head));
    let other = || {
        let kind = SIGNATURES.iter().find(|(at, magic, _)| bytes(head, *at, magic.len()) == *magic);
        let kind = match kind {
            Some((_, _, name)) => Kind::Other(name),
            None if head.iter().all(|byte| *byte == 0) => Kind::Blank,
            None => Kind::Unknown,
        };
        Content { kind, label: None, uuid: None, has_errors: false }
    };
    known.unwrap_or_else(other)
}

/// Where a signature lies, what it is, and whose; those that enclose others' come first.
const SIGNATURES: [(usize, &[u8], &str); 17] = [
    (0, b"LUKS\xba\xbe", "an encrypted volume (LUKS)"),
    (0, &[0xfc, 0x4e, 0x2b, 0xa9], "a member of a RAID"),
    (4096, &[0xfc, 0x4e, 0x2b, 0xa9], "a member of a RAID"),
    (536, b"LVM2 001", "a physical volume of LVM"),
    (4086, b"SWAPSPACE2", "swap space"),
    (0, b"hsqs", "squashfs"),
    (1024, &[0xe2, 0xe1, 0xf5, 0xe0], "EROFS"),
    (1024, &[0x10, 0x20, 0xf5, 0xf2], "F2FS"),
    (32769, b"CD001", "a CD or DVD (ISO 9660)"),
    (3, b"NTFS    ", "NTFS"),
    (3, b"EXFAT   ", "exFAT"),
    (82, b"FAT32   ", "FAT"),
    (54, b"FAT16   ", "FAT"),
    (54, b"FAT12   ", "FAT"),
    (512, b"EFI PART", "a partition table (GPT)"),
    (4096, b"EFI PART", "a partition table (GPT)"),
    (510, &[0x55, 0xaa], "a partition table or boot sector (MBR)"),
];

/// ext2, ext3 and ext4: one driver, one superblock, 1024 bytes in.
fn ext(head: &[u8]) -> Option<Content> {
    let sb = head.get(1024..2048)?;
    let is_ext = bytes(sb, 56, 2) == [0x53, 0xef];
    is_ext.then(|| Content {
        kind: Kind::Upper("ext4"),
        label: label(bytes(sb, 120, 16)),
        uuid: uuid(bytes(sb, 104, 16)),
        // EXT4_ERROR_FS of s_state.
        has_errors: sb[58] & 2 != 0,
    })
}

fn xfs(head: &[u8]) -> Option<Content> {
    let (label, uuid) = (label(bytes(head, 108, 12)), uuid(bytes(head, 32, 16)));
    let kind = Kind::Upper("xfs");
    head.starts_with(b"XFSB").then_some(Content { kind, label, uuid, has_errors: false })
}

fn btrfs(head: &[u8]) -> Option<Content> {
    let sb = head.get(64 << 10..)?;
    let (label, uuid) = (label(bytes(sb, 299, 256)), uuid(bytes(sb, 32, 16)));
    let kind = Kind::Upper("btrfs");
    (bytes(sb, 64, 8) == b"_BHRfS_M").then_some(Content { kind, label, uuid, has_errors: false })
}

fn bytes(from: &[u8], at: usize, len: usize) -> &[u8] {
    from.get(at..at + len).unwrap_or_default()
}

fn label(field: &[u8]) -> Option<String> {
    let text = field.split(|byte| *byte == 0).next().unwrap_or_default();
    (!text.is_empty()).then(|| String::from_utf8_lossy(text).into_owned())
}

fn uuid(field: &[u8]) -> Option<String> {
    if field.iter().all(|byte| *byte == 0) {
        return None;
    }
    let mut text = String::with_capacity(36);
    for (at, byte) in field.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text += &format!("{byte:02x}");
    }
    Some(text)
}

impl fmt::Display for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Kind::Upper(name) | Kind::Other(name) => f.write_str(name)?,
            Kind::Blank => f.write_str("nothing (zeros)")?,
            Kind::Unknown => f.write_str("something unknown")?,
        }
        if let Some(label) = &self.label {
            write!(f, ", LABEL={label}")?;
        }
        match &self.uuid {
            Some(uuid) => write!(f, ", UUID={uuid}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    /// What a real program makes of an empty file of 32 MiB.
    fn made_by(program: &str, args: &[&str]) -> Content {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(32 << 20).unwrap();
        let done = Command::new(program).args(args).arg(file.path()).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        let bytes = std::fs::read(file.path()).unwrap();
        content(&bytes[..HEAD])
    }

    #[test]
    fn ext_of_each_generation() {
        let uuid = "00112233-4455-6677-8899-aabbccddeeff";
        for kind in ["ext2", "ext3", "ext4"] {
            let made = made_by("mke2fs", &["-q", "-F", "-t", kind, "-L", "my data", "-U", uuid]);
            assert_eq!(made.kind, Kind::Upper("ext4"), "{kind}");
            assert_eq!(made.label.as_deref(), Some("my data"));
            assert_eq!(made.uuid.as_deref(), Some(uuid));
            assert!(!made.has_errors);
            assert_eq!(made.to_string(), format!("ext4, LABEL=my data, UUID={uuid}"));
        }
    }

    #[test]
    fn swap_is_told() {
        assert_eq!(made_by("mkswap", &[]).kind, Kind::Other("swap space"));
    }

    #[test]
    fn others_are_told_by_their_signatures() {
        for (at, magic, name) in SIGNATURES {
            let mut head = vec![0; HEAD];
            head[at..at + magic.len()].copy_from_slice(magic);
            assert_eq!(content(&head).kind, Kind::Other(name));
        }
        let mut head = vec![0; HEAD];
        head[..4].copy_from_slice(b"XFSB");
        head[108..112].copy_from_slice(b"disk");
        assert_eq!(content(&head).to_string(), "xfs, LABEL=disk");
        let mut head = vec![0; HEAD];
        head[65536 + 64..65536 + 72].copy_from_slice(b"_BHRfS_M");
        head[65536 + 299..65536 + 301].copy_from_slice(b"bt");
        assert_eq!(content(&head).to_string(), "btrfs, LABEL=bt");
    }

    #[test]
    fn an_encrypted_volume_with_a_boot_sector_is_that() {
        let mut head = vec![0; HEAD];
        head[..6].copy_from_slice(b"LUKS\xba\xbe");
        head[510..512].copy_from_slice(&[0x55, 0xaa]);
        assert_eq!(content(&head).to_string(), "an encrypted volume (LUKS)");
    }

    #[test]
    fn nothing_and_noise() {
        assert_eq!(content(&[0; HEAD]).kind, Kind::Blank);
        assert_eq!(content(&[7; HEAD]).kind, Kind::Unknown);
        for len in [0, 1, 511, 1024, 1100, 2047, 65536, 65600] {
            assert_eq!(
                content(&vec![7; len]).kind,
                if len == 0 { Kind::Blank } else { Kind::Unknown }
            );
        }
    }

    #[test]
    fn recorded_errors_are_seen() {
        let mut head = vec![0; HEAD];
        head[1024 + 56..1024 + 58].copy_from_slice(&[0x53, 0xef]);
        head[1024 + 58] = 1;
        assert!(!content(&head).has_errors);
        head[1024 + 58] = 3;
        assert!(content(&head).has_errors);
    }
}
