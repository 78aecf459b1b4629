use super::*;
use crate::cmdline;
use flist::trust::BadKey;

/// minisign's own key, another, and one more.
const ANN: &str = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";
const BOB: &str = "RWQAAQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyAhIiMkJSYn";
const CAT: &str = "RWQBAQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyAhIiMkJSYn";
const HASH: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

fn sources(line: &str, files: &str, keys: &[(&str, &str)]) -> Sources {
    let key = |(name, text): &(&str, &str)| KeyFile {
        path: format!("/etc/zimg/keys/{name}"),
        bytes: text.as_bytes().to_vec(),
    };
    Sources {
        line: cmdline::words(line.as_bytes()),
        files: cmdline::words(files.as_bytes()),
        keys: keys.iter().map(key).collect(),
    }
}

/// What must hold where the initramfs has these keys and words.
fn of(line: &str, files: &str, keys: &[&str]) -> Result<Verify, ConfigError> {
    let named: Vec<(&str, &str)> =
        ["a.pub", "b.pub"].into_iter().zip(keys.iter().copied()).collect();
    verify(&sources(line, files, &named))
}

fn demands(keys: &[&str]) -> Demands {
    Demands { keys: keys.iter().map(|key| key.parse().unwrap()).collect(), ..Demands::default() }
}

fn wants(demands: Demands) -> Result<Verify, ConfigError> {
    Ok(Verify::Demanded(Policy::new(demands).unwrap()))
}

fn with_hash(demands: Demands) -> Demands {
    Demands { hash: Some(HASH.parse().unwrap()), ..demands }
}

#[test]
fn a_hash_a_key_or_both() {
    let (hash, key) = (format!("zimg.hash={HASH}"), format!("zimg.key={ANN}"));
    assert_eq!(of("", "", &[]), Err(ConfigError::NoAnchor));
    assert_eq!(of(&hash, "", &[]), wants(with_hash(demands(&[]))));
    for (line, files, keys) in [(key.as_str(), "", &[][..]), ("", &key, &[]), ("", "", &[ANN])] {
        assert_eq!(of(line, files, keys), wants(demands(&[ANN])));
        assert_eq!(of(&format!("{line} {hash}"), files, keys), wants(with_hash(demands(&[ANN]))));
        let files = format!("{files} {hash}");
        assert_eq!(of(line, &files, keys), wants(with_hash(demands(&[ANN]))));
    }
    let file = format!("untrusted comment: a key\n{ANN}\n");
    assert_eq!(of("", "", &[&file, BOB]), wants(demands(&[ANN, BOB])));
}

#[test]
fn the_command_line_adds_no_trust() {
    let bob = format!("zimg.key={BOB}");
    for (files, keys) in [("", &[ANN][..]), (&format!("zimg.key={ANN}"), &[])] {
        let error = of(&bob, files, keys).unwrap_err();
        assert_eq!(error, ConfigError::KeyNotHeld(BOB.parse::<PublicKey>().unwrap().id()));
        assert!(error.fix().contains("initramfs --key"));
    }
    // But of several it may choose.
    assert_eq!(of(&bob, "", &[ANN, BOB]), wants(demands(&[BOB])));
    let both = format!("{bob} zimg.key={CAT}");
    assert!(matches!(of(&both, "", &[ANN, BOB]), Err(ConfigError::KeyNotHeld(_))));
    assert_eq!(of(&both, "", &[]), wants(demands(&[BOB, CAT])));
}

#[test]
fn off_only_where_the_initramfs_demands_nothing() {
    let off = "zimg.verify=off";
    assert_eq!(of(off, "", &[]), Ok(Verify::Off));
    assert_eq!(of(&format!("{off} zimg.key={ANN}"), "", &[]), Ok(Verify::Off));
    let hash = format!("zimg.hash={HASH}");
    for (files, keys, named) in [
        ("", &[ANN][..], "E7620F1842B4E81F"),
        (&format!("zimg.key={ANN}"), &[], "E7620F1842B4E81F"),
        (&hash, &[], "zimg.hash="),
        ("zimg.name=web", &[], "zimg.name="),
        ("zimg.min-version=1", &[], "zimg.min-version="),
        ("zimg.signatures=1", &[], "zimg.signatures="),
    ] {
        for (line, files) in [(off, files.to_owned()), ("", format!("{off} {files}"))] {
            match of(line, &files, keys) {
                Err(ConfigError::VerifyOffRefused(what)) => assert!(what.contains(named), "{what}"),
                other => panic!("{files} {keys:?}: {other:?}"),
            }
        }
    }
    assert_eq!(of("zimg.verify=no", "", &[]), Err(ConfigError::VerifyValue("no".to_owned())));
}

