//! What the booted system is told of its network, so that it does not take it away.
//!
//! [`files`] is pure and runs in the root daemon, which knows the network; [`write`] runs in PID 1,
//! which may touch the root.

mod ifupdown;
mod sysv;

use crate::failure::{Failure, OrFail, Stage};
use crate::net::{self, IfName, Link, Mac, Up};
use crate::wire::GivenFile;
use flist::id::RootHash;
use flist::trust::KeyId;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Component, Path, PathBuf};

/// Where every resolver looks for DNS servers.
const RESOLV_CONF: &str = "/etc/resolv.conf";

/// Where the booted system finds which image it is.
const ROOT_HASH: &str = "/run/zimg/root-hash";

/// And by which keys its signatures counted.
const SIGNERS: &str = "/run/zimg/signers";

/// The files that name the image, and the keys that vouch for it: a line each, and none where no
/// signature was demanded.
pub(crate) fn image(root_hash: RootHash, signers: &[KeyId]) -> [GivenFile; 2] {
    let mut signers: Vec<String> = signers.iter().map(|id| format!("{id}\n")).collect();
    signers.sort();
    [
        file(ROOT_HASH.to_owned(), format!("{root_hash}\n")),
        file(SIGNERS.to_owned(), signers.concat()),
    ]
}

/// The image that `files` name.
pub(crate) fn root_hash(files: &[GivenFile]) -> &str {
    text(files, ROOT_HASH).trim_end()
}

/// The keys that `files` name, in one line; `none` where there are none.
pub(crate) fn signers(files: &[GivenFile]) -> String {
    let signers: Vec<&str> = text(files, SIGNERS).lines().collect();
    if signers.is_empty() { "none".to_owned() } else { signers.join(" ") }
}

fn text<'a>(files: &'a [GivenFile], path: &str) -> &'a str {
    let named = files.iter().find(|file| file.path == path);
    named.map(|file| file.text.as_str()).unwrap_or_default()
}

/// The files for a booted system on the network `up`, served by the process `pid`.
pub(crate) fn files(up: &Up, pid: u32) -> Vec<GivenFile> {
    let name = up.interface.to_string();
    let mut files = vec![
        file(format!("/run/systemd/network/05-zimg-{name}.network"), networkd(up)),
        file("/run/NetworkManager/conf.d/05-zimg.conf".to_owned(), network_manager(up)),
        file(format!("/run/net-{name}.conf"), klibc(up)),
    ];
    files.push(spared("zimg", pid));
    files.push(sysv::functions_file());
    files.extend(up.beneath.iter().map(|link| {
        file(format!("/run/systemd/network/05-zimg-{}.network", link.name), unmanaged(link))
    }));
    files.extend(ifupdown::files(up));
    if !up.dns.is_empty() {
        files.push(file(RESOLV_CONF.to_owned(), net::resolv_conf(up)));
        files.push(file("/run/systemd/resolved.conf.d/05-zimg.conf".to_owned(), resolved(up)));
    }
    files
}

/// The file by which SysV init's scripts spare the process `pid`.
pub(crate) fn spared(name: &str, pid: u32) -> GivenFile {
    file(format!("/run/sendsigs.omit.d/{name}"), format!("{pid}\n"))
}

fn file(path: String, text: String) -> GivenFile {
    GivenFile { path, text }
}

/// networkd keeps foreign addresses only for roots it knows to be on the network; a FUSE is not.
fn networkd(up: &Up) -> String {
    let matching = networkd_match(up.own_name(), up.permanent_mac, Some(up.mac));
    let mut text = format!(
        "# The root file system comes over this interface: its address is kept by zimg.\n\
         [Match]\n{matching}\n\n[Network]\nDHCP=no\nKeepConfiguration=yes\n"
    );
    if up.six.is_some() {
        // Routers are heard already. (The link's own address is left to be the default, as the
        // kernel makes it: without it networkd would take away what there is.)
        text += "IPv6AcceptRA=no\n";
    }
    up.dns.iter().for_each(|server| text += &format!("DNS={server}\n"));
    if !up.search.is_empty() {
        text += &format!("Domains={}\n", up.search.join(" "));
    }
    text
}

