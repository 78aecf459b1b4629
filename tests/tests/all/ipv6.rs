//! Boots over IPv6. qemu's user network advertises fec0::/64; the host's loopback is fec0::2 there.
//! (It names a DNS server only where the host has one of IPv6; the network's own tests see to those.)

use anyhow::ensure;
use tests::lab::Server;
use tests::overlaid::shell_of;
use tests::vm::{LIMIT, Machine, Vm};
use tests::{images, out};

/// A network without IPv4.
const IPV6_ALONE: &str = ",ipv4=off,ipv6=on";

type Result = anyhow::Result<()>;

fn machine(arguments: &str, options: &str) -> anyhow::Result<Machine> {
    let arguments =
        images::arguments("debian.flist", 8080)?.replace("10.0.2.2", "[fec0::2]") + " " + arguments;
    let machine = Machine::new(&out::built("vmlinuz")?, &out::built("initramfs.img")?, &arguments);
    Ok(Machine { network_options: options.to_owned(), ..machine })
}

/// Contents that no boot has read: they come over the network.
fn reads_its_root(vm: &mut Vm, after: &str) -> Result {
    let read = "echo 3 > /proc/sys/vm/drop_caches; find /usr/share -type f -size +20k | \
                tail -n 40 | xargs cat | wc -c";
    let count: u64 = vm.must(read, LIMIT)?.trim().parse()?;
    ensure!(count > 800_000, "after {after}: {count} bytes");
    Ok(())
}

/// An IPv6-only network boots Debian, and keeps it through what takes addresses away.
#[test]
fn debian_over_ipv6_alone() -> Result {
    let _lab = images::lab()?;
    let _server = Server::start(images::folder()?, "[::1]:8080")?;
    let mut vm = machine("", IPV6_ALONE)?.start()?;
    vm.log_in(LIMIT)?;
    let name = vm.must("ls /sys/class/net | grep -v lo", LIMIT)?.trim().to_string();
    assert_eq!(vm.must("systemctl is-system-running --wait", LIMIT)?.trim(), "running");
    assert_eq!(vm.must("ip -4 address show scope global", LIMIT)?.trim(), "");
    let holds = |vm: &mut Vm, after: &str| -> Result {
        let shown = vm.must(&format!("ip -6 address show dev {name}"), LIMIT)?;
        let is_kept = |line: &str| line.contains("inet6 fec0::") && !line.contains("tentative");
        assert!(shown.lines().any(is_kept), "after {after}: {shown}");
        assert_eq!(shown.matches("inet6 fec0::").count(), 1, "after {after}: {shown}");
        assert!(vm.must("ip -6 route", LIMIT)?.contains("default via fe80::2"), "after {after}");
        reads_its_root(vm, after)
    };
    holds(&mut vm, "the boot")?;
    let marks = vm.must("dmesg | grep zimg:", LIMIT)?;
    assert!(marks.contains("fe80::2 is a router"), "{marks}");
    vm.must("systemctl restart networking", LIMIT)?;
    holds(&mut vm, "restart of networking")?;
    // What an administrator takes away comes back.
    vm.must(&format!("ip -6 address flush dev {name}; sleep 1"), LIMIT)?;
    holds(&mut vm, "a flush")?;
    vm.must(&format!("ip link set {name} down; sleep 1"), LIMIT)?;
    holds(&mut vm, "the link was down")?;
    vm.must("mkdir -p /etc/systemd/network; printf '[Match]\\nName=e*\\n[Network]\\nDHCP=yes\\n' > /etc/systemd/network/80-all.network", LIMIT)?;
    vm.must("systemctl restart systemd-networkd; networkctl reconfigure $(ls /sys/class/net | grep -v lo); sleep 3", LIMIT)?;
    holds(&mut vm, "restart of networkd")?;
    powers_off(vm)
}

/// The shutdown comes to its end, and the root was read up to then.
fn powers_off(mut vm: Vm) -> Result {
    vm.goes_down("poweroff", "Power down")?;
    ensure!(vm.wait_end(LIMIT)?.success());
    Ok(())
}

