//! What depmod knows of a directory of modules, and the order in which some of them must be loaded.
//! Pure, but for reading the files.

use super::glob;
use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// `modules.dep`, `modules.alias`, `modules.softdep` and `modules.builtin` of one kernel.
#[derive(Debug, Default)]
pub(crate) struct Index {
    dir: PathBuf,
    modules: HashMap<String, Module>,
    aliases: Vec<(String, String)>,
    soft: HashMap<String, Soft>,
    builtin: HashSet<String>,
}

#[derive(Debug)]
struct Module {
    path: PathBuf,
    needs: Vec<String>,
}

#[derive(Debug, Default)]
struct Soft {
    before: Vec<String>,
    after: Vec<String>,
}

/// A module to be loaded.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Step {
    /// Its name.
    pub(crate) name: String,
    /// Its file.
    pub(crate) path: PathBuf,
}

impl Index {
    /// Reads the index of `dir`. Only `modules.dep` has to be there.
    pub(crate) fn read(dir: &Path) -> io::Result<Self> {
        let text = |name: &str| match fs::read_to_string(dir.join(name)) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(String::new()),
            result => result,
        };
        let dep = fs::read_to_string(dir.join("modules.dep"))?;
        let (alias, soft) = (text("modules.alias")?, text("modules.softdep")?);
        Ok(Self::parse(dir, &dep, &alias, &soft, &text("modules.builtin")?))
    }

    /// The index that these files make.
    pub(crate) fn parse(dir: &Path, dep: &str, alias: &str, soft: &str, builtin: &str) -> Self {
        Self {
            dir: dir.to_owned(),
            modules: dep.lines().filter_map(dep_line).collect(),
            aliases: alias.lines().filter_map(alias_line).collect(),
            soft: soft.lines().filter_map(soft_line).collect(),
            builtin: builtin.lines().map(name_of).collect(),
        }
    }

    /// The modules here that drive a device of this modalias.
    pub(crate) fn drivers(&self, modalias: &str) -> impl Iterator<Item = &str> {
        let matching = self.aliases.iter().filter(move |(p, _)| glob::matches(p, modalias));
        matching.map(|(_, name)| name.as_str()).filter(|name| self.modules.contains_key(*name))
    }

    /// Whether it drives a network card, or what lies on the way to one.
    pub(crate) fn is_network(&self, name: &str) -> bool {
        self.modules.get(name).is_some_and(|module| module.path.starts_with("kernel/drivers/net"))
    }

    /// Whether there is a module of this name.
    pub(crate) fn holds(&self, name: &str) -> bool {
        self.modules.contains_key(name)
    }

    /// The modules that `wanted` come to, in waves: each wave needs only what came before it.
    /// `skip` says which are loaded already or must not be.
    pub(crate) fn plan(&self, wanted: &[String], skip: &dyn Fn(&str) -> bool) -> Vec<Vec<Step>> {
        let mut waves = self.waves(wanted, skip);
        let planned: HashSet<String> = waves.iter().flatten().map(|s| s.name.clone()).collect();
        let after = planned.iter().filter_map(|name| self.soft.get(name));
        let after: Vec<String> = after.flat_map(|soft| soft.after.iter().cloned()).collect();
        waves.extend(self.waves(&after, &|name| planned.contains(name) || skip(name)));
        waves
    }

    fn waves(&self, wanted: &[String], skip: &dyn Fn(&str) -> bool) -> Vec<Vec<Step>> {
        let mut depths = HashMap::new();
        for name in wanted {
            self.depth(name, skip, &mut depths, &mut HashSet::new());
        }
        let mut waves: Vec<Vec<Step>> = Vec::new();
        for (name, depth) in depths {
            if let Some(module) = self.modules.get(&name) {
                waves.resize_with(waves.len().max(depth + 1), Vec::new);
                waves[depth].push(Step { name, path: self.dir.join(&module.path) });
            }
        }
        waves.iter_mut().for_each(|wave| wave.sort());
        waves.retain(|wave| !wave.is_empty());
        waves
    }

    /// One more than the depth of the deepest module that `name` needs; `None` where `name` is
    /// skipped, built in, or not here.
    fn depth(
        &self,
        name: &str,
        skip: &dyn Fn(&str) -> bool,
        depths: &mut HashMap<String, usize>,
        under: &mut HashSet<String>,
    ) -> Option<usize> {
        if let Some(depth) = depths.get(name) {
            return Some(*depth);
        }
        let module = self.modules.get(name)?;
        // Hard dependencies have no cycles; soft ones may, and are then cut.
        if self.builtin.contains(name) || skip(name) || !under.insert(name.to_owned()) {
            return None;
        }
        let before = self.soft.get(name).map_or(&[][..], |soft| &soft.before);
        let mut depth = 0;
        for need in module.needs.iter().chain(before) {
            depth = depth.max(self.depth(need, skip, depths, under).map_or(0, |below| below + 1));
        }
        under.remove(name);
        depths.insert(name.to_owned(), depth);
        Some(depth)
    }
}

