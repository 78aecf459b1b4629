//! Boots that end well, and what a booted system can do. Each machine is qemu with Debian's
//! kernel; each has its own network namespace, so that ports and names are the test's own.

use std::fs;
use std::time::Duration;

use anyhow::Context;
use flist::profile::Profile;
use tests::lab::Server;
use tests::vm::{LIMIT, Vm};
use tests::{images, overlaid};

type Result = anyhow::Result<()>;

fn serve() -> anyhow::Result<Server> {
    Server::start(images::folder()?, "127.0.0.1:8080")
}

/// Switches a machine off, which had no trouble since it was booted.
fn ends_clean(mut vm: Vm) -> Result {
    vm.goes_down("poweroff", "Power down")?;
    let status = vm.wait_end(LIMIT)?;
    assert!(status.success(), "qemu: {status}");
    let console = vm.console();
    for bad in ["ailed to unmount", "hung", "blocked for more than"] {
        assert!(!console.contains(bad), "{bad}:\n{console}");
    }
    Ok(())
}

/// Of what a boot read, by its profile, nearly all was expected when the image was built; which was not
/// nearly all there is.
fn was_expected(profile: &str) -> Result {
    let image = flist::format::decode(&fs::read(images::folder()?.join("debian.flist"))?)?;
    let bytes = |chunks: &[u32]| -> u64 {
        chunks.iter().map(|&number| u64::from(image.chunks()[number as usize].stored_len)).sum()
    };
    let all: Vec<u32> = (0..u32::try_from(image.chunks().len())?).collect();
    let start = profile.find("zimg profile").context("no profile")?;
    let read = Profile::parse(&profile.as_bytes()[start..])?.chunks(&image);
    let expected: Vec<u32> = image.profiled().collect();
    let missed: Vec<u32> = read.iter().copied().filter(|chunk| !expected.contains(chunk)).collect();
    assert!(bytes(&expected) < bytes(&all) / 3, "{} of {}", bytes(&expected), bytes(&all));
    assert!(bytes(&missed) < bytes(&read) / 8, "{} of {}", bytes(&missed), bytes(&read));
    Ok(())
}

/// The main promise: Debian to multi-user over DHCP, no unit failed, and everything in it works
/// as on a disk. One boot, as boots are what costs time here.
#[test]
fn debian_over_dhcp() -> Result {
    let _lab = images::lab()?;
    let _server = serve()?;
    let mut vm = overlaid::debian("", &[])?;
    let state = vm.run("systemctl is-system-running --wait", LIMIT)?.0;
    assert_eq!(state.trim(), "running", "{}", vm.must("systemctl --failed", LIMIT)?);
    assert_eq!(vm.must("systemctl --failed --no-legend --plain", LIMIT)?.trim(), "");

    was_expected(&vm.must("until cat /run/zimg/profile; do sleep 1; done", LIMIT)?)?;

    // The root is an overlay, its lower no longer to be seen, and setuid and devices are honoured.
    let mounts = vm.must("cat /proc/self/mounts", LIMIT)?;
    let root: Vec<&str> = mounts.lines().filter(|l| l.split(' ').nth(1) == Some("/")).collect();
    assert!(matches!(root.as_slice(), [line] if line.contains(" overlay ")), "{mounts}");
    assert!(!mounts.contains("fuse.zimg"), "{mounts}");
    assert!(!root.concat().contains("nosuid") && !root.concat().contains("nodev"), "{mounts}");

    // setuid: an ordinary user's `su` asks for a password as root's program.
    vm.must("useradd -m ann && echo ann:secret | chpasswd", LIMIT)?;
    let seen =
        vm.must("su ann -c 'cp /usr/bin/passwd /tmp/p; grep ^Uid /proc/self/status'", LIMIT)?;
    assert!(seen.contains("1000"), "{seen}");
    let setuid =
        vm.must("su ann -c 'printf \"secret\\nQq9-xyzzy\\nQq9-xyzzy\\n\" | passwd'", LIMIT)?;
    assert!(setuid.contains("success") || setuid.contains("updated"), "{setuid}");
    // The control: without the setuid bit the same program fails.
    let (_, status) = vm.run("su ann -c 'printf \"Qq9-xyzzy\\na\\na\\n\" | /tmp/p'", LIMIT)?;
    assert_ne!(status, 0);

    // File capabilities: ping as an ordinary user, and not without its capability.
    vm.must("sysctl -qw net.ipv4.ping_group_range='1 0'", LIMIT)?;
    assert!(vm.must("getcap /usr/bin/ping", LIMIT)?.contains("cap_net_raw"));
    vm.must("su ann -c 'ping -c 1 -W 5 127.0.0.1'", LIMIT)?;
    let (_, status) =
        vm.run("cp /usr/bin/ping /tmp/ping; su ann -c '/tmp/ping -c 1 127.0.0.1'", LIMIT)?;
    assert_ne!(status, 0, "ping works without its capability: this shows nothing");

    // A local package goes onto the overlay.
    vm.must(
        "mkdir -p /tmp/d/DEBIAN /tmp/d/opt && echo hello > /tmp/d/opt/hello && \
         printf 'Package: hello-zimg\\nVersion: 1\\nArchitecture: all\\nMaintainer: a <a@b>\\n\
         Description: test\\n' > /tmp/d/DEBIAN/control && dpkg-deb -b /tmp/d /tmp/h.deb && \
         apt-get install -y /tmp/h.deb && grep hello /opt/hello",
        LIMIT,
    )?;

    // The boot told its times.
    let marks = vm.must("dmesg | grep zimg:", LIMIT)?;
    assert!(
        marks.contains("network up") && marks.contains("flist") && marks.contains("boot:"),
        "{marks}"
    );
    ends_clean(vm)
}

