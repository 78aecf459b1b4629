//! A kernel's modules directory (`lib/modules/RELEASE`): which modules to carry for the names
//! asked for, and the index files (`modules.dep`, `.alias`, `.softdep`) for just those, in
//! depmod's own format.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::decompress::{self, SUFFIXES};
use crate::modinfo::{ModInfo, normalise};
use crate::{Error, lines};

/// What a virtual machine may need to reach its network, its entropy, its disks, its watchdog, its TPM and
/// what its firmware remembers:
/// QEMU and KVM, Firecracker (virtio_mmio), VMware, Hyper-V and Azure, Xen, AWS, Google Cloud.
/// What `bond=` and `vlan=` need is not among it: bonding and 8021q, a tenth of the initramfs, are
/// for metal. A kernel that lacks one of them, or has it built in, is as good.
pub const VM_MODULES: &[&str] = &[
    "af_packet",
    "e1000",
    "e1000e",
    "efivarfs",
    "ena",
    "ext4",
    "fuse",
    "gve",
    "hv_netvsc",
    "hv_storvsc",
    "i6300esb",
    "ipv6",
    "mana",
    "nvme",
    "overlay",
    "sd_mod",
    "tpm_crb",
    "tpm_tis",
    "virtio_blk",
    "virtio_mmio",
    "virtio_net",
    "virtio_pci",
    "virtio_rng",
    "virtio_scsi",
    "vmxnet3",
    "xen_blkfront",
    "xen_netfront",
];

/// A directory of kernel modules, scanned.
#[derive(Debug)]
pub(crate) struct Kernel {
    dir: PathBuf,
    release: String,
    /// Module name to path relative to `dir`.
    files: BTreeMap<String, String>,
    builtin: BTreeSet<String>,
}

/// A module to carry.
#[derive(Debug)]
pub(crate) struct Module {
    /// Path relative to `lib/modules/RELEASE`, ending in `.ko`.
    pub(crate) path: String,
    /// The module, decompressed.
    pub(crate) data: Vec<u8>,
    pub(crate) info: ModInfo,
}

/// The modules chosen, with all they depend on, by name.
#[derive(Debug)]
pub(crate) struct Chosen {
    /// The modules, by normalised name.
    pub(crate) modules: BTreeMap<String, Module>,
    /// Names of the VM list that this kernel has in no form.
    pub(crate) absent: Vec<String>,
}

impl Kernel {
    /// Scans `dir`; it must be named after the kernel's release.
    pub(crate) fn open(dir: &Path) -> Result<Kernel, Error> {
        let real = fs::canonicalize(dir).map_err(Error::reading(dir))?;
        let release = real
            .file_name()
            .and_then(|name| name.to_str())
            .ok_or_else(|| Error::NoModules { dir: dir.to_owned() })?;
        let mut files = BTreeMap::new();
        scan(&real, &real, &mut files)?;
        let index = real.join("modules.builtin");
        let builtin: BTreeSet<String> = match fs::read_to_string(&index) {
            Ok(text) => text.lines().filter_map(module_name).collect(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => BTreeSet::new(),
            Err(error) => return Err(Error::reading(&index)(error)),
        };
        if files.is_empty() && builtin.is_empty() {
            return Err(Error::NoModules { dir: dir.to_owned() });
        }
        Ok(Kernel { dir: dir.to_owned(), release: release.to_owned(), files, builtin })
    }

    /// The kernel's release, as `uname -r` says it.
    pub(crate) fn release(&self) -> &str {
        &self.release
    }

    /// The named modules (a name that is absent is an error), with `vm` those of [`VM_MODULES`]
    /// that exist, and all that they depend on.
    pub(crate) fn choose(&self, names: &[String], vm: bool) -> Result<Chosen, Error> {
        let mut chosen = Chosen { modules: BTreeMap::new(), absent: Vec::new() };
        let mut todo: Vec<String> = Vec::new();
        for name in names.iter().map(|name| normalise(name)) {
            if !self.has(&name) {
                return Err(Error::NoModule { name, dir: self.dir.clone(), needed_by: None });
            }
            todo.push(name);
        }
        if vm {
            let (here, absent): (Vec<_>, Vec<_>) =
                VM_MODULES.iter().map(|&name| name.to_owned()).partition(|name| self.has(name));
            todo.extend(here);
            chosen.absent = absent;
        }
        while let Some(name) = todo.pop() {
            if chosen.modules.contains_key(&name) {
                continue;
            }
            let Some(file) = self.files.get(&name) else { continue };
            let module = self.load(file)?;
            for needed in &module.info.depends {
                if !self.has(needed) {
                    return Err(Error::NoModule {
                        name: needed.clone(),
                        dir: self.dir.clone(),
                        needed_by: Some(name),
                    });
                }
                todo.push(needed.clone());
            }
            todo.extend(module.info.wanted());
            chosen.modules.insert(name, module);
        }
        Ok(chosen)
    }

    fn has(&self, name: &str) -> bool {
        self.files.contains_key(name) || self.builtin.contains(name)
    }

    fn load(&self, file: &str) -> Result<Module, Error> {
        let path = self.dir.join(file);
        let data = decompress::read(&path).map_err(Error::reading(&path))?;
        let info = ModInfo::read(&data)
            .map_err(|source| Error::NotModule { path: path.clone(), source })?;
        if info.release != self.release {
            return Err(Error::OtherKernel { path, release: info.release });
        }
        let end = file.rfind(".ko").map_or(file.len(), |at| at + 3);
        Ok(Module { path: file[..end].to_owned(), data, info })
    }
}

impl Chosen {
    /// `modules.dep`: each module's path, then those of all that must be loaded before it, the
    /// first to load last.
    pub(crate) fn dep(&self) -> String {
        lines(self.modules.iter().map(|(name, module)| {
            let mut order = Vec::new();
            self.visit(name, &mut order);
            let needed = order.iter().rev().skip(1).map(|module| format!(" {}", module.path));
            format!("{}:{}", module.path, needed.collect::<String>())
        }))
    }

