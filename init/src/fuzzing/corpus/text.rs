//! Seeds that are text, or kept as such.

use super::Seeds;

const HASH: &str = "1f2e3d4c5b6a79880102030405060708090a0b0c0d0e0f101112131415161718";

/// minisign's own.
const KEY: &str = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";

pub(super) fn cmdline() -> Seeds {
    let boot = format!(
        "BOOT_IMAGE=/vmlinuz quiet console=ttyS0,115200 zimg.url=http://192.0.2.1/${{mac:hexhyp}}.flist \
         zimg.url=https://mirror.example/a.flist zimg.hash={HASH} zimg.store=http://192.0.2.2/ \
         zimg.timeout=60 zimg.onfail=reboot:10 zimg.overlay=tmpfs:size=50% zimg.ntp=a.example,192.0.2.123 \
         zimg.epoch=1795413912 zimg.log=debug init=/bin/sh BOOTIF=01-52-54-00-01-02-03 -- single\n"
    );
    let files = format!(
        "quiet \"zimg.report=http://192.0.2.1/a b\" zimg.proxy=http://u:p@192.0.2.3:3128 zimg.hsh=x\n\
         # of the initramfs\nzimg.shell=yes zimg.hash={HASH}\nzimg.url=http://192.0.2.1/a.flist\n\
         zimg.overlay=LABEL=data zimg.overlay.create=erase zimg.overlay.update=fresh\n"
    );
    let off = "zimg.url=http://h/a zimg.verify=off zimg.ca=/ca.pem zimg.overlay=off zimg.shell=yes";
    let keys = format!(
        "zimg.url=http://h/a zimg.hash={HASH} zimg.key={KEY} zimg.min-version=1.10\n\
         zimg.key={KEY}\nzimg.key=RWQAAQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyAhIiMkJSYn\n\
         zimg.name=web zimg.min-version=1.9 zimg.signatures=1\n"
    );
    Seeds::from([
        ("boot", boot.into()),
        ("files", files.into()),
        ("keys", keys.into()),
        ("off", off.into()),
    ])
}

pub(super) fn network() -> Seeds {
    let short = "ip=dhcp\nip=eth0:dhcp:1400:52:54:00:01:02:03\nip=auto6\nip=52:54:00:01:02:03:off\n\
                 nameserver=192.0.2.53\nnameserver=[2001:db8::53]\nBOOTIF=01-52-54-00-01-02-03\nquiet\n";
    let long = "ip=192.0.2.9:192.0.2.1:192.0.2.1:255.255.255.0:node:eth0:none:9.9.9.9:8.8.8.8:192.0.2.1\n\
                ip=[2001:db8::9]::[2001:db8::1]:64::eth1:none:1400:52:54:00:01:02:03\nbootdev=eth0\n";
    let links = "bond=bond0:eth0,52:54:00:01:02:03:mode=802.3ad,lacp_rate=fast,xmit_hash_policy=layer3+4:9000\n\
                 bond=bond1::arp_interval=100,arp_ip_target=192.0.2.1;192.0.2.2,primary=eth0\n\
                 vlan=vlan0005:bond0\nvlan=bond0.7:bond0\nifname=lan0:52:54:00:01:02:03\n\
                 rd.route=10.0.0.0/8:192.0.2.1:eth0\nrd.route=[2001:db8::/32]:[fe80::1]:eth0\n";
    Seeds::from([("long", long.into()), ("links", links.into()), ("short", short.into())])
}

pub(super) fn modules() -> Seeds {
    let debian = "kernel/drivers/net/virtio_net.ko.xz: kernel/drivers/net/net_failover.ko.xz\n\
        kernel/drivers/net/net_failover.ko.xz: kernel/net/core/failover.ko.xz\n\
        kernel/net/core/failover.ko.xz:\nkernel/fs/ext4/ext4.ko.xz: kernel/fs/jbd2/jbd2.ko.xz\n\
        kernel/fs/jbd2/jbd2.ko.xz:\nkernel/lib/crc-t10dif.ko.xz:\nkernel/e.ko:\n\
        \0# Aliases\nalias virtio:d00000001v* virtio_net\nalias usb:v0525pA4A[12]d* e\n\
        alias pci:v*d*sv*sd*bc01sc0[!5-7]i?? ext4\n\
        \0softdep ext4 pre: crc-t10dif post: e\nsoftdep e pre: ext4\n\
        \0kernel/net/core/failover.ko\n\
        \0virtio:d00000001v00001AF4\nusb:v0525pA4A2d0001\npci:v1d2sv3sd4bc01sc04i02\n";
    Seeds::from([("debian", debian.into())])
}

pub(super) fn uevent() -> Seeds {
    let add = "add@/devices/pci0000:00/0000:00:03.0/virtio0\0ACTION=add\0DEVPATH=/devices/x\0\
               SUBSYSTEM=virtio\0MODALIAS=virtio:d00000001v00001AF4\0SEQNUM=1234\0";
    let change =
        "change@/devices/x\0ACTION=change\0DEVPATH=/devices/x\0SUBSYSTEM=block\0SEQNUM=1\0";
    Seeds::from([("add", add.into()), ("change", change.into())])
}

/// What a TPM answered, each behind its length.
pub(super) fn tpm() -> Seeds {
    let text = include_str!("../../tpm/tpm2-tools.txt");
    let answers = text.lines().filter_map(|line| line.strip_prefix("< ")).map(|hex| {
        let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        let answer: Vec<u8> = (0..hex.len()).step_by(2).map(byte).collect();
        [&u16::try_from(answer.len()).unwrap().to_be_bytes()[..], &answer].concat()
    });
    let mut answers: Vec<Vec<u8>> = answers.collect();
    // The longer text that the target has measured takes a piece more.
    answers.insert(4, answers[3].clone());
    Seeds::from([("swtpm", answers.concat())])
}
