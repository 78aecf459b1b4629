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

/// The program that the first line of a script names.
pub(super) fn interpreter(script: &[u8]) -> Option<&[u8]> {
    let line = script.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    line.trim_ascii().split(u8::is_ascii_whitespace).next()
}

/// The commands of a script, in the order of its lines. An inittab's too, whose fields are parted by colons.
pub(super) fn commands(script: &[u8]) -> Vec<Command<'_>> {
    let lines = script
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.trim_ascii_start().starts_with(b"#"));
    lines
        .flat_map(|line| line.split(|byte| b";|&(){}`:".contains(byte)))
        .filter_map(first)
        .collect()
}

/// The command that begins here.
fn first(words: &[u8]) -> Option<Command<'_>> {
    let mut words = words
        .split(u8::is_ascii_whitespace)
        .map(bare)
        .filter(|word| !word.is_empty())
        .skip_while(|word| BEFORE.contains(word) || word.contains(&b'='));
    match words.next()? {
        b"." | b"source" => words.next().map(Command::Source),
        word if word.starts_with(b"$") || BUILT_IN.contains(&word) => None,
        word => Some(Command::Run(word)),
    }
}

/// A word without quotes around it.
fn bare(word: &[u8]) -> &[u8] {
    let quote = |byte: &u8| matches!(byte, b'"' | b'\'');
    let start = word.iter().take_while(|byte| quote(byte)).count();
    let end = word.iter().rev().take_while(|byte| quote(byte)).count();
    word.get(start..word.len() - end).unwrap_or_default()
}
