//! Archives made by hand.

/// An archive being written.
#[derive(Default)]
pub(crate) struct Archive(pub(crate) Vec<u8>);

impl Archive {
    /// An entry of type `kind` with its fields as ustar has them.
    pub(crate) fn entry(mut self, kind: u8, path: &str, link: &str, contents: &[u8]) -> Self {
        let mut block = [0; 512];
        let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, path.as_bytes());
        put(100, b"0000640\0");
        put(108, b"0000012\0");
        put(116, b"0000024\0");
        put(124, format!("{:011o}\0", contents.len()).as_bytes());
        put(136, b"00000000144\0");
        put(148, b"        ");
        put(156, &[kind]);
        put(157, link.as_bytes());
        put(257, b"ustar\x0000");
        put(329, b"0000007\0");
        put(337, b"0000011\0");
        let sum: u32 = block.iter().map(|&b| u32::from(b)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        self.0.extend_from_slice(&block);
        self.0.extend_from_slice(contents);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    pub(crate) fn file(self, path: &str, contents: &[u8]) -> Self {
        self.entry(b'0', path, "", contents)
    }

    /// An extended header.
    pub(crate) fn pax(self, kind: u8, records: &[(&str, &[u8])]) -> Self {
        let mut bytes = Vec::new();
        for (key, value) in records {
            let rest = key.len() + value.len() + 3;
            let len = (1..).find(|len| len - len.to_string().len() == rest).unwrap();
            bytes.extend_from_slice(format!("{len} {key}=").as_bytes());
            bytes.extend_from_slice(value);
            bytes.push(b'\n');
        }
        self.entry(kind, "PaxHeader", "", &bytes)
    }

    /// With the blocks of zeros that end it.
    pub(crate) fn bytes(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 1024, 0);
        self.0
    }
}

/// An archive with one of everything that is parsed.
pub(crate) fn rich() -> Vec<u8> {
    let archive = Archive::default()
        .pax(b'g', &[("comment", b"x")])
        .pax(b'x', &[("mtime", b"1.5"), ("SCHILY.acl.access", b"user:1:r--"), ("uid", b"5")])
        .file("a", b"1")
        .entry(b'L', "././@LongLink", "", "/long".repeat(40).as_bytes())
        .file("short", b"2")
        .entry(b'1', "hard", "a", b"")
        .entry(b'2', "soft", "a", b"")
        .pax(b'x', &[("GNU.sparse.size", b"900000"), ("GNU.sparse.map", b"0,1,800000,2")])
        .file("sparse", b"123")
        .pax(
            b'x',
            &[
                ("GNU.sparse.major", b"1"),
                ("GNU.sparse.minor", b"0"),
                ("GNU.sparse.realsize", b"900000"),
            ],
        )
        .file("newer", &[&b"1\n800000\n3\n"[..], &[0; 501], b"abc"].concat());
    archive.bytes()
}
