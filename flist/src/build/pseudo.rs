//! File systems that hold no files but a running kernel's state: never part of an image.

use std::ffi::CStr;
use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

/// `f_type` of statfs(2), from the kernel's include/uapi/linux/magic.h.
const MAGICS: [u32; 19] = [
    0x0000_9fa0, // proc
    0x6265_6572, // sysfs
    0x0027_e0eb, // cgroup
    0x6367_7270, // cgroup2
    0x6462_6720, // debugfs
    0x7472_6163, // tracefs
    0x7363_6673, // securityfs
    0xf97c_ff8c, // selinuxfs
    0x6165_676c, // pstore
    0xcafe_4a11, // bpf
    0x6265_6570, // configfs
    0xde5e_81e4, // efivarfs
    0x0000_1cd1, // devpts
    0x1980_0202, // mqueue
    0x4249_4e4d, // binfmt_misc
    0x6573_5543, // fusectl
    0x0000_0187, // autofs
    0x6759_6969, // rpc_pipefs
    0x6e73_6673, // nsfs
];

/// Whether such a file system is mounted on directory `name` of `dir`.
pub(super) fn is_mounted(dir: &OwnedFd, name: &CStr) -> Result<bool, Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mount = rustix::fs::openat(dir, name, flags, Mode::empty())?;
    let magic = rustix::fs::fstatfs(&mount)?.f_type;
    Ok(MAGICS.iter().any(|&m| i64::from(m) == magic))
}
