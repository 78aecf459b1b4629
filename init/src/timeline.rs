//! The boot as the root daemon saw it, for `zimg plot`: stages, requests, waits, as JSON.

use crate::marks;
use crate::report::string;
use flist::id::RootHash;
use flist::store::{Asked, Journal, Reason};
use std::time::{Duration, Instant};

/// The version of the file.
const FORMAT: u32 = 1;

/// Stages that are over, each with its begin and end.
#[derive(Debug, Clone)]
pub(crate) struct Stages {
    over: Vec<(String, Instant, Instant)>,
    uptime: Uptime,
}

impl Stages {
    /// None yet. What it asks the kernel for it may not ask once the root is mounted.
    pub(crate) fn new() -> Self {
        Self { over: Vec::new(), uptime: Uptime::new() }
    }

    /// Something lasted until now.
    pub(crate) fn over(&mut self, name: &str, took: Duration) {
        let now = Instant::now();
        self.over.push((name.to_owned(), now.checked_sub(took).unwrap_or(now), now));
    }
}

/// A clock whose zero is the start of the kernel.
#[derive(Debug, Clone, Copy)]
struct Uptime {
    now: Instant,
    uptime: Duration,
}

impl Uptime {
    fn new() -> Self {
        Self { now: Instant::now(), uptime: marks::uptime() }
    }

    /// A time in seconds, to the millisecond.
    fn of(self, time: Instant) -> String {
        let since = time.saturating_duration_since(self.now);
        let before = self.now.saturating_duration_since(time);
        format!("{:.3}", self.uptime.saturating_add(since).saturating_sub(before).as_secs_f64())
    }

    fn span(self, began: Instant, ended: Instant) -> String {
        format!("\"began\":{},\"ended\":{}", self.of(began), self.of(ended))
    }
}

/// The file: `until` is when the last that the boot read was read, `asked` how often the kernel asked for
/// what.
pub(crate) fn json(
    root: RootHash,
    stages: &Stages,
    journal: &Journal,
    began: Instant,
    until: Instant,
    asked: &[(&str, u64)],
) -> String {
    let uptime = stages.uptime;
    let list = |items: Vec<String>| items.join(",\n");
    let stages = stages.over.iter().map(|(name, began, ended)| {
        format!("{{\"name\":{},{}}}", string(name), uptime.span(*began, *ended))
    });
    let system = format!("{{\"name\":\"system\",{}}}", uptime.span(began, until));
    let stages = list(stages.chain([system]).collect());
    let requests = list(journal.requests.iter().map(|asked| request(asked, uptime)).collect());
    let stalls = journal.stalls.iter().map(|(began, ended)| uptime.span(*began, *ended));
    let stalls = list(stalls.map(|span| format!("{{{span}}}")).collect());
    let asked = asked.iter().map(|(name, count)| format!("\"{name}\":{count}"));
    let asked = asked.collect::<Vec<_>>().join(",");
    format!(
        "{{\"format\":{FORMAT},\"zimg\":{},\"root\":\"{root}\",\n\"kernel\":{{{asked}}},\n\
         \"stages\":[\n{stages}],\n\"requests\":[\n{requests}],\n\"stalls\":[\n{stalls}]}}\n",
        string(env!("CARGO_PKG_VERSION")),
    )
}

fn request(asked: &Asked, uptime: Uptime) -> String {
    let answered = asked.answered.map_or_else(|| "null".to_owned(), |time| uptime.of(time));
    let why = match asked.reason {
        Reason::Read => "read",
        Reason::Ahead => "ahead",
        Reason::Prefetch => "prefetch",
    };
    format!(
        "{{{},\"answered\":{answered},\"bytes\":{},\"why\":\"{why}\"}}",
        uptime.span(asked.began, asked.ended),
        asked.bytes
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_json_in_order_of_time() {
        let began = Instant::now();
        let mut stages = Stages::new();
        stages.over("a \"stage\"", Duration::from_millis(5));
        let asked =
            Asked { began, answered: None, ended: began, bytes: 7, reason: Reason::Prefetch };
        let journal = Journal { requests: vec![asked; 2], stalls: vec![(began, began)] };
        let asked = [("lookup", 5), ("read", 3)];
        let text = json(RootHash::of(b""), &stages, &journal, began, began, &asked);
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["stages"][0]["name"], "a \"stage\"");
        assert_eq!(value["stages"][1]["name"], "system");
        assert_eq!(value["kernel"], serde_json::json!({ "lookup": 5, "read": 3 }));
        let span = |value: &serde_json::Value| {
            value["ended"].as_f64().unwrap() - value["began"].as_f64().unwrap()
        };
        assert!((span(&value["stages"][0]) - 0.005).abs() < 0.002, "{text}");
        assert_eq!(value["requests"].as_array().unwrap().len(), 2);
        assert_eq!(value["requests"][1]["why"], "prefetch");
        assert!(value["requests"][1]["answered"].is_null());
        assert_eq!(value["stalls"].as_array().unwrap().len(), 1);
    }
}