#[test]
fn the_stricter_counts() {
    let files = "zimg.name=web zimg.min-version=1.9 zimg.signatures=2";
    let strict = |version: &str, signatures| Demands {
        name: Some("web".parse().unwrap()),
        min_version: Some(version.parse().unwrap()),
        signatures: Some(signatures),
        ..demands(&[ANN, BOB])
    };
    for (line, version, signatures) in [
        ("", "1.9", 2),
        ("zimg.min-version=1.8 zimg.signatures=1 zimg.name=web", "1.9", 2),
        ("zimg.min-version=1.10", "1.10", 2),
    ] {
        assert_eq!(of(line, files, &[ANN, BOB]), wants(strict(version, signatures)), "{line}");
    }
    assert_eq!(of("zimg.signatures=2", "", &[ANN, BOB]), of("", "zimg.signatures=2", &[ANN, BOB]));
    let other = of("zimg.name=db", files, &[ANN, BOB]).unwrap_err();
    assert!(matches!(other, ConfigError::TwoNames(..)) && other.to_string().contains("db"));
    // Two keys must sign, and the line lets only one.
    let one = of(&format!("zimg.key={ANN}"), files, &[ANN, BOB]).unwrap_err();
    assert!(matches!(one, ConfigError::Policy(PolicyError::Signatures { .. })), "{one}");
    let three = of("zimg.signatures=3", files, &[ANN, BOB]).unwrap_err();
    assert!(matches!(three, ConfigError::Policy(PolicyError::Signatures { .. })), "{three}");
}

#[test]
fn only_keys_tell_names_and_versions() {
    for word in ["zimg.name=web", "zimg.min-version=1", "zimg.signatures=1"] {
        let error = of(&format!("zimg.hash={HASH} {word}"), "", &[]).unwrap_err();
        assert!(matches!(error, ConfigError::Policy(PolicyError::Keyless(_))), "{error}");
        assert!(error.fix().contains("zimg.key="));
    }
}

#[test]
fn what_is_not_understood_is_named() {
    for (word, key) in [
        ("zimg.name=", "zimg.name"),
        ("zimg.name", "zimg.name"),
        ("zimg.min-version=one", "zimg.min-version"),
        ("zimg.signatures=0", "zimg.signatures"),
        ("zimg.signatures=-1", "zimg.signatures"),
        ("zimg.signatures=two", "zimg.signatures"),
    ] {
        let error = of(word, "", &[ANN]).unwrap_err();
        assert!(matches!(error, ConfigError::Value { key: k, .. } if k == key), "{word}: {error}");
    }
    for (line, keys) in
        [("zimg.key=", &[][..]), ("zimg.key", &[]), ("zimg.key=RWQx", &[ANN]), ("", &["x"])]
    {
        let error = of(line, "", keys).unwrap_err();
        assert!(matches!(error, ConfigError::BadKey { .. }), "{line}: {error}");
    }
    let secret = of("zimg.key=RWRTY0IyAAAA", "", &[]).unwrap_err();
    assert!(matches!(secret, ConfigError::BadKey { why: BadKey::Secret, .. }), "{secret}");
}

/// A key whose name is a slip must not pass for none.
#[test]
fn what_else_lies_among_the_keys_is_refused() {
    let stray = sources(&format!("zimg.hash={HASH}"), "", &[("fleet.key", ANN)]);
    let error = verify(&stray).unwrap_err();
    assert_eq!(error, ConfigError::StrayKey("/etc/zimg/keys/fleet.key".to_owned()));
}