/// systemd-resolved asks these where no network manager names servers for the interface: none does
/// that was told to leave it alone, nor one that does not run (rescue mode).
fn resolved(up: &Up) -> String {
    let dns: Vec<String> = up.dns.iter().map(ToString::to_string).collect();
    format!("[Resolve]\nDNS={}\nDomains={}\n", dns.join(" "), up.search.join(" "))
}

/// A bond's member or a VLAN's parent: networkd would take it out of its bond, or give it an address.
fn unmanaged(link: &Link) -> String {
    let name = link.lies_on_others().then_some(&link.name);
    let matching = networkd_match(name, link.permanent_mac, link.mac);
    format!(
        "# The root file system comes over this interface: it is kept by zimg.\n\
         [Match]\n{matching}\n\n[Link]\nUnmanaged=yes\n"
    )
}

/// Hardware is known by its address, as udev may name it anew. The address of a bond or a VLAN is
/// its member's or parent's too; but its name stays.
fn networkd_match(own_name: Option<&IfName>, permanent: Option<Mac>, mac: Option<Mac>) -> String {
    match (own_name, permanent, mac) {
        (Some(name), ..) => format!("Name={name}"),
        (None, Some(mac), _) => format!("PermanentMACAddress={mac}"),
        (None, None, Some(mac)) => format!("MACAddress={mac}"),
        (None, None, None) => "Name=".to_owned(),
    }
}

fn network_manager(up: &Up) -> String {
    let device = |own_name: Option<&IfName>, mac: Option<Mac>| match (own_name, mac) {
        (Some(name), _) => Some(format!("interface-name:{name}")),
        (None, mac) => mac.map(|mac| format!("mac:{mac}")),
    };
    let beneath = up.beneath.iter().filter_map(|link| {
        device(link.lies_on_others().then_some(&link.name), link.permanent_mac.or(link.mac))
    });
    let own = device(up.own_name(), up.permanent_mac.or(Some(up.mac)));
    let devices = own.into_iter().chain(beneath).collect::<Vec<_>>().join(";");
    format!(
        "# The root file system comes over this interface: its address is kept by zimg.\n\
         [keyfile]\nunmanaged-devices+={devices}\n\n\
         [device-zimg]\nmatch-device={devices}\nmanaged=0\n"
    )
}

/// As klibc's ipconfig writes it: cloud-init and initramfs-tools' scripts read it.
fn klibc(up: &Up) -> String {
    let mut text = String::new();
    let mut set = |key: &str, value: String| text += &format!("{key}='{}'\n", quoted(&value));
    set("DEVICE", up.interface.to_string());
    set("PROTO", if up.lease.is_some() { "dhcp" } else { "none" }.to_owned());
    if let Some(address) = up.addresses.iter().find(|address| address.ip.is_ipv4()) {
        let mask = netmask(address.prefix);
        set("IPV4ADDR", address.ip.to_string());
        if let IpAddr::V4(ip) = address.ip {
            set("IPV4BROADCAST", (ip | !mask).to_string());
        }
        set("IPV4NETMASK", mask.to_string());
    }
    let gateway = |is_family: fn(&IpAddr) -> bool| {
        let defaults = up.routes.iter().filter(|route| route.is_default());
        defaults.filter_map(|route| route.gateway).find(is_family)
    };
    let ipv4 = gateway(IpAddr::is_ipv4).unwrap_or(Ipv4Addr::UNSPECIFIED.into());
    set("IPV4GATEWAY", ipv4.to_string());
    let servers = |is_family: fn(&&IpAddr) -> bool| up.dns.iter().filter(is_family).take(2);
    for (at, server) in servers(|ip| ip.is_ipv4()).enumerate() {
        set(&format!("IPV4DNS{at}"), server.to_string());
    }
    if let Some(address) = up.addresses.iter().find(|address| address.ip.is_ipv6()) {
        set("IPV6PROTO", "none".to_owned());
        set("IPV6ADDR", address.ip.to_string());
        set("IPV6NETMASK", address.prefix.to_string());
        set("IPV6GATEWAY", gateway(IpAddr::is_ipv6).map_or_else(String::new, |ip| ip.to_string()));
        for (at, server) in servers(|ip| ip.is_ipv6()).enumerate() {
            set(&format!("IPV6DNS{at}"), server.to_string());
        }
    }
    set("HOSTNAME", up.hostname.clone().unwrap_or_default());
    set("DNSDOMAIN", up.search.first().cloned().unwrap_or_default());
    text
}

