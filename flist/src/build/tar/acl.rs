//! Access control lists as archives have them, text, to what the kernel has: the value of
//! `system.posix_acl_access`.

use super::header::Wrong;

const VERSION: u32 = 2;
const NO_ID: u32 = u32::MAX;

const USER_OBJ: u16 = 0x01;
const USER: u16 = 0x02;
const GROUP_OBJ: u16 = 0x04;
const GROUP: u16 = 0x08;
const MASK: u16 = 0x10;
const OTHER: u16 = 0x20;

const MALFORMED: Wrong = "its access control list is malformed";

/// The attribute's value for entries such as `user:1000:r-x`; none for a list that says no more
/// than the mode does.
pub(super) fn value(text: &[u8]) -> Result<Option<Vec<u8>>, Wrong> {
    let text = std::str::from_utf8(text).ok().ok_or(MALFORMED)?;
    let lines =
        text.split(['\n', ',']).map(|line| line.split('#').next().unwrap_or_default().trim());
    let mut entries =
        lines.filter(|line| !line.is_empty()).map(entry).collect::<Result<Vec<_>, _>>()?;
    entries.sort_unstable_by_key(|&(tag, _, id)| (tag, id));
    if entries.iter().all(|&(tag, _, _)| matches!(tag, USER_OBJ | GROUP_OBJ | OTHER)) {
        return Ok(None);
    }
    let mut bytes = VERSION.to_le_bytes().to_vec();
    for (tag, permissions, id) in entries {
        bytes.extend_from_slice(&tag.to_le_bytes());
        bytes.extend_from_slice(&permissions.to_le_bytes());
        bytes.extend_from_slice(&id.to_le_bytes());
    }
    Ok(Some(bytes))
}

/// Tag, permissions and id of one entry. A fourth field, where there is one, is the id.
fn entry(line: &str) -> Result<(u16, u16, u32), Wrong> {
    let mut fields = line.strip_prefix("default:").unwrap_or(line).split(':').map(str::trim);
    let (Some(kind), Some(mut name)) = (fields.next(), fields.next()) else {
        return Err(MALFORMED);
    };
    let permissions = match fields.next() {
        Some(permissions) => permissions,
        // `mask:rwx` and `other:r--`, without the name they can't have.
        None if matches!(kind, "mask" | "m" | "other" | "o") => std::mem::take(&mut name),
        None => return Err(MALFORMED),
    };
    let tag = match (kind, name.is_empty()) {
        ("user" | "u", true) => USER_OBJ,
        ("user" | "u", false) => USER,
        ("group" | "g", true) => GROUP_OBJ,
        ("group" | "g", false) => GROUP,
        ("mask" | "m", true) => MASK,
        ("other" | "o", true) => OTHER,
        _ => return Err(MALFORMED),
    };
    let id = match (name.is_empty(), fields.next()) {
        (true, _) => NO_ID,
        (false, id) => id.unwrap_or(name).parse().ok().ok_or(
            "its access control list names users or groups, which mean nothing on another machine: \
             make the archive with tar --xattrs as well",
        )?,
    };
    let mut bits = 0;
    for letter in permissions.bytes() {
        bits |= match letter {
            b'r' => 4,
            b'w' => 2,
            b'x' => 1,
            b'-' => 0,
            _ => return Err(MALFORMED),
        };
    }
    Ok((tag, bits, id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_to_the_kernels_form() {
        let list =
            "user::rw-\nuser:1000:r--\ngroup::r--\nuser:wheel:rwx:7 # ok\nmask::rw-\nother::---\n";
        let list = value(list.as_bytes()).unwrap().unwrap();
        let mut wanted = vec![2, 0, 0, 0];
        for (tag, bits, id) in [
            (1, 6, u32::MAX),
            (2, 7, 7),
            (2, 4, 1000),
            (4, 4, u32::MAX),
            (16, 6, u32::MAX),
            (32, 0, u32::MAX),
        ] {
            wanted.extend_from_slice(&[tag, 0, bits, 0]);
            wanted.extend_from_slice(&u32::to_le_bytes(id));
        }
        assert_eq!(list, wanted);
    }

    #[test]
    fn what_the_mode_says_is_no_list() {
        assert_eq!(value(b"user::rw-,group::r--,other::r--"), Ok(None));
        assert_eq!(value(b"u::rw-,g::r--,o:r--"), Ok(None));
    }

    #[test]
    fn malformed() {
        for bad in ["user", "user:1", "king::rwx", "user::rwq", "other:1:rwx", "user:lisa:r--"] {
            assert!(value(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
