//! What a kernel module says of itself in its `.modinfo` section: dependencies, aliases, the
//! kernel it is for. So no depmod need have run over the kernel's directory.

use crate::elf::{Elf, ElfError};

/// The fields of `.modinfo` that loading needs.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct ModInfo {
    /// Names of the modules whose symbols it uses, normalised.
    pub(crate) depends: Vec<String>,
    /// Patterns that devices' modaliases match.
    pub(crate) aliases: Vec<String>,
    /// Lines such as `pre: a b post: c`.
    pub(crate) softdeps: Vec<String>,
    /// Modules it may use, which should be at hand.
    pub(crate) weakdeps: Vec<String>,
    /// The licence that it states, in the kernel's words.
    pub(crate) licence: String,
    /// The kernel release it was built for.
    pub(crate) release: String,
}

impl ModInfo {
    /// Reads the section of a module's (decompressed) bytes; one without it says nothing.
    pub(crate) fn read(module: &[u8]) -> Result<ModInfo, ElfError> {
        let section = Elf::new(module)?.section(b".modinfo")?.unwrap_or_default();
        let mut info = ModInfo::default();
        for line in section.split(|&byte| byte == 0) {
            let line = String::from_utf8_lossy(line);
            let Some((key, value)) = line.split_once('=') else { continue };
            match key {
                "depends" => info.depends.extend(names(value.split(','))),
                "weakdep" => info.weakdeps.extend(names(value.split_whitespace())),
                "alias" => info.aliases.push(value.to_owned()),
                "softdep" => info.softdeps.push(value.to_owned()),
                "license" => value.clone_into(&mut info.licence),
                "vermagic" => {
                    info.release = value.split(' ').next().unwrap_or_default().to_owned();
                }
                _ => {}
            }
        }
        Ok(info)
    }

    /// Names of the modules that should be at hand beside it, but need not exist.
    pub(crate) fn wanted(&self) -> impl Iterator<Item = String> {
        let soft = self.softdeps.iter().flat_map(|line| line.split_whitespace());
        names(soft.filter(|word| !word.ends_with(':'))).chain(self.weakdeps.iter().cloned())
    }
}

/// The name as the kernel has it: a file `a-b.ko` holds the module `a_b`.
pub(crate) fn normalise(name: &str) -> String {
    name.replace('-', "_")
}

fn names<'a>(words: impl Iterator<Item = &'a str>) -> impl Iterator<Item = String> {
    words.map(str::trim).filter(|name| !name.is_empty()).map(normalise)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elf::tests::with_modinfo;

    #[test]
    fn fields_are_taken_apart() {
        let module = with_modinfo(
            b"license=GPL\0\0alias=pci:v00001AF4d*\0alias=virtio-x\0depends=net-failover,b\0\
              softdep=pre: crc-a post: z\0weakdep=w-1 w2\0firmware=a/b.bin\0\
              vermagic=6.12.1-amd64 SMP preempt mod_unload \0name=x\0",
        );
        let info = ModInfo::read(&module).unwrap();
        assert_eq!(info.depends, ["net_failover", "b"]);
        assert_eq!(info.aliases, ["pci:v00001AF4d*", "virtio-x"]);
        assert_eq!(info.wanted().collect::<Vec<_>>(), ["crc_a", "z", "w_1", "w2"]);
        assert_eq!((info.release.as_str(), info.licence.as_str()), ("6.12.1-amd64", "GPL"));
    }

    #[test]
    fn a_module_that_depends_on_nothing_says_so_with_an_empty_value() {
        assert!(ModInfo::read(&with_modinfo(b"depends=\0")).unwrap().depends.is_empty());
        assert_eq!(ModInfo::read(&with_modinfo(b"")).unwrap(), ModInfo::default());
    }
}