/// What a DHCP server sent, fit to stand between a shell's single quotes.
fn quoted(value: &str) -> String {
    value.chars().filter(|c| *c != '\'' && !c.is_control()).collect()
}

fn netmask(prefix: u8) -> Ipv4Addr {
    let host_bits = 32_u32.saturating_sub(u32::from(prefix));
    Ipv4Addr::from_bits(u32::MAX.checked_shl(host_bits).unwrap_or(0))
}

/// Writes `files` for the system that `root` holds. Those below `/run` go to this process' own
/// `/run`, which the system takes over.
pub(crate) fn write(files: &[GivenFile], root: &Path) -> Result<(), Failure> {
    for file in files {
        match write_one(file, root) {
            // A read-only root keeps its own; that was asked for.
            Err(e) if e.kind() == io::ErrorKind::ReadOnlyFilesystem => {
                log::warn!("{} is not written: the root is read-only", file.path);
            }
            result => result.or_fail(
                Stage::Handover,
                &format!("write {}", file.path),
                "give the overlay and /run more room (zimg.overlay=tmpfs:size=, more memory)",
            )?,
        }
    }
    Ok(())
}

fn write_one(file: &GivenFile, root: &Path) -> io::Result<()> {
    let path = Path::new(&file.path);
    if path.starts_with("/run") {
        return lay(path, file.text.as_bytes());
    }
    if let Some(target) = link_into_run(root, path) {
        return lay(&target, file.text.as_bytes());
    }
    let path = root.join(path.strip_prefix("/").unwrap_or(path));
    // A system without the directory has nothing that would read the file.
    if !path.parent().is_some_and(|dir| fs::symlink_metadata(dir).is_ok_and(|meta| meta.is_dir())) {
        return Ok(());
    }
    // A link elsewhere would be followed out of the root: it is replaced.
    if fs::symlink_metadata(&path).is_ok_and(|meta| meta.is_symlink()) {
        fs::remove_file(&path)?;
    }
    put(&path, file.text.as_bytes())
}

/// Writes a file that anyone may read, and the directories it lies in.
pub(crate) fn lay(path: &Path, bytes: &[u8]) -> io::Result<()> {
    path.parent().map_or(Ok(()), fs::create_dir_all)?;
    put(path, bytes)
}

fn put(path: &Path, bytes: &[u8]) -> io::Result<()> {
    fs::write(path, bytes)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o644))
}

/// Where `path` of `root` points, if it is a link into `/run` (systemd-resolved's way).
fn link_into_run(root: &Path, path: &Path) -> Option<PathBuf> {
    let link = fs::read_link(root.join(path.strip_prefix("/").ok()?)).ok()?;
    let joined = path.parent()?.join(link);
    let mut plain = PathBuf::from("/");
    for part in joined.components() {
        match part {
            Component::Normal(name) => plain.push(name),
            Component::ParentDir => {
                plain.pop();
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    let below = plain.strip_prefix("/run").or_else(|_| plain.strip_prefix("/var/run")).ok()?;
    Some(Path::new("/run").join(below))
}

#[cfg(test)]
mod tests;
