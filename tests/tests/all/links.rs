//! Boots over bonds and VLANs, by names that the command line gives. The switch they hang on drops
//! what is not of the VLAN, or what comes by a port that is not in the aggregate: so each boot that
//! ends well shows that the links were made, and as they should be.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use tests::lab::Server;
use tests::switch::{Switch, Wants};
use tests::vm::{LIMIT, Machine, Vm};
use tests::{images, out, root};

type Result = anyhow::Result<()>;

fn machine(flist: &str, more: &str) -> anyhow::Result<Machine> {
    let arguments = format!("{} {more}", images::arguments(flist, 8080)?);
    Ok(Machine::new(&out::built("vmlinuz")?, initramfs()?, &arguments))
}

/// An initramfs with the modules that bonds and VLANs need.
fn initramfs() -> anyhow::Result<&'static Path> {
    static MADE: OnceLock<std::result::Result<PathBuf, String>> = OnceLock::new();
    let make = || -> anyhow::Result<PathBuf> {
        let image = out::workspace().join("out/images/links.img");
        let mut command = Command::new(out::built("initramfs")?);
        command.args(["--modules", "vm,bonding,8021q", "--init"]).arg(out::built("init")?);
        command.arg("--kernel-modules").arg(out::built("modules")?);
        root::run(command.arg("--output").arg(&image))?;
        Ok(image)
    };
    let made = MADE.get_or_init(|| make().map_err(|e| format!("{e:#}")));
    made.as_deref().map_err(|e| anyhow::anyhow!("{e}"))
}

fn serve() -> anyhow::Result<Server> {
    Server::start(images::folder()?, "127.0.0.1:8080")
}

/// Boots a machine with so many cards on `switch` to BusyBox's shell.
fn busybox(switch: &Switch, more: &str) -> anyhow::Result<Vm> {
    let mut machine = machine("bare.flist", more)?;
    switch.plug(&mut machine);
    let mut vm = machine.start()?;
    vm.wait_for("zimg: boot:", LIMIT)?;
    vm.wait_for("# ", LIMIT)?;
    vm.send("export PATH=/bin PS1= PS2=; stty() { busybox stty \"$@\"; }; ip() { busybox ip \"$@\"; }\n")?;
    vm.settle(LIMIT)?;
    Ok(vm)
}

#[test]
fn a_vlan_on_a_bond_of_two_carries_the_node_whatever_fails_or_is_restarted() -> Result {
    let _lab = images::lab()?;
    let _server = serve()?;
    let switch = Switch::start(2, Wants { vlan: Some(5), lacp: false })?;
    let mut machine = machine(
        "debian.flist",
        "bond=bond0:eth0,eth1:mode=active-backup,primary=eth1 vlan=bond0.5:bond0 ip=bond0.5:dhcp",
    )?;
    switch.plug(&mut machine);
    let mut vm = machine.start()?;
    vm.log_in(LIMIT)?;
    let bond = vm.must("cat /proc/net/bonding/bond0", LIMIT)?;
    for line in
        ["active-backup", "MII Polling Interval (ms): 100", "Permanent HW addr: 52:54:00:00:00:01"]
    {
        assert!(bond.contains(line), "no {line}: {bond}");
    }
    let slaves = "cat /sys/class/net/bond0/bonding/slaves";
    let [first, second] = vm
        .must(slaves, LIMIT)?
        .split_whitespace()
        .map(str::to_owned)
        .collect::<Vec<_>>()
        .try_into()
        .expect("two members");
    let active = "cat /sys/class/net/bond0/bonding/active_slave";
    assert_eq!(vm.must(active, LIMIT)?.trim(), second, "the primary one");
    let address = vm.must("ip -4 -o address | grep -v ' lo '", LIMIT)?;
    assert_eq!(address.lines().count(), 1, "{address}");
    assert!(address.contains("bond0.5    inet 10.0.2.15/24"), "{address}");
    assert!(vm.must("ip -d link show bond0.5", LIMIT)?.contains("802.1Q id 5"));
    assert!(vm.must("ip route", LIMIT)?.contains("default via 10.0.2.2 dev bond0.5"));

    // The booted system's own network managers take nothing apart.
    let holds = |vm: &mut Vm, after: &str| -> Result {
        let address = vm.must("ip -4 -o address | grep -v ' lo '", LIMIT)?;
        assert_eq!(address.lines().count(), 1, "after {after}: {address}");
        assert!(address.contains("bond0.5    inet 10.0.2.15/24"), "after {after}: {address}");
        assert_eq!(vm.must(slaves, LIMIT)?.split_whitespace().count(), 2, "after {after}");
        // The host answers, and so does the root.
        vm.must("ping -q -c 12 -i 0.05 -W 5 10.0.2.2", LIMIT)?;
        vm.must("echo 3 > /proc/sys/vm/drop_caches; ls -R /usr/lib/systemd >/dev/null", LIMIT)
            .map(drop)
    };
    holds(&mut vm, "the boot")?;
    vm.must("printf '[Match]\\nName=e* bond*\\n[Network]\\nDHCP=yes\\n' > /etc/systemd/network/80-all.network", LIMIT)?;
    vm.must("systemctl start systemd-networkd && networkctl reload", LIMIT)?;
    vm.must("systemctl restart systemd-networkd", LIMIT)?;
    vm.must(&format!("networkctl reconfigure {first}"), LIMIT)?;
    holds(&mut vm, "networkd")?;
    let interfaces = format!(
        "printf 'auto {first}\\niface {first} inet dhcp\\nauto bond0\\niface bond0 inet dhcp\\n' \
         > /etc/network/interfaces.d/net"
    );
    vm.must(&interfaces, LIMIT)?;
    vm.must("systemctl stop systemd-networkd; systemctl restart networking", LIMIT)?;
    holds(&mut vm, "ifupdown")?;

    // One cable after the other goes.
    let cable = |vm: &mut Vm, card: u16, member: &str, state: &str| -> Result {
        vm.monitor(&format!("set_link card{card} {state}"))?;
        let carrier = u8::from(state == "on");
        let file = format!("/sys/class/net/{member}/carrier");
        // The monitor's echo goes with what this prints.
        vm.must(&format!("until grep -q {carrier} {file}; do sleep 0.1; done"), LIMIT).map(drop)
    };
    let until_active = |vm: &mut Vm, member: &str| -> Result {
        vm.must(&format!("until [ \"$({active})\" = {member} ]; do sleep 0.1; done"), LIMIT)
            .map(drop)
    };
    cable(&mut vm, 2, &second, "off")?;
    until_active(&mut vm, &first)?;
    let before = switch.passed(1);
    holds(&mut vm, "a cable's loss")?;
    assert!(switch.passed(1) >= before + 12, "the other carries the node");
    cable(&mut vm, 2, &second, "on")?;
    until_active(&mut vm, &second)?;
    cable(&mut vm, 1, &first, "off")?;
    holds(&mut vm, "the other cable's loss")?;
    cable(&mut vm, 1, &first, "on")?;

    // Who takes a member out of the bond by hand finds it back there.
    vm.must(&format!("ip link set {first} nomaster"), LIMIT)?;
    vm.must(
        &format!("until grep -q {first} /sys/class/net/bond0/bonding/slaves; do sleep 0.1; done"),
        LIMIT,
    )?;
    vm.must("ip link set bond0 down", LIMIT)?;
    vm.must("until ip route | grep -q default; do sleep 0.1; done", LIMIT)?;
    holds(&mut vm, "hard hands")?;
    // Contents that no boot has read: they come over the network.
    vm.must("find /usr/share/perl /usr/lib/python3* -type f | xargs cat | wc -c", LIMIT).map(drop)
}

