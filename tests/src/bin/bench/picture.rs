//! The picture of boots from far away: what BENCHMARKS.md says of each way, side by side. Whichever way
//! was measured last, it shows all.

use crate::plot::Bars;
use crate::report::{Report, parts};

/// The picture's file, beside BENCHMARKS.md.
pub(crate) const FILE: &str = "benchmarks/boot.svg";

/// Its section; of each way it is one of its own.
const TITLE: &str = "Boot from far away";

const SHOWN: &str = "Debian to multi-user, by the way to the server: median guest time";

const NOTE: &str = "What the sections below say, side by side.";

/// What is compared.
pub(crate) const SERIES: [&str; 5] = [
    "zimg by its profile",
    "zimg without",
    "whole squashfs first",
    "squashfs over NBD",
    "local squashfs",
];

/// The rows of a way that the picture is of.
pub(crate) const TO_LOCAL: &str = "by its profile (peer: local disk)";
pub(crate) const TO_DOWNLOAD: &str =
    "without a profile (peer: the whole squashfs downloaded first)";
pub(crate) const TO_NBD: &str = "by its profile (peer: squashfs over NBD)";

/// Begins its section.
pub(crate) fn section(report: &mut Report) {
    report.section(TITLE);
    report.note(NOTE);
    report.picture(FILE, SHOWN);
}

/// The title of a way's section.
pub(crate) fn of_way(name: &str) -> String {
    format!("{TITLE}: {name}")
}

/// What the picture of `page` shows; nothing of ways of which it lacks a row.
pub(crate) fn of(page: &str) -> Bars {
    let groups = parts(page).into_iter().filter_map(|(title, text)| {
        let name = title.strip_prefix(&of_way(""))?;
        let [profiled, local] = seconds(&text, TO_LOCAL)?;
        let [plain, download] = seconds(&text, TO_DOWNLOAD)?;
        let [_, over_nbd] = seconds(&text, TO_NBD)?;
        Some((name.to_owned(), vec![profiled, plain, download, over_nbd, local]))
    });
    Bars { title: SHOWN, series: &SERIES, groups: groups.collect() }
}

/// What the row `what` of `section` says was measured, and of the peer.
fn seconds(section: &str, what: &str) -> Option<[f64; 2]> {
    let row = section.lines().find_map(|line| line.strip_prefix("| ")?.strip_prefix(what))?;
    let mut cells = row.split(" | ").skip(1).map(|cell| cell.split_once(" s ")?.0.parse().ok());
    Some([cells.next()??, cells.next()??])
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::report::Times;

    #[test]
    fn ways_stand_side_by_side_whenever_they_were_measured() {
        let mut page = String::new();
        for (name, first) in [("near", 1.5), ("far", 10.0)] {
            let mut report = Report::default();
            section(&mut report);
            report.section(&of_way(name));
            let times = [0.0, 1.0, 2.0, 3.0, 4.0].map(|at| {
                let mut times = Times::new();
                for seconds in [1.0, first + at, 99.0] {
                    times.push(Duration::from_secs_f64(seconds));
                }
                times
            });
            let [profiled, plain, download, over_nbd, local] = &times;
            report.in_turn(TO_LOCAL, [profiled, local], Times::text, 1.0);
            report.in_turn(TO_DOWNLOAD, [plain, download], Times::text, 1.0);
            report.fact("more", "2");
            report.in_turn(TO_NBD, [profiled, over_nbd], Times::text, 1.0);
            page = report.page(&page, "bench", 1).unwrap();
        }
        assert!(page.contains(&format!("## {TITLE}\n\n{NOTE}\n\n![{SHOWN}]({FILE})\n")), "{page}");
        let values = |first: f64| (0..5).map(|at| first + f64::from(at)).collect::<Vec<_>>();
        let groups = vec![("near".to_owned(), values(1.5)), ("far".to_owned(), values(10.0))];
        assert_eq!(of(&page).groups, groups, "{page}");
        assert_eq!(of(&page.replace(TO_NBD, "")).groups, []);
    }
}
