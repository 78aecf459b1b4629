//! The tables of BENCHMARKS.md.

use std::time::Duration;

use ::tests::root::run;

/// Sections of rows, in the order measured.
#[derive(Default)]
pub(crate) struct Report {
    sections: Vec<Section>,
}

#[derive(Default)]
struct Section {
    title: String,
    note: &'static str,
    /// A table of its own: many systems side by side, the first row being their names.
    beside: Vec<Vec<String>>,
    rows: Vec<Row>,
    /// A picture's file, beside BENCHMARKS.md, and what it shows.
    picture: Option<(&'static str, &'static str)>,
}

struct Row {
    what: String,
    value: String,
    peer: String,
    promise: String,
    kept: Option<bool>,
}

impl Report {
    /// Begins a section.
    pub(crate) fn section(&mut self, title: &str) {
        self.sections.push(Section { title: title.into(), ..Section::default() });
    }

    /// What the figures of the section are, for who reads them.
    pub(crate) fn note(&mut self, text: &'static str) {
        if let Some(section) = self.sections.last_mut() {
            section.note = text;
        }
    }

    /// Begins the table of many systems that stands in the section before its rows.
    pub(crate) fn table(&mut self, what: &str, systems: &[&str]) {
        self.row(what, systems.iter().map(|&name| name.to_owned()));
    }

    /// The next row of that: one value of each system.
    pub(crate) fn row(&mut self, what: &str, values: impl Iterator<Item = String>) {
        let row: Vec<String> = [what.to_owned()].into_iter().chain(values).collect();
        eprintln!("  {}", row.join(" | "));
        if let Some(section) = self.sections.last_mut() {
            section.beside.push(row);
        }
    }

    /// A figure with nothing promised of it.
    pub(crate) fn fact(&mut self, what: &str, value: impl Into<String>) {
        self.push(what, value.into(), "", "", None);
    }

    /// A figure against a promise.
    pub(crate) fn promise(
        &mut self,
        what: &str,
        value: impl Into<String>,
        promise: &str,
        kept: bool,
    ) {
        self.push(what, value.into(), "", promise, Some(kept));
    }

    /// A figure against a peer's, and what is promised of the ratio.
    pub(crate) fn versus(
        &mut self,
        what: &str,
        (ours, ours_text): (f64, String),
        (peer, peer_text): (f64, String),
        most: f64,
    ) {
        self.compared(what, [&ours_text, &peer_text], (ours / peer, "times"), most);
    }

    /// Times of ours and of a peer, whose runs took turns, as `text` has them, and what is promised of
    /// the ratio: that of two runs in turn, as in the long run a machine's speed may change by more
    /// than they differ.
    pub(crate) fn in_turn(
        &mut self,
        what: &str,
        [ours, peer]: [&Times; 2],
        text: fn(&Times) -> String,
        most: f64,
    ) {
        self.compared(what, [&text(ours), &text(peer)], (ours.over(peer), "times in turn"), most);
    }

    fn compared(
        &mut self,
        what: &str,
        [ours, peer]: [&str; 2],
        (ratio, times): (f64, &str),
        most: f64,
    ) {
        let value = format!("{ours} ({ratio:.3} {times})");
        let promise = format!("at most {most} times");
        self.push(what, value, peer, &promise, Some(ratio <= most));
    }

    fn push(&mut self, what: &str, value: String, peer: &str, promise: &str, kept: Option<bool>) {
        eprintln!("  {what}: {value} {peer} {promise} {}", verdict(kept));
        if let Some(section) = self.sections.last_mut() {
            section.rows.push(Row {
                what: what.into(),
                value,
                peer: peer.into(),
                promise: promise.into(),
                kept,
            });
        }
    }

    /// Puts a picture under the section's title: its file, beside BENCHMARKS.md, and what it shows.
    pub(crate) fn picture(&mut self, file: &'static str, title: &'static str) {
        if let Some(section) = self.sections.last_mut() {
            section.picture = Some((file, title));
        }
    }

