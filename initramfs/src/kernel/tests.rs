//! Modules made by the test itself: what is carried, and what the index files say.

use super::*;
use crate::elf::tests::with_modinfo;

const RELEASE: &str = "6.12.0-test";

struct Tree {
    dir: tempfile::TempDir,
}

impl Tree {
    fn new() -> Tree {
        let tree = Tree { dir: tempfile::tempdir().unwrap() };
        fs::create_dir(tree.root()).unwrap();
        fs::write(tree.root().join("modules.builtin"), "kernel/fs/fuse/fuse.ko\n").unwrap();
        tree
    }

    fn root(&self) -> PathBuf {
        self.dir.path().join(RELEASE)
    }

    fn module(self, path: &str, modinfo: &str) -> Tree {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let modinfo = format!("{modinfo}\0vermagic={RELEASE} SMP \0");
        fs::write(path, with_modinfo(modinfo.as_bytes())).unwrap();
        self
    }

    /// A tree as of the kernel's virtio_net: it needs net_failover, which needs failover.
    fn net() -> Tree {
        Tree::new()
            .module(
                "kernel/drivers/net/virtio_net.ko",
                "depends=net_failover\0alias=virtio:d00000001v*\0softdep=pre: extra missing",
            )
            .module("kernel/drivers/net/net_failover.ko", "depends=failover")
            .module("kernel/net/core/failover.ko", "depends=")
            .module("kernel/lib/extra.ko", "depends=fuse")
            .module("kernel/drivers/char/hw-rng.ko", "depends=\0alias=virtio:d00000004v*")
    }

    fn choose(&self, names: &[&str], vm: bool) -> Result<Chosen, Error> {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        Kernel::open(&self.root())?.choose(&names, vm)
    }
}

fn names(chosen: &Chosen) -> Vec<&str> {
    chosen.modules.keys().map(String::as_str).collect()
}

#[test]
fn dependencies_come_along_in_the_order_of_loading() {
    let chosen = Tree::net().choose(&["virtio_net"], false).unwrap();
    assert_eq!(names(&chosen), ["extra", "failover", "net_failover", "virtio_net"]);
    assert_eq!(
        chosen.dep(),
        "kernel/lib/extra.ko:\n\
         kernel/net/core/failover.ko:\n\
         kernel/drivers/net/net_failover.ko: kernel/net/core/failover.ko\n\
         kernel/drivers/net/virtio_net.ko: kernel/drivers/net/net_failover.ko \
         kernel/net/core/failover.ko\n"
    );
    assert_eq!(chosen.alias(), "alias virtio:d00000001v* virtio_net\n");
    assert_eq!(chosen.softdep(), "softdep virtio_net pre: extra missing\n");
}

#[test]
fn a_name_may_be_spelled_as_the_file_or_as_the_kernel_does() {
    for name in ["hw-rng", "hw_rng"] {
        let chosen = Tree::net().choose(&[name], false).unwrap();
        assert_eq!(names(&chosen), ["hw_rng"]);
        assert_eq!(chosen.alias(), "alias virtio:d00000004v* hw_rng\n");
    }
}

#[test]
fn the_vm_list_takes_what_there_is_and_says_what_is_not() {
    let chosen = Tree::net().choose(&[], true).unwrap();
    assert_eq!(names(&chosen), ["extra", "failover", "net_failover", "virtio_net"]);
    assert!(chosen.absent.contains(&"overlay".to_owned()));
    assert!(!chosen.absent.contains(&"fuse".to_owned()), "built in");
}

#[test]
fn built_in_modules_need_no_file() {
    assert!(Tree::net().choose(&["fuse"], false).unwrap().modules.is_empty());
}

#[test]
fn an_absent_module_is_named_with_the_directory() {
    let tree = Tree::net();
    let error = tree.choose(&["virtio_net", "nosuch"], false).unwrap_err().to_string();
    assert_eq!(
        error,
        format!("no kernel module 'nosuch' in {}, nor is it built in", tree.root().display())
    );
    let tree = tree.module("kernel/a.ko", "depends=gone");
    let error = tree.choose(&["a"], false).unwrap_err().to_string();
    assert!(error.contains("'gone'") && error.contains("'a'"), "{error}");
}

#[test]
fn a_module_of_another_kernel_is_refused() {
    let tree = Tree::net();
    let path = tree.root().join("kernel/b.ko");
    fs::write(path, with_modinfo(b"vermagic=5.10.0 SMP \0")).unwrap();
    let error = tree.choose(&["b"], false).unwrap_err().to_string();
    assert!(error.contains("5.10.0") && error.contains("kernel/b.ko"), "{error}");
}

#[test]
fn a_ring_of_dependencies_ends() {
    let tree = Tree::new().module("kernel/a.ko", "depends=b").module("kernel/b.ko", "depends=a");
    let chosen = tree.choose(&["a"], false).unwrap();
    assert_eq!(chosen.dep(), "kernel/a.ko: kernel/b.ko\nkernel/b.ko: kernel/a.ko\n");
}

#[test]
fn updates_win_over_the_kernels_own() {
    let tree = Tree::new()
        .module("extra/a.ko", "alias=extra")
        .module("kernel/a.ko", "alias=old")
        .module("updates/dkms/a.ko", "alias=new");
    assert_eq!(tree.choose(&["a"], false).unwrap().alias(), "alias new a\n");
}

#[test]
fn a_directory_without_modules_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let error = Kernel::open(dir.path()).unwrap_err().to_string();
    assert!(error.contains("holds no kernel modules"), "{error}");
    let error = Kernel::open(&dir.path().join("gone")).unwrap_err().to_string();
    assert!(error.contains("gone"), "{error}");
}