/// A module's name: its file's, without the ending, `-` as `_`.
pub(crate) fn name_of(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    let stem = file.split_once(".ko").map_or(file, |(stem, _)| stem);
    stem.replace('-', "_")
}

fn dep_line(line: &str) -> Option<(String, Module)> {
    let (path, needs) = line.split_once(':')?;
    let needs = needs.split_ascii_whitespace().map(name_of).collect();
    Some((name_of(path), Module { path: PathBuf::from(path), needs }))
}

fn alias_line(line: &str) -> Option<(String, String)> {
    let mut words = line.split_ascii_whitespace();
    (words.next()? == "alias").then_some(())?;
    Some((words.next()?.to_owned(), words.next()?.replace('-', "_")))
}

fn soft_line(line: &str) -> Option<(String, Soft)> {
    let mut words = line.split_ascii_whitespace();
    (words.next()? == "softdep").then_some(())?;
    let name = words.next()?.replace('-', "_");
    let mut soft = Soft::default();
    let mut after = false;
    for word in words {
        match word {
            "pre:" => after = false,
            "post:" => after = true,
            module if after => soft.after.push(module.replace('-', "_")),
            module => soft.before.push(module.replace('-', "_")),
        }
    }
    Some((name, soft))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEP: &str = "\
kernel/drivers/net/virtio_net.ko: kernel/drivers/net/net_failover.ko kernel/net/core/failover.ko
kernel/drivers/net/net_failover.ko: kernel/net/core/failover.ko
kernel/net/core/failover.ko:
kernel/fs/overlayfs/overlay.ko.xz:
kernel/lib/crc-special.ko:
kernel/fs/ext4.ko: kernel/fs/jbd2.ko
kernel/fs/jbd2.ko:
kernel/a.ko:
kernel/b.ko:
";
    const ALIAS: &str = "\
# Aliases extracted from modules themselves.
alias virtio:d00000001v* virtio_net
alias virtio:d00000002v* virtio_blk
alias fs-overlay overlay
";
    const SOFT: &str = "\
softdep ext4 pre: crc-special post: b
softdep a pre: b
softdep b pre: a
";

    fn index() -> Index {
        Index::parse(
            Path::new("/m"),
            DEP,
            ALIAS,
            SOFT,
            "kernel/x/builtin-one.ko\nkernel/fs/jbd2.ko\n",
        )
    }

    fn waves(wanted: &[&str], loaded: &[&str]) -> Vec<Vec<String>> {
        let wanted: Vec<String> = wanted.iter().map(|name| (*name).to_owned()).collect();
        let plan = index().plan(&wanted, &|name| loaded.contains(&name));
        plan.into_iter().map(|wave| wave.into_iter().map(|step| step.name).collect()).collect()
    }

    #[test]
    fn a_device_finds_its_driver_if_it_is_here() {
        let index = index();
        assert_eq!(index.drivers("virtio:d00000001v00001AF4").collect::<Vec<_>>(), ["virtio_net"]);
        assert_eq!(index.drivers("virtio:d00000002v00001AF4").count(), 0);
        assert_eq!(index.drivers("fs-overlay").collect::<Vec<_>>(), ["overlay"]);
    }

    #[test]
    fn dependencies_come_first_and_in_waves() {
        assert_eq!(
            waves(&["virtio_net", "overlay"], &[]),
            [vec!["failover", "overlay"], vec!["net_failover"], vec!["virtio_net"]]
        );
    }

    #[test]
    fn what_is_loaded_is_left_out() {
        assert_eq!(waves(&["virtio_net"], &["failover"]), [["net_failover"], ["virtio_net"]]);
        assert!(waves(&["overlay"], &["overlay"]).is_empty());
        assert!(waves(&["nonsense"], &[]).is_empty());
    }

    #[test]
    fn soft_dependencies_and_built_in_ones() {
        assert_eq!(
            waves(&["ext4"], &[]),
            [vec!["crc_special"], vec!["ext4"], vec!["a"], vec!["b"]]
        );
    }

    #[test]
    fn soft_cycles_end() {
        assert_eq!(waves(&["a"], &[]).concat().len(), 2);
    }

    #[test]
    fn paths_are_joined_and_names_unified() {
        let plan = index().plan(&["overlay".to_owned()], &|_| false);
        assert_eq!(plan[0][0].path, Path::new("/m/kernel/fs/overlayfs/overlay.ko.xz"));
        assert_eq!(name_of("kernel/a-b/c-d.ko.zst"), "c_d");
    }

    #[test]
    fn a_directory_without_an_index_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Index::read(dir.path()).is_err());
        fs::write(dir.path().join("modules.dep"), DEP).unwrap();
        assert!(Index::read(dir.path()).unwrap().holds("overlay"));
    }
}
