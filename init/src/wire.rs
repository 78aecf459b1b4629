//! What the root daemon tells PID 1 over their pipe: frames of length-prefixed fields.
//!
//! A frame is its length (u32, little-endian), then fields, each its length (u32) and its bytes.
//! The first field is the kind. Both ends are one binary, so a frame that can't be read is a defect
//! and ends the boot with a message, never a panic.

use crate::failure::{Failure, Stage};
use std::io::{self, Read, Write};
use std::time::Duration;

/// The longest frame taken.
const FRAME_MAX: usize = 1 << 20;

/// One thing the root daemon has to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Message {
    /// A stage is done, and took this long.
    Mark(String, Duration),
    /// The network is up, and this is where a failure is to be told.
    Report(String),
    /// The image is mounted: these are the files the booted system is given.
    Ready(Vec<GivenFile>),
    /// The boot can't go on.
    Failed(Failure),
}

/// A file for the booted system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GivenFile {
    /// Where: an absolute path, below `/run` or `/etc`.
    pub(crate) path: String,
    /// What it holds.
    pub(crate) text: String,
}

impl Message {
    /// Sends it whole.
    pub(crate) fn send(&self, to: &mut impl Write) -> io::Result<()> {
        let fields = self.fields();
        let mut body = Vec::new();
        for field in &fields {
            body.extend_from_slice(&len_u32(field.len())?);
            body.extend_from_slice(field.as_bytes());
        }
        let mut frame = len_u32(body.len())?.to_vec();
        frame.append(&mut body);
        to.write_all(&frame)?;
        to.flush()
    }

    /// Receives the next; `None` where the other end is closed.
    pub(crate) fn receive(from: &mut impl Read) -> io::Result<Option<Self>> {
        let mut len = [0; 4];
        if from.read(&mut len[..1])? == 0 {
            return Ok(None);
        }
        from.read_exact(&mut len[1..])?;
        let len = usize::try_from(u32::from_le_bytes(len)).map_err(|_wide| bad("length"))?;
        if len > FRAME_MAX {
            return Err(bad("length"));
        }
        let mut body = vec![0; len];
        from.read_exact(&mut body)?;
        Self::from_fields(split(&body)?).map(Some)
    }

    fn fields(&self) -> Vec<String> {
        match self {
            Self::Mark(name, took) => {
                vec!["mark".to_owned(), name.clone(), took.as_micros().to_string()]
            }
            Self::Report(url) => vec!["report".to_owned(), url.clone()],
            Self::Ready(files) => {
                let pairs = files.iter().flat_map(|f| [f.path.clone(), f.text.clone()]);
                ["ready".to_owned()].into_iter().chain(pairs).collect()
            }
            Self::Failed(failure) => {
                let mut fields = vec![
                    "failed".to_owned(),
                    failure.stage.name().to_owned(),
                    failure.what.clone(),
                    failure.fix.clone(),
                    failure.nics.len().to_string(),
                ];
                fields.extend(failure.nics.iter().cloned());
                fields.extend(failure.facts.iter().flat_map(|(l, v)| [l.clone(), v.clone()]));
                fields
            }
        }
    }

    fn from_fields(fields: Vec<String>) -> io::Result<Self> {
        let mut fields = fields.into_iter();
        let mut next = || fields.next().ok_or_else(|| bad("number of fields"));
        match next()?.as_str() {
            "mark" => {
                let name = next()?;
                let micros = next()?.parse().map_err(|_not_a_number| bad("time"))?;
                Ok(Self::Mark(name, Duration::from_micros(micros)))
            }
            "report" => Ok(Self::Report(next()?)),
            "ready" => {
                let files = pairs(fields)?;
                Ok(Self::Ready(files.map(|(path, text)| GivenFile { path, text }).collect()))
            }
            "failed" => {
                let stage = Stage::named(&next()?).ok_or_else(|| bad("stage"))?;
                let (what, fix) = (next()?, next()?);
                let count: usize = next()?.parse().map_err(|_not_a_number| bad("count"))?;
                let nics: Vec<String> = fields.by_ref().take(count).collect();
                let facts = pairs(fields)?.collect();
                Ok(Self::Failed(Failure { stage, what, facts, nics, fix }))
            }
            _ => Err(bad("kind")),
        }
    }
}

fn pairs(fields: std::vec::IntoIter<String>) -> io::Result<impl Iterator<Item = (String, String)>> {
    let (firsts, seconds): (Vec<_>, Vec<_>) = fields.enumerate().partition(|(at, _)| at % 2 == 0);
    if firsts.len() != seconds.len() {
        return Err(bad("number of fields"));
    }
    Ok(firsts.into_iter().zip(seconds).map(|((_, first), (_, second))| (first, second)))
}

fn split(mut body: &[u8]) -> io::Result<Vec<String>> {
    let mut fields = Vec::new();
    while !body.is_empty() {
        let (len, rest) = body.split_first_chunk().ok_or_else(|| bad("field"))?;
        let len = usize::try_from(u32::from_le_bytes(*len)).map_err(|_wide| bad("field"))?;
        let (field, rest) = rest.split_at_checked(len).ok_or_else(|| bad("field"))?;
        fields.push(String::from_utf8_lossy(field).into_owned());
        body = rest;
    }
    Ok(fields)
}

fn len_u32(len: usize) -> io::Result<[u8; 4]> {
    if len > FRAME_MAX {
        return Err(bad("length"));
    }
    u32::try_from(len).map(u32::to_le_bytes).map_err(|_long| bad("length"))
}

fn bad(what: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("a frame from the root daemon has a bad {what}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(message: Message) {
        let mut bytes = Vec::new();
        message.send(&mut bytes).unwrap();
        message.send(&mut bytes).unwrap();
        let mut from = bytes.as_slice();
        assert_eq!(Message::receive(&mut from).unwrap(), Some(message.clone()));
        assert_eq!(Message::receive(&mut from).unwrap(), Some(message));
        assert_eq!(Message::receive(&mut from).unwrap(), None);
    }

    fn sample_failure() -> Failure {
        let mut failure = Failure::new(Stage::Flist, "HTTP 404", "look at the path")
            .fact("URL", "http://h/x")
            .fact("answer", "");
        failure.nics = vec!["eth0 up".to_owned(), "eth1 down".to_owned()];
        failure
    }

    #[test]
    fn messages_survive_the_pipe() {
        round(Message::Mark("network".to_owned(), Duration::from_micros(84_001)));
        round(Message::Report("http://h/x".to_owned()));
        round(Message::Ready(Vec::new()));
        round(Message::Ready(vec![
            GivenFile { path: "/run/a".to_owned(), text: "one\ntwo\n".to_owned() },
            GivenFile { path: "/etc/b".to_owned(), text: String::new() },
        ]));
        round(Message::Failed(sample_failure()));
    }

    #[test]
    fn torn_and_foreign_frames_are_errors() {
        let mut bytes = Vec::new();
        Message::Failed(sample_failure()).send(&mut bytes).unwrap();
        for end in 1..bytes.len() {
            assert!(Message::receive(&mut &bytes[..end]).is_err(), "{end}");
        }
        assert!(Message::receive(&mut &[0xff; 8][..]).is_err());
        assert!(Message::receive(&mut &b"\x06\0\0\0\x02\0\0\0hi"[..]).is_err());
        assert!(Message::receive(&mut &b"\0\0\0\0"[..]).is_err());
    }
}