    /// `modules.alias`: the patterns of devices, and other names, that the modules serve.
    pub(crate) fn alias(&self) -> String {
        self.index(|info| &info.aliases, "alias", |name, alias| format!("{alias} {name}"))
    }

    /// `modules.softdep`: modules to load before or after one, where they exist.
    pub(crate) fn softdep(&self) -> String {
        self.index(|info| &info.softdeps, "softdep", |name, rule| format!("{name} {rule}"))
    }

    fn index(
        &self,
        values: impl Fn(&ModInfo) -> &Vec<String>,
        keyword: &str,
        line: impl Fn(&str, &str) -> String,
    ) -> String {
        lines(self.modules.iter().flat_map(|(name, module)| {
            values(&module.info).iter().map(|value| format!("{keyword} {}", line(name, value)))
        }))
    }

    /// Appends what `name` needs, then itself; each module once, so a ring comes to its end.
    fn visit<'a>(&'a self, name: &str, order: &mut Vec<&'a Module>) {
        self.descend(name, &mut BTreeSet::new(), order);
    }

    fn descend<'a>(&'a self, name: &str, seen: &mut BTreeSet<String>, order: &mut Vec<&'a Module>) {
        let Some(module) = self.modules.get(name) else { return };
        if !seen.insert(name.to_owned()) {
            return;
        }
        for needed in &module.info.depends {
            self.descend(needed, seen, order);
        }
        order.push(module);
    }
}

/// Collects the module files beneath `dir`. Of two of one name, that in `updates/` is taken, as
/// depmod does. Symbolic links (`build`, `source`) are left alone, and so are names that are no
/// text, for no kernel build makes them.
fn scan(root: &Path, dir: &Path, files: &mut BTreeMap<String, String>) -> Result<(), Error> {
    for entry in fs::read_dir(dir).map_err(Error::reading(dir))? {
        let entry = entry.map_err(Error::reading(dir))?;
        let path = entry.path();
        let kind = entry.file_type().map_err(Error::reading(&path))?;
        if kind.is_dir() {
            scan(root, &path, files)?;
        } else if kind.is_file()
            && let Some(relative) = path.strip_prefix(root).ok().and_then(Path::to_str)
            && let Some(name) = module_name(relative)
        {
            let rank = |path: &str| (!path.starts_with("updates/"), path.to_owned());
            let taken = files.entry(name).or_insert_with(|| relative.to_owned());
            if rank(relative) < rank(taken) {
                relative.clone_into(taken);
            }
        }
    }
    Ok(())
}

/// The module that a path such as `kernel/fs/a-b.ko.xz` holds, or `None` for other files.
fn module_name(path: &str) -> Option<String> {
    let file = path.rsplit('/').next()?;
    SUFFIXES.iter().find_map(|suffix| file.strip_suffix(suffix)).map(normalise)
}

#[cfg(test)]
mod tests;
