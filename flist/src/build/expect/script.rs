//! What a script of a shell runs, as far as that can be seen without being one: the words where
//! commands stand.

/// What such a word is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Command<'a> {
    /// A program, by its name or path.
    Run(&'a [u8]),
    /// Another script, whose commands are run as if they stood here.
    Source(&'a [u8]),
}

/// Words behind which a command follows.
const BEFORE: [&[u8]; 14] = [
    b"if", b"then", b"else", b"elif", b"do", b"while", b"until", b"!", b"exec", b"command",
    b"eval", b"nohup", b"nice", b"env",
];

/// Programs that shells do without, as they do the same themselves.
const BUILT_IN: [&[u8]; 9] =
    [b"[", b"test", b"echo", b"printf", b"kill", b"pwd", b"true", b"false", b"time"];

/// The shells whose words are understood.
const SHELLS: [&[u8]; 9] =
    [b"sh", b"bash", b"dash", b"ash", b"ksh", b"zsh", b"busybox", b"openrc-run", b"runscript"];

/// What the first line of a script says it is run by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Interpreter<'a> {
    path: &'a [u8],
    /// What `env` shall look for.
    name: Option<&'a [u8]>,
}

impl<'a> Interpreter<'a> {
    /// What that comes to.
    pub(super) fn commands(self) -> impl Iterator<Item = Command<'a>> {
        [Some(self.path), self.name].into_iter().flatten().map(Command::Run)
    }

    /// Whether it is a shell.
    pub(super) fn is_shell(self) -> bool {
        SHELLS.contains(&self.name.unwrap_or_else(|| super::name_of(self.path)))
    }
}

/// The interpreter that a script names.
pub(super) fn interpreter(script: &[u8]) -> Option<Interpreter<'_>> {
    let line = script.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let path = words.next()?;
    let name = words.find(|word| !word.starts_with(b"-"));
    Some(Interpreter { path, name: name.filter(|_| super::name_of(path) == b"env") })
}

/// The commands of a script, in the order of its lines, and what variables stand for that is a path, as
/// they hold what is run or read. An inittab's commands too, whose fields are parted by colons.
pub(super) fn commands(script: &[u8]) -> Vec<Command<'_>> {
    let mut commands = Vec::new();
    for line in script.split(|byte| *byte == b'\n') {
        if !line.trim_ascii_start().starts_with(b"#") {
            for words in line.split(|byte| b";|&(){}`:".contains(byte)) {
                command(words, &mut commands);
            }
        }
    }
    commands
}

/// Adds the command that begins here.
fn command<'a>(words: &'a [u8], commands: &mut Vec<Command<'a>>) {
    let words = words.split(u8::is_ascii_whitespace).map(bare);
    let mut words = words.filter(|word| !word.is_empty() && !BEFORE.contains(word));
    for word in words.by_ref() {
        if let Some(equals) = word.iter().position(|byte| *byte == b'=') {
            let value = bare(word.get(equals + 1..).unwrap_or_default());
            commands.extend(value.starts_with(b"/").then_some(Command::Run(value)));
        } else if word == b"." || word == b"source" {
            return commands.extend(words.next().map(Command::Source));
        } else {
            let runs = !word.starts_with(b"$") && !BUILT_IN.contains(&word);
            return commands.extend(runs.then_some(Command::Run(word)));
        }
    }
}

/// A word without quotes around it.
fn bare(word: &[u8]) -> &[u8] {
    let quote = |byte: &u8| matches!(byte, b'"' | b'\'');
    let start = word.iter().take_while(|byte| quote(byte)).count();
    let end = word.iter().rev().take_while(|byte| quote(byte)).count();
    word.get(start..word.len() - end).unwrap_or_default()
}
