//! The one screen that a failed boot shows. Pure: facts in, text out.

use crate::failure::{Fact, Failure};

/// How wide the screen is: what a VGA console and a serial terminal both hold.
const WIDTH: usize = 79;

/// Where the text to the right of the headings begins.
const INDENT: usize = 18;

/// How wide the column of labels is.
const LABEL: usize = 9;

/// The most lines one text may fill, so that a failure never scrolls itself away.
const LINES_MAX: usize = 7;

/// The longest word that is shown whole, though the terminal may break it.
const WORD_MAX: usize = 4 * WIDTH;

/// Draws `failure`; `nics` are lines about the interfaces, `clock` the time as the node believes
/// it, `next` what happens now.
pub(crate) fn render(failure: &Failure, nics: &[String], clock: &str, next: &str) -> String {
    let rule = "=".repeat(WIDTH);
    let mut screen = format!(
        "\n{rule}\n zimg: this node did not boot. It failed at: {}\n{rule}\n",
        failure.stage
    );
    section(&mut screen, "What went wrong", wrap_all(std::slice::from_ref(&failure.what)));
    section(&mut screen, "Interfaces", wrap_all(nics));
    section(&mut screen, "What was tried", failure.facts.iter().flat_map(fact).collect());
    section(&mut screen, "How to fix it", wrap_all(std::slice::from_ref(&failure.fix)));
    section(&mut screen, "Clock", wrap_all(&[clock.to_owned()]));
    section(&mut screen, "What happens now", wrap_all(&[next.to_owned()]));
    screen += &format!("{rule}\n");
    screen
}

/// Lines too long to stand beside the heading have rows of their own, from the left margin.
fn section(screen: &mut String, heading: &str, lines: Vec<String>) {
    let mut head = format!(" {heading}");
    for line in lines {
        if line.chars().count() > WIDTH - INDENT {
            push_row(screen, &std::mem::take(&mut head));
            push_row(screen, &format!(" {line}"));
        } else {
            push_row(screen, &format!("{head:<INDENT$}{line}"));
            head.clear();
        }
    }
}

fn push_row(screen: &mut String, row: &str) {
    if !row.is_empty() {
        screen.push_str(row.trim_end());
        screen.push('\n');
    }
}

fn wrap_all(texts: &[String]) -> Vec<String> {
    texts.iter().flat_map(|text| wrap(&clean(text), WIDTH - INDENT)).collect()
}

/// A label, and what it stands for beside it. What is too long for that begins below.
fn fact((label, value): &Fact) -> Vec<String> {
    let width = WIDTH - INDENT - LABEL;
    let mut label = clean(label);
    let mut rows = Vec::new();
    if label.chars().count() >= LABEL {
        rows.push(std::mem::take(&mut label));
    }
    for line in wrap(&clean(value), width) {
        if line.chars().count() <= width {
            rows.push(format!("{label:<LABEL$}{line}"));
            label.clear();
            continue;
        }
        if !label.is_empty() {
            rows.push(std::mem::take(&mut label));
        }
        rows.push(line);
    }
    rows
}

/// Without control characters: what a server says must not drive the terminal.
fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Breaks `text` at white space into lines of at most `width` characters. A longer word, such as a
/// hash or a URL, is a line of its own and stays whole, so that it can be copied.
fn wrap(text: &str, width: usize) -> Vec<String> {
    if text.chars().count() <= width {
        return vec![text.to_owned()];
    }
    let mut lines = vec![String::new()];
    for word in text.split_whitespace().map(bounded) {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(&word),
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(&word);
            }
            _ => lines.push(word),
        }
    }
    if lines.len() > LINES_MAX {
        lines.truncate(LINES_MAX);
        lines.push("...".to_owned());
    }
    lines
}

/// `word`, or as much of its beginning as the screen has room for.
fn bounded(word: &str) -> String {
    match word.char_indices().nth(WORD_MAX) {
        Some((end, _)) => format!("{}...", word.get(..end).unwrap_or_default()),
        None => word.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Stage;

    #[test]
    fn a_whole_screen() {
        let failure = Failure::new(
            Stage::Flist,
            "http://10.0.2.2:8000/debian.flist: HTTP 404 Not Found",
            "check the path in zimg.url=; `zimg serve DIR` prints the right one for each flist it holds",
        )
        .fact("address", "10.0.2.15/24 on eth0 by DHCP, gateway 10.0.2.2")
        .fact("URL", "http://10.0.2.2:8000/debian.flist")
        .fact("answer", "404 Not Found");
        let nics = ["eth0       52:54:00:12:34:56 virtio_net   carrier".to_owned()];
        let screen = render(&failure, &nics, "2026-11-23 06:05:12 UTC", "reboots in 30 s");
        let expected = "
===============================================================================
 zimg: this node did not boot. It failed at: flist
===============================================================================
 What went wrong  http://10.0.2.2:8000/debian.flist: HTTP 404 Not Found
 Interfaces       eth0       52:54:00:12:34:56 virtio_net   carrier
 What was tried   address  10.0.2.15/24 on eth0 by DHCP, gateway 10.0.2.2
                  URL      http://10.0.2.2:8000/debian.flist
                  answer   404 Not Found
 How to fix it    check the path in zimg.url=; `zimg serve DIR` prints the
                  right one for each flist it holds
 Clock            2026-11-23 06:05:12 UTC
 What happens now reboots in 30 s
===============================================================================
";
        assert_eq!(screen, expected);
    }

    #[test]
    fn what_is_to_be_copied_stays_whole() {
        let hash = "0123456789abcdef".repeat(4);
        let url = format!("http://h/{}", "x".repeat(200));
        let what = format!("it has the root hash {hash}, not {hash} as demanded");
        let failure = Failure::new(Stage::Flist, what, "")
            .fact("wanted", &hash)
            .fact("URL", &url)
            .fact("server", format!("{}.example.org", "y".repeat(43)))
            .fact("/lib/systemd/systemd", "not executable");
        let screen = render(&failure, &[], "now", "halts");
        let expected = format!(
            " What went wrong  it has the root hash
 {hash},
                  not
 {hash}
                  as demanded
 What was tried   wanted
 {hash}
                  URL
 {url}
                  server
                  {}.example.org
                  /lib/systemd/systemd
                           not executable
",
            "y".repeat(43)
        );
        assert!(screen.contains(&expected), "{screen}");
    }

    #[test]
    fn no_failure_scrolls_itself_away() {
        let what = format!("{} and {}", "x".repeat(900), "word ".repeat(400));
        let screen = render(&Failure::new(Stage::Network, what, ""), &[], "now", "halts");
        let rows: usize = screen.lines().map(|line| line.chars().count().div_ceil(80).max(1)).sum();
        assert!(rows < 24, "{rows}");
        assert!(screen.contains(&format!("{}...", "x".repeat(WORD_MAX))));
        let long = screen.lines().filter(|line| line.chars().count() > WIDTH);
        assert!(long.into_iter().all(|line| !line.contains("word")));
        assert!(screen.contains("                  ..."));
    }

    #[test]
    fn control_characters_are_not_shown() {
        let screen = render(&Failure::new(Stage::Flist, "\x1b[2Jgone\nrow", ""), &[], "", "");
        assert!(!screen.contains('\x1b'));
        assert!(screen.contains("[2Jgone row"));
    }

    #[test]
    fn a_failure_without_interfaces_has_no_such_section() {
        let screen = render(&Failure::new(Stage::Start, "x", "y"), &[], "now", "halts");
        assert!(!screen.contains("Interfaces"));
    }
}