/// A root without any init still gives a shell, as the kernel would; here at an address of the
/// command line.
#[test]
fn a_static_address_and_a_root_without_an_init() -> Result {
    let _lab = images::lab()?;
    let _server = serve()?;
    let address = "ip=10.0.2.77::10.0.2.2:255.255.255.0:fixed:eth0:none:10.0.2.3";
    let bare = images::arguments("bare.flist", 8080)?;
    let mut vm = overlaid::shell(&bare, address, &[])?;
    assert_eq!(vm.must("echo $((6*7)) $$", LIMIT)?.trim(), "42 1");
    let address = vm.must("busybox ip -4 address", LIMIT)?;
    assert!(address.contains("10.0.2.77/24"), "{address}");
    assert!(vm.must("busybox ip route", LIMIT)?.contains("default via 10.0.2.2"));
    assert_eq!(vm.must("busybox hostname", LIMIT)?.trim(), "fixed");
    assert!(vm.must("cat /etc/resolv.conf", LIMIT)?.contains("10.0.2.3"));
    // Of a machine that does not come on, the tests are told what its tasks wait for.
    let never = vm.wait_for("what nobody prints", Duration::ZERO).map_err(|e| e.to_string());
    let why = never.expect_err("somebody did");
    assert!(why.contains("task:fuse-read-0"), "{why}");
    Ok(())
}

/// The server goes away for 20 s in the middle of the boot: the boot waits and ends well.
#[test]
fn server_away_for_20_s_in_the_boot() -> Result {
    let _lab = images::lab()?;
    let server = serve()?;
    let arguments = images::arguments("debian.flist", 8080)? + " zimg.prefetch=off";
    let mut vm = overlaid::start(&arguments, &[])?;
    vm.wait_for("zimg: boot:", LIMIT)?;
    vm.wait_for("systemd[1]:", LIMIT)?;
    drop(server);
    // The control: without the server nothing more comes than what was in memory.
    let early = vm.comes("login: ", Duration::from_secs(20));
    assert!(!early, "the boot needed no server: this shows nothing");
    let _server = serve()?;
    vm.log_in(LIMIT)?;
    let state = vm.run("systemctl is-system-running --wait", LIMIT)?.0;
    assert_eq!(state.trim(), "running", "{}", vm.console());
    let console = vm.console();
    assert!(!console.contains("I/O error") && !console.contains("Bus error"), "{console}");
    ends_clean(vm)
}
