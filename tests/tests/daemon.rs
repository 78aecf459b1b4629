//! The root daemon as the booted system sees it: what it may do, what it listens on, and that
//! ordinary users can neither end nor trace it.

use std::time::Duration;

use tests::lab::Server;
use tests::vm::Machine;
use tests::{images, out};

const LIMIT: Duration = Duration::from_secs(240);

type Result = anyhow::Result<()>;

#[test]
fn the_daemon_has_few_rights_and_is_out_of_reach() -> Result {
    let _lab = images::lab()?;
    let _server = Server::start(images::folder()?, "127.0.0.1:8080")?;
    let arguments = images::arguments("debian.flist", 8080)?;
    let (kernel, initramfs) = (out::built("vmlinuz")?, out::built("initramfs.img")?);
    let mut vm = Machine::new(&kernel, &initramfs, &arguments).start()?;
    vm.log_in(LIMIT)?;
    let pid = vm.must("pgrep -f '^@zimg$'", LIMIT)?.trim().to_owned();

    let rights = |vm: &mut tests::vm::Vm, pid: &str| -> anyhow::Result<u64> {
        let line = vm.must(&format!("grep ^CapEff /proc/{pid}/status"), LIMIT)?;
        Ok(u64::from_str_radix(line.trim().trim_start_matches("CapEff:").trim(), 16)?)
    };
    // NET_BIND_SERVICE, NET_ADMIN, NET_RAW, IPC_LOCK, SYS_ADMIN, SYS_TIME.
    let want = [10, 12, 13, 14, 21, 25].iter().fold(0, |set, bit| set | 1_u64 << bit);
    assert_eq!(rights(&mut vm, &pid)?, want);
    let threads = vm.must(&format!("cat /proc/{pid}/task/*/status"), LIMIT)?;
    let count = |what: &str| threads.lines().filter(|line| line.starts_with(what)).count();
    let all = count("Pid:");
    assert!(all > 1, "{threads}");
    assert_eq!(count(&format!("CapEff:\t{want:016x}")), all, "{threads}");
    assert_eq!(count("NoNewPrivs:\t1"), all, "{threads}");
    // The control: other programs of root have more.
    assert_ne!(rights(&mut vm, "self")?, want);

    // It listens on nothing.
    let sockets = vm.must("ss -lntupH", LIMIT)?;
    assert!(sockets.contains("sshd") && !sockets.contains("zimg"), "{sockets}");

    vm.must("useradd -m ann", LIMIT)?;
    vm.run(&format!("su ann -c 'kill -9 {pid}; kill -9 -1'"), LIMIT)?;
    let (_, status) = vm.run(&format!("su ann -c 'cat /proc/{pid}/mem | head -c 1'"), LIMIT)?;
    let (seen, _) = vm.run(&format!("su ann -c 'ls /proc/{pid}/fd'; echo {status}"), LIMIT)?;
    assert!(seen.contains("Permission denied"), "{seen}");
    vm.must(&format!("test -d /proc/{pid}"), LIMIT)?;
    // And it serves on: contents that no boot has read, with nothing left in memory.
    vm.must("echo 3 > /proc/sys/vm/drop_caches; find /usr/share -type f -size +20k | tail -n 40 | xargs cat | wc -c", LIMIT)?;
    Ok(())
}
