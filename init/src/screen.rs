//! The one screen that a failed boot shows. Pure: facts in, text out.

use crate::failure::{Fact, Failure};

/// How wide the screen is: what a VGA console and a serial terminal both hold.
const WIDTH: usize = 79;

/// Where the text to the right of the headings begins.
const INDENT: usize = 18;

/// How wide the column of labels is.
const LABEL: usize = 9;

/// The most lines one text may fill, so that a failure never scrolls itself away.
const LINES_MAX: usize = 6;

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

fn section(screen: &mut String, heading: &str, lines: Vec<String>) {
    let mut head = format!(" {heading}");
    for line in lines {
        let row = format!("{head:<INDENT$}{line}");
        screen.push_str(row.trim_end());
        screen.push('\n');
        head.clear();
    }
}

fn wrap_all(texts: &[String]) -> Vec<String> {
    texts.iter().flat_map(|text| wrap(&clean(text), WIDTH - INDENT)).collect()
}

/// A label, and what it stands for beside it.
fn fact((label, value): &Fact) -> Vec<String> {
    let lines = wrap(&clean(value), WIDTH - INDENT - LABEL);
    let labels = [clean(label)].into_iter().chain(std::iter::repeat(String::new()));
    // A label that is too long has a line of its own.
    let own = (label.chars().count() >= LABEL).then(|| clean(label));
    let beside =
        labels.map(|label| if label.chars().count() < LABEL { label } else { String::new() });
    let rows = beside.zip(lines).map(|(label, line)| format!("{label:<LABEL$}{line}"));
    own.into_iter().chain(rows).collect()
}

/// Without control characters: what a server says must not drive the terminal.
fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Breaks `text` at white space into lines of at most `width` characters; longer words are cut.
fn wrap(text: &str, width: usize) -> Vec<String> {
    if text.chars().count() <= width {
        return vec![text.to_owned()];
    }
    let mut lines = vec![String::new()];
    for word in text.split_whitespace().flat_map(|word| pieces(word, width)) {
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

/// `word` cut into pieces of at most `width` characters.
fn pieces(word: &str, width: usize) -> Vec<String> {
    let chars: Vec<char> = word.chars().collect();
    chars.chunks(width).map(|piece| piece.iter().collect()).collect()
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
    fn long_values_stay_beside_their_label() {
        let failure = Failure::new(Stage::Init, "", "")
            .fact("URL", format!("http://h/{}", "x".repeat(60)))
            .fact("/lib/systemd/systemd", "not executable");
        let screen = render(&failure, &[], "", "");
        let rows: Vec<&str> = screen.lines().filter(|row| row.contains('x')).collect();
        assert_eq!(rows[0], format!(" What was tried   URL      http://h/{}", "x".repeat(43)));
        assert_eq!(rows[1], format!("{:27}{}", "", "x".repeat(17)));
        assert!(screen.contains("                  /lib/systemd/systemd\n"));
    }

    #[test]
    fn no_row_is_wider_than_the_screen() {
        let what = format!("{} and {}", "x".repeat(300), "word ".repeat(400));
        let screen = render(&Failure::new(Stage::Network, what, ""), &[], "now", "halts");
        assert!(screen.lines().all(|line| line.chars().count() <= WIDTH));
        assert!(screen.lines().count() < 24);
        assert!(screen.contains("..."));
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