    /// The page `old` with what was measured now, by the command `made_by`, in the place of what it
    /// says of the same; all else stays.
    ///
    /// # Errors
    /// When the machine can't be described.
    pub(crate) fn page(&self, old: &str, made_by: &str, runs: usize) -> anyhow::Result<String> {
        let s = if runs == 1 { "" } else { "s" };
        let told = format!("*{}; {runs} run{s}, by `{made_by}`.*", machine()?);
        let mut sections = parts(old);
        for section in &self.sections {
            let text = section.markdown(&told);
            match sections.iter_mut().find(|(title, _)| *title == section.title) {
                Some((_, old)) => *old = text,
                None => sections.push((section.title.clone(), text)),
            }
        }
        let sections = sections.into_iter().map(|(title, text)| format!("\n## {title}\n\n{text}"));
        Ok(HEAD.to_owned() + &sections.collect::<String>())
    }
}

const HEAD: &str = "# Benchmarks

Made by `scripts/bench`. Each part was measured in one sitting, by the command and on the machine that it
names; a peer's runs take turns with ours. Timings are medians (of an even number of runs the greater of the
two in the middle), with the spread in brackets. \"Times in turn\" is the median of each run's ratio to the
peer's of the same turn: a machine's speed may change by more than the two differ. Where it says only
\"times\", it is the ratio of the medians.
";

/// The sections of a page: titles, and what stands under them.
pub(crate) fn parts(page: &str) -> Vec<(String, String)> {
    let parts = page.split("\n## ").skip(1).filter_map(|part| part.split_once("\n\n"));
    parts.map(|(title, text)| (title.to_owned(), text.trim_end().to_owned() + "\n")).collect()
}

impl Section {
    fn markdown(&self, told: &str) -> String {
        let Self { note, beside, rows, picture, .. } = self;
        let mut text = String::new();
        if !beside.is_empty() || !rows.is_empty() {
            text += &format!("{told}\n\n");
        }
        if !note.is_empty() {
            text += &format!("{note}\n\n");
        }
        if let Some((file, title)) = picture {
            text += &format!("![{title}]({file})\n\n");
        }
        for (number, row) in beside.iter().enumerate() {
            text += &format!("| {} |\n", row.join(" | "));
            if number == 0 {
                text += &format!("|{}\n", "---|".repeat(row.len()));
            }
        }
        if !beside.is_empty() {
            text.push('\n');
        }
        if rows.is_empty() {
            return text.trim_end().to_owned() + "\n";
        }
        text += "| what | measured | peer | promise | kept |\n|---|---|---|---|---|\n";
        for Row { what, value, peer, promise, kept } in rows {
            text += &format!("| {what} | {value} | {peer} | {promise} | {} |\n", verdict(*kept));
        }
        text
    }
}

fn verdict(kept: Option<bool>) -> &'static str {
    match kept {
        Some(true) => "yes",
        Some(false) => "**no**",
        None => "",
    }
}