#[test]
fn an_aggregate_by_lacp_carries_the_node() -> Result {
    let _lab = images::lab()?;
    let _server = serve()?;
    let switch = Switch::start(2, Wants { vlan: None, lacp: true })?;
    let mut vm = busybox(
        &switch,
        "bond=bond0:52:54:00:00:00:01,52:54:00:00:00:02:mode=802.3ad,lacp_rate=fast,xmit_hash_policy=layer3+4",
    )?;
    let bond = vm.must("cat /proc/net/bonding/bond0", LIMIT)?;
    for line in [
        "IEEE 802.3ad Dynamic link aggregation",
        "Transmit Hash Policy: layer3+4",
        "LACP rate: fast",
        "Number of ports: 2",
        "Partner Mac Address: 02:00:00:00:00:99",
    ] {
        assert!(bond.contains(line), "no {line}: {bond}");
    }
    assert!(vm.must("ip address show bond0", LIMIT)?.contains("inet 10.0.2.15/24"));
    Ok(())
}

/// The control of the one before, and what is shown of bonds that lead nowhere.
#[test]
fn a_bond_without_lacp_leads_nowhere_on_such_a_switch() -> Result {
    let _lab = images::lab()?;
    let switch = Switch::start(2, Wants { vlan: None, lacp: true })?;
    let more = "bond=bond0:eth0,eth1:mode=active-backup vlan=vlan7:eth7 zimg.timeout=12 zimg.onfail=reboot:2";
    let mut machine = machine("bare.flist", more)?;
    switch.plug(&mut machine);
    let mut vm = machine.start()?;
    vm.wait_for("zimg: boot failed", LIMIT)?;
    let screen = vm.wait_for("in 2 s", LIMIT)?;
    for words in ["gave an address on bond0", "member of bond0", "not made: eth7 is not there"] {
        assert!(screen.contains(words), "no {words:?}:\n{screen}");
    }
    assert!(switch.dropped() > 3, "{}", switch.dropped());
    Ok(())
}

/// Cards by their addresses: one gets a name, and a VLAN, whose address and routes are said.
#[test]
fn a_named_card_with_a_vlan_at_a_static_address() -> Result {
    let _lab = images::lab()?;
    let _server = serve()?;
    let switch = Switch::start(2, Wants { vlan: Some(5), lacp: false })?;
    let mut vm = busybox(
        &switch,
        "ifname=lan0:52:54:00:00:00:02 vlan=vlan0005:lan0 \
         ip=10.0.2.77::10.0.2.2:24:fixed:vlan0005:none:1400 rd.route=172.16.0.0/12:10.0.2.3 \
         rd.route=172.31.0.0/16:10.0.2.4:lan0 nameserver=10.0.2.3",
    )?;
    let links = vm.must("ip link", LIMIT)?;
    assert!(links.contains("vlan0005@lan0:") && links.contains("mtu 1400"), "{links}");
    assert!(links.contains("link/ether 52:54:00:00:00:02"), "{links}");
    assert!(vm.must("ip address show vlan0005", LIMIT)?.contains("inet 10.0.2.77/24"));
    let routes = vm.must("ip route", LIMIT)?;
    assert!(routes.contains("default via 10.0.2.2 dev vlan0005"), "{routes}");
    assert!(routes.contains("172.16.0.0/12 via 10.0.2.3 dev vlan0005"), "{routes}");
    assert!(!routes.contains("172.31.0.0/16"), "of another interface: {routes}");
    assert_eq!(switch.passed(1), 0);
    Ok(())
}
