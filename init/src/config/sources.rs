//! The words the configuration is made of, and where each came from.

use crate::cmdline::{self, Word};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The most bytes of one configuration file that are read.
const FILE_MAX: u64 = 64 * 1024;

/// All that configures a boot, not yet interpreted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Sources {
    /// Words of the kernel command line.
    pub(crate) line: Vec<Word>,
    /// Words of `/etc/zimg/*.conf`, in the order of the files' names.
    pub(crate) files: Vec<Word>,
    /// Public keys the initramfs holds.
    pub(crate) keys: Vec<KeyFile>,
}

/// A file of `/etc/zimg/keys`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyFile {
    pub(crate) path: String,
    pub(crate) bytes: Vec<u8>,
}

impl Sources {
    /// What this boot is asked for.
    pub(crate) fn of_this_boot() -> io::Result<Self> {
        Self::read(Path::new("/proc/cmdline"), Path::new("/etc/zimg"))
    }

    /// Reads the command line and the initramfs' own files below `etc` (`/etc/zimg`).
    fn read(cmdline: &Path, etc: &Path) -> io::Result<Self> {
        let line = cmdline::words(&fs::read(cmdline)?);
        let mut files = Vec::new();
        for path in list(etc)? {
            if path.extension().is_some_and(|ext| ext == "conf") {
                files.extend(conf_words(&read_bounded(&path)?));
            }
        }
        let key = |path: PathBuf| {
            Ok(KeyFile { path: path.display().to_string(), bytes: read_bounded(&path)? })
        };
        let keys = list(&etc.join("keys"))?.into_iter().map(key).collect::<io::Result<_>>()?;
        Ok(Self { line, files, keys })
    }

    /// Every value of `key`: the command line's, or, where it has none, the files'.
    pub(crate) fn all(&self, key: &str) -> Vec<&str> {
        let line = values(&self.line, key);
        if line.is_empty() { values(&self.files, key) } else { line }
    }

    /// Every value of `key`, from everywhere.
    pub(crate) fn each<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        values(&self.line, key).into_iter().chain(values(&self.files, key))
    }

    /// The value of `key` that counts: the last.
    pub(crate) fn last(&self, key: &str) -> Option<&str> {
        self.all(key).pop()
    }

    /// Whether `key` is given anywhere.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.each(key).next().is_some()
    }

    /// Whether the initramfs itself, not the command line, says `zimg.shell=yes`.
    pub(crate) fn shell_allowed(&self) -> bool {
        values(&self.files, "zimg.shell").last() == Some(&"yes")
    }

    /// The words for the network, the files' first, so that the command line's come last.
    pub(crate) fn pairs(&self) -> Vec<(String, Option<String>)> {
        let words = self.files.iter().chain(&self.line);
        words.map(|word| (word.key.clone(), word.value.clone())).collect()
    }
}

fn values<'a>(words: &'a [Word], key: &str) -> Vec<&'a str> {
    let of_key = words.iter().filter(|word| word.key == key);
    of_key.map(|word| word.value.as_deref().unwrap_or_default()).collect()
}

/// The words of a configuration file: those of its lines, `#` beginning a comment.
pub(crate) fn conf_words(text: &[u8]) -> Vec<Word> {
    let lines = text.split(|b| *b == b'\n');
    lines
        .filter(|line| !line.trim_ascii_start().starts_with(b"#"))
        .flat_map(cmdline::words)
        .collect()
}

/// What lies in `dir`, sorted by name; nothing if there is no such directory.
fn list(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(dir) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    if fs::metadata(path)?.len() > FILE_MAX {
        let what = format!("{} is longer than {FILE_MAX} bytes", path.display());
        return Err(io::Error::new(io::ErrorKind::InvalidData, what));
    }
    fs::read(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_in_order_and_comments_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let line = dir.path().join("cmdline");
        fs::write(&line, "quiet zimg.url=http://line/a\n").unwrap();
        let etc = dir.path().join("zimg");
        fs::create_dir_all(etc.join("keys")).unwrap();
        fs::write(etc.join("b.conf"), "zimg.url=http://b/x\n# zimg.url=http://no/\n").unwrap();
        fs::write(etc.join("a.conf"), "zimg.timeout=7 zimg.shell=yes\n").unwrap();
        fs::write(etc.join("keys/k.pub"), "a key").unwrap();
        fs::write(etc.join("readme"), "zimg.timeout=9").unwrap();
        let sources = Sources::read(&line, &etc).unwrap();
        assert_eq!(sources.all("zimg.url"), ["http://line/a"]);
        assert_eq!(sources.each("zimg.url").collect::<Vec<_>>(), ["http://line/a", "http://b/x"]);
        assert_eq!(sources.last("zimg.timeout"), Some("7"));
        let [key] = sources.keys.as_slice() else { panic!("{:?}", sources.keys) };
        assert!(key.path.ends_with("/keys/k.pub") && key.bytes == b"a key", "{key:?}");
        assert!(sources.shell_allowed());
    }

    #[test]
    fn no_etc_is_no_error() {
        let dir = tempfile::tempdir().unwrap();
        let line = dir.path().join("cmdline");
        fs::write(&line, "quiet zimg.shell=yes").unwrap();
        let sources = Sources::read(&line, &dir.path().join("none")).unwrap();
        assert!(sources.keys.is_empty() && sources.files.is_empty());
        assert!(!sources.shell_allowed(), "the command line may not allow a shell");
    }

    #[test]
    fn a_huge_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("cmdline"), "").unwrap();
        let file = fs::File::create(dir.path().join("big.conf")).unwrap();
        file.set_len(FILE_MAX + 1).unwrap();
        let error = Sources::read(&dir.path().join("cmdline"), dir.path()).unwrap_err();
        assert!(error.to_string().contains("big.conf"), "{error}");
    }
}
