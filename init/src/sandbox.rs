//! What the root daemon may ask the kernel for once the root is mounted: to serve it, to fetch, and
//! to keep the network, and nothing else. What it may not fails as if the kernel did not know it:
//! libraries expect that, and a daemon that is killed is a node that is dead.
//!
//! There is no call among these that mounts, executes, makes processes or namespaces, traces, sets
//! the clock, loads code or modules: what is left of its capabilities is of no use for them.

use crate::net::narrow::to_u16;
use crate::sys;
use libc::{c_long, sock_filter};
use rustix::io::Errno;

/// Calls that are let through, whatever their arguments; what comes often comes first.
const ALLOWED: &[c_long] = &[
    libc::SYS_read,
    libc::SYS_writev,
    libc::SYS_futex,
    // Of rings that were made before, which can only serve the mount (see the crate `uring`).
    libc::SYS_io_uring_enter,
    libc::SYS_write,
    libc::SYS_readv,
    libc::SYS_recvfrom,
    libc::SYS_sendto,
    // Memory.
    libc::SYS_munmap,
    libc::SYS_madvise,
    libc::SYS_mremap,
    libc::SYS_brk,
    libc::SYS_membarrier,
    // Files: those of the initramfs, and below what is open.
    libc::SYS_close,
    libc::SYS_openat,
    libc::SYS_lseek,
    libc::SYS_pread64,
    libc::SYS_pwrite64,
    libc::SYS_fcntl,
    libc::SYS_dup,
    libc::SYS_dup3,
    libc::SYS_pipe2,
    libc::SYS_eventfd2,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_faccessat,
    libc::SYS_readlinkat,
    libc::SYS_getdents64,
    libc::SYS_ftruncate,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_ppoll,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    // The network.
    libc::SYS_connect,
    libc::SYS_bind,
    libc::SYS_sendmsg,
    libc::SYS_sendmmsg,
    libc::SYS_recvmsg,
    libc::SYS_recvmmsg,
    libc::SYS_setsockopt,
    libc::SYS_getsockopt,
    libc::SYS_getsockname,
    libc::SYS_getpeername,
    libc::SYS_shutdown,
    // Threads, signals and time.
    libc::SYS_set_robust_list,
    libc::SYS_set_tid_address,
    // No thread of glibc, which the tests run on, lives without.
    libc::SYS_rseq,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_gettid,
    libc::SYS_getpid,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_uname,
    libc::SYS_sysinfo,
    libc::SYS_getrandom,
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_gettimeofday,
    libc::SYS_nanosleep,
    libc::SYS_clock_nanosleep,
    libc::SYS_timer_settime,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_restart_syscall,
    libc::SYS_tkill,
    libc::SYS_tgkill,
    libc::SYS_exit,
    libc::SYS_exit_group,
];

/// What musl calls by its old name where there is one.
#[cfg(target_arch = "x86_64")]
const ALLOWED_OLD: &[c_long] = &[
    libc::SYS_open,
    libc::SYS_stat,
    libc::SYS_lstat,
    libc::SYS_access,
    libc::SYS_readlink,
    libc::SYS_poll,
    libc::SYS_pipe,
    libc::SYS_dup2,
    libc::SYS_time,
];
#[cfg(not(target_arch = "x86_64"))]
const ALLOWED_OLD: &[c_long] = &[];

/// What is asked of descriptors: whether they block, the name, index and driver of an interface.
const IOCTLS: [u32; 5] = [
    linux_raw_sys::ioctl::FIONBIO,
    linux_raw_sys::ioctl::FIOCLEX,
    linux_raw_sys::ioctl::SIOCGIFNAME,
    linux_raw_sys::ioctl::SIOCGIFINDEX,
    sys::net::SIOCETHTOOL,
];

/// The families of the sockets it makes.
const FAMILIES: [u32; 4] = [
    linux_raw_sys::net::AF_INET,
    linux_raw_sys::net::AF_INET6,
    linux_raw_sys::net::AF_NETLINK,
    linux_raw_sys::net::AF_PACKET,
];

/// `PR_SET_NAME` of prctl(2).
const SET_NAME: u32 = 15;

