//! Systems of every kind keep their root and their address through what is done to networks and to
//! the machine, and end well. One row a system, one line a disturbance; each shows that it happened,
//! or the test fails. Needs root.

mod ends;
mod running;
mod troubles;

use std::time::Duration;

use running::Running;
use tests::guests::{SYSV_HALT, Source};
use tests::root;
use tests::vm::LIMIT;

type Result = anyhow::Result<()>;

/// A system, and what is particular about it.
struct Guest {
    name: &'static str,
    source: Source,
    arguments: &'static str,
    /// What looks up a name, and fails for one that nobody knows.
    resolve: &'static str,
    /// What is done to its network, by commands that succeed only if it was done.
    done: &'static [&'static str],
    /// What of [`EVERYWHERE`] it can't do.
    not: &'static [&'static str],
    /// How all its services are ended, if it knows a way.
    single: Option<Single>,
    /// For how many seconds the cable is out.
    unplugged: u64,
    /// For how many seconds the server is away.
    outage: u64,
    /// What stops the machine and leaves it on.
    halt: &'static str,
    /// What starts the kernel that was loaded.
    kexec: &'static str,
    /// What holds once that has booted the image again, if something particular does.
    again: &'static str,
}

/// What most have in common.
const SYSTEMD: Guest = Guest {
    name: "",
    source: Source::BusyBox,
    arguments: "",
    resolve: "getent hosts",
    done: &[],
    not: &[],
    single: Some(RESCUE),
    unplugged: 7,
    outage: 15,
    halt: "halt",
    kexec: "systemctl kexec",
    again: "",
};

/// What leads to a shell on the console with nothing else running, and back.
struct Single {
    enter: &'static str,
    leave: &'static str,
}

/// systemd's.
const RESCUE: Single = Single {
    enter: "systemctl isolate rescue.target",
    leave: "systemctl isolate multi-user.target",
};

/// SysV init's, also where it starts OpenRC.
const RUNLEVEL_1: Single = Single { enter: "telinit 1", leave: "telinit 2" };

/// What is done everywhere: `$i` is the interface, `$a` its address.
const EVERYWHERE: [&str; 4] = [
    // Tools of the system ask for an address themselves, and get the root's.
    "${udhcpc-busybox udhcpc} -i $i -n -q -s /srv/udhcpc 2>&1 | grep \"lease of $a obtained\"",
    "dhclient -v $i 2>&1 | grep \"DHCPACK of $a from\" && dhclient -v -r $i 2>&1 | grep DHCPRELEASE",
    // An ordinary user ends all that he may: his own.
    "[ \"$(su -s /bin/sh nobody -c 'sleep 999 & kill -9 -1; wait $!; echo $?')\" = 137 ]",
    // Memory is filled until next to nothing of what was read is left in the page cache; then the
    // file is read again that was there, and the system goes on.
    "mount -t tmpfs -o size=100% none /mnt && s=$(sha256sum /srv/fresh/00) && n=0 && \
     kib() { awk \"/$1/ {s += \\$2} END {print s}\" /proc/meminfo; }; \
     while [ $(kib 'e\\(file') -ge 16384 ] && l=$(($(kib 'MemFree|e\\(file') / 4)) && \
     fallocate -o $((n * 1024)) -l $((l * 1024)) /mnt/fill; do n=$((n + l)); done; \
     [ $(kib 'e\\(file') -lt 20480 ] && \
     [ \"$s\" = \"$(sha256sum /srv/fresh/00)\" ] && umount /mnt",
];

fn keeps_its_root(guest: &Guest) -> Result {
    let mut running = Running::boot(guest)?;
    for commands in [guest.done, &EVERYWHERE] {
        for command in commands {
            if !guest.not.iter().any(|word| command.starts_with(word)) {
                running.vm.must(command, LIMIT)?;
                running.holds(command)?;
            }
        }
        running.renews("all that")?;
    }
    running.unplugged(Duration::from_secs(guest.unplugged))?;
    running.outage(Duration::from_secs(guest.outage))?;
    if let Some(single) = &guest.single {
        running.single_user(single)?;
    }
    running.ends()
}

#[test]
fn networkd() -> Result {
    keeps_its_root(&Guest {
        name: "networkd",
        source: Source::Debian(&root::NETWORKS),
        arguments: "systemd.mask=NetworkManager.service systemd.wants=systemd-networkd.service",
        done: &[
            "p=$(systemctl show -P MainPID systemd-networkd); systemctl restart systemd-networkd; \
             [ $p != $(systemctl show -P MainPID systemd-networkd) ]",
            "networkctl reload && networkctl reconfigure $i",
            // The control: the address does go, and the root daemon puts it back.
            "networkctl down $i; until dmesg | grep -q 'it is back'; do sleep 1; done",
            "systemctl daemon-reexec",
        ],
        outage: 120,
        ..SYSTEMD
    })
}

