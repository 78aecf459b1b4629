//! Keys and signatures of `zimg`, both ways against the packaged `minisign`.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where anything fails")]

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

/// A folder with `a.flist`.
struct Shop(tempfile::TempDir);

impl Shop {
    fn new() -> Self {
        let shop = Self(tempfile::tempdir().unwrap());
        fs::create_dir(shop.path("tree")).unwrap();
        fs::write(shop.path("tree/motd"), "hello\n").unwrap();
        shop.good(&["build", "tree", "a.flist"]);
        shop
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn run(&self, program: &str, args: &[&str], input: &str, password: Option<&str>) -> Output {
        let mut command = Command::new(program);
        command.current_dir(self.0.path()).args(args).env_remove("ZIMG_PASSWORD");
        password.map(|password| command.env("ZIMG_PASSWORD", password));
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("scripts/setup installs minisign");
        // One that reads nothing may have ended by now.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        child.wait_with_output().unwrap()
    }

    /// What zimg prints, which ends well.
    fn good(&self, args: &[&str]) -> String {
        self.with_password(args, None)
    }

    fn with_password(&self, args: &[&str], password: Option<&str>) -> String {
        let output = self.run(env!("CARGO_BIN_EXE_zimg"), args, "", password);
        assert!(output.status.success(), "{args:?}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    /// zimg refuses with `status`, and says all of `words`.
    fn refuses(&self, args: &[&str], status: i32, words: &[&str]) {
        let output = self.run(env!("CARGO_BIN_EXE_zimg"), args, "", Some("wrong"));
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{args:?}: {said}");
        words.iter().for_each(|word| assert!(said.contains(word), "{args:?}: no {word:?}: {said}"));
    }

    fn minisign(&self, args: &[&str], input: &str) -> Output {
        self.run("minisign", args, input, None)
    }

    /// What minisign says of the signature of `file`, if it takes it for a good one.
    fn minisign_takes(&self, key: &str, file: &str) -> Option<String> {
        let output = self.minisign(&["-V", "-p", key, "-m", file], "");
        output.status.success().then(|| text(&output.stdout))
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn minisign_takes_what_zimg_signs() {
    let shop = Shop::new();
    let told = shop.good(&["keygen", "ann", "--no-password"]);
    let key = shop.read("ann.pub").lines().nth(1).unwrap().to_owned();
    assert!(told.contains(&format!("zimg.key={key}")), "{told}");
    let mode = fs::metadata(shop.path("ann.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    let told = shop.good(&["sign", "a.flist", "ann.key", "--version", "1.2"]);
    assert!(told.contains("as a version 1.2"), "{told}");
    let said = shop.minisign_takes("ann.pub", "a.flist").expect("minisign takes it");
    assert!(said.contains("Trusted comment: zimg name=a version=1.2 date=2"), "{said}");
    let by_build = ["build", "tree", "b.flist", "--sign", "ann.key", "--name", "web"];
    shop.good(&by_build);
    let said = shop.minisign_takes("ann.pub", "b.flist").expect("minisign takes it");
    assert!(said.contains("zimg name=web version=20"), "{said}");
    // The control: not of another file, nor by another key.
    fs::copy(shop.path("a.flist.minisig"), shop.path("b.flist.minisig")).unwrap();
    fs::write(shop.path("tree/motd"), "hallo\n").unwrap();
    shop.good(&["build", "tree", "b.flist"]);
    assert_eq!(shop.minisign_takes("ann.pub", "b.flist"), None);
    shop.good(&["keygen", "bob", "--no-password"]);
    assert_eq!(shop.minisign_takes("bob.pub", "a.flist"), None);

    // It looks at the first of several.
    shop.good(&["sign", "a.flist", "bob.key", "--version", "1.2", "--add"]);
    assert!(shop.minisign_takes("ann.pub", "a.flist").is_some());
    assert_eq!(shop.read("a.flist.minisig").lines().count(), 8);
    shop.good(&["sign", "a.flist", "bob.key"]);
    assert!(shop.minisign_takes("bob.pub", "a.flist").is_some());
    assert_eq!(shop.read("a.flist.minisig").lines().count(), 4);
}

#[test]
fn minisign_signs_with_keys_of_zimg() {
    let shop = Shop::new();
    shop.good(&["keygen", "plain", "--no-password"]);
    shop.with_password(&["keygen", "locked"], Some("secret"));
    for (key, password) in [("plain", ""), ("locked", "secret\n")] {
        let (secret, public) = (format!("{key}.key"), format!("{key}.pub"));
        let signed = shop.minisign(&["-S", "-s", &secret, "-m", "a.flist"], password);
        assert!(signed.status.success(), "{key}: {}", text(&signed.stderr));
        assert!(shop.minisign_takes(&public, "a.flist").is_some());
    }
    let wrong = shop.minisign(&["-S", "-s", "locked.key", "-m", "a.flist"], "other\n");
    assert!(!wrong.status.success(), "the key is not encrypted: this shows nothing");
}

/// That of minisign's own key takes a gigabyte of memory, as its author wanted.
#[test]
fn zimg_signs_with_keys_of_minisign() {
    let shop = Shop::new();
    for (key, made) in [
        ("plain", shop.minisign(&["-G", "-W", "-p", "plain.pub", "-s", "plain.key"], "")),
        (
            "locked",
            shop.minisign(&["-G", "-p", "locked.pub", "-s", "locked.key"], "secret\nsecret\n"),
        ),
    ] {
        assert!(made.status.success(), "{key}: {}", text(&made.stderr));
        let (secret, public) = (format!("{key}.key"), format!("{key}.pub"));
        fs::write(shop.path("password"), "secret\n").unwrap();
        shop.good(&["sign", "a.flist", &secret, "--password-file", "password"]);
        assert!(shop.minisign_takes(&public, "a.flist").is_some());
    }
    shop.refuses(&["sign", "a.flist", "locked.key"], 1, &["locked.key", "Wrong password"]);
    fs::remove_file(shop.path("a.flist.minisig")).unwrap();
    shop.with_password(&["sign", "a.flist", "locked.key"], Some("secret"));
    assert!(shop.minisign_takes("locked.pub", "a.flist").is_some());
}

#[test]
fn only_what_is_demanded_is_used() {
    let shop = Shop::new();
    for key in ["ann", "bob", "eve"] {
        shop.good(&["keygen", key, "--no-password"]);
    }
    shop.good(&["sign", "a.flist", "ann.key", "--name", "web", "--version", "1.10"]);
    let base64 = shop.read("ann.pub").lines().nth(1).unwrap().to_owned();
    let verify = |more: &[&str]| shop.good(&[&["verify", "a.flist"][..], more].concat());
    for more in [
        &["--key", "ann.pub"][..],
        &["--key", &base64, "--name", "web"],
        &["--key", "eve.pub", "--key", "ann.pub", "--min-version", "1.9", "--all-chunks"],
    ] {
        let said = verify(more);
        assert!(said.contains("signed by key") && said.contains("as web version 1.10"), "{said}");
    }
    // Each command by the same policy.
    for command in [
        &["verify", "a.flist"][..],
        &["ls", "a.flist"],
        &["cat", "a.flist", "/motd"],
        &["inspect", "a.flist"],
        &["unpack", "a.flist", "out"],
        &["mount", "a.flist", "tree", "--foreground"],
    ] {
        for (more, words) in [
            (&["--key", "eve.pub"][..], &["a.flist: it is signed by key", "trusted is key"][..]),
            (&["--key", "ann.pub", "--name", "db"], &["as the image web, not db"]),
            (&["--key", "ann.pub", "--min-version", "1.11"], &["1.10, older than 1.11"]),
            (
                &["--key", "ann.pub", "--key", "bob.pub", "--signatures", "2"],
                &["1 of the 2", "--add"],
            ),
        ] {
            shop.refuses(&[command, more].concat(), 1, words);
        }
        shop.refuses(&[command, &["--name", "web"]].concat(), 2, &["--key"]);
        shop.refuses(&[command, &["--signatures", "1"]].concat(), 2, &["--key"]);
        shop.refuses(&[command, &["--key", "none.pub"]].concat(), 1, &["none.pub"]);
        shop.refuses(&[command, &["--key", "ann.key"]].concat(), 1, &["ann.key", "secret key"]);
    }
    assert!(!shop.path("out").exists());
    shop.good(&["unpack", "a.flist", "out", "--key", "ann.pub"]);
    assert_eq!(shop.good(&["cat", "a.flist", "/motd", "--key", "ann.pub"]), "hello\n");

    shop.good(&["sign", "a.flist", "bob.key", "--name", "web", "--version", "1.10", "--add"]);
    verify(&["--key", "ann.pub", "--key", "bob.pub", "--signatures", "2"]);
    fs::remove_file(shop.path("a.flist.minisig")).unwrap();
    let words = ["a.flist.minisig is not there", "zimg sign"];
    shop.refuses(&["verify", "a.flist", "--key", "ann.pub"], 1, &words);
}

#[test]
fn channels() {
    let shop = Shop::new();
    for key in ["ann", "eve"] {
        shop.good(&["keygen", key, "--no-password"]);
    }
    fn set<'a>(version: &'a str, more: &[&'a str]) -> Vec<&'a str> {
        let set =
            ["channel", "set", "s.channel", "a.flist", "--sign", "ann.key", "--version", version];
        [&set, more].concat()
    }
    let told = shop.good(&set("1.10", &[]));
    assert!(
        told.contains("s.channel.minisig: signed by key") && told.contains("version 1.10"),
        "{told}"
    );
    assert!(shop.minisign_takes("ann.pub", "s.channel").is_some());
    let shown = shop.good(&["channel", "show", "s.channel", "--key", "ann.pub", "--name", "a"]);
    for line in ["name       a\n", "version    1.10\n", "flist      a.flist\n", "signed by key"] {
        assert!(shown.contains(line), "{shown}");
    }
    assert!(shop.good(&["channel", "show", "s.channel"]).contains("not checked"));
    assert_eq!(shop.good(&["cat", "s.channel", "/motd", "--key", "ann.pub"]), "hello\n");
    shop.good(&["verify", "s.channel", "--key", "ann.pub", "--min-version", "1.9", "--all-chunks"]);

    for (command, status, words) in [
        (&["cat", "s.channel", "/motd"][..], 1, &["s.channel", "no key is trusted"][..]),
        (&["unpack", "s.channel", "out", "--insecure"], 1, &["no key is trusted"]),
        (&["cat", "s.channel", "/motd", "--key", "eve.pub"], 1, &["trusted is key"]),
        (
            &["verify", "s.channel", "--key", "ann.pub", "--min-version", "1.11"],
            1,
            &["older than 1.11"],
        ),
        (&["channel", "show", "s.channel", "--key", "eve.pub"], 1, &["trusted is key"]),
        (&["channel", "show", "a.flist"], 1, &["no channel"]),
        (&["channel", "set", "s", "a.flist", "--sign", "ann.key"], 2, &[".channel"]),
        (&["channel", "set", "b.channel", "a.flist", "--sign", "ann.key"], 2, &["--version"]),
        (&["channel", "set", "b.channel", "s.channel", "--sign", "ann.key"], 1, &["a channel"]),
        (&set("1.11", &["--days", "0"])[..], 2, &["--days"]),
        (&set("1.11", &["--url", "../x"])[..], 2, &["--url"]),
        (&set("1.9", &[])[..], 1, &["1.10", "later than 1.9", "--force"]),
        (&set("1.11", &["--name", "b"])[..], 1, &["the image a, not b"]),
        (&["sign", "s.channel", "eve.key", "--version", "2"], 2, &["channel set"]),
    ] {
        shop.refuses(command, status, words);
    }
    assert!(shop.good(&["channel", "show", "s.channel"]).contains("version    1.10\n"));
    shop.good(&set("1.9", &["--force"]));
    // By two; and one that has expired.
    shop.good(&["sign", "s.channel", "eve.key", "--add"]);
    shop.good(&[
        "verify",
        "s.channel",
        "--key",
        "ann.pub",
        "--key",
        "eve.pub",
        "--signatures",
        "2",
    ]);
    let text = shop.read("s.channel");
    let (before, _) = text.split_once("expires").unwrap();
    fs::write(shop.path("s.channel"), format!("{before}expires 2020-01-01T00:00:00Z\n")).unwrap();
    shop.good(&["sign", "s.channel", "ann.key"]);
    let words = ["expired at 2020-01-01 00:00:00 UTC", "channel set"];
    shop.refuses(&["verify", "s.channel", "--key", "ann.pub"], 1, &words);

    // Name and version are those that the flist is signed with.
    shop.good(&["sign", "a.flist", "ann.key", "--name", "web", "--version", "2.1"]);
    let told = shop.good(&["channel", "set", "w.channel", "a.flist", "--sign", "ann.key"]);
    assert!(told.contains("as web version 2.1"), "{told}");
}

#[test]
fn what_minisign_signed_is_as_good() {
    let shop = Shop::new();
    shop.minisign(&["-G", "-W", "-p", "ann.pub", "-s", "ann.key"], "");
    let comment = "zimg name=web version=1.10";
    for more in [&[][..], &["-l"], &["-t", comment]] {
        let signed =
            shop.minisign(&[&["-S", "-s", "ann.key", "-m", "a.flist"][..], more].concat(), "");
        assert!(signed.status.success(), "{}", text(&signed.stderr));
        shop.good(&["verify", "a.flist", "--key", "ann.pub"]);
        let named = ["verify", "a.flist", "--key", "ann.pub", "--name", "web"];
        match more.contains(&comment) {
            true => drop(shop.good(&named)),
            false => shop.refuses(&named, 1, &["states no name and version", "zimg sign"]),
        }
    }
}

#[test]
fn slips_are_refused_and_leave_nothing_behind() {
    let shop = Shop::new();
    shop.good(&["keygen", "ann", "--no-password"]);
    let (secret, public) = (shop.read("ann.key"), shop.read("ann.pub"));
    shop.refuses(&["keygen", "ann"], 1, &["ann.key", "there already"]);
    assert_eq!((shop.read("ann.key"), shop.read("ann.pub")), (secret.clone(), public));
    shop.good(&["keygen", "ann", "--no-password", "--force"]);
    assert_ne!(shop.read("ann.key"), secret);

    fs::write(shop.path("page"), "<html>").unwrap();
    fs::write(shop.path("empty"), "").unwrap();
    for (args, status, words) in [
        (&["sign", "a.flist", "ann.pub"][..], 1, &["ann.pub", "public key"][..]),
        (&["sign", "a.flist", "page"], 1, &["page", "no secret key"]),
        (&["sign", "a.flist", "none.key"], 1, &["none.key"]),
        (&["sign", "page", "ann.key"], 1, &["page", "no flist", "HTML"]),
        (&["sign", "a.flist", "ann.key", "--version", "one"], 2, &["12.5"]),
        (&["sign", "a.flist", "ann.key", "--name", "a b"], 2, &["letters"]),
        (&["keygen", "new", "--password-file", "empty"], 2, &["--no-password"]),
        (&["build", "tree", "b.flist", "--sign", "ann.pub"], 1, &["ann.pub", "public key"]),
        (&["build", "tree", "b.flist", "--version", "1"], 2, &["--sign"]),
        (&["build", "tree", "b c.flist", "--sign", "ann.key"], 2, &["--name"]),
    ] {
        shop.refuses(args, status, words);
    }
    for name in ["a.flist.minisig", "b.flist", "new.key"] {
        assert!(!shop.path(name).exists(), "{name} was left behind");
    }
    let names = fs::read_dir(shop.0.path()).unwrap().map(|e| e.unwrap().file_name());
    assert!(!names.into_iter().any(|name| name.to_string_lossy().starts_with('.')));
}

#[test]
fn a_signature_that_a_build_left_behind_is_told() {
    let shop = Shop::new();
    shop.good(&["keygen", "ann", "--no-password"]);
    shop.good(&["sign", "a.flist", "ann.key"]);
    let output = shop.run(env!("CARGO_BIN_EXE_zimg"), &["build", "tree", "a.flist"], "", None);
    let said = text(&output.stderr);
    assert!(output.status.success() && said.contains("a.flist.minisig"), "{said}");
}
