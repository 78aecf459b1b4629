//! Keys that look like zimg's and are not: warned about by name, or refused where the slip would
//! turn verification off. So are arguments of others that a node may have come to rely on.

use super::{ConfigError, Sources};

/// Every key this program knows.
const KNOWN: [&str; 25] = [
    "zimg.url",
    "zimg.hash",
    "zimg.key",
    "zimg.verify",
    "zimg.name",
    "zimg.min-version",
    "zimg.signatures",
    "zimg.store",
    "zimg.overlay",
    "zimg.overlay.create",
    "zimg.overlay.update",
    "zimg.timeout",
    "zimg.onfail",
    "zimg.log",
    "zimg.shell",
    "zimg.ca",
    "zimg.epoch",
    "zimg.ntp",
    "zimg.proxy",
    "zimg.report",
    "zimg.prefetch",
    "zimg.profile",
    "zimg.profile.post",
    "zimg.readahead",
    "zimg.watchdog",
];

/// What this version does nothing about, and what there is instead. The network's are dracut's.
const UNSUPPORTED: [(&str, &str); 3] = [
    ("zimg.cache", "chunks are kept in memory"),
    ("bridge", "an interface, a bond or a VLAN carries the node"),
    ("team", "bond= makes a bond of several interfaces"),
];

/// Those no misspelling may stand for, and how many slips of the finger are still close.
const VERIFICATION: [(&str, usize); 6] = [
    ("zimg.hash", 1),
    ("zimg.key", 1),
    ("zimg.verify", 2),
    ("zimg.name", 1),
    ("zimg.min-version", 2),
    ("zimg.signatures", 2),
];

/// What smells of verification wherever it stands in an unknown key.
const SUSPECT: [(&str, &str); 6] = [
    ("hash", "zimg.hash"),
    ("sha", "zimg.hash"),
    ("key", "zimg.key"),
    ("sig", "zimg.signatures"),
    ("version", "zimg.min-version"),
    ("verif", "zimg.verify"),
];

/// One warning for each key that is unknown or without effect, or an error for one that is nearly
/// a verification key.
pub(super) fn unknown_keys(sources: &Sources) -> Result<Vec<String>, ConfigError> {
    let mut warnings = Vec::new();
    for word in sources.line.iter().chain(&sources.files) {
        if let Some((key, instead)) = UNSUPPORTED.iter().find(|(key, _)| *key == word.key) {
            warnings.push(format!("{key}= is not supported by this version: {instead}"));
            continue;
        }
        let Some(name) = zimg_name(&word.key) else { continue };
        if KNOWN.contains(&word.key.as_str()) {
            continue;
        }
        if let Some(meant) = near_miss(&name) {
            return Err(ConfigError::NearMiss { key: word.key.clone(), meant });
        }
        warnings.push(format!("{} is not known to this version and ignored", word.key));
    }
    if sources.line.iter().any(|word| word.key == "zimg.shell") {
        warnings.push("zimg.shell= counts only in /etc/zimg/*.conf of the initramfs".to_owned());
    }
    Ok(warnings)
}

/// What follows `zimg` in a key, in lower case, without what separates them.
fn zimg_name(key: &str) -> Option<String> {
    let key = key.to_ascii_lowercase();
    let name = key.strip_prefix("zimg")?;
    Some(name.trim_start_matches(['.', '-', '_', ':']).to_owned())
}

fn near_miss(name: &str) -> Option<&'static str> {
    let close = |(key, slips): &(&'static str, usize)| {
        let known = key.trim_start_matches("zimg.");
        (distance(name.as_bytes(), known.as_bytes()) <= *slips).then_some(*key)
    };
    let smells = |(part, key): &(&str, &'static str)| name.contains(part).then_some(*key);
    VERIFICATION.iter().find_map(close).or_else(|| SUSPECT.iter().find_map(smells))
}

/// How many insertions, deletions, replacements and swaps of neighbours lead from `a` to `b`.
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut rows = vec![(0..=b.len()).collect::<Vec<usize>>()];
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let mut cost =
                (rows[i][j] + usize::from(x != y)).min(rows[i][j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *x == b[j - 1] && a[i - 1] == *y {
                cost = cost.min(rows[i - 1][j - 1] + 1);
            }
            row.push(cost);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cmdline;

    fn check(line: &str) -> Result<Vec<String>, ConfigError> {
        unknown_keys(&Sources { line: cmdline::words(line.as_bytes()), ..Sources::default() })
    }

    #[test]
    fn known_and_foreign_keys_pass_silently() {
        assert_eq!(
            check("zimg.url=x zimg.hash=y zimg.verify=off quiet systemd.hash=1"),
            Ok(vec![])
        );
    }

    #[test]
    fn unknown_keys_are_named() {
        for key in ["zimg.ulr", "zimg.colour", "zimgfoo", "zimg.cached", "zimg.Proxy"] {
            let warnings = check(&format!("{key}=1")).unwrap();
            assert_eq!(warnings.len(), 1, "{key}");
            assert!(warnings[0].contains(key), "{warnings:?}");
        }
    }

    #[test]
    fn what_is_not_supported_is_named_once() {
        for (key, _) in UNSUPPORTED {
            let warnings = check(&format!("{key}=1 quiet")).unwrap();
            assert_eq!(warnings.len(), 1, "{key}");
            assert!(warnings[0].starts_with(&format!("{key}= is not supported")), "{warnings:?}");
            assert!(!KNOWN.contains(&key));
        }
        assert_eq!(check("bonding.max_bonds=0 vlans=1 rd.neednet=1"), Ok(vec![]));
    }

    #[test]
    fn near_misses_of_verification_are_refused() {
        for (key, meant) in [
            ("zimg.hsah", "zimg.hash"),
            ("zimg.has", "zimg.hash"),
            ("zimg.Hash", "zimg.hash"),
            ("zimg_hash", "zimg.hash"),
            ("zimg-hash", "zimg.hash"),
            ("zimghash", "zimg.hash"),
            ("zimg.root_hash", "zimg.hash"),
            ("zimg.sha256", "zimg.hash"),
            ("zimg.kye", "zimg.key"),
            ("zimg.pubkey", "zimg.key"),
            ("zimg.vefiry", "zimg.verify"),
            ("zimg.verification", "zimg.verify"),
            ("zimg.nmae", "zimg.name"),
            ("zimg.minversion", "zimg.min-version"),
            ("zimg.version", "zimg.min-version"),
            ("zimg.signature", "zimg.signatures"),
            ("zimg.minisig", "zimg.signatures"),
        ] {
            match check(&format!("{key}=1")) {
                Err(ConfigError::NearMiss { key: named, meant: got }) => {
                    assert_eq!((named.as_str(), got), (key, meant));
                }
                other => panic!("{key}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_shell_on_the_command_line_is_pointed_out() {
        assert_eq!(check("zimg.shell=yes").unwrap().len(), 1);
    }

    #[test]
    fn distances() {
        for (a, b, want) in [
            ("", "abc", 3),
            ("abc", "abc", 0),
            ("acb", "abc", 1),
            ("ab", "abc", 1),
            ("xyz", "abc", 3),
        ] {
            assert_eq!(distance(a.as_bytes(), b.as_bytes()), want, "{a} {b}");
        }
    }
}
