//! Boots that must fail: each shows a screen, then does what `zimg.onfail=` says. `init/SCREENS.md`
//! shows them as they are, and is held to that.

use std::fs;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail, ensure};

use crate::out;
use crate::vm::{Machine, Vm};

/// How long anything may take under software emulation on a busy machine.
pub const LIMIT: Duration = Duration::from_secs(300);

/// Where the screens are documented, below the workspace.
const DOCUMENT: &str = "init/SCREENS.md";

/// Set, it makes what is seen the document instead of comparing it.
const WRITE: &str = "ZIMG_WRITE_SCREENS";

/// The machine that `arguments` are given to.
///
/// # Errors
/// When nothing is built.
pub fn machine(arguments: &str) -> anyhow::Result<Machine> {
    let (kernel, initramfs) = (out::built("vmlinuz")?, out::built("initramfs.img")?);
    Ok(Machine::new(&kernel, &initramfs, &format!("zimg.onfail=reboot:2 {arguments}")))
}

/// Boots `machine` up to the failure screen, which must be the one documented as `name` and hold all
/// of `words`, and through the reboot that follows.
///
/// # Errors
/// When it boots, or shows something else.
pub fn refused(name: &str, machine: &Machine, words: &[&str]) -> anyhow::Result<()> {
    refused_after(name, machine, |_| Ok(()), words)
}

/// The same, with something to be done once the machine is there.
///
/// # Errors
/// As [`refused`].
pub fn refused_after(
    name: &str,
    machine: &Machine,
    first: impl FnOnce(&mut Vm) -> anyhow::Result<()>,
    words: &[&str],
) -> anyhow::Result<()> {
    let mut vm = machine.start()?;
    first(&mut vm)?;
    let screen = screen(&mut vm)?;
    // Lines are broken wherever they are full.
    let joined = screen.split_whitespace().collect::<Vec<_>>().join(" ");
    for word in words {
        ensure!(joined.contains(word), "no {word:?} on the screen:\n{screen}");
    }
    vm.wait_end(LIMIT)?;
    ensure!(vm.console().contains("reboot: Restarting system"), "{}", vm.console());
    documented(name, &screen)
}

/// Waits for the failure screen, and returns it.
///
/// # Errors
/// As [`Vm::wait_for`].
pub fn screen(vm: &mut Vm) -> anyhow::Result<String> {
    const RULE: &str = "===\r\n";
    vm.wait_for("zimg: boot failed", LIMIT)?;
    vm.wait_for(RULE, LIMIT)?;
    let head = vm.wait_for(RULE, LIMIT)?;
    let rest = vm.wait_for(RULE, LIMIT)?;
    let rule = "=".repeat(79);
    let text = format!("{rule}\n{head}{rest}").replace('\r', "");
    Ok(text.trim_end().to_owned())
}

/// Whether `screen` is the one documented as `name`, but for what differs between two boots.
fn documented(name: &str, screen: &str) -> anyhow::Result<()> {
    static WRITING: Mutex<()> = Mutex::new(());
    let path: PathBuf = out::workspace().join(DOCUMENT);
    let _one_at_a_time = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
    let document = fs::read_to_string(&path)?;
    let start = format!("<!-- {name} -->\n```text\n");
    let at = document.find(&start).with_context(|| format!("{DOCUMENT} has no <!-- {name} -->"))?;
    let at = at + start.len();
    let len = document[at..].find("```").context("an end of the block")?;
    let shown = document[at..at + len].trim_end();
    if std::env::var_os(WRITE).is_some() {
        let new = format!("{}{screen}\n{}", &document[..at], &document[at + len..]);
        return Ok(fs::write(path, new)?);
    }
    if masked(shown) != masked(screen) {
        bail!("{DOCUMENT} shows another screen for {name} ({WRITE}=1 writes it):\n{screen}");
    }
    Ok(())
}

/// `text` without its numbers, hashes and line breaks.
fn masked(text: &str) -> String {
    let words = text.split_whitespace().map(|word| {
        let bare = word.trim_end_matches([',', ':', ';', '.']);
        // Alone, or the name of a pack at the end of a URL.
        let name = bare.rsplit('/').next().unwrap_or(bare);
        if name.len() >= 32 && name.bytes().all(|b| b.is_ascii_hexdigit()) {
            return format!("{}HASH", bare.trim_end_matches(name));
        }
        // The id of a key that was made for the test.
        if name.len() == 16 && name.bytes().all(|b| matches!(b, b'0'..=b'9' | b'A'..=b'F')) {
            return "KEY".to_owned();
        }
        let mut masked = String::new();
        for c in word.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }) {
            if !(c == '0' && masked.ends_with('0')) {
                masked.push(c);
            }
        }
        masked
    });
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_between_boots_is_masked_and_nothing_else() {
        let hash = "0123456789abcdef".repeat(4);
        assert_eq!(masked(&format!("a {hash},\n  12.5 s on eth1")), "a HASH 0.0 s on eth0");
        assert_eq!(masked(&format!("http://h/packs/{hash}")), "http://h/packs/HASH");
        assert_eq!(masked("by key E7620F1842B4E81F,"), "by key KEY");
        assert_eq!(masked("no link"), masked("no\n link"));
        assert_ne!(masked("no link"), masked("a link"));
    }
}
