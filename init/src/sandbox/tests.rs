mod served;

use super::*;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::thread;

/// What the program decides on a call, as the kernel would run it.
fn decide(arch: u32, number: u32, arguments: [u32; 3]) -> u32 {
    let program = program();
    let (mut at, mut loaded) = (0, 0);
    loop {
        let step = program[at];
        let (value, yes, no) = (step.k, usize::from(step.jt), usize::from(step.jf));
        at += 1;
        match u32::from(step.code) & !(libc::BPF_W | libc::BPF_K) {
            c if c == libc::BPF_LD | libc::BPF_ABS => {
                loaded = match value {
                    NUMBER => number,
                    ARCH_AT => arch,
                    other => arguments[usize::try_from(other - ARGUMENTS).unwrap() / 8],
                };
            }
            c if c == libc::BPF_JMP | libc::BPF_JEQ => at += if loaded == value { yes } else { no },
            c if c == libc::BPF_JMP | libc::BPF_JSET => {
                at += if loaded & value != 0 { yes } else { no };
            }
            c if c == libc::BPF_RET => return value,
            other => panic!("what is {other:#x}?"),
        }
    }
}

fn allowed(number: c_long, arguments: [u32; 3]) -> bool {
    decide(ARCH, u32::try_from(number).unwrap(), arguments) == ALLOW.k
}

/// The flags of musl's threads.
const THREAD: u32 = 0x007d_0f00;

#[test]
fn what_is_listed_is_let_through_and_nothing_else() {
    for number in ALLOWED.iter().chain(ALLOWED_OLD) {
        assert!(allowed(*number, [0; 3]), "{number}");
    }
    for number in [
        libc::SYS_mount,
        libc::SYS_umount2,
        libc::SYS_move_mount,
        libc::SYS_open_tree,
        libc::SYS_fsopen,
        libc::SYS_pivot_root,
        libc::SYS_chroot,
        libc::SYS_setns,
        libc::SYS_unshare,
        libc::SYS_execve,
        libc::SYS_execveat,
        libc::SYS_clone3,
        libc::SYS_ptrace,
        libc::SYS_process_vm_readv,
        libc::SYS_bpf,
        libc::SYS_perf_event_open,
        libc::SYS_io_uring_setup,
        libc::SYS_io_uring_register,
        libc::SYS_init_module,
        libc::SYS_finit_module,
        libc::SYS_kexec_load,
        libc::SYS_reboot,
        libc::SYS_open_by_handle_at,
        libc::SYS_clock_settime,
        libc::SYS_sethostname,
        libc::SYS_capset,
        libc::SYS_kill,
        libc::SYS_listen,
        libc::SYS_accept4,
        libc::SYS_memfd_create,
        libc::SYS_pkey_mprotect,
    ] {
        assert!(!allowed(number, [0; 3]), "{number}");
    }
}

#[test]
fn arguments_count() {
    use linux_raw_sys::general::{
        CLONE_NEWNET, CLONE_NEWNS, CLONE_VFORK, CLONE_VM, PROT_EXEC, PROT_READ, PROT_WRITE,
    };
    for (number, arguments, want) in [
        (libc::SYS_mmap, [0, 4096, PROT_READ | PROT_WRITE], true),
        (libc::SYS_mmap, [0, 4096, PROT_READ | PROT_EXEC], false),
        (libc::SYS_mprotect, [0, 4096, 0], true),
        (libc::SYS_mprotect, [0, 4096, PROT_EXEC], false),
        (libc::SYS_clone, [THREAD, 0, 0], true),
        (libc::SYS_clone, [CLONE_VM | CLONE_VFORK | 17, 0, 0], false),
        (libc::SYS_clone, [17, 0, 0], false),
        (libc::SYS_clone, [THREAD | CLONE_NEWNET, 0, 0], false),
        (libc::SYS_clone, [THREAD | CLONE_NEWNS, 0, 0], false),
        (libc::SYS_socket, [linux_raw_sys::net::AF_PACKET, 0, 0], true),
        (libc::SYS_socket, [linux_raw_sys::net::AF_UNIX, 0, 0], false),
        (libc::SYS_ioctl, [9, linux_raw_sys::ioctl::FIONBIO, 0], true),
        (libc::SYS_ioctl, [9, linux_raw_sys::ioctl::TIOCSTI, 0], false),
        (libc::SYS_prctl, [SET_NAME, 0, 0], true),
        (libc::SYS_prctl, [4, 0, 0], false),
    ] {
        assert_eq!(allowed(number, arguments), want, "{number} {arguments:?}");
    }
}

#[test]
fn other_tables_of_calls_are_refused() {
    let read = u32::try_from(libc::SYS_read).unwrap();
    assert_eq!(decide(ARCH, read, [0; 3]), ALLOW.k);
    // The 32-bit table, and x32's numbers.
    assert_eq!(decide(0x4000_0003, read, [0; 3]), REFUSE.k);
    assert_eq!(decide(ARCH, read | 0x4000_0000, [0; 3]), REFUSE.k);
}

/// Run by the test below: says what can be done, by a thread that was there before and by one that
/// comes after.
#[test]
#[ignore = "run by the test below, in a process of its own"]
fn inside() {
    let (go, gone) = std::sync::mpsc::channel::<()>();
    let before = thread::spawn(move || {
        gone.recv().unwrap();
        report("before");
    });
    if std::env::var_os("ZIMG_FREE").is_none() {
        rustix::thread::set_no_new_privs(true).unwrap();
        enter().unwrap();
    }
    go.send(()).unwrap();
    before.join().unwrap();
    thread::Builder::new()
        .name("after".to_owned())
        .spawn(|| report("after"))
        .unwrap()
        .join()
        .unwrap();
    report("main");
    // A listener can't be made inside; nor is one needed by who only connects.
    let connected = TcpStream::connect(std::env::var("ZIMG_PEER").unwrap()).is_ok();
    let bound = UdpSocket::bind("127.0.0.1:0").is_ok();
    println!("serves: {connected} {bound} {}", std::fs::read("/proc/self/stat").is_ok());
}

fn report(who: &str) {
    let can = [
        ("run programs", Command::new("/bin/true").status().is_ok()),
        ("change directory", std::env::set_current_dir("/").is_ok()),
        ("speak to other processes", UnixStream::pair().is_ok()),
        ("listen", TcpListener::bind("127.0.0.1:0").is_ok()),
    ];
    for (what, can) in can {
        println!("{who} {} {what}", if can { "can" } else { "can't" });
    }
}

fn said(free: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--ignored", "--exact", "--nocapture", "sandbox::tests::inside"]);
    command.env("ZIMG_PEER", listener.local_addr().unwrap().to_string());
    if free {
        command.env("ZIMG_FREE", "yes");
    }
    let output = command.stderr(Stdio::inherit()).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}");
    said
}

#[test]
fn all_threads_can_serve_and_nothing_else() {
    let said_inside = said(false);
    assert_eq!(said_inside.matches(" can't ").count(), 12, "{said_inside}");
    assert!(said_inside.contains("serves: true true true"), "{said_inside}");
    // The control: without the filter all of it can be done.
    let said_free = said(true);
    assert_eq!(said_free.matches(" can ").count(), 12, "{said_free}");
}
