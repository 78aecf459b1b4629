//! Bars side by side, as SVG.

use std::fmt::Write as _;

/// Groups of bars, one bar a series in each.
pub(crate) struct Bars {
    pub(crate) title: &'static str,
    pub(crate) series: &'static [&'static str],
    /// Each group's name, and a value of each series, in seconds.
    pub(crate) groups: Vec<(String, Vec<f64>)>,
}

/// Told apart also by who sees no colours (Okabe and Ito's palette).
const COLOURS: [&str; 5] = ["#0072b2", "#56b4e9", "#e69f00", "#009e73", "#999999"];

const WIDTH: f64 = 860.0;
/// Where bars begin, and how far the longest goes.
const LEFT: f64 = 150.0;
const SPAN: f64 = 620.0;
const BAR: f64 = 16.0;
const GAP: f64 = 18.0;
const TOP: f64 = 64.0;

impl Bars {
    /// The picture.
    pub(crate) fn svg(&self) -> String {
        let values = || self.groups.iter().flat_map(|(_, values)| values);
        let longest = values().copied().fold(f64::MIN_POSITIVE, f64::max);
        let mut y = TOP;
        let mut bars = String::new();
        for (name, values) in &self.groups {
            text(&mut bars, LEFT - 8.0, y + BAR, "end", name);
            for (value, colour) in values.iter().zip(COLOURS) {
                let width = value / longest * SPAN;
                let _ = writeln!(
                    bars,
                    "<rect x=\"{LEFT}\" y=\"{y}\" width=\"{width:.1}\" height=\"{}\" fill=\"{colour}\"/>",
                    BAR - 2.0
                );
                text(
                    &mut bars,
                    LEFT + width + 4.0,
                    y + BAR - 4.0,
                    "start",
                    &format!("{value:.1} s"),
                );
                y += BAR;
            }
            y += GAP;
        }
        let mut head = String::new();
        text(&mut head, 8.0, 20.0, "start", self.title);
        let step = (WIDTH - 16.0) / COLOURS.len() as f64;
        let mut x = 8.0;
        for (name, colour) in self.series.iter().zip(COLOURS) {
            let _ = writeln!(
                head,
                "<rect x=\"{x}\" y=\"34\" width=\"12\" height=\"12\" fill=\"{colour}\"/>"
            );
            text(&mut head, x + 16.0, 45.0, "start", name);
            x += step;
        }
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{y}\" \
             viewBox=\"0 0 {WIDTH} {y}\" font-family=\"sans-serif\" font-size=\"12\">\n\
             <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n{head}{bars}</svg>\n"
        )
    }
}

/// Text at a place, by its start or end.
fn text(out: &mut String, x: f64, y: f64, anchor: &str, words: &str) {
    let words = words.replace('&', "&amp;").replace('<', "&lt;");
    // Writing to a string can't fail.
    let _ = writeln!(out, "<text x=\"{x:.1}\" y=\"{y}\" text-anchor=\"{anchor}\">{words}</text>");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_bar_spans_all_and_the_others_their_share() {
        let groups = vec![("near & far".to_owned(), vec![2.0, 1.0])];
        let bars = Bars { title: "t", series: &["a", "b"], groups };
        let svg = bars.svg();
        assert!(svg.contains("width=\"620.0\"") && svg.contains("width=\"310.0\""), "{svg}");
        assert!(svg.contains("near &amp; far") && svg.contains(">2.0 s<"), "{svg}");
        assert_eq!(svg.matches("<rect").count(), 1 + 2 + 2);
    }
}
