//! Filters of system calls, for all threads at once.

use rustix::io::Errno;

/// Has `filter`, a classic BPF program, decide on each system call of every thread from now on.
/// What it refuses is told by the kernel's audit log.
pub(crate) fn install(filter: &[libc::sock_filter]) -> Result<(), Errno> {
    let len = u16::try_from(filter.len()).map_err(|_too_long| Errno::INVAL)?;
    // The kernel only reads the program; the field's type lacks the `const`.
    let program = libc::sock_fprog { len, filter: filter.as_ptr().cast_mut() };
    let flags = libc::SECCOMP_FILTER_FLAG_TSYNC | libc::SECCOMP_FILTER_FLAG_LOG;
    let mode = libc::SECCOMP_SET_MODE_FILTER;
    // SAFETY: `program` and the instructions it points to outlive the call, which copies them.
    // What a filter refuses fails with an error, which safe code has to expect of any call.
    let result = unsafe { libc::syscall(libc::SYS_seccomp, mode, flags, &raw const program) };
    match result {
        0 => Ok(()),
        // The number of a thread that has a filter of its own.
        1.. => Err(Errno::BUSY),
        _ => super::check(-1),
    }
}
