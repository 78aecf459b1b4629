//! Nodes that boot only what was signed. Their keys lie in the initramfs; there is no root hash.
#![expect(clippy::unwrap_used, reason = "a test ends where anything fails")]

use std::path::Path;
use std::process::Command;

use tests::lab::Server;
use tests::refusal::{LIMIT, machine, refused};
use tests::root::run;
use tests::vm::Machine;
use tests::{cpio, images, out};

type Result = anyhow::Result<()>;

const URL: &str = "zimg.url=http://10.0.2.2:8080";

/// A folder with the keys `ann`, `bob` and `eve`, and what is signed by them: `web.flist` by Ann,
/// `two.flist` by Ann and Bob, `eve.flist` by Eve, `bare.flist` by nobody, `forged.flist` by Ann, but
/// not this one. The channels `stable` and `expired` name `two.flist`.
struct Shop(tempfile::TempDir);

impl Shop {
    fn new() -> anyhow::Result<Self> {
        let shop = Self(tempfile::tempdir()?);
        for key in ["ann", "bob", "eve"] {
            shop.zimg(&["keygen", key, "--no-password"])?;
        }
        let root = images::folder()?.join("bare");
        let root = root.to_str().unwrap();
        shop.zimg(&["build", root, "bare.flist", "--title", "unsigned"])?;
        for (flist, key) in
            [("web.flist", "ann.key"), ("two.flist", "ann.key"), ("eve.flist", "eve.key")]
        {
            let stated = ["--sign", key, "--name", "web", "--version", "1.10"];
            shop.zimg(&[&["build", root, flist][..], &stated].concat())?;
        }
        shop.zimg(&[
            "sign",
            "two.flist",
            "bob.key",
            "--name",
            "web",
            "--version",
            "1.10",
            "--add",
        ])?;
        std::fs::copy(shop.path().join("bare.flist"), shop.path().join("forged.flist"))?;
        let (good, forged) = ("web.flist.minisig", "forged.flist.minisig");
        std::fs::copy(shop.path().join(good), shop.path().join(forged))?;
        for name in ["stable.channel", "expired.channel"] {
            shop.zimg(&["channel", "set", name, "two.flist", "--sign", "ann.key"])?;
        }
        let expired = shop.path().join("expired.channel");
        let text = std::fs::read_to_string(&expired)?;
        let (before, _) = text.split_once("expires").unwrap();
        std::fs::write(&expired, format!("{before}expires 2020-01-01T00:00:00Z\n"))?;
        shop.zimg(&["sign", "expired.channel", "ann.key"])?;
        for name in ["stable.channel", "expired.channel"] {
            shop.zimg(&["sign", name, "bob.key", "--add"])?;
        }
        Ok(shop)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn zimg(&self, args: &[&str]) -> anyhow::Result<Vec<u8>> {
        run(Command::new(out::built("zimg")?).current_dir(self.path()).args(args))
    }

    /// A machine whose initramfs trusts `keys` and says `config`.
    fn machine(&self, line: &str, keys: &[&str], config: &str) -> anyhow::Result<Node> {
        let machine = machine(line)?;
        let mut files = Vec::new();
        for key in keys {
            let text = std::fs::read(self.path().join(format!("{key}.pub")))?;
            files.push((format!("etc/zimg/keys/{key}.pub"), text));
        }
        files.push(("etc/zimg/10-trust.conf".to_owned(), config.as_bytes().to_vec()));
        let files: Vec<(&str, &[u8])> =
            files.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice())).collect();
        let scratch = tempfile::tempdir()?;
        let initramfs = cpio::append(&machine.initramfs, scratch.path(), &files)?;
        Ok(Node { machine: Machine { initramfs, ..machine }, _scratch: scratch })
    }
}

struct Node {
    machine: Machine,
    _scratch: tempfile::TempDir,
}

/// The control of all refusals below: the same keys, the same demands.
#[test]
fn what_was_signed_boots() -> Result {
    let _lab = images::lab()?;
    let shop = Shop::new()?;
    let _server = Server::start(shop.path(), "127.0.0.1:8080")?;
    // Mirrors that have something else are left for the next.
    let others = ["eve.flist", "bare.flist", "forged.flist", "expired.channel"];
    let mirrors = others.iter().chain(&["stable.channel"]).map(|name| format!("{URL}/{name}"));
    let mirrors: Vec<String> = mirrors.collect();
    let config = "zimg.name=web\nzimg.min-version=1.9\nzimg.signatures=2\n";
    let node = shop.machine(&mirrors.join(" "), &["ann", "bob"], config)?;
    let mut vm = node.machine.start()?;
    vm.wait_for("zimg: boot:", LIMIT)?;
    vm.wait_for("# ", LIMIT)?;
    vm.send("echo $((6*7)) $$\n")?;
    vm.wait_for("42 1", LIMIT)?;
    let console = vm.console();
    for passed_over in others {
        assert!(console.contains(&format!("8080/{passed_over}: ")), "{passed_over}:\n{console}");
    }
    Ok(())
}

#[test]
fn what_was_not_signed_as_demanded_does_not() -> Result {
    let _lab = images::lab()?;
    let shop = Shop::new()?;
    let _server = Server::start(shop.path(), "127.0.0.1:8080")?;
    let ann = &["ann"][..];
    for (screen, file, keys, config, words) in [
        ("unsigned", "bare.flist", ann, "", &["bare.flist.minisig is not there", "zimg sign"][..]),
        ("unknown key", "eve.flist", ann, "", &["it is signed by key", "and trusted is key"]),
        ("bad signature", "forged.flist", ann, "", &["is not one of this file"]),
        ("wrong name", "web.flist", ann, "zimg.name=db", &["as the image web, not db as demanded"]),
        (
            "old version",
            "web.flist",
            ann,
            "zimg.min-version=1.11",
            &["version 1.10, older than 1.11"],
        ),
        (
            "too few signatures",
            "web.flist",
            &["ann", "bob"],
            "zimg.signatures=2",
            &["1 of the 2 signatures"],
        ),
        (
            "expired channel",
            "expired.channel",
            ann,
            "",
            &["expired.channel: the channel expired at 2020-01-01 00:00:00 UTC"],
        ),
    ] {
        let node = shop.machine(&format!("{URL}/{file}"), keys, config)?;
        refused(screen, &node.machine, words)?;
    }
    Ok(())
}

/// What the initramfs demands, the command line can't take back.
#[test]
fn the_command_line_loosens_nothing() -> Result {
    let shop = Shop::new()?;
    let off = format!("{URL}/bare.flist zimg.verify=off");
    let words = ["zimg.verify=off, but the initramfs holds the public key", "can't be loosened"];
    refused("verification off", &shop.machine(&off, &["ann"], "")?.machine, &words)?;
    let eve = std::fs::read_to_string(shop.path().join("eve.pub"))?;
    let key = format!("{URL}/eve.flist zimg.key={}", eve.lines().last().unwrap());
    let words = ["none of those that the initramfs trusts", "initramfs --key"];
    refused("another key", &shop.machine(&key, &["ann"], "")?.machine, &words)
}
