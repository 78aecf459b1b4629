//! A module file's plain bytes, whichever way the distribution has compressed it.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

/// The largest module taken, decompressed. (amdgpu, the largest of Debian's, has 30 MB.)
const MODULE_SIZE_MAX: u64 = 256 << 20;

/// How a module's file name may end.
pub(crate) const SUFFIXES: [&str; 4] = [".ko", ".ko.xz", ".ko.zst", ".ko.gz"];

/// Reads a module file, decompressing it by what its name ends with.
pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let file = BufReader::new(File::open(path)?);
    let stream: Box<dyn Read> = match path.extension().and_then(|end| end.to_str()) {
        Some("xz") => Box::new(lzma_rust2::XzReader::new(file, true)),
        Some("zst") => Box::new(zstd::Decoder::with_buffer(file)?),
        Some("gz") => Box::new(flate2::bufread::MultiGzDecoder::new(file)),
        _ => Box::new(file),
    };
    let mut plain = Vec::new();
    stream.take(MODULE_SIZE_MAX + 1).read_to_end(&mut plain)?;
    if plain.len() as u64 > MODULE_SIZE_MAX {
        return Err(io::Error::other("larger than 256 MiB when decompressed"));
    }
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn every_compression_gives_the_same_bytes() {
        let plain = b"module ".repeat(1000);
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::write(at("m.ko"), &plain).unwrap();
        std::fs::write(at("m.ko.zst"), zstd::encode_all(&plain[..], 3).unwrap()).unwrap();
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        gz.write_all(&plain).unwrap();
        std::fs::write(at("m.ko.gz"), gz.finish().unwrap()).unwrap();
        let options = lzma_rust2::XzOptions::with_preset(6);
        let mut xz = lzma_rust2::XzWriter::new(Vec::new(), options).unwrap();
        xz.write_all(&plain).unwrap();
        std::fs::write(at("m.ko.xz"), xz.finish().unwrap()).unwrap();
        for suffix in SUFFIXES {
            assert_eq!(read(&at(&format!("m{suffix}"))).unwrap(), plain, "{suffix}");
        }
        std::fs::write(at("m.ko.xz"), &plain).unwrap();
        assert!(read(&at("m.ko.xz")).is_err());
    }
}
