//! Bytes that changed on their way.

use super::*;

/// Some flists, each with its sections compressed and as they are.
fn files() -> Vec<Vec<u8>> {
    let images = [FULL.clone(), fixed(1).remove(0)];
    images.iter().flat_map(|image| [encode(image).unwrap(), encode_raw(image)]).collect()
}

#[test]
fn every_flipped_byte_is_noticed() {
    for file in files() {
        for at in 0..file.len() {
            for flip in [1, 0x80, 0xff] {
                let mut damaged = file.clone();
                damaged[at] ^= flip;
                let error = exercise(&damaged).expect_err("a flipped byte");
                let right = match at {
                    0..8 => matches!(error, FormatError::NotAnFlist(_)),
                    24..32 => {
                        matches!(error, FormatError::Truncated { .. } | FormatError::Damaged(_))
                    }
                    _ => matches!(error, FormatError::Damaged(_)),
                };
                assert!(right, "byte {at} ^ {flip:#x}: {error}");
            }
        }
    }
}

#[test]
fn every_truncation_is_noticed() {
    for file in files() {
        assert!(matches!(exercise(b""), Err(FormatError::NotAnFlist(Looks::Empty))));
        for len in 1..file.len() {
            let want = if len < HEADER_LEN { HEADER_LEN } else { file.len() };
            let truncated = FormatError::Truncated { have: len as u64, want: want as u64 };
            assert_eq!(exercise(&file[..len]), Err(truncated));
        }
    }
}

#[test]
fn every_extension_is_noticed() {
    for mut file in files() {
        for byte in [0, b'\n', 0xff] {
            file.push(byte);
            assert!(matches!(exercise(&file), Err(FormatError::Damaged(_))));
        }
    }
}

/// With the checksum put right, a change is refused or gives another image that holds together.
#[test]
fn every_change_by_an_enemy_is_refused_or_harmless() {
    let (mut refused, mut accepted) = (0, 0);
    let mut count = |mut file: Vec<u8>| {
        seal(&mut file);
        *if exercise(&file).is_err() { &mut refused } else { &mut accepted } += 1;
    };
    for file in files() {
        for at in 0..file.len() {
            for flip in [1, 2, 0x40, 0x80, 0xff] {
                let mut changed = file.clone();
                changed[at] ^= flip;
                count(changed);
            }
            count(file[..at].to_vec());
            count([&file[..at], &file[at + 1..]].concat());
            count([&file[..at], b"\0", &file[at..]].concat());
        }
    }
    assert!(refused > 1000 && accepted > 1000, "{refused} refused, {accepted} accepted");
}
