//! A directory's page: plain HTML, names shown as text and linked percent-encoded.

use super::percent;
use super::tree::Entry;

/// More entries than this are only counted.
const MAX_SHOWN: usize = 10_000;

/// The page of the directory at `path` (relative, decoded).
pub(super) fn html(path: &[u8], entries: &[Entry]) -> Vec<u8> {
    let title = escape(&format!("/{}", String::from_utf8_lossy(path)));
    let mut page = format!(
        "<!DOCTYPE html>\n<meta charset=\"utf-8\">\n<title>{title}</title>\n<h1>{title}</h1>\n<pre>\n"
    );
    if !path.is_empty() {
        page.push_str("<a href=\"../\">../</a>\n");
    }
    for entry in entries.iter().take(MAX_SHOWN) {
        page.push_str(&line(entry));
    }
    if let Some(more @ 1..) = entries.len().checked_sub(MAX_SHOWN) {
        page.push_str(&format!("and {more} more\n"));
    }
    page.push_str("</pre>\n");
    page.into_bytes()
}

fn line(entry: &Entry) -> String {
    let slash = if entry.directory { "/" } else { "" };
    let href = percent::encode(&entry.name);
    let name = escape(&String::from_utf8_lossy(&entry.name));
    let size = if entry.directory { String::new() } else { format!("  {}", entry.len) };
    // The `./` keeps a name such as `a:b` from being read as a scheme.
    format!("<a href=\"./{href}{slash}\">{name}{slash}</a>{size}\n")
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c if c.is_control() => out.push(char::REPLACEMENT_CHARACTER),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_break_the_page() {
        let entry = |name: &[u8], directory| Entry { name: name.to_vec(), directory, len: 7 };
        let entries = [entry(b"<b>&\"\n\xff", false), entry(b"d", true)];
        let page = String::from_utf8(html(b"a<b/", &entries)).unwrap();
        assert!(page.contains("<h1>/a&lt;b/</h1>"), "{page}");
        assert!(
            page.contains(
                "<a href=\"./%3Cb%3E%26%22%0A%FF\">&lt;b&gt;&amp;&quot;\u{fffd}\u{fffd}</a>  7\n"
            ),
            "{page}"
        );
        assert!(page.contains("<a href=\"./d/\">d/</a>\n"), "{page}");
        assert!(page.contains("<a href=\"../\">"), "{page}");
    }

    #[test]
    fn a_huge_directory_is_cut() {
        let entries = vec![Entry { name: b"x".to_vec(), directory: false, len: 0 }; MAX_SHOWN + 3];
        let page = String::from_utf8(html(b"", &entries)).unwrap();
        assert!(page.contains("and 3 more"));
        assert!(!page.contains("../"));
    }
}
