//! The picture: time goes from left to right, what happened from top to bottom.

use std::fmt::Write as _;

use super::{Boot, Span, Why};

const WIDTH: f64 = 1000.0;
/// Where time begins and ends.
const LEFT: f64 = 150.0;
const RIGHT: f64 = 900.0;
const TOP: f64 = 78.0;
const ROW: f64 = 18.0;
/// Height of all requests together, where each has a line of its own.
const REQUESTS: f64 = 600.0;

// Told apart also by who sees no colours (Okabe and Ito's palette).
const STAGE: &str = "#999999";
const STALL: &str = "#d55e00";
const READ: &str = "#e69f00";
const AHEAD: &str = "#56b4e9";
const PREFETCH: &str = "#0072b2";

impl Why {
    fn colour(self) -> &'static str {
        match self {
            Self::Read => READ,
            Self::Ahead => AHEAD,
            Self::Prefetch => PREFETCH,
        }
    }
}

/// A picture of a boot.
pub(super) struct Picture<'a> {
    boot: &'a Boot,
    /// Seconds at the right end.
    until: f64,
    body: String,
    y: f64,
}

impl<'a> Picture<'a> {
    pub(super) fn of(boot: &'a Boot) -> Self {
        let spans = boot.stages.iter().map(|(_, span)| span);
        let spans = spans.chain(&boot.stalls).chain(boot.requests.iter().map(|r| &r.span));
        let until = spans.map(|span| span.ended).fold(1e-3, f64::max);
        Self { boot, until, body: String::new(), y: TOP }
    }

    pub(super) fn svg(mut self) -> String {
        for (name, span) in &self.boot.stages {
            self.label(name);
            self.bar(*span, STAGE, 1.0, ROW - 4.0, &seconds(*span));
            let after = self.x(span.ended) + 4.0;
            self.text(after, "start", &seconds(*span));
            self.y += ROW;
        }
        self.label("readers wait");
        for span in &self.boot.stalls {
            self.bar(*span, STALL, 0.35, ROW - 4.0, &seconds(*span));
        }
        self.y += ROW;
        self.kernel();
        self.y += ROW * 0.5;
        self.requests();
        self.whole()
    }

    fn kernel(&mut self) {
        let asked = &self.boot.kernel;
        if asked.is_empty() {
            return;
        }
        self.label("the kernel asks");
        let named: Vec<_> = asked.iter().map(|(name, count)| format!("{name} {count}")).collect();
        let all = asked.iter().fold(0_u64, |sum, (_, count)| sum.saturating_add(*count));
        self.text(LEFT, "start", &format!("{all} times: {}", named.join(", ")));
        self.y += ROW;
    }

    fn requests(&mut self) {
        let boot = self.boot;
        let mut requests: Vec<_> = boot.requests.iter().collect();
        requests.sort_by(|a, b| a.span.began.total_cmp(&b.span.began));
        let row = (REQUESTS / requests.len().max(1) as f64).clamp(1.5, ROW);
        self.label("requests");
        for request in requests {
            let Span { began, ended } = request.span;
            let answered = request.answered.unwrap_or(ended).clamp(began, ended);
            let told = format!("{}, {} bytes", seconds(request.span), request.bytes);
            let colour = if request.answered.is_some() { request.why.colour() } else { STALL };
            let (waits, comes) = (Span { ended: answered, ..request.span }, answered);
            self.bar(waits, colour, 0.35, row - 0.5, &told);
            self.bar(Span { began: comes, ended }, colour, 1.0, row - 0.5, &told);
            if row >= ROW * 0.6 {
                let after = self.x(ended) + 4.0;
                self.text(after, "start", &kilobytes(request.bytes));
            }
            self.y += row;
        }
    }

    fn x(&self, time: f64) -> f64 {
        LEFT + time / self.until * (RIGHT - LEFT)
    }

    fn bar(&mut self, span: Span, colour: &str, opacity: f64, height: f64, told: &str) {
        let (x, y) = (self.x(span.began), self.y);
        let width = (self.x(span.ended) - x).max(0.5);
        // Writing to a string can't fail.
        let _ = writeln!(
            self.body,
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" \
             fill=\"{colour}\" fill-opacity=\"{opacity}\"><title>{told}</title></rect>"
        );
    }

    fn label(&mut self, words: &str) {
        self.text(LEFT - 8.0, "end", words);
    }

    fn text(&mut self, x: f64, anchor: &str, words: &str) {
        text(&mut self.body, x, self.y + ROW - 7.0, anchor, words);
    }

