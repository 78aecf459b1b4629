use super::*;
use crate::cmdline;
use flist::trust::Policy;

const HASH: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
const OTHER: &str = "ff112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

fn sources(line: &str, files: &str) -> Sources {
    let words = |text: &str| cmdline::words(text.as_bytes());
    Sources { line: words(line), files: words(files), keys: Vec::new() }
}

fn parse(line: &str) -> Result<Config, ConfigError> {
    with_files(line, "")
}

fn with_files(line: &str, files: &str) -> Result<Config, ConfigError> {
    config(&sources(line, files)).map(|(config, _)| config)
}

fn of_hash(hash: &str) -> Verify {
    Verify::Demanded(Policy::of_hash(hash.parse().unwrap()))
}

fn good(rest: &str) -> Result<Config, ConfigError> {
    parse(&format!("zimg.url=http://h/a.flist zimg.hash={HASH} {rest}"))
}

#[test]
fn url_and_hash_are_enough() {
    let config = good("quiet console=ttyS0").unwrap();
    assert_eq!(config.urls, ["http://h/a.flist"]);
    assert_eq!(config.verify, of_hash(HASH));
    assert_eq!(config.overlay, Overlay::Tmpfs { size: "50%".to_owned() });
    assert_eq!(config.timeout, Duration::from_secs(300));
    assert_eq!(config.network_timeout, Duration::from_secs(120));
    assert!(config.stores.is_empty() && config.init.is_none() && !config.debug);
}

#[test]
fn urls_repeat_and_the_command_line_wins() {
    let line = format!("zimg.url=http://a/x zimg.url=https://b/x zimg.hash={HASH}");
    let config = with_files(&line, "zimg.url=http://c/x zimg.store=http://s/").unwrap();
    assert_eq!(config.urls, ["http://a/x", "https://b/x"]);
    assert_eq!(config.stores, ["http://s/"]);
}

#[test]
fn no_url() {
    assert_eq!(parse(&format!("zimg.hash={HASH}")), Err(ConfigError::NoUrl));
}

#[test]
fn urls_must_be_http() {
    for bad in ["ftp://h/x", "h/x", "http://", "http:///x", "", "file:///x"] {
        let result = parse(&format!("zimg.url={bad} zimg.hash={HASH}"));
        assert!(
            matches!(result, Err(ConfigError::Url { key: "zimg.url", .. })),
            "{bad}: {result:?}"
        );
    }
}

#[test]
fn variables_are_put_in_once_the_node_is_known() {
    let line = "zimg.store=http://s/${uuid}/ zimg.report=http://r/${mac:hexhyp}";
    let config = parse(&format!("zimg.url=http://h/${{mac}}.flist zimg.hash={HASH} {line}"));
    let (mac, uuid) = (Some("52:54:00:12:34:56".to_owned()), Some("1-2".to_owned()));
    let node = Node { mac, uuid, ..Node::default() };
    let config = config.unwrap().for_node(&node).unwrap();
    assert_eq!(config.urls, ["http://h/52:54:00:12:34:56.flist"]);
    assert_eq!(config.stores, ["http://s/1-2/"]);
    assert_eq!(config.report.as_deref(), Some("http://r/52-54-00-12-34-56"));
}

#[test]
fn unknown_variables_are_refused() {
    for key in ["zimg.url", "zimg.store", "zimg.report"] {
        let result = good(&format!("{key}=http://h/${{ip}}"));
        assert!(
            matches!(result, Err(ConfigError::Variable { key: k, .. }) if k == key),
            "{result:?}"
        );
    }
}

#[test]
fn nothing_to_vouch_is_refused() {
    assert_eq!(parse("zimg.url=http://h/x"), Err(ConfigError::NoAnchor));
}

#[test]
fn verify_off_is_the_only_way_without_a_hash() {
    assert_eq!(parse("zimg.url=http://h/x zimg.verify=off").unwrap().verify, Verify::Off);
    assert_eq!(
        parse("zimg.url=http://h/x zimg.verify=no"),
        Err(ConfigError::VerifyValue("no".to_owned()))
    );
}

#[test]
fn the_files_hash_binds_the_command_line() {
    let files = format!("zimg.url=http://h/x zimg.hash={HASH}");
    assert_eq!(with_files("", &files).unwrap().verify, of_hash(HASH));
    assert!(matches!(with_files("zimg.verify=off", &files), Err(ConfigError::VerifyOffRefused(_))));
    assert!(matches!(
        with_files(&format!("zimg.hash={OTHER}"), &files),
        Err(ConfigError::TwoHashes(..))
    ));
    assert!(with_files(&format!("zimg.hash={HASH}"), &files).is_ok());
}

