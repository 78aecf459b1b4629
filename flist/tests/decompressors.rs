//! Where bytes are given to a decompressor: in so few places that each can be looked at. A new one
//! fails here until somebody has seen that what it gets is verified, or the builder's own.
#![expect(clippy::unwrap_used, reason = "a test ends where anything fails")]

mod sources;

use std::fs;
use std::path::Path;

/// What decompresses, by its names in zstd, flate2 and lzma-rust2.
const DECOMPRESSORS: [&str; 8] = [
    "DCtx::",
    "bulk::Decompressor",
    "bulk::decompress",
    "read::Decoder",
    "decode_all",
    "copy_decode",
    "GzDecoder",
    "XzReader::",
];

/// Files below `flist/src`, `init/src` and `zimg/src`, and why what they decompress may be.
const LOOKED_AT: [(&str, &str); 3] = [
    ("flist/src/build/tar/input.rs", "a builder's own tar"),
    ("flist/src/chunk.rs", "only Stored, which is verified: see its documentation"),
    ("flist/src/format/compress.rs", "an flist's sections, once store::load has vouched for it"),
];

#[test]
fn decompressors_are_where_they_were_looked_at() {
    let files = sources::below(&["flist/src", "init/src", "zimg/src"]);
    assert!(files.len() > 200, "{}", files.len());
    let mut with: Vec<&Path> = Vec::new();
    for file in &files {
        let text = fs::read_to_string(file).unwrap();
        // Tests decompress what they like.
        let (code, _tests) = text.split_once("#[cfg(test)]\nmod tests").unwrap_or((&text, ""));
        let is_test = file.components().any(|part| part.as_os_str() == "tests");
        if !is_test && DECOMPRESSORS.iter().any(|name| code.contains(name)) {
            with.push(file.strip_prefix(sources::workspace()).unwrap());
        }
    }
    with.sort();
    let looked_at = LOOKED_AT.map(|(file, _why)| Path::new(file));
    assert_eq!(with, looked_at, "see that what is decompressed is verified, then name it here");
}