/// An address of the command line: no router is asked, and none is believed.
#[test]
fn debian_at_a_static_address_of_ipv6() -> Result {
    let _lab = images::lab()?;
    let _server = Server::start(images::folder()?, "[::1]:8080")?;
    let arguments = "ip=[fec0::77]::[fec0::2]:64:fixed:eth0:none nameserver=[fec0::3]";
    let mut vm = machine(arguments, IPV6_ALONE)?.start()?;
    vm.log_in(LIMIT)?;
    let holds = |vm: &mut Vm, after: &str| -> Result {
        let shown = vm.must("ip -6 -o address show scope site", LIMIT)?;
        ensure!(shown.contains("inet6 fec0::77/64 scope site"), "after {after}: {shown}");
        ensure!(shown.contains("valid_lft forever"), "after {after}: {shown}");
        ensure!(shown.lines().count() == 1, "a router was believed after {after}: {shown}");
        let routes = vm.must("ip -6 route show default", LIMIT)?;
        ensure!(routes.starts_with("default via fec0::2 "), "after {after}: {routes}");
        ensure!(routes.lines().count() == 1, "after {after}: {routes}");
        reads_its_root(vm, after)
    };
    holds(&mut vm, "the boot")?;
    assert_eq!(vm.must("hostname", LIMIT)?.trim(), "fixed");
    assert!(vm.must("cat /etc/resolv.conf", LIMIT)?.contains("nameserver fec0::3"));
    let marks = vm.must("dmesg | grep zimg:", LIMIT)?;
    assert!(!marks.contains("is a router"), "{marks}");
    vm.must("systemctl restart networking", LIMIT)?;
    holds(&mut vm, "restart of networking")?;
    vm.must("ip -6 address flush dev $(ls /sys/class/net | grep -v lo)", LIMIT)?;
    vm.must("until ip -6 route | grep -q default; do sleep 0.1; done", LIMIT)?;
    holds(&mut vm, "a flush")?;
    powers_off(vm)
}

/// The control: a static address that is of another network leads nowhere, routers or not.
#[test]
fn a_static_address_of_another_network_leads_nowhere() -> Result {
    let _lab = images::lab()?;
    let _server = Server::start(images::folder()?, "[::1]:8080")?;
    let arguments = "ip=[2001:db8::77]::[2001:db8::1]:64::eth0:none zimg.timeout=12 \
                     zimg.onfail=reboot:2";
    let mut vm = machine(arguments, IPV6_ALONE)?.start()?;
    vm.wait_for("zimg: boot failed", LIMIT)?;
    let screen = vm.wait_for("reboots in", LIMIT)?;
    for words in ["2001:db8::77/64 on eth0 from the command line", "2001:db8::1"] {
        ensure!(screen.contains(words), "no {words:?}:\n{screen}");
    }
    Ok(())
}

/// A server that is reached by IPv6 alone serves a node that has both; the node has IPv4 too.
#[test]
fn both_families_with_a_server_of_ipv6() -> Result {
    let _lab = images::lab()?;
    let _server = Server::start(images::folder()?, "[::1]:8080")?;
    let mut vm = shell_of(machine("init=/bin/sh", ",ipv4=on,ipv6=on")?.start()?)?;
    assert!(vm.must("ip -4 address", LIMIT)?.contains("10.0.2.15/24"));
    assert!(vm.must("ip -6 address", LIMIT)?.contains("inet6 fec0::"));
    let resolv_conf = vm.must("cat /etc/resolv.conf", LIMIT)?;
    assert!(resolv_conf.contains("nameserver 10.0.2.3"), "{resolv_conf}");
    reads_its_root(&mut vm, "the boot")
}

/// The control: DHCP for IPv4 alone comes to nothing where there is none.
#[test]
fn ipv4_alone_finds_nothing_there() -> Result {
    let _lab = images::lab()?;
    let mut vm = machine("ip=dhcp zimg.timeout=15", IPV6_ALONE)?.start()?;
    vm.wait_for("no server gave an address", LIMIT)?;
    Ok(())
}
