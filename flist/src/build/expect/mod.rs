//! What a boot of a tree is expected to read, where no profile says it: its configuration, its init, and
//! what these start, as far as the files themselves tell: the libraries a program names, the commands
//! of a script, the units of systemd, and a table of what well-known programs read.
//!
//! A hint like any profile: what is expected wrongly is fetched in vain, and nothing else comes of it.

mod elf;
mod known;
mod script;
mod units;
mod view;

use std::collections::HashSet;

use super::BuildError;
use super::read::Input;
use crate::profile::{Need, Profile};
use elf::Elf;
use script::Command;
use view::{Found, View};

/// What a kernel starts, the first there is. Where there is but a shell, nobody knows what it will be told.
const INITS: [&str; 3] = ["/sbin/init", "/etc/init", "/bin/init"];

/// Where the configuration lies; most of what a boot reads of it are small files.
const CONFIGURATION: &str = "/etc";
const SMALL: u64 = 64 << 10;

/// Where commands are looked for.
const PATH: [&str; 6] =
    ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// Bytes of contents: of a longer file, such as a program with all it needs linked into it, too little
/// is read, and a Debian's boot reads 40 MB in all.
const LONGEST: u64 = 16 << 20;
const MOST: u64 = 96 << 20;

/// Something that will be read.
enum Want {
    /// The file of this path.
    File(Vec<u8>),
    /// The same, whose lines are commands, whatever it begins with.
    Script(Vec<u8>),
    /// The program of this name.
    Program(Vec<u8>),
    /// What the pattern leads to.
    Matching(&'static str),
    /// The unit of this name.
    Unit(Vec<u8>),
}

/// What a boot of the tree is expected to read, in an order it might do so; nothing, where there is no init.
pub(super) fn expected(input: &Input) -> Result<Profile, BuildError> {
    let mut expect = Expect::new(View::new(input))?;
    let Some(init) = INITS.iter().find(|init| expect.view.file(init.as_bytes()).is_some()) else {
        return Ok(Profile::default());
    };
    for file in expect.view.below(CONFIGURATION.as_bytes()) {
        if file.size <= SMALL {
            expect.need(&file);
        }
    }
    // Depth first, in order: the last is the next.
    let mut wanted = vec![Want::File(init.as_bytes().to_vec())];
    while let Some(want) = wanted.pop() {
        let mut more = expect.meet(want)?;
        more.reverse();
        wanted.append(&mut more);
    }
    Ok(Profile::new(expect.needs))
}

struct Expect<'a> {
    view: View<'a>,
    needs: Vec<Need>,
    bytes: u64,
    /// Inodes that are needed.
    needed: HashSet<u32>,
    /// Those that were looked into: as what they are, and as a script.
    looked: HashSet<(u32, bool)>,
    units: HashSet<Vec<u8>>,
    /// Names of programs, of which one file may have several.
    names: HashSet<Vec<u8>>,
    /// Where the loader looks for libraries.
    libraries: Vec<Vec<u8>>,
}

impl<'a> Expect<'a> {
    fn new(mut view: View<'a>) -> Result<Self, BuildError> {
        let libraries = known::libraries(&mut view)?;
        Ok(Self {
            view,
            needs: Vec::new(),
            bytes: 0,
            needed: HashSet::new(),
            looked: HashSet::new(),
            units: HashSet::new(),
            names: HashSet::new(),
            libraries,
        })
    }

    /// Notes what is wanted. Returns what will be wanted then.
    fn meet(&mut self, want: Want) -> Result<Vec<Want>, BuildError> {
        Ok(match want {
            Want::File(path) => self.file(&path, false)?,
            Want::Script(path) => self.file(&path, true)?,
            Want::Program(name) => {
                let mut paths = PATH.iter().map(|dir| join(dir.as_bytes(), &name));
                let path = paths.find(|path| self.view.file(path).is_some_and(|f| f.executable));
                path.into_iter().map(Want::File).collect()
            }
            Want::Matching(pattern) => {
                self.view.matching(pattern).into_iter().map(Want::File).collect()
            }
            Want::Unit(name) => self.unit(name)?,
        })
    }

    /// Whether the file fits in.
    fn need(&mut self, file: &Found) -> bool {
        let fits = file.size <= LONGEST && self.bytes + file.size <= MOST;
        if fits && file.size > 0 && self.needed.insert(file.at) {
            self.bytes += file.size;
            self.needs.push(Need { path: file.path.clone(), range: 0..file.size });
        }
        fits
    }

    fn file(&mut self, path: &[u8], script: bool) -> Result<Vec<Want>, BuildError> {
        let Some(file) = self.view.file(path) else { return Ok(Vec::new()) };
        if !self.need(&file) {
            return Ok(Vec::new());
        }
        let mut wants = Vec::new();
        if self.looked.insert((file.at, script)) {
            let contents = self.view.read(&file)?;
            if let Some(elf) = Elf::parse(&contents) {
                wants.extend(self.loaded(&file, &elf));
            } else {
                let interpreter = script::interpreter(&contents);
                if script || interpreter.is_some() {
                    wants.extend(interpreter.map(|path| Want::File(path.to_vec())));
                    wants.extend(script::commands(&contents).into_iter().map(want_of));
                }
            }
        }
        for name in [name_of(path), name_of(&file.path)] {
            if self.names.insert(name.to_vec()) {
                wants.extend(known::read_by(name));
            }
        }
        Ok(wants)
    }

    /// The loader and the libraries of a program.
    fn loaded(&self, file: &Found, elf: &Elf<'_>) -> Vec<Want> {
        let own = elf.run_path(&file.path);
        let dirs = own.iter().chain(&self.libraries);
        let libraries = elf.needed.iter().filter_map(|name| {
            let mut paths = dirs.clone().map(|dir| join(dir, name));
            paths.find(|path| self.view.file(path).is_some())
        });
        elf.interpreter.map(<[u8]>::to_vec).into_iter().chain(libraries).map(Want::File).collect()
    }
}

fn want_of(command: Command<'_>) -> Want {
    match command {
        Command::Run(path) if path.starts_with(b"/") => Want::File(path.to_vec()),
        Command::Run(name) => Want::Program(name.to_vec()),
        Command::Source(path) => Want::Script(path.to_vec()),
    }
}

/// The last name of a path.
fn name_of(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or_default()
}

/// Whether `name` is what `pattern`, in which one `*` may stand for any part, says.
fn fits(pattern: &str, name: &[u8]) -> bool {
    match pattern.split_once('*') {
        None => name == pattern.as_bytes(),
        Some((head, tail)) => {
            name.strip_prefix(head.as_bytes()).is_some_and(|rest| rest.ends_with(tail.as_bytes()))
        }
    }
}

fn join(dir: &[u8], name: &[u8]) -> Vec<u8> {
    [dir, name].join(&b'/')
}

#[cfg(test)]
mod tests;
