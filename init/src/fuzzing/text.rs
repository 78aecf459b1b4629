//! Text: the kernel command line, configuration files, what depmod writes, what devices tell.

use std::collections::HashSet;
use std::path::Path;

use crate::cmdline;
use crate::config::{self, Node, Sources, Verify};
use crate::modules::{self, Index};
use crate::net::NetConfig;

/// A kernel command line, which is the first line, and a file of `/etc/zimg`, which is the rest.
pub(super) fn cmdline(data: &[u8]) {
    let end = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let (line, file) = data.split_at(end);
    let sources =
        Sources { line: cmdline::words(line), files: config::conf_words(file), keys: Vec::new() };
    let (_ignored, _on_fail) = (config::ignored(&sources), config::on_fail(&sources));
    let _network = NetConfig::parse(&sources.pairs());
    let Ok((config, _warnings)) = config::config(&sources) else { return };
    let pinned = sources.files.iter().find(|word| word.key == "zimg.hash");
    let pinned = pinned.and_then(|word| word.value.as_deref());
    let held = sources.files.iter().filter(|word| word.key == "zimg.key");
    let held: Vec<&str> = held.filter_map(|word| word.value.as_deref().map(str::trim)).collect();
    match &config.verify {
        Verify::Off => {
            assert_eq!((pinned, &held[..]), (None, &[][..]), "what is demanded is not loosened");
        }
        Verify::Demanded(policy) => {
            assert!(
                pinned.is_none_or(|pinned| pinned.parse().ok() == policy.hash()),
                "nor replaced"
            );
            let keys: Vec<String> = policy.keys().iter().map(ToString::to_string).collect();
            assert!(held.is_empty() || keys.iter().all(|key| held.contains(&key.as_str())));
        }
    }
    let node = Node { mac: Some("52:54:00:12:34:56".to_owned()), ..Node::default() };
    if let Ok(config) = config.for_node(&node) {
        let is_url = |url: &String| url.starts_with("http://") || url.starts_with("https://");
        assert!(config.urls.iter().chain(&config.stores).chain(&config.report).all(is_url));
    }
}

/// `modules.dep`, `.alias`, `.softdep`, `.builtin` and devices' aliases, a line each, between zeros.
pub(super) fn modules(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut files = text.split('\0');
    let mut next = || files.next().unwrap_or_default();
    let (dep, alias, soft, builtin) = (next(), next(), next(), next());
    let index = Index::parse(Path::new("/m"), dep, alias, soft, builtin);
    let mut wanted: Vec<String> =
        next().lines().flat_map(|device| index.drivers(device)).map(str::to_owned).collect();
    wanted.extend(dep.lines().map(|line| modules::name_of(line.split(':').next().unwrap_or(line))));
    let is_skipped = |name: &str| name.len() == 3;
    let steps = index.plan(&wanted, &is_skipped).concat();
    let names: HashSet<&str> = steps.iter().map(|step| step.name.as_str()).collect();
    assert_eq!(names.len(), steps.len(), "no module is loaded twice: {steps:?}");
    assert!(!names.iter().any(|name| is_skipped(name)), "{steps:?}");
}

/// What the kernel tells of a device.
pub(super) fn uevent(data: &[u8]) {
    modules::parse_uevent(data);
}
