//! Tells a server of a failed boot: what the screen shows, as JSON.
//!
//! The posting is a process of its own, this very binary in another role: whatever happens to it
//! happens to none of PID 1's.

use crate::config::{self, Config};
use crate::failure::Failure;
use crate::{clock, image, kmsg};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::{self, Read as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

/// The role's `argv[0]`.
pub(crate) const NAME: &str = "@zimg-report";

/// How long the server may take, and how long the process may in all.
const TIME: Duration = Duration::from_secs(8);
const TIME_IN_ALL: Timespec = Timespec { tv_sec: 10, tv_nsec: 0 };

/// The version of what is sent.
const FORMAT: u32 = 1;

/// What is sent of `failure`; `nics` and `next` as on the screen.
pub(crate) fn json(failure: &Failure, nics: &[String], next: &str) -> String {
    let facts = failure.facts.iter().map(|(label, value)| {
        format!("{{\"label\":{},\"value\":{}}}", string(label), string(value))
    });
    let facts = facts.collect::<Vec<_>>().join(",");
    let nics = nics.iter().map(|nic| string(nic)).collect::<Vec<_>>().join(",");
    let kernel = rustix::system::uname().release().to_string_lossy().into_owned();
    let fields = [
        ("zimg", string(env!("CARGO_PKG_VERSION"))),
        ("stage", string(failure.stage.name())),
        ("what", string(&failure.what)),
        ("fix", string(&failure.fix)),
        ("facts", format!("[{facts}]")),
        ("interfaces", format!("[{nics}]")),
        ("clock", string(&clock::text())),
        ("kernel", string(&kernel)),
        ("next", string(next)),
    ];
    let fields = fields.iter().map(|(key, value)| format!(",\"{key}\":{value}"));
    format!("{{\"format\":{FORMAT}{}}}\n", fields.collect::<String>())
}

/// A JSON string (RFC 8259, section 7).
pub(crate) fn string(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if u32::from(c) < 0x20 => quoted += &format!("\\u{:04x}", u32::from(c)),
            c => quoted.push(c),
        }
    }
    quoted + "\""
}

/// Posts `report` to `url`, in bounded time. How that went is in the kernel log.
pub(crate) fn send(url: &str, report: &str) {
    let began = Instant::now();
    if let Err(e) = post_apart(url, report) {
        log::error!("the failure can't be reported to {url}: {e}");
    }
    log::debug!("reporting took {} ms", began.elapsed().as_millis());
}

fn post_apart(url: &str, report: &str) -> io::Result<()> {
    let mut child = Command::new("/proc/self/exe")
        .arg0(NAME)
        .arg(url)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(report.as_bytes())?;
    }
    // It writes nothing there: its end is all that comes.
    if let Some(stdout) = &child.stdout {
        let mut ended = [PollFd::new(stdout, PollFlags::IN)];
        if poll(&mut ended, Some(&TIME_IN_ALL))? == 0 {
            child.kill()?;
        }
    }
    let status = child.wait()?;
    if status.success() { Ok(()) } else { Err(io::Error::other(status.to_string())) }
}

/// The role: posts standard input to `url`.
pub(crate) fn run(url: Option<String>) -> ExitCode {
    // Without a kernel log there is nobody to tell.
    let _nobody_to_tell = kmsg::init();
    let mut report = Vec::new();
    let Some(url) = url else { return ExitCode::from(2) };
    if let Err(e) = io::stdin().read_to_end(&mut report) {
        log::error!("the report can't be read: {e}");
        return ExitCode::FAILURE;
    }
    let client = asked().and_then(|config| image::client(&config.servers, None));
    let client = match client {
        Ok(client) => client,
        Err(failure) => {
            log::error!("reporting: {}", failure.what);
            return ExitCode::FAILURE;
        }
    };
    match client.post(&url, "application/json", &report, TIME) {
        Ok(status) => {
            log::info!("the failure was reported to {url}: HTTP status {status}");
            ExitCode::SUCCESS
        }
        Err(e) => {
            log::error!("reporting: {e}");
            ExitCode::FAILURE
        }
    }
}

fn asked() -> Result<Config, Failure> {
    let sources = crate::read_sources()?;
    let (config, _told_by_pid_1) = config::config(&sources).map_err(Failure::from)?;
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Stage;

    #[test]
    fn what_is_sent() {
        let failure = Failure::new(Stage::Flist, "it \"is\"\nnot \\ there", "look")
            .fact("URL", "http://h/é")
            .fact("answer", "HTTP status 404");
        let text = json(&failure, &["eth0 \x1b".to_owned()], "halts");
        let start = "{\"format\":1,\"zimg\":\"0.1.0\",\"stage\":\"flist\",\
            \"what\":\"it \\\"is\\\"\\u000anot \\\\ there\",\"fix\":\"look\",\
            \"facts\":[{\"label\":\"URL\",\"value\":\"http://h/é\"},\
            {\"label\":\"answer\",\"value\":\"HTTP status 404\"}],\
            \"interfaces\":[\"eth0 \\u001b\"],\"clock\":\"2";
        assert!(text.starts_with(start), "{text}");
        assert!(text.ends_with("\",\"next\":\"halts\"}\n"), "{text}");
    }
}
