//! What the kernel tells of mounts: lines of `/proc/PID/mountinfo`, as proc(5) has them.

/// One mount, its fields as they stand there: with `\\040` for a space, and the like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mount<'a> {
    /// Where it is mounted.
    pub(crate) point: &'a [u8],
    /// The type of the file system.
    pub(crate) kind: &'a [u8],
    /// What is mounted.
    pub(crate) source: &'a [u8],
    /// The options of the file system, whichever way it is seen.
    pub(crate) options: &'a [u8],
}

/// The mounts that `text` tells of, in its order.
pub(crate) fn mounts(text: &[u8]) -> impl Iterator<Item = Mount<'_>> {
    text.split(|byte| *byte == b'\n').filter_map(mount)
}

/// Reads `31 30 0:31 / /mount/point options optional-fields - kind source options`.
fn mount(line: &[u8]) -> Option<Mount<'_>> {
    let mut fields = line.split(|byte| *byte == b' ');
    let point = fields.nth(4)?;
    let mut words = fields.skip_while(|field| *field != b"-").skip(1);
    Some(Mount { point, kind: words.next()?, source: words.next()?, options: words.next()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn optional_fields_are_passed_over_and_half_lines_too() {
        let text = b"31 30 0:31 / /a\\040b rw shared:7 master:3 - ext4 /dev/vda rw,x\n\
                     32 30 0:32 / /c rw - tmpfs none ro\n\
                     33 30 0:33 / /d rw - overlay\n\nnonsense\n";
        let all: Vec<_> = mounts(text).collect();
        let of = |point, kind, source, options| Mount { point, kind, source, options };
        assert_eq!(
            all,
            [of(b"/a\\040b", b"ext4", b"/dev/vda", b"rw,x"), of(b"/c", b"tmpfs", b"none", b"ro")]
        );
    }
}