#[test]
fn cloud() -> Result {
    keeps_its_root(&Guest {
        name: "cloud",
        source: Source::Debian(&root::CLOUD),
        arguments: "systemd.wants=systemd-networkd.service",
        done: &[
            // It did want to do DHCP, and to give another name, which udev may have done before.
            "cloud-init status --wait && grep 'set-name: nic0' /etc/netplan/50-cloud-init.yaml && \
             { [ $i = nic0 ] || grep 'Error renaming mac=' /var/log/cloud-init.log; } && \
             grep DHCP=ipv4 /run/systemd/network/10-netplan-nic0.network",
            "netplan apply && i=nic0 && networkctl status $i | grep 05-zimg",
            "cloud-init clean && cloud-init init --local && cloud-init init",
        ],
        // As networkd's, but that all of cloud-init would run again.
        single: None,
        // The initramfs' network came before the datasource's.
        again: "cloud-init status --wait && grep 'initramfs' /var/log/cloud-init.log && \
                grep -v nic0 /etc/netplan/50-cloud-init.yaml && netplan apply",
        ..SYSTEMD
    })
}

#[test]
fn network_manager() -> Result {
    keeps_its_root(&Guest {
        name: "network-manager",
        source: Source::Debian(&root::NETWORK_MANAGER),
        done: &[
            "nmcli -t -f DEVICE,STATE device | grep $i:unmanaged && \
             p=$(systemctl show -P MainPID NetworkManager) && systemctl restart NetworkManager && \
             [ $p != $(systemctl show -P MainPID NetworkManager) ]",
            "nmcli device reapply $i 2>&1 | grep 'Device is not activated'",
            "nmcli networking off && nmcli -t networking | grep disabled && nmcli networking on && \
             nmcli -t networking | grep enabled",
            "nmcli device connect $i 2>&1 | grep 'strictly unmanaged'",
            // It can't be talked into it either.
            "nmcli device set $i managed yes && nmcli connection add type ethernet ifname $i && \
             ! nmcli -w 30 connection up ethernet-$i && nmcli connection delete ethernet-$i",
            // The control: did it not know, it would take the address away, which is then put back.
            "nm=/run/NetworkManager/conf.d && mv $nm/05-zimg.conf /run && \
             systemctl restart NetworkManager && nmcli device disconnect $i && \
             until dmesg | grep -q 'it is back'; do sleep 1; done && \
             mv /run/05-zimg.conf $nm && systemctl restart NetworkManager && \
             nmcli -t -f DEVICE,STATE device | grep $i:unmanaged",
            "systemctl daemon-reexec",
        ],
        unplugged: 30,
        ..SYSTEMD
    })
}

const IFDOWN: &str = "ifdown $i 2>&1 | grep 'stays up'";

const IFUP: &str =
    "ifup $i && grep zimg-$i /run/network/ifstate && ! ls /run/dhclient.$i.pid 2>/dev/null";

/// The control: by force the address does go, and the root daemon puts it back.
const FORCED: &str = "! dmesg | grep 'taken away' && ifdown --force $i; \
     until dmesg | grep -q 'it is back'; do sleep 1; done; ifup $i";

#[test]
fn systemd_ifupdown() -> Result {
    keeps_its_root(&Guest {
        name: "systemd-ifupdown",
        source: Source::Debian(&root::IFUPDOWN),
        done: &[
            IFDOWN,
            IFUP,
            FORCED,
            "was=$(systemctl show -P ActiveEnterTimestampMonotonic networking) && \
             systemctl restart networking && \
             [ $was != $(systemctl show -P ActiveEnterTimestampMonotonic networking) ]",
            "systemctl daemon-reexec",
        ],
        ..SYSTEMD
    })
}

#[test]
fn sysvinit() -> Result {
    keeps_its_root(&Guest {
        name: "sysvinit",
        source: Source::Debian(&root::SYSVINIT),
        done: &[IFDOWN, IFUP, FORCED, "/etc/init.d/networking restart 2>&1 | grep done"],
        single: Some(RUNLEVEL_1),
        halt: SYSV_HALT,
        // Its script for that finds the kernel that was loaded.
        kexec: "reboot",
        ..SYSTEMD
    })
}

#[test]
fn openrc() -> Result {
    keeps_its_root(&Guest {
        name: "openrc",
        source: Source::Debian(&root::OPENRC),
        done: &[IFDOWN, IFUP, FORCED, "rc-service networking restart 2>&1 | grep done"],
        single: Some(RUNLEVEL_1),
        halt: SYSV_HALT,
        kexec: "kexec -e",
        ..SYSTEMD
    })
}

#[test]
fn busybox() -> Result {
    keeps_its_root(&Guest {
        name: "busybox",
        source: Source::BusyBox,
        resolve: "nslookup",
        done: &[
            // A program takes all the memory there is, until the kernel ends it.
            "sh -c 'echo 1000 >/proc/$$/oom_score_adj; exec tail /dev/zero'; [ $? = 137 ]",
            // The root daemon is stopped, and again as soon as it goes on by itself.
            "p=$(grep -lx zimg /proc/[0-9]*/comm | cut -d/ -f3) && n=0 && \
             while [ $n -lt 20 ]; do kill -STOP $p && t=0 && \
             while read _ _ state _ </proc/$p/stat && [ $state = T ]; do t=1; done && \
             n=$((n + t)); done",
        ],
        not: &["dhclient"],
        single: None,
        kexec: "kexec -e",
        ..SYSTEMD
    })
}