/// Every flag of clone(2) that makes a namespace.
const NAMESPACES: u32 = linux_raw_sys::general::CLONE_NEWNS
    | linux_raw_sys::general::CLONE_NEWCGROUP
    | linux_raw_sys::general::CLONE_NEWUTS
    | linux_raw_sys::general::CLONE_NEWIPC
    | linux_raw_sys::general::CLONE_NEWUSER
    | linux_raw_sys::general::CLONE_NEWPID
    | linux_raw_sys::general::CLONE_NEWNET;

/// `AUDIT_ARCH_*`: by which table the kernel reads the number of a call.
#[cfg(target_arch = "x86_64")]
const ARCH: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const ARCH: u32 = 0xc000_00b7;

/// Where `struct seccomp_data` has the number of the call, the architecture, and the arguments, of
/// eight bytes each. Of these the lower half is looked at: the kernel looks at no more.
const NUMBER: u32 = 0;
const ARCH_AT: u32 = 4;
const ARGUMENTS: u32 = 16;

/// What one argument of a call must be.
enum Only<'a> {
    /// One of these.
    OneOf(&'a [u32]),
    /// With this bit, and none of those.
    Bits(u32, u32),
    /// With none of these bits.
    Without(u32),
}

/// From now on all threads, and those they start, may no more than what is listed here.
pub(crate) fn enter() -> Result<(), Errno> {
    sys::seccomp::install(&program())
}

fn program() -> Vec<sock_filter> {
    let mut program = vec![load(ARCH_AT), jump(libc::BPF_JEQ, ARCH, 1, 0), REFUSE, load(NUMBER)];
    // The numbers of x32 have a bit that none of these has: they match nothing.
    for number in ALLOWED.iter().chain(ALLOWED_OLD) {
        program.extend([if_call(*number, 1), ALLOW]);
    }
    let ioctls = [&IOCTLS[..], &sys::watchdog::REQUESTS].concat();
    let exec = linux_raw_sys::general::PROT_EXEC;
    for (number, argument, only) in [
        (libc::SYS_mmap, 2, Only::Without(exec)),
        (libc::SYS_mprotect, 2, Only::Without(exec)),
        (libc::SYS_clone, 0, Only::Bits(linux_raw_sys::general::CLONE_THREAD, NAMESPACES)),
        (libc::SYS_socket, 0, Only::OneOf(&FAMILIES)),
        (libc::SYS_ioctl, 1, Only::OneOf(&ioctls)),
        (libc::SYS_prctl, 0, Only::OneOf(&[SET_NAME])),
    ] {
        let rule = rule(argument, &only);
        program.push(if_call(number, rule.len()));
        program.extend(rule);
    }
    program.push(REFUSE);
    program
}

/// Allows or refuses by one argument.
fn rule(argument: u32, only: &Only<'_>) -> Vec<sock_filter> {
    let mut rule = vec![load(ARGUMENTS + 8 * argument)];
    match only {
        Only::OneOf(values) => {
            let each = |value: &u32| [jump(libc::BPF_JEQ, *value, 0, 1), ALLOW];
            rule.extend(values.iter().flat_map(each));
        }
        Only::Bits(with, without) => rule.extend([
            jump(libc::BPF_JSET, *without, 2, 0),
            jump(libc::BPF_JSET, *with, 0, 1),
            ALLOW,
        ]),
        Only::Without(bits) => rule.extend([jump(libc::BPF_JSET, *bits, 1, 0), ALLOW]),
    }
    rule.push(REFUSE);
    rule
}

const ALLOW: sock_filter = op(libc::BPF_RET, libc::SECCOMP_RET_ALLOW, 0, 0);
const REFUSE: sock_filter = op(libc::BPF_RET, libc::SECCOMP_RET_ERRNO | ENOSYS, 0, 0);
const ENOSYS: u32 = libc::ENOSYS.cast_unsigned();

/// Goes on with the next instruction for this call, and `rest` instructions further for others.
fn if_call(number: c_long, rest: usize) -> sock_filter {
    // Calls are small numbers, rules a few instructions.
    let number = u32::try_from(number).unwrap_or(u32::MAX);
    jump(libc::BPF_JEQ, number, 0, u8::try_from(rest).unwrap_or(u8::MAX))
}

const fn jump(condition: u32, value: u32, yes: u8, no: u8) -> sock_filter {
    op(libc::BPF_JMP | condition | libc::BPF_K, value, yes, no)
}

const fn load(at: u32) -> sock_filter {
    op(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, at, 0, 0)
}

const fn op(code: u32, k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter { code: to_u16(code), jt, jf, k }
}

#[cfg(test)]
mod tests;
