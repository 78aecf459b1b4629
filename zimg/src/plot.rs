//! `zimg plot`: a boot as a picture: its stages, what was asked of the stores, and what was waited for.

mod svg;

use std::cmp::Reverse;
use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::{Context, bail};
use argh::FromArgs;
use serde_json::{Map, Value};

use crate::{exit, file};
use svg::Picture;

/// Draw a boot's stages, requests and waits, as SVG.
#[derive(FromArgs)]
#[argh(
    subcommand,
    name = "plot",
    note = "A booted node leaves /run/zimg/boot.json once nothing new has been read for 15 seconds.",
    example = "ssh node cat /run/zimg/boot.json | {command_name} - > boot.svg"
)]
pub(crate) struct Args {
    /// what a node has recorded: its boot.json
    #[argh(positional)]
    file: PathBuf,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let text = file::read(&args.file)?;
    let boot = Boot::parse(&text)
        .with_context(|| format!("{}: it is no boot.json of a node", args.file.display()))?;
    exit::answer(true, io::stdout().write_all(Picture::of(&boot).svg().as_bytes()))
}

/// A boot; times are seconds since the kernel started.
#[derive(Debug, PartialEq)]
struct Boot {
    root: String,
    stages: Vec<(String, Span)>,
    requests: Vec<Request>,
    stalls: Vec<Span>,
    /// How often the kernel asked the node's server for what.
    kernel: Vec<(String, u64)>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Span {
    began: f64,
    ended: f64,
}

#[derive(Debug, PartialEq)]
struct Request {
    span: Span,
    answered: Option<f64>,
    bytes: u64,
    why: Why,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    Read,
    Ahead,
    Prefetch,
}

impl Boot {
    fn parse(text: &[u8]) -> anyhow::Result<Self> {
        let json: Value = serde_json::from_slice(text)?;
        match json["format"].as_u64() {
            Some(1) => {}
            Some(_) => bail!("a later version wrote it: use a zimg as new as the node's"),
            None => bail!("it has no \"format\""),
        }
        let list = |name: &'static str| {
            json[name].as_array().with_context(|| format!("it has no list \"{name}\""))
        };
        let stage = |stage: &Value| {
            let name = stage["name"].as_str().context("a stage has no name")?;
            Ok((name.to_owned(), span(stage)?))
        };
        Ok(Self {
            root: json["root"].as_str().unwrap_or("unknown").to_owned(),
            stages: list("stages")?.iter().map(stage).collect::<anyhow::Result<_>>()?,
            requests: list("requests")?.iter().map(request).collect::<anyhow::Result<_>>()?,
            stalls: list("stalls")?.iter().map(span).collect::<anyhow::Result<_>>()?,
            kernel: json["kernel"].as_object().map(asked).unwrap_or_default(),
        })
    }
}

/// What was asked for, most often first. Nodes of old do not say.
fn asked(kernel: &Map<String, Value>) -> Vec<(String, u64)> {
    let mut asked: Vec<_> =
        kernel.iter().filter_map(|(name, count)| Some((name.clone(), count.as_u64()?))).collect();
    asked.sort_by_key(|(_, count)| Reverse(*count));
    asked
}

/// A time, in seconds; more than a year after the kernel started is none of a boot.
fn time(value: &Value) -> Option<f64> {
    value.as_f64().filter(|time| (0.0..=3.2e7).contains(time))
}

fn span(value: &Value) -> anyhow::Result<Span> {
    let time = |name: &str| {
        time(&value[name]).with_context(|| format!("\"{name}\" of {value} is no time"))
    };
    let (began, ended) = (time("began")?, time("ended")?);
    if ended < began {
        bail!("{value} ends before it begins");
    }
    Ok(Span { began, ended })
}

fn request(value: &Value) -> anyhow::Result<Request> {
    let why = match value["why"].as_str() {
        Some("read") => Why::Read,
        Some("ahead") => Why::Ahead,
        Some("prefetch") => Why::Prefetch,
        _ => bail!("\"why\" of {value} is none of read, ahead, prefetch"),
    };
    let bytes = value["bytes"].as_u64().with_context(|| format!("{value} has no \"bytes\""))?;
    Ok(Request { span: span(value)?, answered: time(&value["answered"]), bytes, why })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOT: &str = r#"{"format":1,"root":"ab","kernel":{"read":3,"lookup":5},"stages":[{"name":"flist","began":1.0,"ended":1.5}],
        "requests":[{"began":1.5,"ended":2.5,"answered":2.0,"bytes":7,"why":"prefetch"},
                    {"began":1.5,"ended":2.5,"answered":null,"bytes":0,"why":"read"}],
        "stalls":[{"began":1.6,"ended":2.5}]}"#;

    #[test]
    fn a_boot_is_read() {
        let boot = Boot::parse(BOOT.as_bytes()).unwrap();
        assert_eq!(boot.stages, [("flist".to_owned(), Span { began: 1.0, ended: 1.5 })]);
        assert_eq!(boot.requests[0].answered, Some(2.0));
        assert_eq!((boot.requests[1].answered, boot.requests[1].why), (None, Why::Read));
        assert_eq!(boot.stalls.len(), 1);
        assert_eq!(boot.kernel, [("lookup".to_owned(), 5), ("read".to_owned(), 3)]);
    }

    #[test]
    fn what_is_no_boot_is_refused() {
        for (from, to, says) in [
            ("{\"format\":1", "", "expected"),
            ("\"format\":1", "\"format\":2", "later version"),
            ("\"format\":1", "\"f\":1", "no \"format\""),
            ("\"stalls\"", "\"falls\"", "no list \"stalls\""),
            ("\"ended\":1.5", "\"ended\":0.5", "ends before it begins"),
            ("\"began\":1.6", "\"began\":-1", "is no time"),
            ("\"began\":1.6", "\"began\":1e300", "is no time"),
            ("prefetch", "fetch", "none of read"),
            ("\"bytes\":7", "\"bytes\":-7", "no \"bytes\""),
        ] {
            let error = Boot::parse(BOOT.replacen(from, to, 1).as_bytes()).unwrap_err();
            assert!(error.to_string().contains(says), "{says}: {error}");
        }
    }
}
