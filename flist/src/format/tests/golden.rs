//! One small flist, byte by byte. `BLESS=1 cargo test -p flist golden` writes it anew.

use std::fmt::Write;
use std::path::PathBuf;

use super::compress::Decompressor;
use super::*;
use crate::chunk::Chunk;
use crate::id::{ChunkId, PackId};
use crate::image::{Device, Dirent, Extent, Inode, Kind, Pack, Tables, Time};

/// What `small.txt` says at its top.
const HEAD: &str = "\
An flist with something in every section: where, which bytes, what they mean. What stands behind a
plus sign lies in the zstd frame above it. Written by a test; see ../../FORMAT.md.

    /data        64 KiB: a hole, 2,000 bytes, a hole
    /dev/null    character device 1:3
    /dev/pipe    fifo
    /hello       6 bytes, uid 1000, an xattr; also /hello.too
    /old         empty, from before 1970
    /to          symbolic link to hello
";

pub(super) fn image() -> Image {
    let time = |sec, nsec| Time { sec, nsec };
    let mut names = Vec::new();
    let mut dirent = |name: &str, ino| {
        let name_start = u32::try_from(names.len()).unwrap();
        names.extend(name.as_bytes());
        Dirent { name_start, ino, name_len: u8::try_from(name.len()).unwrap() }
    };
    let dirents = vec![
        dirent("data", 2),
        dirent("dev", 3),
        dirent("hello", 4),
        dirent("hello.too", 4),
        dirent("old", 5),
        dirent("to", 6),
        dirent("null", 7),
        dirent("pipe", 8),
    ];
    let inode = |mode, uid, xattrs, mtime, kind| Inode { mode, uid, gid: uid, xattrs, mtime, kind };
    let june = time(1_780_000_000, 0);
    let inodes = vec![
        inode(0o040_755, 0, 0, june, Kind::Directory { first: 0, count: 6 }),
        inode(0o100_644, 0, 0, june, Kind::File { size: 65536, first: 0, count: 1 }),
        inode(0o040_755, 0, 0, june, Kind::Directory { first: 6, count: 2 }),
        inode(
            0o104_755,
            1000,
            1,
            time(1_780_000_001, 123_456_789),
            Kind::File { size: 6, first: 1, count: 1 },
        ),
        inode(0o100_600, 0, 0, time(-2, 500_000_000), Kind::File { size: 0, first: 2, count: 0 }),
        inode(0o120_777, 0, 0, june, Kind::Symlink { start: 0, len: 5 }),
        inode(0o020_666, 0, 0, june, Kind::Char(Device { major: 1, minor: 3 })),
        inode(0o010_644, 0, 0, june, Kind::Fifo),
    ];
    let chunk = |id: &[u8], offset, stored_len, len| Chunk {
        id: ChunkId::of(id),
        pack: 0,
        stored_len,
        len,
        offset,
    };
    let btimes = (0..inodes.len()).map(|i| time(1_780_000_002, u32::try_from(i).unwrap()));
    Image::new(Tables {
        btimes: btimes.collect(),
        inodes,
        dirents,
        names,
        extents: vec![
            Extent { file_offset: 4096, content_offset: 0, len: 2000 },
            Extent { file_offset: 0, content_offset: 2000, len: 6 },
        ],
        targets: b"hello".to_vec(),
        xattr_sets: vec![vec![], vec![(b"user.lang".to_vec(), b"en".to_vec())]],
        chunks: vec![chunk(b"a frame", 0, 700, 1500), chunk(b"raw", 700, 506, 506)],
        profiled: 1,
        packs: vec![Pack { id: PackId::of(b"a pack"), len: 1206 }],
        meta: vec![
            ("title".to_owned(), "golden".to_owned()),
            ("env".to_owned(), "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin".to_owned()),
        ],
    })
    .unwrap()
}

/// Writes what bytes mean, one line a piece, without a gap.
struct Notes<'a> {
    bytes: &'a [u8],
    at: usize,
    indent: &'static str,
    text: String,
}

