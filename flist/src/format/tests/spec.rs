//! FORMAT.md says what the code does.

use super::*;
use crate::image::*;
use crate::trust::{MAX_CHANNEL_LEN, MAX_SIGNATURES, MAX_SIGNATURES_LEN};
use crate::{chunk, id};

const SPEC: &str = include_str!("../../../FORMAT.md");

/// The cells of the rows that begin with a name in backquotes, from `heading` to the next one.
fn rows(heading: &str) -> Vec<Vec<String>> {
    let (_, text) = SPEC.split_once(&format!("\n## {heading}\n")).expect("the heading is there");
    let text = text.split("\n##").next().unwrap();
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.map(|row| row.split('|').map(|cell| cell.trim().trim_matches('`').to_owned()).collect())
        .collect()
}

/// `64`, `2^20`, or `2^20 - 1`.
fn number(text: &str) -> u64 {
    let (power, less) = text.split_once(" - ").unwrap_or((text, "0"));
    let (base, exponent) = power.split_once('^').unwrap_or((power, "1"));
    base.parse::<u64>().unwrap().pow(exponent.parse().unwrap()) - less.parse::<u64>().unwrap()
}

#[test]
fn constants_agree() {
    macro_rules! values {
        ($($($path:ident)::+;)*) => {
            [$((
                stringify!($($path)::+).rsplit("::").next().unwrap().trim().to_owned(),
                u64::try_from($($path)::+).unwrap(),
            )),*]
        };
    }
    let code = values![
        VERSION; HEADER_LEN; CHECKSUM_OFFSET; ROW_LEN; MAX_SECTIONS; MAX_FILE_LEN; MAX_TOTAL_LEN;
        compress::WINDOW_LOG_MAX; compress::LEVEL; id::ID_LEN; chunk::MAX_CHUNK_LEN; MAX_INODES;
        MAX_EXTENTS; MAX_CHUNKS; MAX_PACKS; MAX_PACK_LEN; MAX_NAME_LEN; MAX_NAMES_LEN;
        MAX_TARGET_LEN; MAX_TARGETS_LEN; MAX_FILE_SIZE; MAX_XATTR_SETS; MAX_XATTRS;
        MAX_XATTR_NAME_LEN; MAX_XATTR_VALUE_LEN; MAX_XATTR_LIST_LEN; MAX_XATTRS_LEN; MAX_META;
        MAX_META_LEN; MAX_DEPTH; MAX_MAJOR; MAX_MINOR;
        MAX_SIGNATURES; MAX_SIGNATURES_LEN; MAX_CHANNEL_LEN; MAX_SOON_LEN; BEGINNING_LEN;
    ];
    let spec = rows("Constants").into_iter().map(|row| (row[0].clone(), number(&row[1])));
    assert_eq!(spec.collect::<Vec<_>>(), code);
    let limits = include_str!("../../image/limits.rs").matches("pub const ").count();
    assert_eq!(limits, code.len() - 16, "each limit of an image is in the table");
    let magic = MAGIC.map(|byte| format!("{byte:02x}")).join(" ");
    assert!(SPEC.contains(&magic));
}

#[test]
fn sections_agree() {
    let spec = rows("Sections").into_iter().map(|row| {
        (row[0].clone(), row[1].clone(), number(&row[2].replace(',', "")), row[3] == "yes")
    });
    let code = sections::KNOWN.iter().map(|known| {
        (known.tag.to_string(), known.meaning.to_owned(), known.max_len, known.required)
    });
    assert_eq!(spec.collect::<Vec<_>>(), code.collect::<Vec<_>>());
}