fn machine() -> anyhow::Result<String> {
    let info = std::fs::read_to_string("/proc/cpuinfo")?;
    let model = info.lines().find_map(|l| l.strip_prefix("model name\t: ")).unwrap_or("unknown");
    let cores = std::thread::available_parallelism()?;
    let kernel = run(std::process::Command::new("uname").arg("-sr"))?;
    let date = run(std::process::Command::new("date").args(["-u", "+%F"]))?;
    let memory = std::fs::read_to_string("/proc/meminfo")?;
    let kib: u64 = memory
        .lines()
        .find_map(|l| l.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB")?.parse().ok())
        .unwrap_or(0);
    Ok(format!(
        "{}; {cores} cores ({model}), {} GiB, {}; virtual machines under qemu/tcg, its default processor",
        String::from_utf8_lossy(&date).trim(),
        kib.div_ceil(1 << 20),
        String::from_utf8_lossy(&kernel).trim(),
    ))
}

/// Times of several runs, in their order.
#[derive(Default)]
pub(crate) struct Times(Vec<f64>);

impl Times {
    pub(crate) fn new() -> Self {
        Self(Vec::new())
    }

    pub(crate) fn push(&mut self, time: Duration) {
        self.0.push(time.as_secs_f64());
    }

    /// The median in seconds; of an even number the greater of the two in the middle.
    pub(crate) fn median(&self) -> f64 {
        self.spread().map_or(f64::NAN, |[_, median, _]| median)
    }

    /// Median and spread; nothing if there are none.
    pub(crate) fn text(&self) -> String {
        self.spread().map_or_else(String::new, |[least, median, most]| {
            format!("{median:.2} s [{least:.2} to {most:.2}]")
        })
    }

    /// The same of what takes milliseconds.
    pub(crate) fn millis(&self) -> String {
        let [least, median, most] = self.spread().unwrap_or([f64::NAN; 3]).map(|time| time * 1e3);
        format!("{median:.1} ms [{least:.1} to {most:.1}]")
    }

    /// The least, the median and the most of them.
    fn spread(&self) -> Option<[f64; 3]> {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        Some([*sorted.first()?, *sorted.get(sorted.len() / 2)?, *sorted.last()?])
    }

    /// The median of each run's ratio to the one of `peer` in the same turn.
    fn over(&self, peer: &Self) -> f64 {
        Self(self.0.iter().zip(&peer.0).map(|(ours, peer)| ours / peer).collect()).median()
    }
}

/// A count of bytes: `98.3 MB`.
pub(crate) fn megabytes(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "shown with few digits")]
    let bytes = bytes as f64;
    if bytes < 1e6 { format!("{:.1} kB", bytes / 1e3) } else { format!("{:.2} MB", bytes / 1e6) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine that becomes three times slower tells nothing of two that always differ alike.
    #[test]
    fn a_ratio_is_of_runs_in_turn() {
        let times =
            |of: &[u64]| Times(of.iter().map(|&s| Duration::from_secs(s).as_secs_f64()).collect());
        let (ours, peer) = (times(&[9, 12, 27]), times(&[10, 10, 30]));
        assert_eq!(ours.over(&peer), 0.9);
        assert_eq!(
            (ours.text(), peer.text()),
            ("12.00 s [9.00 to 27.00]".into(), "10.00 s [10.00 to 30.00]".into())
        );
        let mut report = Report::default();
        report.section("One");
        report.in_turn("it", [&ours, &peer], Times::text, 1.0);
        let page = report.page("", "bench", 3).unwrap();
        let row = "| it | 12.00 s [9.00 to 27.00] (0.900 times in turn) | 10.00 s [10.00 to 30.00] | at most 1 times | yes |";
        assert!(page.contains(row), "{page}");
    }

    #[test]
    fn what_was_not_measured_stays() {
        let mut report = Report::default();
        report.section("Old");
        report.fact("a", "1");
        let first = report.page("", "bench", 3).unwrap();
        let mut report = Report::default();
        report.section("New");
        report.fact("b", "2");
        let second = report.page(&first, "bench --only new", 5).unwrap();
        assert!(second.contains("| a | 1 |") && second.contains("| b | 2 |"), "{second}");
        assert!(
            second.contains("3 runs, by `bench`")
                && second.contains("5 runs, by `bench --only new`")
        );
        let mut report = Report::default();
        report.section("Old");
        report.fact("a", "3");
        let third = report.page(&second, "bench", 3).unwrap();
        assert!(third.contains("| a | 3 |") && !third.contains("| a | 1 |"), "{third}");
        assert_eq!(third.matches("## ").count(), 2, "{third}");
        assert!(third.find("## Old") < third.find("## New"), "{third}");
    }
}