impl Notes<'_> {
    fn note(&mut self, len: usize, meaning: &str) {
        let piece = &self.bytes[self.at..self.at + len];
        let hex: String = piece.iter().map(|byte| format!("{byte:02x}")).collect();
        writeln!(self.text, "{}{:04x}  {hex:<18}  {meaning}", self.indent, self.at).unwrap();
        self.at += len;
    }

    fn rest(&self) -> &[u8] {
        &self.bytes[self.at..]
    }

    /// Notes a number in LEB128.
    fn number(&mut self, meaning: impl FnOnce(u64) -> String) -> usize {
        let len = self.rest().iter().position(|byte| byte & 0x80 == 0).unwrap() + 1;
        let bits = self.rest()[..len].iter().rev();
        let value = bits.fold(0, |value, byte| value << 7 | u64::from(byte & 0x7f));
        self.note(len, &meaning(value));
        usize::try_from(value).unwrap_or(usize::MAX)
    }

    fn bytes(&mut self, len: usize, what: &str) {
        let meaning = format!("{what} \"{}\"", self.rest()[..len].escape_ascii());
        self.note(len, &meaning);
    }

    fn counted(&mut self, what: &str) {
        let len = self.number(|n| format!("{what}: {n} bytes"));
        self.bytes(len, what);
    }

    /// Notes two counted strings, the second a value.
    fn pair(&mut self, first: &str) {
        self.counted(first);
        self.counted("value");
    }

    fn header(&mut self) {
        self.note(8, "magic");
        for field in ["version", "sections", "compat flags", "incompat flags"] {
            let value = u32::from_le_bytes(self.rest()[..4].try_into().unwrap());
            self.note(4, &format!("{field}: {value}"));
        }
        self.note(8, &format!("file length: {}", self.bytes.len()));
        self.note(32, "checksum of all else");
    }

    fn row(&mut self, section: &Section) {
        self.note(4, &format!("section '{}', {}", section.tag, section.meaning().unwrap()));
        self.note(4, &format!("  flags: {:#04b}", section.flags));
        self.note(8, &format!("  offset: {:#06x}", section.offset));
        self.note(8, &format!("  stored length: {}", section.stored_len));
        self.note(8, &format!("  length: {}", section.len));
    }

    /// The rows of one decompressed section.
    fn section(&mut self, tag: Tag) {
        let tag = tag.to_string();
        let what = match tag.as_str() {
            "imod" | "iuid" | "igid" | "ixat" | "isec" | "insc" | "bsec" | "bnsc" => "inode",
            "fsiz" | "fext" => "file",
            "ehol" | "elen" | "epos" => "extent",
            "dpre" | "dnam" | "dino" => "dirent",
            "clen" | "csto" | "cpak" | "coff" | "chid" => "chunk",
            "plen" | "pkid" => "pack",
            "vdev" => "device",
            "ltgt" => "link",
            "xset" => "set",
            "prof" | "soon" => "profile",
            "meta" => "pair",
            other => panic!("{other} has no notes"),
        };
        // Inodes and xattr sets are numbered from 1.
        let mut row = usize::from(what == "inode" || what == "set");
        while !self.rest().is_empty() {
            let name = format!("{what} {row}");
            match tag.as_str() {
                "chid" | "pkid" => self.note(32, &format!("{name}: id")),
                "soon" => {
                    self.note(32, "id of the pack");
                    for what in ["its length", "offset in it", "length from there"] {
                        self.number(|n| format!("{what}: {n}"));
                    }
                }
                "ltgt" | "dnam" => {
                    let len = self.rest().iter().position(|&byte| byte == 0).unwrap();
                    if len == 0 {
                        self.note(1, "the directory ends");
                        continue;
                    }
                    let string = self.rest()[..len].escape_ascii().to_string();
                    self.note(len + 1, &format!("{name}: \"{string}\""));
                }
                "xset" => {
                    let count = self.number(|n| format!("{name}: {n} attributes"));
                    (0..count).for_each(|_| self.pair("name"));
                }
                "meta" => self.pair("key"),
                "imod" => drop(self.number(|mode| format!("{name}: {mode:#o}"))),
                "vdev" => drop(self.number(|n| format!("{name}: {}:{}", n >> 20, n & 0xf_ffff))),
                "isec" | "bsec" | "epos" | "cpak" | "coff" => {
                    let signed = |z: u64| (z >> 1).cast_signed() ^ -(z & 1).cast_signed();
                    self.number(|z| format!("{name}: {:+}", signed(z)));
                }
                _ => drop(self.number(|n| format!("{name}: {n}"))),
            }
            row += 1;
        }
    }
}

fn notes(file: &[u8]) -> String {
    let layout = Layout::read(file).unwrap();
    let mut notes = Notes { bytes: file, at: 0, indent: "", text: format!("{HEAD}\n") };
    notes.header();
    layout.sections.iter().for_each(|section| notes.row(section));
    for section in &layout.sections {
        assert_eq!(section.offset, notes.at as u64, "sections follow each other");
        writeln!(notes.text, "\n'{}', {}", section.tag, section.meaning().unwrap()).unwrap();
        let end = notes.at + usize::try_from(section.stored_len).unwrap();
        let plain = layout.section(file, section.tag, &mut Decompressor::new()).unwrap();
        if section.is_compressed() {
            notes.note(end - notes.at, &format!("zstd frame of {} bytes", section.len));
            let mut inner = Notes { bytes: &plain, at: 0, indent: "+ ", text: String::new() };
            inner.section(section.tag);
            notes.text += &inner.text;
        } else {
            let mut inner = Notes { bytes: &file[..end], text: String::new(), ..notes };
            inner.section(section.tag);
            notes.at = inner.at;
            notes.text += &inner.text;
        }
    }
    assert_eq!(notes.at, file.len(), "every byte has its meaning");
    notes.text
}

#[test]
fn golden_bytes_are_what_is_written() {
    let file = encode(&image()).unwrap();
    let golden = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let (bytes, text) = (golden.join("small.flist"), golden.join("small.txt"));
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&bytes, &file).unwrap();
        std::fs::write(&text, notes(&file)).unwrap();
    }
    let committed = std::fs::read(&bytes).unwrap();
    assert_eq!(decode(&committed).unwrap(), image(), "the committed bytes read as the image");
    assert_eq!(committed, file, "the image is written as the committed bytes");
    assert_eq!(std::fs::read_to_string(&text).unwrap(), notes(&file));
    assert_eq!(Layout::read(&file).unwrap().sections.len(), sections::KNOWN.len());
}
