//! What a boot of a tree is expected to read, where no profile says it: its configuration, its init, and
//! what these start, as far as the files themselves tell: the libraries a program names, the commands
//! of a script, the units of systemd, and a table of what well-known programs read.
//!
//! A hint like any profile: what is expected wrongly is fetched in vain. Trees are looked into that anybody
//! may have made, so each limit here has a name; what is beyond is not expected.

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

/// Where the configuration lies; most of what a boot reads of it are small files, of which there may be so
/// many bytes.
const CONFIGURATION: &str = "/etc";
const SMALL: u64 = 64 << 10;
const MOST_SMALL: u64 = 8 << 20;

/// Where commands are looked for.
const PATH: [&str; 6] =
    ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// Bytes of contents: of a longer file, such as a program with all it needs linked into it, too little
/// is read, and a Debian's boot reads 40 MB in all.
const LONGEST: u64 = 16 << 20;
const MOST: u64 = 96 << 20;

/// Bytes of a script; what is longer is an archive behind one.
const LONGEST_SCRIPT: u64 = 256 << 10;

/// How many things are wanted, each as often as something wants it: 1,900 for a Debian.
const MOST_WANTS: usize = 1 << 16;

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

/// What a boot of the tree is expected to read, in an order it might do so; nothing, where there is no init
/// that tells.
pub(super) fn expected(input: &Input) -> Result<Profile, BuildError> {
    let view = View::new(input);
    let there = |path: &&str| view.file(path.as_bytes()).filter(|file| file.executable);
    let init = INITS.iter().find_map(|path| Some((*path, there(path)?)));
    let Some((init, _)) = init.filter(|(_, file)| file.size <= LONGEST) else {
        return Ok(Profile::default());
    };
    let mut expect = Expect::new(view)?;
    for file in expect.view.below(CONFIGURATION.as_bytes()) {
        if file.size <= SMALL && expect.bytes + file.size <= MOST_SMALL {
            expect.need(&file);
        }
    }
    // Depth first, in order: the last is the next.
    let mut wanted = vec![Want::File(init.as_bytes().to_vec())];
    let mut wants = 0;
    while let Some(want) = wanted.pop() {
        let mut more = expect.meet(want)?;
        wants += more.len();
        if wants > MOST_WANTS {
            break;
        }
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
    /// Rows of the table of what is known.
    known: HashSet<usize>,
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
            known: HashSet::new(),
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

    /// Whether the file fits in, or is needed already.
    fn need(&mut self, file: &Found) -> bool {
        if self.needed.contains(&file.at) {
            return true;
        }
        let fits = file.size <= LONGEST && self.bytes + file.size <= MOST;
        if fits && file.size > 0 {
            self.needed.insert(file.at);
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
            let contents = self.view.read(&file, file.size)?;
            if let Some(elf) = Elf::parse(&contents) {
                wants.extend(self.loaded(&file, &elf)?);
            } else if file.size <= LONGEST_SCRIPT {
                let interpreter = script::interpreter(&contents);
                wants.extend(interpreter.iter().flat_map(|by| by.commands()).map(want_of));
                if script || interpreter.is_some_and(script::Interpreter::is_shell) {
                    wants.extend(script::commands(&contents).into_iter().map(want_of));
                }
            }
        }
        // One file may have several names, as BusyBox has.
        wants.extend(known::read_by(&[name_of(path), name_of(&file.path)], &mut self.known));
        Ok(wants)
    }

    /// The loader and the libraries of a program.
    fn loaded(&mut self, file: &Found, elf: &Elf<'_>) -> Result<Vec<Want>, BuildError> {
        let mut wants: Vec<Want> =
            elf.interpreter.iter().map(|path| Want::File(path.to_vec())).collect();
        let mut dirs = elf.run_path(&file.path);
        dirs.extend_from_slice(&self.libraries);
        for name in &elf.needed {
            for path in dirs.iter().map(|dir| join(dir, name)) {
                let Some(library) = self.view.file(&path) else { continue };
                // The loader passes over those of another machine.
                if elf::machine_of(&self.view.read(&library, elf::HEADER_LEN)?) == Some(elf.machine)
                {
                    wants.push(Want::File(path));
                    break;
                }
            }
        }
        Ok(wants)
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
