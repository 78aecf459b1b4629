//! Units of systemd: which others one draws in, and what it starts.

use super::super::BuildError;
use super::view::Found;
use super::{Command, Expect, SMALL, Want, join, name_of, want_of};

/// Where they lie, those that count first.
const DIRS: [&str; 4] = [
    "/etc/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];

/// Bytes of a unit's name, as in systemd (`UNIT_NAME_MAX`).
const LONGEST_NAME: usize = 255;

/// Settings that name units which come along.
const DRAWS_IN: [&[u8]; 7] =
    [b"Requires", b"Requisite", b"Wants", b"BindsTo", b"Upholds", b"Sockets", b"Service"];

/// Settings whose values are commands.
const RUNS: [&[u8]; 4] = [b"ExecCondition", b"ExecStartPre", b"ExecStart", b"ExecStartPost"];

impl Expect<'_> {
    /// A unit is wanted. Returns what comes with it: what it draws in, then what it starts.
    pub(super) fn unit(&mut self, name: Vec<u8>) -> Result<Vec<Want>, BuildError> {
        if name.len() > LONGEST_NAME || !self.units.insert(name.clone()) {
            return Ok(Vec::new());
        }
        let (template, instance) = template_of(&name).unzip();
        let mut names: Vec<Vec<u8>> =
            [Some(name.clone()), template].into_iter().flatten().collect();
        let place = paths(&names, "").into_iter().find(|path| self.view.is_named(path));
        // What is a link to /dev/null instead of a file, nobody shall start.
        let Some(file) = place.and_then(|path| self.view.file(&path)) else {
            return Ok(Vec::new());
        };
        let real = name_of(&file.path);
        if !names.iter().any(|name| name == real) {
            names.push(real.to_vec());
        }
        let mut text = self.text(&file)?;
        for dir in paths(&names, ".d") {
            for entry in self.view.entries(&dir) {
                if let Some(more) = self.view.file(&join(&dir, &entry.name)) {
                    text.push(b'\n');
                    text.append(&mut self.text(&more)?);
                }
            }
        }
        let mut drawn = Vec::new();
        for dir in [".requires", ".wants"].iter().flat_map(|suffix| paths(&names, suffix)) {
            drawn.extend(self.view.entries(&dir).iter().map(|entry| entry.name.to_vec()));
        }
        let mut run = Vec::new();
        for (key, value) in settings(&text) {
            let mut words = value.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
            if DRAWS_IN.contains(&key) {
                let instance = instance.as_deref().unwrap_or_default();
                drawn.extend(words.map(|word| with_instance(word, instance)));
            } else if RUNS.contains(&key) {
                run.extend(words.next().map(program));
            }
        }
        if let Some(stem) = name.strip_suffix(b".socket") {
            drawn.push([stem, b".service"].concat());
        }
        drawn.retain(|name| !self.units.contains(name));
        Ok(drawn.into_iter().map(Want::Unit).chain(run).collect())
    }

    /// The text of a file, which is needed then; none of one that does not fit in, or is long.
    fn text(&mut self, file: &Found) -> Result<Vec<u8>, BuildError> {
        if file.size > SMALL || !self.need(file) {
            return Ok(Vec::new());
        }
        self.view.read(file, SMALL)
    }
}

/// Where something of these units may lie, what counts first before the rest.
fn paths(names: &[Vec<u8>], suffix: &str) -> Vec<Vec<u8>> {
    let in_all =
        |name: &Vec<u8>| DIRS.map(|dir| [dir.as_bytes(), b"/", name, suffix.as_bytes()].concat());
    names.iter().flat_map(in_all).collect()
}

/// Of `getty@tty1.service`, `getty@.service` and `tty1`.
fn template_of(name: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let at = name.iter().position(|byte| *byte == b'@')? + 1;
    let dot = name.iter().rposition(|byte| *byte == b'.').filter(|dot| *dot >= at)?;
    let instance = name.get(at..dot)?.to_vec();
    Some(([name.get(..at)?, name.get(dot..)?].concat(), instance))
}

/// The name of a unit in which `%i` stands for the instance.
fn with_instance(name: &[u8], instance: &[u8]) -> Vec<u8> {
    let at = name.windows(2).position(|two| two.eq_ignore_ascii_case(b"%i"));
    match at {
        Some(at) => {
            let (head, tail) = (name.get(..at), name.get(at + 2..));
            [head.unwrap_or_default(), instance, tail.unwrap_or_default()].concat()
        }
        None => name.to_vec(),
    }
}

/// `Key=value` lines; those of sections and comments have no such form, or keys nobody asks for.
fn settings(text: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    text.split(|byte| *byte == b'\n').filter_map(|line| {
        let equals = line.iter().position(|byte| *byte == b'=')?;
        Some((line.get(..equals)?.trim_ascii(), line.get(equals + 1..)?))
    })
}

/// The program of a command, perhaps behind characters that say how systemd runs it.
fn program(command: &[u8]) -> Want {
    let special = command.iter().take_while(|byte| b"@-:+!|".contains(byte)).count();
    want_of(Command::Run(command.get(special..).unwrap_or_default()))
}
