//! The inodes' own columns: `imod iuid igid ixat isec insc vdev`, and `bsec bnsc`. Each has a row
//! an inode, but `vdev` has one a device, and `bsec` and `bnsc` may have none.

use super::column::{Reader, Writer};
use super::decode::{Read, Source, bound};
use super::encode::Columns;
use super::header::Tag;
use super::sections as s;
use crate::image::{Device, Image, Inode, Kind, MAX_INODES, Tables, Time};

/// Bits of a device number that are the minor number.
const MINOR_BITS: u32 = 20;

pub(super) fn write(image: &Image, out: &mut Columns) {
    let tables = image.tables();
    let column = |field: fn(&Inode) -> u32| {
        let mut column = Writer::default();
        tables.inodes.iter().for_each(|inode| column.number(field(inode).into()));
        column
    };
    out.put(s::INODE_MODE, column(|inode| inode.mode));
    out.put(s::INODE_UID, column(|inode| inode.uid));
    out.put(s::INODE_GID, column(|inode| inode.gid));
    out.put(s::INODE_XATTRS, column(|inode| inode.xattrs));
    write_times(tables.inodes.iter().map(|i| i.mtime), s::INODE_SEC, s::INODE_NSEC, out);
    write_times(tables.btimes.iter().copied(), s::BIRTH_SEC, s::BIRTH_NSEC, out);
    let mut devices = Writer::default();
    for inode in &tables.inodes {
        if let Kind::Char(device) | Kind::Block(device) = inode.kind {
            devices.number((device.major << MINOR_BITS | device.minor).into());
        }
    }
    out.put(s::DEVICE, devices);
}

fn write_times(times: impl Iterator<Item = Time>, sec: Tag, nsec: Tag, out: &mut Columns) {
    let (mut secs, mut nsecs) = (Writer::default(), Writer::default());
    for time in times {
        secs.delta(0, time.sec.cast_unsigned());
        nsecs.number(time.nsec.into());
    }
    out.put(sec, secs);
    out.put(nsec, nsecs);
}

/// All inodes; those that own rows of other tables own none yet.
pub(super) fn read(source: &Source<'_>, tables: &mut Tables) -> Read {
    let bytes = source.bytes(s::INODE_MODE)?;
    let mut modes = Reader::new(s::INODE_MODE, &bytes);
    tables.inodes.reserve_exact(modes.numbers_left().min(MAX_INODES));
    while !modes.is_empty() {
        let mode = modes.u32()?;
        bound(&modes, tables.inodes.len(), MAX_INODES)?;
        let Some(kind) = kind(mode) else {
            return Err(modes.bad("the mode is of no known type"));
        };
        let mtime = Time::default();
        tables.inodes.push(Inode { mode, uid: 0, gid: 0, xattrs: 0, mtime, kind });
    }
    let count = tables.inodes.len();
    let mut fill = |tag: Tag, set: fn(&mut Inode, u32)| -> Read {
        let values = source.numbers(tag, count)?;
        tables.inodes.iter_mut().zip(values).for_each(|(inode, value)| set(inode, value));
        Ok(())
    };
    fill(s::INODE_UID, |inode, uid| inode.uid = uid)?;
    fill(s::INODE_GID, |inode, gid| inode.gid = gid)?;
    fill(s::INODE_XATTRS, |inode, set| inode.xattrs = set)?;
    let mtimes = read_times(source, s::INODE_SEC, s::INODE_NSEC, count)?;
    tables.inodes.iter_mut().zip(mtimes).for_each(|(inode, mtime)| inode.mtime = mtime);
    if !(source.is_empty(s::BIRTH_SEC) && source.is_empty(s::BIRTH_NSEC)) {
        tables.btimes = read_times(source, s::BIRTH_SEC, s::BIRTH_NSEC, count)?;
    }
    read_devices(source, tables)
}

/// What an inode of that mode is, before anything else is known of it.
fn kind(mode: u32) -> Option<Kind> {
    let device = Device { major: 0, minor: 0 };
    Some(match mode & 0o170_000 {
        0o140_000 => Kind::Socket,
        0o120_000 => Kind::Symlink { start: 0, len: 0 },
        0o100_000 => Kind::File { size: 0, first: 0, count: 0 },
        0o060_000 => Kind::Block(device),
        0o040_000 => Kind::Directory { first: 0, count: 0 },
        0o020_000 => Kind::Char(device),
        0o010_000 => Kind::Fifo,
        _ => return None,
    })
}

fn read_times(source: &Source<'_>, sec: Tag, nsec: Tag, count: usize) -> Read<Vec<Time>> {
    let (bytes, nsecs) = (source.bytes(sec)?, source.numbers(nsec, count)?);
    let mut secs = Reader::new(sec, &bytes);
    let mut times = Vec::with_capacity(nsecs.len());
    for nsec in nsecs {
        times.push(Time { sec: secs.delta(0)?.cast_signed(), nsec });
    }
    secs.finish()?;
    Ok(times)
}

fn read_devices(source: &Source<'_>, tables: &mut Tables) -> Read {
    let bytes = source.bytes(s::DEVICE)?;
    let mut numbers = Reader::new(s::DEVICE, &bytes);
    for inode in &mut tables.inodes {
        if let Kind::Char(device) | Kind::Block(device) = &mut inode.kind {
            let number = numbers.u32()?;
            let minor = number & ((1 << MINOR_BITS) - 1);
            *device = Device { major: number >> MINOR_BITS, minor };
        }
    }
    numbers.finish()
}