    /// All of it, with its head and the lines of the seconds.
    fn whole(self) -> String {
        let Boot { root, requests, stalls, .. } = self.boot;
        let mut head = String::new();
        let bytes = requests.iter().fold(0_u64, |sum, request| sum.saturating_add(request.bytes));
        let waited = together(stalls.clone());
        let told = format!(
            "{} requests, {}; somebody waited for {waited:.1} s of {:.1} s",
            requests.len(),
            kilobytes(bytes),
            self.until
        );
        text(&mut head, 8.0, 20.0, "start", &format!("A boot of {root}"));
        text(&mut head, 8.0, 38.0, "start", &told);
        let mut x = 8.0;
        for (colour, words) in [
            (READ, "asked for by a reader"),
            (AHEAD, "ahead of a reader"),
            (PREFETCH, "ahead of all readers"),
            (STALL, "waited for, or failed"),
        ] {
            let _ = writeln!(
                head,
                "<rect x=\"{x}\" y=\"48\" width=\"12\" height=\"12\" fill=\"{colour}\"/>"
            );
            text(&mut head, x + 16.0, 58.0, "start", words);
            x += 190.0;
        }
        let height = self.y + ROW;
        let step = step(self.until);
        let mut number = 0.0;
        while number * step <= self.until {
            let (time, x) = (number * step, self.x(number * step));
            let _ = writeln!(
                head,
                "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{TOP}\" y2=\"{height:.1}\" stroke=\"#ddd\"/>"
            );
            text(&mut head, x, TOP - 4.0, "middle", &format!("{time} s"));
            number += 1.0;
        }
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height:.1}\" \
             viewBox=\"0 0 {WIDTH} {height:.1}\" font-family=\"sans-serif\" font-size=\"12\">\n\
             <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n{head}{}</svg>\n",
            self.body
        )
    }
}

/// Seconds between two lines: 1, 2 or 5 times a power of ten, so that there are at most ten.
fn step(until: f64) -> f64 {
    let power = 10_f64.powf((until / 10.0).log10().floor());
    let steps = [1.0, 2.0, 5.0].map(|times| times * power);
    steps.into_iter().find(|step| until / step <= 10.0).unwrap_or(10.0 * power)
}

/// How long at least one of them lasted.
fn together(mut spans: Vec<Span>) -> f64 {
    spans.sort_by(|a, b| a.began.total_cmp(&b.began));
    let (mut sum, mut until) = (0.0, 0.0_f64);
    for Span { began, ended } in spans {
        sum += (ended - began.max(until)).max(0.0);
        until = until.max(ended);
    }
    sum
}

fn seconds(span: Span) -> String {
    format!("{:.3} s", span.ended - span.began)
}

fn kilobytes(bytes: u64) -> String {
    format!("{} kB", bytes.div_ceil(1000))
}

fn text(out: &mut String, x: f64, y: f64, anchor: &str, words: &str) {
    let words = words.replace('&', "&amp;").replace('<', "&lt;");
    let _ =
        writeln!(out, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{words}</text>");
}

#[cfg(test)]
mod tests {
    use super::super::Request;
    use super::*;

    fn span(began: f64, ended: f64) -> Span {
        Span { began, ended }
    }

    #[test]
    fn each_thing_has_its_bar() {
        let request = |answered, why| Request { span: span(2.0, 4.0), answered, bytes: 1500, why };
        let boot = Boot {
            root: "ab<c".into(),
            stages: vec![
                ("network & all".into(), span(0.0, 2.0)),
                ("system".into(), span(2.0, 10.0)),
            ],
            requests: vec![request(Some(3.0), Why::Prefetch), request(None, Why::Read)],
            stalls: vec![span(2.0, 3.0), span(2.5, 4.0)],
            kernel: vec![("lookup".into(), 5), ("read".into(), 3)],
        };
        let svg = Picture::of(&boot).svg();
        // Two a request: until its answer began, and from then on.
        assert_eq!(svg.matches("<title>").count(), 2 + 2 + 2 * 2, "{svg}");
        assert!(svg.contains("network &amp; all") && svg.contains("ab&lt;c"), "{svg}");
        assert!(svg.contains("2 requests, 3 kB; somebody waited for 2.0 s of 10.0 s"), "{svg}");
        assert!(svg.contains("8 times: lookup 5, read 3"), "{svg}");
        // A fifth of the width.
        assert!(svg.contains("width=\"150.0\" height=\"14.0\" fill=\"#999999\""), "{svg}");
        assert_eq!(svg.matches("<line").count(), 11);
    }

    #[test]
    fn an_empty_boot_is_a_picture_too() {
        let (stages, requests, stalls, kernel) = (vec![], vec![], vec![], vec![]);
        let boot = Boot { root: String::new(), stages, requests, stalls, kernel };
        assert!(Picture::of(&boot).svg().ends_with("</svg>\n"));
    }

    #[test]
    fn lines_are_few() {
        for until in [0.001, 0.7, 1.0, 3.0, 9.99, 12.0, 60.0, 3.2e7] {
            let lines = until / step(until);
            assert!((2.0..=10.0).contains(&lines), "{until}: {lines}");
        }
    }
}
