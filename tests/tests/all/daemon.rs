//! The root daemon as the booted system sees it: what it may do, what it listens on, that ordinary
//! users can neither end nor trace it, and that it can do all it ever has to do.

use anyhow::ensure;
use tests::lab::Server;
use tests::relay::{Ca, Validity};
use tests::vm::{LIMIT, Machine, Vm};
use tests::wire::{NETDEV, SERVER, Wire};
use tests::{images, out};

type Result = anyhow::Result<()>;

#[test]
fn the_daemon_has_few_rights_and_is_out_of_reach() -> Result {
    images::folder()?;
    let wire = Wire::new()?;
    let mut server = Some(Server::start(images::folder()?, "127.0.0.1:8080")?);
    let ca = Ca::new()?;
    let now = Validity { from_day: -10, until_day: 5 };
    ca.front(&format!("{SERVER}:8443"), "images.zimg.test", now, "127.0.0.1:8080".parse()?)?;
    let inline: String = ca.pem().lines().filter(|line| !line.starts_with('-')).collect();
    let image = images::arguments("debian.flist", 8080)?;
    let image = image.replace("http://10.0.2.2:8080", "https://images.zimg.test:8443");
    let arguments = format!("{image} zimg.ca={inline}");
    let (kernel, initramfs) = (out::built("vmlinuz")?, out::built("initramfs.img")?);
    let mut machine = Machine::new(&kernel, &initramfs, &arguments);
    machine.netdev = NETDEV.to_owned();
    let mut vm = machine.start()?;
    vm.log_in(LIMIT)?;
    let pid = vm.must("pgrep -f '^@zimg$'", LIMIT)?.trim().to_owned();

    let rights = |vm: &mut tests::vm::Vm, pid: &str| -> anyhow::Result<u64> {
        let line = vm.must(&format!("grep ^CapEff /proc/{pid}/status"), LIMIT)?;
        Ok(u64::from_str_radix(line.trim().trim_start_matches("CapEff:").trim(), 16)?)
    };
    // NET_BIND_SERVICE, NET_ADMIN, NET_RAW, SYS_ADMIN, SYS_TIME.
    let want = [10, 12, 13, 21, 25].iter().fold(0, |set, bit| set | 1_u64 << bit);
    assert_eq!(rights(&mut vm, &pid)?, want);
    let threads = vm.must(&format!("cat /proc/{pid}/task/*/status"), LIMIT)?;
    let count = |what: &str| threads.lines().filter(|line| line.starts_with(what)).count();
    let all = count("Pid:");
    assert!(all > 1, "{threads}");
    assert_eq!(count(&format!("CapEff:\t{want:016x}")), all, "{threads}");
    assert_eq!(count("NoNewPrivs:\t1"), all, "{threads}");
    assert_eq!(count("Seccomp:\t2"), all, "{threads}");
    // What it has it can lock, though it has no right of its own to that.
    let locked = vm.must(&format!("grep ^VmLck /proc/{pid}/status"), LIMIT)?;
    assert!(!locked.contains("\t       0 kB"), "{locked}");
    // The control: other programs of root have more.
    assert_ne!(rights(&mut vm, "self")?, want);
    assert!(vm.must("grep ^Seccomp: /proc/self/status", LIMIT)?.ends_with("\t0\n"));

    // It listens on nothing.
    let sockets = vm.must("ss -lntupH", LIMIT)?;
    assert!(sockets.contains("sshd") && !sockets.contains("zimg"), "{sockets}");

    vm.must("useradd -m ann", LIMIT)?;
    vm.run(&format!("su ann -c 'kill -9 {pid}; kill -9 -1'"), LIMIT)?;
    let (_, status) = vm.run(&format!("su ann -c 'cat /proc/{pid}/mem | head -c 1'"), LIMIT)?;
    let (seen, _) = vm.run(&format!("su ann -c 'ls /proc/{pid}/fd'; echo {status}"), LIMIT)?;
    assert!(seen.contains("Permission denied"), "{seen}");
    vm.must(&format!("test -d /proc/{pid}"), LIMIT)?;
    serves_on(&mut vm, &wire, &mut server)
}

/// It does all it ever does after the boot: leaves its profile, renews its lease, connects anew (which takes a look-up of
/// a name, TLS and threads), and gets contents that no boot has read. None of that is refused by
/// the filter of its system calls, of which the kernel would tell.
fn serves_on(vm: &mut Vm, wire: &Wire, server: &mut Option<Server>) -> Result {
    vm.must("until [ -s /run/zimg/profile ]; do sleep 1; done", LIMIT)?;
    let renewed = wire.count("DHCPACK(tap0)");
    let read = |part: &str| {
        format!(
            "echo 3 > /proc/sys/vm/drop_caches; \
             find /usr/share -type f -size +20k | {part} -n 40 | xargs cat | wc -c"
        )
    };
    vm.must(&read("tail"), LIMIT)?;
    server.take();
    vm.must(&format!("({}) >/run/read & :", read("head")), LIMIT)?;
    wire.wait_for("DHCPACK(tap0)", renewed + 2, LIMIT)?;
    vm.must("[ ! -s /run/read ]", LIMIT)?;
    *server = Some(Server::start(images::folder()?, "127.0.0.1:8080")?);
    vm.must("wait", LIMIT)?;
    let read = vm.must("cat /run/read", LIMIT)?;
    ensure!(read.trim().parse::<u64>()? > 40 * 20_000, "{read}");
    ensure!(vm.run("dmesg | grep type=1326", LIMIT)?.0.is_empty(), "{}", vm.must("dmesg", LIMIT)?);
    // The control: the kernel does tell of what a filter minds.
    vm.must(
        "systemd-run --wait -p SystemCallLog=chdir sh -c 'cd /'; dmesg | grep type=1326",
        LIMIT,
    )?;
    Ok(())
}