#[test]
fn hashes_are_checked() {
    for bad in ["", "abc", &HASH[1..], &HASH.replace('0', "g")] {
        let result = parse(&format!("zimg.url=http://h/x zimg.hash={bad}"));
        assert!(matches!(result, Err(ConfigError::Hash { .. })), "{bad}: {result:?}");
    }
    assert!(matches!(good(&format!("zimg.hash={OTHER}")), Err(ConfigError::TwoHashes(..))));
}

#[test]
fn overlays() {
    let tmpfs = |size: &str| Ok(Overlay::Tmpfs { size: size.to_owned() });
    let of = |text: &str| good(&format!("zimg.overlay={text}")).map(|config| config.overlay);
    assert_eq!(of("off"), Ok(Overlay::Off));
    assert_eq!(of("tmpfs"), tmpfs("50%"));
    assert_eq!(of("tmpfs:size=2G"), tmpfs("2G"));
    for bad in ["tmpfs:size=", "tmpfs:size=1,uid=5", "tmpfs:mode=1", "", "vda", "LABEL=", "/dev/"] {
        assert!(matches!(of(bad), Err(ConfigError::Value { key: "zimg.overlay", .. })), "{bad}");
    }
}

#[test]
fn overlays_on_disks() {
    let disk = |text: &str| match good(&format!("zimg.overlay={text}")).map(|c| c.overlay) {
        Ok(Overlay::Disk(disk)) => disk,
        other => panic!("{text}: {other:?}"),
    };
    for text in ["LABEL=data", "UUID=00-1", "PARTLABEL=a", "PARTUUID=b", "/dev/vda", "/dev/md/0"] {
        let disk = disk(text);
        assert_eq!(disk.name.to_string(), text);
        assert_eq!((disk.create, disk.update), (Create::No, Update::Keep));
    }
    // What udev would make of a label is meant; what only udev knows can't be had.
    assert_eq!(disk("/dev/disk/by-label/data").name, DiskName::Label("data".to_owned()));
    assert_eq!(disk("\"LABEL=my data\"").name, DiskName::Label("my data".to_owned()));
    assert!(good("zimg.overlay=/dev/disk/by-id/x").is_err());
    assert!(good("zimg.overlay=/dev/../etc").is_err());

    assert_eq!(disk("/dev/vda zimg.overlay.create").create, Create::Beside);
    assert_eq!(disk("/dev/vda zimg.overlay.create=erase").create, Create::Erase);
    assert_eq!(disk("/dev/vda zimg.overlay.update=fresh").update, Update::Fresh);
    assert!(good("zimg.overlay=/dev/vda zimg.overlay.create=maybe").is_err());
    assert!(good("zimg.overlay=/dev/vda zimg.overlay.update=perhaps").is_err());
}

#[test]
fn times_are_bounded() {
    let said = good("zimg.timeout=5").unwrap();
    assert_eq!((said.timeout, said.network_timeout), (Duration::from_secs(5), said.timeout));
    for bad in ["0", "-1", "86401", "x", ""] {
        assert!(good(&format!("zimg.timeout={bad}")).is_err(), "{bad}");
    }
}

#[test]
fn on_fail_has_an_answer_whatever_is_asked() {
    let of = |text: &str| on_fail(&sources(text, ""));
    let reboot = |seconds| OnFail::Reboot(Duration::from_secs(seconds));
    assert_eq!(of(""), reboot(30));
    assert_eq!(of("zimg.onfail=reboot"), reboot(30));
    assert_eq!(of("zimg.onfail=reboot:0"), reboot(0));
    assert_eq!(of("zimg.onfail=poweroff"), OnFail::PowerOff);
    assert_eq!(of("zimg.onfail=halt"), OnFail::Halt);
    assert_eq!(of("zimg.onfail=shell"), OnFail::Shell);
    assert_eq!(of("zimg.onfail=explode"), reboot(30));
    assert!(matches!(good("zimg.onfail=explode"), Err(ConfigError::Value { .. })));
}

#[test]
fn debug_and_init() {
    let config = good("zimg.log=debug init=/bin/sh").unwrap();
    assert!(config.debug);
    assert_eq!(config.init.as_deref(), Some("/bin/sh"));
    assert!(good("zimg.log=loud").is_err());
}

#[test]
fn every_error_says_what_to_do() {
    let result = parse("");
    assert!(result.unwrap_err().fix().contains("zimg.url="));
}
